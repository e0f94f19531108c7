"""Numba twins of the kernels of dense rows: centring, and sums over columns.

They are serial, release the GIL and write only to the columns they are given, so that callers split
columns over threads and no sum depends on how. Each loop runs along a row and has few enough arrays
for LLVM to prove that they do not overlap, without which it does not use vectors.
"""

import numpy as np
from llvmlite import ir
from numba import float64
from numba.core import types
from numba.extending import intrinsic

from .._base.threads import run_ranges
from ._numba import _scatter_tile
from ._numba_base import (
    _LANES,
    _TABLE,
    _aligned,
    _code_table,
    _jit,
    _llvm_vector,
    _vector_pointer,
)

# Rows of a chunk at least, of which sums are kept apart; chunks, and floats of all, at most.
_CHUNK_ROWS, _CHUNKS, _CHUNK_FLOATS = 64, 16, 1 << 20
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


# ------------------------------------------------------------------------------------ measuring


@intrinsic
def _moments_tile(typing_context, X, row, column, shift, total, squares):
    """Add the sums of rows row..row+_LANES-1 of X, at columns column..column+_LANES-1.

    All vectors are flat, and start at column 0 of X, whose rows must be contiguous.
    """

    def codegen(context, builder, signature, args):
        X_type = signature.args[0]
        size = X_type.dtype.bitwidth // 8
        intp = ir.IntType(64)
        X_array = context.make_array(X_type)(context, builder, args[0])
        stride = builder.extract_value(X_array.strides, 0)
        offset = builder.add(builder.mul(args[2], intp(size)), builder.mul(args[1], stride))
        byte = ir.IntType(8).as_pointer()
        pointer = builder.gep(builder.bitcast(X_array.data, byte), [offset])
        at = [
            _vector_pointer(context, builder, signature.args[i], args[i], args[2])
            for i in (3, 4, 5)
        ]
        middle = builder.load(at[0], align=8)
        sums = []
        for _ in range(_LANES):
            source = builder.bitcast(pointer, _llvm_vector(X_type.dtype).as_pointer())
            line = builder.load(source, align=size)
            line = line if size == 8 else builder.fpext(line, _llvm_vector(float64))
            line = builder.fsub(line, middle)
            sums.append((line, builder.fmul(line, line)))
            pointer = builder.gep(pointer, [stride])
        while len(sums) > 1:  # in pairs: a fixed order, and short chains
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [tuple(map(builder.fadd, a, b)) for a, b in pairs]
        for target, more in zip(at[1:], sums[0], strict=True):
            builder.store(builder.fadd(builder.load(target, align=8), more), target, align=8)
        return context.get_dummy_value()

    return types.void(X, types.intp, types.intp, shift, total, squares), codegen


@_jit
def _measure_rows(X, n_columns, hash_a, hash_b, shift, total, squares):
    """Add groups of _LANES rows to both measurements, and to the sums of columns.

    `n_columns` is a multiple of _LANES. A hash is (codes, sums, scale, Y), where the codes are a
    table of shape (at least n_columns, K). No shift means no sums of columns.
    """
    codes_a, sums_a, scale_a, Y_a = hash_a
    codes_b, sums_b, scale_b, Y_b = hash_b
    K_a, K_b = codes_a.shape[1], codes_b.shape[1]
    flat_a, flat_b = codes_a.reshape(-1), codes_b.reshape(-1)
    signs = np.array([-1.0, 1.0])
    for top in range(0, len(X), _LANES):
        sums_a[:] = 0.0
        sums_b[:] = 0.0
        for left in range(0, n_columns, _LANES):
            _scatter_tile(X, top, left, sums_a, flat_a[left * K_a :], K_a, signs)
            _scatter_tile(X, top, left, sums_b, flat_b[left * K_b :], K_b, signs)
            if shift.size:
                _moments_tile(X, top, left, shift, total, squares)
        for row in range(Y_a.shape[1]):
            for i in range(_LANES):
                Y_a[top + i, row] += scale_a * sums_a[row * _LANES + i]
        for row in range(Y_b.shape[1]):
            for i in range(_LANES):
                Y_b[top + i, row] += scale_b * sums_b[row * _LANES + i]


def sketch_dense_twice(X, hash_a, hash_b, shift):
    """Twin of :func:`sklearn_sparse_eig.kernels.sketch_dense_twice`."""
    n, n_columns = X.shape
    Y_a, Y_b = (np.zeros((n, K * b)) for _, K, b in (hash_a, hash_b))
    total, squares = np.zeros(len(shift)), np.zeros(len(shift))
    whole = n_columns // _LANES * _LANES
    step = max(_LANES, _TABLE // max(hash_a[1], hash_b[1]) // _LANES * _LANES)
    for lo in range(0, n_columns, step):
        hi = min(whole, lo + step)
        sides = (hash_a, Y_a), (hash_b, Y_b)
        if lo < hi:
            columns = slice(lo, hi)
            sums = shift[columns], total[columns], squares[columns]
            # As it is where possible: another layout would be compiled anew.
            _measure_columns(X if step >= n_columns else X[:, columns], hi - lo, lo, sides, *sums)
        if hi == whole < n_columns:  # the last columns, with some that add nothing
            tail = np.zeros((n, _LANES), dtype=X.dtype)
            tail[:, : n_columns - whole] = X[:, whole:]
            sums = np.zeros((3, _LANES if len(shift) else 0))
            sums[0, : n_columns - whole] = shift[whole:]
            _measure_columns(tail, _LANES, whole, sides, *sums)
            total[whole:] += sums[1, : n_columns - whole]
            squares[whole:] += sums[2, : n_columns - whole]
            break
    return Y_a, Y_b, total, squares


def _measure_columns(X, width, lo, sides, shift, total, squares):
    """Add the first columns of X, of ids from `lo` on: chunks of rows on threads, sums in order."""
    n = len(X)
    sides = [(_narrow_codes(lo, width, key), 1.0 / np.sqrt(key[1]), Y) for key, Y in sides]
    most = max(2, min(_CHUNKS, _CHUNK_FLOATS // (2 * width)))
    chunk = max(_CHUNK_ROWS, -(-n // (most * _LANES)) * _LANES)
    partial = np.zeros((-(-n // chunk), 2, len(shift)))
    is_native = X.dtype in _NATIVE[:2] and X.dtype.isnative and X.strides[1] == X.itemsize

    def measure(rows, targets, scratch, sums):
        hashes = [
            (codes, scratch, scale, Y)
            for (codes, scale, _), scratch, Y in zip(sides, scratch, targets, strict=True)
        ]
        _measure_rows(rows, width, *hashes, shift, *sums)

    def part(first, last):
        scratch = [_aligned(Y.shape[1] * _LANES) for *_, Y in sides]
        for index in range(first, last):
            top, end = index * chunk, min(n, index * chunk + chunk)
            whole = end - (end - top) % _LANES if is_native else top
            if top < whole:
                measure(X[top:whole], [Y[top:whole] for *_, Y in sides], scratch, partial[index])
            for low in range(whole, end, _LANES):
                # What is short of rows is filled by some that add nothing to the sums of columns.
                rows = np.zeros((_LANES, width))
                rows += shift if len(shift) else 0.0
                height = min(_LANES, end - low)
                rows[:height] = X[low : low + height, :width]
                targets = [np.zeros((_LANES, Y.shape[1])) for *_, Y in sides]
                measure(rows, targets, scratch, partial[index])
                for (*_, Y), target in zip(sides, targets, strict=True):
                    Y[low : low + height] += target[:height]

    run_ranges(part, len(partial), work=float(X.size), parts_per_thread=_CHUNKS)
    for sums in partial if len(shift) else ():
        total += sums[0]
        squares += sums[1]


def _narrow_codes(lo, width, key):
    """Return the codes of columns from id `lo` on, in as few bytes as will do."""
    codes = _code_table(range(lo, lo + width), *key)
    return codes.astype(np.uint16) if 2 * key[1] * key[2] <= 2**16 else codes
