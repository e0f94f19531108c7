"""What gradients of one layer have in common, however they are kept."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np


class LayerGradients(ABC):
    """Gradients of one layer for many samples.

    Attributes
    ----------
    is_explicit : bool
        Whether there is a matrix for each sample, or it is made on demand; otherwise the
        gradients are kept as two factors ``inputs`` and ``deltas``, or only as their kernel.
    has_separate_outputs : bool
        Whether each output has inputs of its own. The factor of the metric for outputs is
        then kept diagonal.
    """

    is_explicit: ClassVar[bool] = False
    has_separate_outputs: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def squared_norms(self) -> np.ndarray:
        """Return the squared norm of each gradient, (n,)."""

    def inner(self, other: Self) -> np.ndarray:
        """Return all inner products with the gradients of other samples, (n, n_other)."""
        raise self._not_kept()

    def astype(self, dtype: Any) -> Self:
        """Return the gradients in a precision, themselves if they are in it."""
        raise self._not_kept()

    def dense(self) -> np.ndarray:
        """Return the gradients themselves, (n, p * q)."""
        raise self._not_kept()

    def _not_kept(self):
        return TypeError(
            f"{type(self).__name__} does not hold the gradients themselves. Their entries and "
            "inner products are known of LayerFactors, LayerMatrices and LayerPlaces."
        )
