"""Numba twins of the kernels of dense rows: centring, and sums over columns.

They are serial, release the GIL and write only to the columns they are given, so that callers split
columns over threads and no sum depends on how. Each loop runs along a row and has few enough arrays
for LLVM to prove that they do not overlap, without which it does not use vectors.
"""

import numpy as np
from numba import float32, float64

from ._numba import _jit

# What is compiled for; other entries become float64 first, a strip at a time.
_NATIVE = (np.float64, np.float32, np.uint8)


def _strip(X, left, right):
    """Return an array of a compiled type that holds columns left..right-1, and where they are."""
    if X.flags.c_contiguous and X.dtype in _NATIVE and X.dtype.isnative:
        return X, left
    dtype = X.dtype if X.dtype in _NATIVE else np.float64
    return np.ascontiguousarray(X[:, left:right], dtype=np.dtype(dtype).newbyteorder("=")), 0


@_jit
def _centre(X, first, shift, out, at, total, squares):
    width = len(shift)
    for i in range(X.shape[0]):
        x, y = X[i, first : first + width], out[i, at : at + width]
        for j in range(width):
            y[j] = float64(x[j]) - shift[j]
        if squares.size:
            for j in range(width):
                total[j] += y[j]
                squares[j] += y[j] * y[j]
        else:
            for j in range(width):
                total[j] += y[j]


def centre_columns(X, left, right, shift, out, at, total, squares):
    """Twin of :func:`sklearn_sparse_eig.kernels.centre_columns`."""
    squares = np.empty(0) if squares is None else squares
    _centre(*_strip(X, left, right), shift, out, at, total, squares)


@_jit
def _moments(X, first, shift, weights, total, squares):
    """Two rows at a time, which halves the traffic with the sums; no weights means ones."""
    n, width = X.shape[0], len(shift)
    for i in range(0, n - 1, 2):
        x, y = X[i, first : first + width], X[i + 1, first : first + width]
        if weights.size:
            v, w = weights[i], weights[i + 1]
            for j in range(width):
                a, b = float64(x[j]) - shift[j], float64(y[j]) - shift[j]
                total[j] += v * a + w * b
                squares[j] += v * (a * a) + w * (b * b)
        else:
            for j in range(width):
                a, b = float64(x[j]) - shift[j], float64(y[j]) - shift[j]
                total[j] += a + b
                squares[j] += a * a + b * b
    if n % 2:
        x = X[n - 1, first : first + width]
        v = weights[n - 1] if weights.size else 1.0
        for j in range(width):
            a = float64(x[j]) - shift[j]
            total[j] += v * a
            squares[j] += v * (a * a)


def add_moments(X, left, right, shift, weights, total, squares):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_moments`."""
    weights = np.empty(0) if weights is None else weights
    X, first = _strip(X, left, right)
    _moments(X, first, shift, weights, total, squares)


@_jit
def _whole(X, first, shift, out, at, total, squares, unit):
    """Return how many entries are no whole numbers once they are centred."""
    width, broken = len(shift), 0
    line = np.empty(width)
    for i in range(X.shape[0]):
        x, y, q = X[i, first : first + width], out[i, at : at + width], squares[i // unit]
        for j in range(width):
            value = float64(x[j]) - shift[j]
            line[j] = value
            y[j] = float32(value)
        for j in range(width):
            total[j] += line[j]
            q[j] += line[j] * line[j]
        for j in range(width):
            broken += line[j] != np.rint(line[j])
    return broken


def centre_whole_columns(X, left, right, shift, out, at, total, squares, unit):
    """Twin of :func:`sklearn_sparse_eig.kernels.centre_whole_columns`."""
    X, first = _strip(X, left, right)
    return _whole(X, first, shift, out, at, total, squares, unit) == 0
