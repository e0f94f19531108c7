"""NumPy twins of the kernels of dense rows."""

import numpy as np

from ._scipy import sketch_dense

# Rows at a time: temporary arrays of some strip of columns then stay in the cache.
_ROWS = 64
_COLUMNS = 512


def centre_columns(X, left, right, shift, out, at, total, squares):
    """Twin of :func:`sklearn_sparse_eig.kernels.centre_columns`."""
    for top in range(0, len(X), _ROWS):
        rows = out[top : top + _ROWS, at : at + right - left]
        np.subtract(X[top : top + _ROWS, left:right], shift, out=rows)
        total += rows.sum(axis=0)
        if squares is not None:
            squares += np.einsum("ij,ij->j", rows, rows)


def add_moments(X, left, right, shift, weights, total, squares):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_moments`."""
    for top in range(0, len(X), _ROWS):
        rows = X[top : top + _ROWS, left:right]
        rows = np.subtract(rows, shift, dtype=np.float64)
        part = np.ones(len(rows)) if weights is None else weights[top : top + _ROWS]
        # Not by BLAS, whose threads would decide the bits.
        total += np.einsum("i,ij->j", part, rows)
        rows *= rows
        squares += np.einsum("i,ij->j", part, rows)


def sketch_dense_twice(X, hash_a, hash_b, shift):
    """Twin of :func:`sklearn_sparse_eig.kernels.sketch_dense_twice`."""
    total, squares = np.zeros(len(shift)), np.zeros(len(shift))
    if len(shift):
        for left in range(0, X.shape[1], _COLUMNS):
            part = slice(left, min(left + _COLUMNS, X.shape[1]))
            add_moments(X, left, part.stop, shift[part], None, total[part], squares[part])
    return sketch_dense(X, *hash_a), sketch_dense(X, *hash_b), total, squares
