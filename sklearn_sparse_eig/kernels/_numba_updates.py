"""Numba twins of the kernels that add to a sketch."""

import numpy as np
from numba import float64, int64

from .._base.threads import run_ranges
from ._numba_base import _LANES, _aligned, _axpy, _jit

# The compact slice of a sketch that one thread of `add_cross` works in: about half of an L2.
_CROSS_BYTES = 1 << 19


@_jit
def _cross_few(S, data, indices, indptr, W, left, right):
    """S[:, left:right] += Y^T W[:, left:right], entry by entry."""
    for row in range(len(indptr) - 1):
        for e in range(indptr[row], indptr[row + 1]):
            target, value = indices[e], float64(data[e])
            for i in range(left, right):
                S[target, i] += value * W[row, i]


@_jit
def _cross_many(S, data, indices, indptr, W, left, right, sums, line):
    """The same, through the compact copy `sums` of a slice of S that fits in L2.

    `sums` (m, len(line)) is flat; `line` is a whole number of vectors, at least right - left.
    """
    width = len(line)
    sums[:] = 0.0
    for row in range(len(indptr) - 1):
        line[: right - left] = W[row, left:right]
        for e in range(indptr[row], indptr[row + 1]):
            target, value = int64(indices[e]) * width, float64(data[e])
            for i in range(0, width, _LANES):
                _axpy(sums, target + i, line, i, value)
    for row in range(len(S)):
        for i in range(right - left):
            S[row, left + i] += sums[row * width + i]


def add_cross(S, data, indices, indptr, W):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_cross`."""
    m, k = S.shape
    nnz = indptr[-1] - indptr[0]
    # In place, the rows of a slice of S lie pages apart and share cache sets where k is a power of
    # two; a compact copy costs m k and so needs enough entries to pay.
    step = max(_LANES, _CROSS_BYTES // (8 * max(1, m)) // _LANES * _LANES)

    def part(lo, hi):
        if nnz < m:
            return _cross_few(S, data, indices, indptr, W, lo, hi)
        width = min(step, -(-(hi - lo) // _LANES) * _LANES)
        sums, line = _aligned(m * width), _aligned(width)
        for left in range(lo, hi, width):
            right = min(hi, left + width)
            _cross_many(S, data, indices, indptr, W, left, right, sums, line)

    run_ranges(part, k, work=nnz * k / _LANES, multiple=_LANES, parts_per_thread=1)


@_jit
def _outer_rows(S, data, indices, indptr, weights, first, last):
    """S[first:last] += rows first..last-1 of sum_r w_r y_r y_r^T; no weights means ones."""
    for r in range(len(indptr) - 1):
        weight = weights[r] if weights.size else 1.0
        for a in range(indptr[r], indptr[r + 1]):
            row = indices[a]
            if first <= row < last:
                value = weight * data[a]
                for e in range(indptr[r], indptr[r + 1]):
                    S[row, indices[e]] += value * data[e]


def add_outer(S, data, indices, indptr, weights):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_outer`."""
    if weights is None:
        weights = np.empty(0)

    def part(first, last):
        _outer_rows(S, data, indices, indptr, weights, first, last)

    work = float(np.sum(np.diff(indptr).astype(np.float64) ** 2))
    run_ranges(part, len(S), work=work, parts_per_thread=1)
