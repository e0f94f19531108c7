"""Gradients that come from elsewhere, or only their kernel, as networks that take them as rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._base.rows import validate_array
from ._choices import OutputName
from ._factors import LayerFactors
from ._gradients import Gradients
from ._kernel_rows import KernelRows
from ._network import Network

PRECOMPUTED_BACKENDS = ("precomputed", "kernel")


def make_given(backend, n_features, classes):
    """Return the network of ``backend="precomputed"`` or ``"kernel"``."""
    return {"precomputed": GivenGradients, "kernel": GivenKernel}[backend](n_features, classes)


class _GivenNetwork(Network):
    """Rows of X of a fixed length; of the model nothing is known but its classes."""

    def __init__(self, n_features, classes):
        self.n_features = int(n_features)
        self.classes = np.asarray(classes)

    def _gradients(self, layer, n):
        unknown = np.full((n, len(self.classes)), np.nan)
        return Gradients(unknown[:, 0], unknown, (layer,))

    def _check_rows(self, X, accept_sparse):
        X = validate_array(X, accept_sparse=accept_sparse, dtype=np.float64)
        if X.shape[1] != self.n_features:
            raise ValueError(f"X has {X.shape[1]} columns, but {self.n_features} are needed.")
        return X

    def parameters(self) -> list[Any]:
        """Return the length of a row and the classes: there are no parameters to compare."""
        return [np.array([self.n_features]), self.classes]


class GivenGradients(_GivenNetwork):
    """Rows of X are gradients themselves.

    They form one layer with a single output: a gradient is the outer product of itself and 1.

    Parameters
    ----------
    n_features : int
        Number of parameters.
    classes : ndarray
    """

    layer_names = ("gradient",)

    def __init__(self, n_features, classes):
        super().__init__(n_features, classes)
        self.layer_shapes = ((self.n_features, 1),)

    def gradients(
        self, X: Any, output: OutputName | int = "max", layers: Sequence[int] | None = None
    ) -> Gradients:
        """Return the rows of X as gradients. Values and logits are not known: NaN."""
        X = self._check_rows(X, accept_sparse="csr")
        rows = sp.csr_array(X) if sp.issparse(X) else X
        n = rows.shape[0]
        return self._gradients(LayerFactors(rows, np.ones((n, 1))), n)


class GivenKernel(_GivenNetwork):
    """Rows of X are inner products with the gradients of the training samples, and a squared norm.

    Parameters
    ----------
    n_features : int
        Number of training samples, plus one.
    classes : ndarray
    """

    layer_names = ("kernel",)

    def __init__(self, n_features, classes):
        super().__init__(n_features, classes)
        if self.n_features < 2:
            raise ValueError(
                "A kernel needs a column for each training sample, and one with the kernel of "
                f"each row with itself; got {n_features} column."
            )
        self.layer_shapes = ((self.n_features - 1, 1),)

    def gradients(
        self, X: Any, output: OutputName | int = "max", layers: Sequence[int] | None = None
    ) -> Gradients:
        """Return the rows of X as inner products. Values and logits are not known: NaN."""
        X = self._check_rows(X, accept_sparse=False)
        if (X[:, -1] < 0.0).any():
            raise ValueError(
                "The last column has to be the kernel of each row with itself, which cannot be "
                f"negative; got {X[:, -1].min():.3g}."
            )
        return self._gradients(KernelRows(X[:, :-1], X[:, -1]), len(X))
