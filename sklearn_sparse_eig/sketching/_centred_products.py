"""What a sketch has summed, less the mean of the rows, as a matrix that is never stored."""

from functools import cached_property

import numpy as np
from scipy.linalg.blas import dsymm, dsymv

from ._implicit import CHUNK, LEFT, ImplicitMatrix, steps

# A pass over the sums that makes no copy of them takes this many times as many rows at a time: a
# megabyte.
_LARGER = 4
# Rows multiplied at a time by a thin matrix: they stay in the second cache, which BLAS, that reads
# them several times, needs far more than fewer calls.
_PRODUCT_ROWS = 512


class CentredProduct(ImplicitMatrix):
    """C / weight - left right^T: what a sketch has summed, less the mean of the rows.

    Parameters
    ----------
    cross : ndarray of shape (m, k)
        C, which is not copied: the matrix is that of the sketch at this moment.
    weight : float, default=1.0
        It may be negative.
    left, right : ndarray of shape (m,), (k,), or None
        None for zero.
    """

    def __init__(
        self,
        cross: np.ndarray,
        weight: float = 1.0,
        left: np.ndarray | None = None,
        right: np.ndarray | None = None,
    ) -> None:
        super().__init__(cross.shape)
        self._cross, self._weight, self._left, self._right = cross, weight, left, right

    def __neg__(self):
        left = None if self._left is None else -self._left
        return type(self)(self._cross, -self._weight, left, self._right)

    def rows(self, which):
        out = self._cross_rows(which)
        out /= self._weight
        if self._left is not None:
            out -= self._left[which, None] * self._right
        return out

    def add_product(self, out, W, factor=1.0):
        self._add_cross_product(out, W, factor / self._weight)
        if self._left is None:
            return
        shift = factor * (self._right @ W)
        for low, high in steps(len(out), W.shape[1]):
            out[low:high] -= self._left[low:high, None] * shift

    def adjoint(self, P):
        out = self._cross_adjoint(P)
        out /= self._weight
        if self._left is not None:
            out -= np.outer(self._right, self._left @ P)
        return out

    def rows_product(self, places, W):
        if isinstance(places, slice):
            return self @ W
        out = np.empty((len(places), W.shape[1]))
        for low, high in self._steps(len(places)):
            np.matmul(self._cross[places[low:high]], W, out=out[low:high])
        out /= self._weight
        if self._left is not None:
            out -= self._left[places, None] * (self._right @ W)
        return out

    def rows_adjoint(self, places, P):
        if isinstance(places, slice):
            return self.T @ P
        out = np.zeros((self.shape[1], P.shape[1]))
        for low, high in self._steps(len(places)):
            out += self._cross[places[low:high]].T @ P[low:high]
        out /= self._weight
        if self._left is not None:
            out -= np.outer(self._right, self._left[places] @ P)
        return out

    @cached_property
    def gram(self):
        """S^T S from C^T C, unless the mean is so large that little would be left of it."""
        out = self._cross.T @ self._cross
        out /= self._weight**2
        size = np.trace(out)
        if self._left is not None:
            inner = self._cross.T @ self._left / self._weight
            inner -= 0.5 * (self._left @ self._left) * self._right
            shift = np.outer(inner, self._right)
            out -= shift
            out -= shift.T
        return out if np.trace(out) > LEFT * size else super().gram

    @cached_property
    def squared_norm(self):
        return float(np.trace(self.gram)) if "gram" in vars(self) else super().squared_norm

    def _product_with(self, measurement):
        out = np.zeros((measurement.n_measurements, self.shape[1]))
        for low, high in steps(len(self), self.shape[1] // _LARGER):
            out += measurement.measure_at(np.arange(low, high), self._cross[low:high])
        out /= self._weight
        if self._left is not None:
            means = np.zeros((measurement.n_measurements, 1))
            for low, high in steps(len(self), 1):
                means += measurement.measure_at(np.arange(low, high), self._left[low:high, None])
            out -= means * self._right
        return out

    def _cross_rows(self, which):
        return self._cross[which].copy() if isinstance(which, slice) else self._cross[which]

    def _add_cross_product(self, out, W, factor):
        for low, high in steps(len(out), max(W.shape[1], CHUNK // _PRODUCT_ROWS)):
            product = self._cross[low:high] @ W
            product *= factor
            out[low:high] += product

    def _cross_adjoint(self, P):
        return self._cross.T @ P


class SymmetricProduct(CentredProduct):
    """The same where both sides measure alike, and only the upper triangle of C is kept."""

    # What is had from C as it stands is not, where half of it is missing.
    gram = ImplicitMatrix.gram
    squared_norm = ImplicitMatrix.squared_norm
    _product_with = ImplicitMatrix._product_with

    def _cross_rows(self, which):
        C, ids = self._cross, np.arange(len(self._cross))
        if isinstance(which, slice):
            low, high = which.start, which.stop
            out = np.empty((high - low, len(C)))
            out[:, :low] = C[:low, low:high].T
            out[:, low:] = C[low:high, low:]
            square = out[:, low:high]
            below = np.tril_indices(high - low, -1)
            square[below] = square.T[below]
            return out
        return np.where(ids >= which[:, None], C[which], C[:, which].T)

    def rows_product(self, places, W):
        # Rows lie in two triangles; the product with all of them costs less than to collect them.
        return super().rows_product(places, W) if isinstance(places, slice) else (self @ W)[places]

    def rows_adjoint(self, places, P):
        if isinstance(places, slice):
            return self.T @ P
        placed = np.zeros((len(self), P.shape[1]))
        placed[places] = P
        return self @ placed

    def block(self, ids):
        out = self._cross[np.ix_(ids, ids)]
        columns = np.arange(len(ids))
        for low, high in steps(len(ids), len(ids)):  # the lower triangle, from the one kept
            is_below = columns < columns[low:high, None]
            np.copyto(out[low:high], out[:, low:high].T, where=is_below)
        out /= self._weight
        if self._left is not None:
            out -= self._left[ids, None] * self._right[ids]
        return out

    @cached_property
    def diagonal(self):
        out = np.diagonal(self._cross) / self._weight
        return out if self._left is None else out - self._left * self._right

    def _add_cross_product(self, out, W, factor):
        # BLAS works in Fortran order: it is given transposes, which are views.
        W = np.ascontiguousarray(W, dtype=np.float64)
        if W.shape[1] == 1:
            out += dsymv(factor, self._cross.T, W[:, 0], lower=1)[:, None]
        elif W.shape[1]:
            given = (1.0, out.T) if out.flags.c_contiguous else ()
            product = dsymm(factor, self._cross.T, W.T, *given, side=1, lower=1, overwrite_c=1).T
            if not given:
                out += product
            elif not np.shares_memory(product, out):  # pragma: no cover - as in _accumulate
                out[...] = product

    def _cross_adjoint(self, P):
        out = np.zeros(P.shape)
        self._add_cross_product(out, P, 1.0)
        return out
