"""Attributes of a fitted detector, read from its state and its subspace when asked for."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..gradients import Network
from .subspaces import Span


class ResultsMixin:
    """Fitted attributes of a detector; those that cannot be had yet are missing."""

    estimator_: Any
    classes_: np.ndarray
    subspace_: str
    _network: Network
    _layers: Sequence[int]
    _get_subspace: Callable[[], Span]

    @property
    def class_counts_(self) -> np.ndarray:
        """Number of samples of each class in the sums."""
        return self._fitted("_state").counts.copy()

    @property
    def eigenvalues_(self) -> np.ndarray:
        """Eigenvalues of the centred Gram matrix of the class means."""
        return self._known_subspace().eigenvalues

    @property
    def n_components_(self) -> int:
        """Dimension of the subspace."""
        return self._known_subspace().n_components

    @property
    def shrinkage_(self) -> dict[str, tuple[float, float]]:
        """Share of the identity in the two factors of each layer."""
        shares = self._known_subspace().metric.shrinkage
        return dict(zip(self.layers_, shares, strict=False))

    @property
    def layers_(self) -> tuple[str, ...]:
        """Names of the layers whose parameters count."""
        self._fitted("_state")
        return tuple(self._network.layer_names[i] for i in self._layers)

    @property
    def n_metric_samples_(self) -> int:
        """Number of samples behind the metric."""
        return self._fitted("_state").n_metric_samples

    @property
    def sparse_means_(self) -> sp.csr_array:
        """Class means with the share ``sparsity`` of their entries kept, as a csr_array."""
        means = self._known_subspace().sparse_means
        if means is None:
            raise AttributeError(
                "Class means are sparse only where sparsity is given: fit with sparsity=0.5, say."
            )
        return means

    def _fitted(self, name: str) -> Any:
        if name not in vars(self):
            raise AttributeError(f"This {type(self).__name__} is not fitted yet.")
        return vars(self)[name]

    def _known_subspace(self) -> Span:
        self._fitted("_state")
        try:
            return self._get_subspace()
        except ValueError as error:
            # Attributes that cannot be had yet are missing, for hasattr and for printing.
            raise AttributeError(str(error)) from error
