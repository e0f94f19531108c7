"""Numba twins of the kernels that add products of sparse rows with sparse rows: S += Y^T W.

An entry of Y adds a sparse row of W to a row of S. Entries are sorted by their row of S first, so
that this stays in the cache while all are added to it. The order of a sum is that of the rows,
whatever the threads.
"""

import numpy as np
from numba import int64

from .._base.threads import run_ranges
from ._numba_base import _jit

# Ranges of rows of S per thread: those of a triangle are of unequal length.
_PARTS = 16


@_jit
def _by_columns(data, indices, indptr, starts, rows, values, places):
    """Sort CSR entries by column; `places` says where in its row, sorted too, an entry will be."""
    for i in range(len(starts)):
        starts[i] = 0
    for e in range(indptr[0], indptr[-1]):
        starts[int64(indices[e]) + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for r in range(len(indptr) - 1):
        for e in range(indptr[r], indptr[r + 1]):
            column = int64(indices[e]) + 1
            rows[starts[column]] = r
            values[starts[column]] = data[e]
            starts[column] += 1
    free = np.empty(len(indptr) - 1, dtype=np.int64)
    for r in range(len(free)):
        free[r] = indptr[r]
    for e in range(starts[len(starts) - 2]):
        places[e] = free[rows[e]]
        free[rows[e]] += 1


@_jit
def _sorted_rows(starts, places, values, columns, sorted_values):
    """Write the columns and values of rows in the order of columns, at their `places`."""
    for i in range(len(starts) - 2):
        for e in range(starts[i], starts[i + 1]):
            columns[places[e]] = i
            sorted_values[places[e]] = values[e]


@_jit
def _add_rows(S, starts, rows, values, weights, places, upper, data, indices, indptr, low, high):
    """Add to rows low..high-1 of S; with `upper` only what does not precede the entry."""
    for i in range(low, high):
        first, before = 0, -1
        for e in range(starts[i], starts[i + 1]):
            r = rows[e]
            if r != before:  # of duplicates, each is multiplied by all
                first, before = places[e] if upper else indptr[r], r
            value = weights[r] * values[e]
            for f in range(first, indptr[r + 1]):
                S[i, indices[f]] += value * data[f]


def _sorted_entries(data, indices, indptr, m):
    nnz = int(indptr[-1] - indptr[0])
    starts = np.empty(m + 2, dtype=np.int64)
    rows, values = np.empty(nnz, dtype=np.int32), np.empty(nnz)
    places = np.empty(nnz, dtype=np.int64)
    _by_columns(data, indices, indptr, starts, rows, values, places)
    return starts, rows, values, places


def add_outer(S, data, indices, indptr, weights, upper):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_outer`."""
    n, m = len(indptr) - 1, len(S)
    weights = np.ones(n) if weights is None else weights
    indptr, first = indptr - indptr[0], indptr[0]
    data, indices = data[first:], indices[first:]
    starts, rows, values, places = _sorted_entries(data, indices, indptr, m)
    columns, by_row = np.empty(len(rows), dtype=np.int32), np.empty(len(rows))
    _sorted_rows(starts, places, values, columns, by_row)

    def part(low, high):
        entries = starts, rows, values, weights, places
        _add_rows(S, *entries, upper, by_row, columns, indptr, low, high)

    work = float(np.sum(np.diff(indptr).astype(np.float64) ** 2))
    run_ranges(part, m, work=work, parts_per_thread=_PARTS)


def add_sparse_cross(S, left, right):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_sparse_cross`."""
    data, indices, indptr = left
    n = len(indptr) - 1
    starts, rows, values, places = _sorted_entries(data, indices, indptr, len(S))
    others, columns, ptr = right
    others, columns = np.asarray(others, dtype=np.float64), columns.astype(np.int32, copy=False)

    def part(low, high):
        entries = starts, rows, values, np.ones(n), places
        _add_rows(S, *entries, False, others, columns, ptr, low, high)

    work = float(np.diff(indptr).astype(np.float64) @ np.diff(ptr))
    run_ranges(part, len(S), work=work, parts_per_thread=_PARTS)
