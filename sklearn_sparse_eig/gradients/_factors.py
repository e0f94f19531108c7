"""The gradient of a layer for many samples, as two factors instead of one matrix for each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ._layers import LayerGradients

# Floats of temporary arrays (1 MB), which stay in the cache between products and sums; and rows at
# a time below which products become slower.
_BLOCK, _LEAST_ROWS = 2**17, 256
# Numbers in a row up to which sums over rows are taken by a product.
_FEW = 32


@dataclass(frozen=True)
class LayerFactors(LayerGradients):
    r"""Gradients of one dense layer: for sample i the matrix ``outer(inputs[i], deltas[i])``.

    The rank-one structure is the chain rule of z = W^T a + b: the derivative with respect to W is
    :math:`a \delta^T` and that with respect to b is :math:`\delta`, where :math:`\delta` is the
    derivative of the output with respect to z. A 1 beside a makes the bias one more row of W.

    Parameters
    ----------
    inputs : ndarray or csr_array of shape (n_samples, p)
        Inputs of the layer, with a column of ones at the end if it has a bias.
    deltas : ndarray of shape (n_samples, q)
        Derivatives of the output with respect to the outputs of the layer.
    codes : ndarray of int of shape (n_samples,), default=None
        If given, rows with equal codes have equal deltas, as at the head where the output is the
        largest logit. Makes :meth:`dot` faster.
    """

    inputs: np.ndarray | sp.csr_array
    deltas: np.ndarray
    codes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.deltas)

    @property
    def dtype(self) -> np.dtype:
        """Precision of the factors."""
        return self.deltas.dtype

    def inner(self, other: "LayerFactors") -> np.ndarray:
        """Return all inner products with the gradients of other samples, (n, n_other)."""
        products = self.inputs @ other.inputs.T
        products = products.toarray() if sp.issparse(products) else products
        return products * (self.deltas @ other.deltas.T)

    def squared_norms(self) -> np.ndarray:
        """Return the squared norm of each gradient, (n,)."""
        return _row_squares(self.inputs) * _row_squares(self.deltas)

    def dot(self, directions: np.ndarray) -> np.ndarray:
        """Return the inner products with k matrices p x q given as an array (p, k, q): (n, k)."""
        p, k, q = directions.shape
        n, flat = len(self.deltas), directions.reshape(p, k * q)
        out = np.empty((n, k))
        if self.codes is not None:
            _, first, code = np.unique(self.codes, return_index=True, return_inverse=True)
            if 2 * len(first) < n:
                # Contracted with each distinct delta once, not with that of every row.
                table = directions.reshape(p * k, q) @ self.deltas[first].T
                for j in range(len(first)):
                    rows = np.flatnonzero(code == j)
                    out[rows] = self.inputs[rows] @ table[:, j].reshape(p, k)
                return out
        step = max(_LEAST_ROWS, _BLOCK // (k * q))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            # One product for all directions: dense, also from sparse inputs.
            left = np.asarray(self.inputs[rows] @ flat).reshape(-1, k, q)
            out[rows] = np.einsum("nkq,nq->nk", left, self.deltas[rows], optimize=True)
        return out

    def dot_pairs(self, lefts: np.ndarray, rights: np.ndarray) -> np.ndarray:
        """Return the inner products with k sums of r outer products.

        Parameters
        ----------
        lefts : ndarray of shape (p, k, r)
        rights : ndarray of shape (q, k, r)

        Returns
        -------
        ndarray of shape (n, k)
        """
        (_, k, r), n = lefts.shape, len(self.deltas)
        lefts, rights, total = side_by_side(lefts), side_by_side(rights), sum_of_pairs(k, r)
        out = np.empty((n, k))
        step = max(_LEAST_ROWS, _BLOCK // (2 * k * r))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            both = np.asarray(self.inputs[rows] @ lefts)
            both *= self.deltas[rows] @ rights
            out[rows] = total(both)
        return out

    def sum(self, rows: Any) -> np.ndarray:
        """Return the sum of the gradients of some rows, (p, q), without making any of them."""
        return np.asarray(self.inputs[rows].T @ self.deltas[rows])

    def weighted_sum(self, weights: np.ndarray) -> np.ndarray:
        """Return the sum of the gradients times a weight for each sample, (p, q)."""
        return np.asarray(self.inputs.T @ (self.deltas * weights[:, None]))

    def astype(self, dtype: Any) -> "LayerFactors":
        """Return the factors in a precision, themselves if they are in it."""
        if self.deltas.dtype == dtype and self.inputs.dtype == dtype:
            return self
        return LayerFactors(self.inputs.astype(dtype), self.deltas.astype(dtype), self.codes)

    def take(self, rows: Any) -> "LayerFactors":
        """Return the factors of some rows, an index array or a slice."""
        codes = None if self.codes is None else self.codes[rows]
        return LayerFactors(self.inputs[rows], self.deltas[rows], codes)

    def dense(self) -> np.ndarray:
        """Return the gradients themselves, (n, p * q), row-major: the bias comes last."""
        inputs: Any = self.inputs
        inputs = inputs.toarray() if sp.issparse(inputs) else inputs
        return np.einsum("np,nq->npq", inputs, self.deltas).reshape(len(inputs), -1)

    def whiten(self, left: Any, right: Any) -> "LayerFactors":
        """Return the gradients L^T G R for two roots, whose ``of(rows)`` is rows @ root."""
        return LayerFactors(left.of(self.inputs), right.of(self.deltas), self.codes)

    def add_to(self, moments: Any) -> None:
        """Add inputs and deltas to a pair of second moments."""
        for moment, rows in zip(moments, (self.inputs, self.deltas), strict=True):
            moment.add(rows)


def side_by_side(pairs: np.ndarray) -> np.ndarray:
    """Return (p, k, r) as (p, r * k): a view, if it lies like that in memory already."""
    return pairs.swapaxes(1, 2).reshape(len(pairs), -1)


def sum_of_pairs(k: int, r: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that sums (n, r * k) over r."""
    if k > _FEW:
        return lambda both: both.reshape(-1, r, k).sum(axis=1)
    # Loops over a few numbers cost more than a product.
    ones = np.tile(np.eye(k), (r, 1))
    return lambda both: both @ ones.astype(both.dtype)


def _row_squares(rows):
    if sp.issparse(rows):
        return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", rows, rows)
