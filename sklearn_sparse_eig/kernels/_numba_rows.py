"""Numba twins of the kernels that measure sparse rows."""

import numpy as np

from .._base.threads import run_ranges
from ._numba_base import _TILE, _encode_ids, _jit


@_jit
def _sketch_sparse(data, indices, indptr, first, last, seed, n_blocks, block_size, Y):
    """Y[first:last] += rows first..last-1 of X M^T, X in CSR."""
    codes = np.empty((_TILE, n_blocks), dtype=np.int64)
    scale = 1.0 / np.sqrt(n_blocks)
    for row in range(first, last):
        for lo in range(indptr[row], indptr[row + 1], _TILE):
            hi = min(indptr[row + 1], lo + _TILE)
            _encode_ids(indices, lo, hi, seed, n_blocks, block_size, codes)
            for t in range(hi - lo):
                value = scale * data[lo + t]
                signed = (-value, value)
                for k in range(n_blocks):
                    code = codes[t, k]
                    Y[row, code >> 1] += signed[code & 1]


def sketch_csr(data, indices, indptr, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.sketch_csr`."""
    n = len(indptr) - 1
    Y = np.zeros((n, n_blocks * block_size))
    key = np.uint64(seed), n_blocks, block_size

    def part(first, last):
        _sketch_sparse(data, indices, indptr, first, last, *key, Y)

    run_ranges(part, n, work=(indptr[-1] - indptr[0]) * n_blocks)
    return Y


@_jit
def _expand(data, indices, lo, hi, first, seed, n_blocks, block_size, values, columns):
    """Write the K entries of nonzeros lo..hi-1 of X; `first` is the position written at 0."""
    codes = np.empty((_TILE, n_blocks), dtype=np.int64)
    scale = 1.0 / np.sqrt(n_blocks)
    for start in range(lo, hi, _TILE):
        stop = min(hi, start + _TILE)
        _encode_ids(indices, start, stop, seed, n_blocks, block_size, codes)
        for t in range(stop - start):
            value = scale * data[start + t]
            for k in range(n_blocks):
                code = codes[t, k]
                values[start + t - first, k] = value * (2.0 * (code & 1) - 1.0)
                columns[start + t - first, k] = code >> 1


def expand_csr(data, indices, indptr, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.expand_csr`."""
    first = int(indptr[0])
    nnz = int(indptr[-1]) - first
    fits = max(nnz * n_blocks, n_blocks * block_size) <= np.iinfo(np.int32).max
    index_dtype = np.int32 if fits else np.int64
    values = np.empty((nnz, n_blocks))
    columns = np.empty((nnz, n_blocks), dtype=index_dtype)
    key = np.uint64(seed), n_blocks, block_size

    def part(lo, hi):
        _expand(data, indices, first + lo, first + hi, first, *key, values, columns)

    run_ranges(part, nnz, work=values.size)
    starts = ((indptr - first) * n_blocks).astype(index_dtype)
    return values.ravel(), columns.ravel(), starts
