"""The inner product of gradients: Euclidean, or that of the inverse K-FAC matrix."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.blas import dtrmm

from ..gradients import LayerFactors


@dataclass(frozen=True)
class Metric:
    r"""Inner products :math:`\sum_l \langle g_l, A_l^{-1} g'_l B_l^{-1} \rangle`.

    On factors they are products of two: :math:`(a^T A^{-1} a')(\delta^T B^{-1} \delta')`. Kept as
    roots R with R R^T = A^{-1}, so that whitened factors have this inner product as their usual
    one.

    Parameters
    ----------
    roots : tuple of (root, root) or None
        For the inputs and deltas of each layer: an upper triangular matrix, or a vector for a
        diagonal one. None for the Euclidean inner product.
    shrinkage : tuple of (float, float)
        The share of the identity in each factor; empty for the Euclidean metric.
    """

    roots: tuple | None
    shrinkage: tuple = ()

    @classmethod
    def from_moments(cls, moments, n):
        """Return the K-FAC metric from the (inputs, deltas) moments of n samples."""
        shrunk = [[m.shrunk(n) for m in pair] for pair in moments]
        return cls(
            tuple(tuple(_inverse_root(moment) for moment, _ in pair) for pair in shrunk),
            tuple(tuple(share for _, share in pair) for pair in shrunk),
        )

    def whiten(self, layers):
        """Return the factors whose usual inner product is the one of this metric."""
        if self.roots is None:
            return layers
        return tuple(
            LayerFactors(_times(layer.inputs, left), _times(layer.deltas, right), layer.codes)
            for layer, (left, right) in zip(layers, self.roots, strict=True)
        )

    def whiten_matrices(self, layer, matrices):
        """Return R_A^T G R_B for matrices G of a layer, by its index, an array (k, p, q)."""
        if self.roots is None:
            return matrices
        left, right = self.roots[layer]
        return np.swapaxes(_times(np.swapaxes(_times(matrices, right), 1, 2), left), 1, 2)


def _inverse_root(moment):
    if moment.ndim == 1:
        return 1.0 / np.sqrt(moment)
    lower = cholesky(moment, lower=True)
    return solve_triangular(lower, np.eye(len(moment)), lower=True).T


def _times(rows, root):
    """Return rows times a root, of which the lower triangle of a matrix is zero."""
    if root.ndim == 1:
        return sp.csr_array(rows.multiply(root)) if sp.issparse(rows) else rows * root
    if sp.issparse(rows) or rows.ndim > 2:
        return np.asarray(rows @ root)
    # Half of the products of a square matrix. BLAS has columns first: (rows @ root)^T.
    return dtrmm(1.0, root.T, rows.T, lower=True).T
