"""Matrices that are multiplied, or read in a few rows, and never stored.

A recovery multiplies the sketch S = C / weight - l r^T, less what noise adds to it, by thin
matrices. Written out, each such difference would be another copy of the sketch. The first of these,
what a sketch has summed, is in ``_centred_products``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from .measurements import Measurement

# Floats of the rows that are written out at a time: 256 kB, which stay in the cache.
CHUNK = 1 << 15

# Share of the terms of a difference of squares below which it is taken from the entries instead.
LEFT = 1e-3

# Some rows: those from a start to a stop, or sorted ids.
Rows = slice | np.ndarray


def steps(n_rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of some rows at a time, of so many floats each."""
    step = max(1, CHUNK // max(width, 1))
    for low in range(0, n_rows, step):
        yield low, min(low + step, n_rows)


class ImplicitMatrix(ABC):
    """A matrix known by its rows and its products.

    A subclass gives :meth:`rows`, :meth:`add_product` and :meth:`adjoint`. Products are written
    ``S @ W`` and ``S.T @ P``; ``np.asarray(S)`` writes the matrix out.

    Parameters
    ----------
    shape : (int, int)
    """

    # Whether products with another matrix are sums over few nonzeros.
    is_cheap = False
    # So that NumPy leaves ``array @ S`` to this class.
    __array_ufunc__ = None

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._measured: dict[Measurement, np.ndarray] = {}

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def rows(self, which: Rows) -> np.ndarray:
        """Return some rows as a new array."""

    @abstractmethod
    def add_product(self, out: np.ndarray, W: np.ndarray, factor: float = 1.0) -> None:
        """Add factor * S W to `out`, for W of shape (k, r)."""

    @abstractmethod
    def adjoint(self, P: np.ndarray) -> np.ndarray:
        """Return S^T P for P of shape (m, r)."""

    def __matmul__(self, W: np.ndarray) -> np.ndarray:
        out = np.zeros((self.shape[0], W.shape[1] if W.ndim == 2 else 1))
        self.add_product(out, W.reshape(self.shape[1], -1))
        return out if W.ndim == 2 else out[:, 0]

    def __rmatmul__(self, P: np.ndarray) -> np.ndarray:
        return (self.T @ P.T).T

    @property
    def T(self) -> "_Transposed":
        return _Transposed(self)

    def __neg__(self) -> "ImplicitMatrix":
        return ScaledMatrix(self, -np.ones(self.shape[0]), np.ones(self.shape[1]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        out = np.empty(self.shape, dtype or np.float64)
        for part, rows in self.chunks():
            out[part] = rows
        return out

    # --------------------------------------------------------------- what follows from the rows

    def chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all rows, some at a time, with their places."""
        for low, high in self._steps(len(self)):
            yield slice(low, high), self.rows(slice(low, high))

    def _steps(self, n_rows: int) -> Iterator[tuple[int, int]]:
        return steps(n_rows, self.shape[1])

    def rows_product(self, places: Rows, W: np.ndarray) -> np.ndarray:
        """Return S[places] W."""
        if isinstance(places, slice):
            return self @ W
        out = np.empty((len(places), W.shape[1]))
        for low, high in self._steps(len(places)):
            out[low:high] = self.rows(places[low:high]) @ W
        return out

    def rows_adjoint(self, places: Rows, P: np.ndarray) -> np.ndarray:
        """Return S[places]^T P."""
        if isinstance(places, slice):
            return self.T @ P
        out = np.zeros((self.shape[1], P.shape[1]))
        for low, high in self._steps(len(places)):
            out += self.rows(places[low:high]).T @ P[low:high]
        return out

    def block(self, ids: np.ndarray) -> np.ndarray:
        """Return S[ids][:, ids] as a new array; ids are sorted."""
        out = np.empty((len(ids), len(ids)))
        for low, high in self._steps(len(ids)):
            out[low:high] = self.rows(ids[low:high])[:, ids]
        return out

    def measured_by(self, measurement: Measurement) -> np.ndarray:
        """Return M S for a matrix with a row for each feature, which is kept: do not change it."""
        if measurement not in self._measured:
            self._measured[measurement] = self._product_with(measurement)
        return self._measured[measurement]

    def _product_with(self, measurement):
        out = np.zeros((measurement.n_measurements, self.shape[1]))
        for part, rows in self.chunks():
            out += measurement.measure_at(np.arange(part.start, part.stop), rows)
        return out

    @cached_property
    def gram(self) -> np.ndarray:
        """S^T S, shape (k, k)."""
        out = np.zeros((self.shape[1], self.shape[1]))
        for _, rows in self.chunks():
            out += rows.T @ rows
        return out

    @cached_property
    def squared_norm(self) -> float:
        """The sum of the squares of all entries."""
        return sum(float(np.vdot(rows, rows)) for _, rows in self.chunks())

    @cached_property
    def diagonal(self) -> np.ndarray:
        """The diagonal of a square matrix."""
        return np.concatenate([np.diagonal(rows[:, part]) for part, rows in self.chunks()])

    def inner(self, other: "ImplicitMatrix") -> float:
        """Return the sum of the products of the entries of two matrices."""
        return sum(float(np.vdot(rows, other.rows(part))) for part, rows in self.chunks())

    def largest(self) -> float:
        """Return the largest magnitude of an entry."""
        return float(max(np.abs(rows, out=rows).max() for _, rows in self.chunks()))

    def distance(self, places: Rows, left: np.ndarray, right: np.ndarray) -> float:
        """Return |S - L right^T| in the Frobenius norm, where L is `left` at the places."""
        ids = np.arange(len(self)) if isinstance(places, slice) else places
        squares = 0.0
        for part, rows in self.chunks():
            low, high = np.searchsorted(ids, [part.start, part.stop])
            rows[ids[low:high] - part.start] -= left[low:high] @ right.T
            squares += float(np.vdot(rows, rows))
        return float(np.sqrt(squares))


class _Transposed:
    """What ``S.T`` is: good for ``S.T @ P``."""

    __array_ufunc__ = None

    def __init__(self, matrix: ImplicitMatrix) -> None:
        self._matrix = matrix
        self.shape = matrix.shape[::-1]

    def __matmul__(self, P: np.ndarray) -> np.ndarray:
        product = self._matrix.adjoint(P.reshape(self.shape[1], -1))
        return product if P.ndim == 2 else product[:, 0]


class Difference(ImplicitMatrix):
    """S - factor G for two other matrices."""

    def __init__(self, first: ImplicitMatrix, factor: float, second: ImplicitMatrix) -> None:
        super().__init__(first.shape)
        self._first, self._factor, self._second = first, factor, second

    def rows(self, which):
        out = self._first.rows(which)
        out -= self._factor * self._second.rows(which)
        return out

    def add_product(self, out, W, factor=1.0):
        self._first.add_product(out, W, factor)
        self._second.add_product(out, W, -factor * self._factor)

    def rows_product(self, places, W):
        out = self._first.rows_product(places, W)
        out -= self._factor * self._second.rows_product(places, W)
        return out

    def adjoint(self, P):
        out = self._first.adjoint(P)
        out -= self._factor * self._second.adjoint(P)
        return out

    def block(self, ids):
        out = self._first.block(ids)
        out -= self._factor * self._second.block(ids)
        return out

    @cached_property
    def diagonal(self):
        return self._first.diagonal - self._factor * self._second.diagonal


class ScaledMatrix(ImplicitMatrix):
    """diag(scale) S T for another matrix S.

    Parameters
    ----------
    matrix : ImplicitMatrix
        S.
    scale : ndarray of shape (m,)
    right : ndarray of shape (k, k) or (k,)
        T, or its diagonal.
    """

    def __init__(self, matrix: ImplicitMatrix, scale: np.ndarray, right: np.ndarray) -> None:
        super().__init__(matrix.shape)
        self._matrix, self._scale, self._right = matrix, scale, right

    def rows(self, which):
        out = self._matrix.rows(which)
        out *= self._scale[which, None]
        if self._right.ndim == 1:
            out *= self._right
            return out
        return out @ self._right

    def add_product(self, out, W, factor=1.0):
        W = self._right[:, None] * W if self._right.ndim == 1 else self._right @ W
        product = self._matrix @ W
        product *= factor * self._scale[:, None]
        out += product

    def rows_product(self, places, W):
        W = self._right[:, None] * W if self._right.ndim == 1 else self._right @ W
        out = self._matrix.rows_product(places, W)
        out *= self._scale[places, None]
        return out

    def adjoint(self, P):
        out = self._matrix.adjoint(self._scale[:, None] * P)
        return self._right[:, None] * out if self._right.ndim == 1 else self._right.T @ out

    def block(self, ids):
        if self._right.ndim == 2:
            return super().block(ids)
        out = self._matrix.block(ids)
        out *= self._scale[ids, None]
        out *= self._right[ids]
        return out

    @cached_property
    def diagonal(self):
        if self._right.ndim == 2:
            return super().diagonal
        return self._scale * self._matrix.diagonal * self._right
