"""SciPy twins of the kernels: no compiler, no Python loop over rows or nonzeros.

A chunk of M^T is built as a CSR matrix with K entries per row, then multiplied. Temporary memory is
bounded by `_CHUNK` hashed entries and products of `_PRODUCT` floats: a result is added to strip by
strip, never held twice.
"""

import numpy as np
from scipy.sparse import csr_array

from ._hashing import hash_columns as _hash

# Hashed entries alive at a time, and floats of a product: about half a megabyte each.
_CHUNK = 1 << 14
_PRODUCT = 1 << 16
# Share of nonzeros below which sparse rows are added faster than BLAS adds dense ones.
SPARSE_SHARE = 0.1


def _chunks(n, size):
    """Yield (lo, hi) covering range(n) in steps of `size`, at least 1."""
    size = max(1, size)
    for lo in range(0, n, size):
        yield lo, min(n, lo + size)


def _transposed_columns(ids, seed, n_blocks, block_size, dtype=np.float64):
    """Return the rows of M^T for `ids` as a CSR array of shape (n_ids, K * b)."""
    rows, signs = _hash(ids, seed, n_blocks, block_size)
    values = (signs / np.sqrt(n_blocks)).astype(dtype, copy=False)
    indptr = np.arange(0, rows.size + 1, n_blocks)
    shape = (len(ids), n_blocks * block_size)
    return csr_array((values.ravel(), rows.ravel(), indptr), shape=shape)


def hash_columns(ids, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.hash_columns`."""
    rows = np.empty((len(ids), n_blocks), dtype=np.int64)
    signs = np.empty((len(ids), n_blocks))
    for lo, hi in _chunks(len(ids), _CHUNK // n_blocks):
        rows[lo:hi], signs[lo:hi] = _hash(ids[lo:hi], seed, n_blocks, block_size)
    return rows, signs


def sketch_dense(X, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.sketch_dense`."""
    n, n_columns = X.shape
    m = n_blocks * block_size
    Y = np.zeros((n, m))
    for lo, hi in _chunks(n_columns, _CHUNK // n_blocks):
        M = _transposed_columns(np.arange(lo, hi), seed, n_blocks, block_size).T
        for top, end in _chunks(n, _PRODUCT // max(m, hi - lo, 1)):
            Y[top:end] += (M @ X[top:end, lo:hi].T.astype(np.float64, order="C")).T
    return Y


def sketch_csr(data, indices, indptr, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.sketch_csr`."""
    n, m = len(indptr) - 1, n_blocks * block_size
    Y = np.zeros((n, m))
    # Chunks run over nonzeros, not rows, so that a single enormous row stays bounded too.
    first, last = indptr[0], indptr[-1]
    for lo, hi in _chunks(last - first, _CHUNK // n_blocks):
        lo, hi = lo + first, hi + first
        top = np.searchsorted(indptr, lo, side="right") - 1
        end = np.searchsorted(indptr, hi, side="left")
        local = np.clip(indptr[top : end + 1], lo, hi) - lo
        parts = expand_csr(data[lo:hi], indices[lo:hi], local, seed, n_blocks, block_size)
        _add_sparse(Y[top:end], csr_array(parts, shape=(end - top, m)))
    return Y


def _add_sparse(S, part):
    """Add a sparse array to a dense one."""
    for lo, hi in _chunks(len(S), _PRODUCT // max(S.shape[1], 1)):
        S[lo:hi] += part[lo:hi].toarray()


def expand_csr(data, indices, indptr, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.expand_csr`."""
    first, last = indptr[0], indptr[-1]
    nnz = last - first
    fits = max(nnz * n_blocks, n_blocks * block_size) <= np.iinfo(np.int32).max
    index_dtype = np.int32 if fits else np.int64
    values = np.empty((nnz, n_blocks))
    columns = np.empty((nnz, n_blocks), dtype=index_dtype)
    scale = 1.0 / np.sqrt(n_blocks)
    for lo, hi in _chunks(nnz, _CHUNK // n_blocks):
        ids = indices[first + lo : first + hi]
        columns[lo:hi], signs = _hash(ids, seed, n_blocks, block_size)
        scaled = scale * data[first + lo : first + hi].astype(np.float64)
        values[lo:hi] = signs * scaled[:, None]
    starts = ((indptr - first) * n_blocks).astype(index_dtype)
    return values.ravel(), columns.ravel(), starts


def add_cross(S, data, indices, indptr, W):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_cross`."""
    lo, hi = indptr[0], indptr[-1]
    parts = data[lo:hi], indices[lo:hi], indptr - lo
    _add_product(S, _by_columns(parts, (len(W), len(S))), W)


def _by_columns(parts, shape):
    """Return a CSR array transposed, its entries sorted: each row of a product is written once."""
    return csr_array(parts, shape=shape).T.tocsr()


def _add_product(S, Y, W):
    """Add Y W to S; where Y has few rows that are not empty, to these alone."""
    filled = np.flatnonzero(np.diff(Y.indptr))
    are_few = 2 * len(filled) < len(S)
    for lo, hi in _chunks(len(filled) if are_few else len(S), _PRODUCT // max(S.shape[1], 1)):
        rows = filled[lo:hi] if are_few else slice(lo, hi)
        S[rows] += Y[rows] @ W


def add_measured(S, total, data, indices, indptr, W, weights, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_measured`."""
    m = len(S)
    first, last = indptr[0], indptr[-1]
    # As in `sketch_csr`, but of so many nonzeros that passes over S are few.
    for lo, hi in _chunks(last - first, max(_CHUNK, S.size // 16) // n_blocks):
        lo, hi = lo + first, hi + first
        top = np.searchsorted(indptr, lo, side="right") - 1
        end = np.searchsorted(indptr, hi, side="left")
        local = np.clip(indptr[top : end + 1], lo, hi) - lo
        parts = expand_csr(data[lo:hi], indices[lo:hi], local, seed, n_blocks, block_size)
        Y = _by_columns(parts, (end - top, m))
        total += Y @ weights[top:end]
        _add_product(S, Y, W[top:end] * weights[top:end, None])


def add_outer(S, data, indices, indptr, weights, upper):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_outer`."""
    right = data, indices, indptr
    left = right
    if weights is not None:
        lo, hi = indptr[0], indptr[-1]
        scaled = data[lo:hi] * np.repeat(weights, np.diff(indptr))
        left = scaled, indices[lo:hi], indptr - lo
    add_sparse_cross(S, left, right)  # both triangles: taking one costs more than it saves


def add_sparse_cross(S, left, right):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_sparse_cross`."""
    nonzeros = (left[2] - left[2][0]) + (right[2] - right[2][0])
    top = 0
    while top < len(nonzeros) - 1:
        end = max(top + 1, int(np.searchsorted(nonzeros, nonzeros[top] + _CHUNK, "right")) - 1)
        Y, W = (
            csr_array(
                (
                    data[ptr[top] : ptr[end]].astype(np.float64),
                    indices[ptr[top] : ptr[end]],
                    ptr[top : end + 1] - ptr[top],
                ),
                shape=(end - top, width),
            )
            for (data, indices, ptr), width in zip((left, right), S.shape, strict=True)
        )
        _add_sparse_product(S, Y, W)
        top = end


def _add_sparse_product(S, Y, W):
    """Add Y^T W of CSR arrays to S."""
    pairs = float(np.diff(Y.indptr) @ np.diff(W.indptr).astype(np.float64))
    Y = Y.T.tocsr()
    if pairs <= min(_PRODUCT, S.size // 8):
        product = Y @ W  # no entry of it is there twice
        S[np.repeat(np.arange(len(S)), np.diff(product.indptr)), product.indices] += product.data
        return
    for lo, hi in _chunks(len(S), _PRODUCT // max(S.shape[1], 1)):
        S[lo:hi] += (Y[lo:hi] @ W).toarray()


def adjoint(ids, R, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.adjoint`."""
    out = np.empty((len(ids), R.shape[1]), dtype=R.dtype)
    for lo, hi in _chunks(len(ids), min(_CHUNK // n_blocks, _PRODUCT // max(R.shape[1], 1))):
        out[lo:hi] = _transposed_columns(ids[lo:hi], seed, n_blocks, block_size, R.dtype) @ R
    return out


def adjoint_energy(start, stop, R, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.adjoint_energy`."""
    energy = np.empty(stop - start, dtype=R.dtype)
    for lo, hi in _chunks(stop - start, min(_CHUNK // n_blocks, _PRODUCT // max(R.shape[1], 1))):
        block = adjoint(np.arange(start + lo, start + hi), R, seed, n_blocks, block_size)
        energy[lo:hi] = np.einsum("ij,ij->i", block, block)
    return energy


def add_cross_gram(out, ids, diag, hash_a, hash_b):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_cross_gram`."""
    # A product has up to K_a * K_b entries per id.
    most = min(_PRODUCT // (hash_a[1] * hash_b[1]), _CHUNK // (hash_a[1] + hash_b[1]))
    for lo, hi in _chunks(len(ids), most):
        part = np.arange(ids[lo], ids[hi - 1] + 1) if isinstance(ids, range) else ids[lo:hi]
        left = _transposed_columns(part, *hash_a)
        if diag is not None:
            left.data *= np.repeat(diag[lo:hi], hash_a[1])
        _add_sparse_product(out, left, _transposed_columns(part, *hash_b))


def add_bit_tests(cells, ids, values, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_bit_tests`."""
    for lo, hi in _chunks(len(ids), _CHUNK // n_blocks):
        part, rows = ids[lo:hi], values[lo:hi]
        M = _transposed_columns(part, seed, n_blocks, block_size).T.tocsc()
        cells[:, 0] += M @ rows
        for bit in range(cells.shape[1] - 1):
            is_set = (part >> bit & 1).astype(bool)
            if is_set.any():
                cells[:, 1 + bit] += M[:, is_set] @ rows[is_set]
