"""The gradient of a layer for many samples, as one matrix for each."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._layers import LayerGradients


@dataclass(frozen=True)
class LayerMatrices(LayerGradients):
    """Gradients of one layer: for sample i the matrix ``matrices[i]``.

    This is for layers that are used at several places of a sample, such as convolutions, whose
    gradient is a sum of outer products, and for layers of which only the parameters are known. The
    operations are those of :class:`LayerFactors`.

    Parameters
    ----------
    matrices : ndarray of shape (n_samples, p, q)
        Gradients, inputs by outputs, with the bias as the last row.
    has_separate_outputs : bool, default=False
        Whether each output has inputs of its own, as in a convolution of each channel by itself.
    """

    is_explicit = True
    matrices: np.ndarray
    has_separate_outputs: bool = False

    def __len__(self) -> int:
        return len(self.matrices)

    @property
    def dtype(self) -> np.dtype:
        """Precision of the gradients."""
        return self.matrices.dtype

    def inner(self, other: "LayerMatrices") -> np.ndarray:
        """Return all inner products with the gradients of other samples, (n, n_other)."""
        return self.dense() @ other.dense().T

    def squared_norms(self) -> np.ndarray:
        """Return the squared norm of each gradient, (n,)."""
        rows = self.dense()
        return np.einsum("ij,ij->i", rows, rows)

    def dot(self, directions: np.ndarray) -> np.ndarray:
        """Return the inner products with k matrices p x q given as an array (p, k, q): (n, k)."""
        return self.dense() @ directions.swapaxes(0, 1).reshape(directions.shape[1], -1).T

    def sum(self, rows: Any) -> np.ndarray:
        """Return the sum of the gradients of some rows, (p, q)."""
        return self.matrices[rows].sum(axis=0)

    def weighted_sum(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of the gradients times a weight for each sample, (p, q)."""
        return np.tensordot(weights, self.matrices, 1)

    def astype(self, dtype: Any) -> "LayerMatrices":
        """Return the gradients in a precision, themselves if they are in it."""
        if self.matrices.dtype == dtype:
            return self
        return replace(self, matrices=self.matrices.astype(dtype))

    def take(self, rows: Any) -> "LayerMatrices":
        """Return the gradients of some rows, an index array or a slice."""
        return replace(self, matrices=self.matrices[rows])

    def dense(self) -> np.ndarray:
        """Return the gradients as rows, (n, p * q), row-major: the bias comes last."""
        return self.matrices.reshape(len(self.matrices), -1)

    def whiten(self, left: Any, right: Any) -> "LayerMatrices":
        """Return the gradients L^T G R for two roots.

        Their ``of(rows)`` is rows @ root, and ``across(matrices)`` root^T @ each matrix.
        """
        return LayerMatrices(left.across(right.of(self.matrices)), self.has_separate_outputs)

    def add_to(self, moments: Any) -> None:
        """Add G G^T and G^T G to a pair of second moments, the latter as a weighted mean.

        Divided by the sum of the squared norms, so that the product of the traces of the means is
        the mean squared norm.
        """
        inputs, outputs = moments
        inputs.add_matrices(self.matrices, len(self.matrices))
        outputs.add_matrices(self.matrices.swapaxes(1, 2), float(self.squared_norms().sum()))
