"""Numba twins of the kernels; `_numba_base` says how they are built.

Here are those of ids, of dense rows and of the adjoint; the others are in the files imported from.
"""

import numpy as np
from llvmlite import ir
from numba import float64, int64
from numba.core import cgutils, types
from numba.extending import intrinsic

from .._base.threads import run_ranges
from ._numba_base import (
    _LANES,
    _TABLE,
    _TILE,
    _aligned,
    _axpy,
    _code_table,
    _encode_ids,
    _encode_range,
    _energy,
    _jit,
    _llvm_vector,
    _shuffle,
    _vector_pointer,
)
from ._numba_outer import add_outer, add_sparse_cross
from ._numba_rows import expand_csr, sketch_csr
from ._numba_tables import add_bit_tests, add_cross_gram
from ._numba_updates import SPARSE_SHARE, add_cross, add_measured

__all__ = [
    "SPARSE_SHARE",
    "add_bit_tests",
    "add_cross",
    "add_cross_gram",
    "add_measured",
    "add_outer",
    "add_sparse_cross",
    "adjoint",
    "adjoint_energy",
    "expand_csr",
    "hash_columns",
    "sketch_csr",
    "sketch_dense",
]

# Bytes by which dense rows are fetched ahead: eight interleaved streams defeat the prefetchers.
_PREFETCH = 512


def _transpose(builder, lines):
    """Transpose `_LANES` vectors in registers, in place.

    A butterfly: swap the off-diagonal w x w blocks of every 2w x 2w block, w = 1, 2, 4.
    """
    for w in (1, 2, 4):
        for r in range(_LANES):
            if r & w == 0:
                a, b = lines[r], lines[r + w]
                low = [lane + _LANES - w if lane & w else lane for lane in range(_LANES)]
                high = [lane + _LANES if lane & w else lane + w for lane in range(_LANES)]
                lines[r] = _shuffle(builder, a, b, low)
                lines[r + w] = _shuffle(builder, a, b, high)


@intrinsic
def _scatter_tile(typing_context, X, row, column, sums, codes, n_blocks, signs):
    """Add X[row : row + _LANES, column : column + _LANES] M^T to the transposed `sums`.

    `codes` is flat and starts at the codes of `column`; `sums` is flat, starts on a cache line and
    holds `_LANES` samples per row of M; the rows of X must be contiguous. The tile is loaded once
    and stays in registers. Also prefetches what the next tiles will read.
    """

    def codegen(context, builder, signature, args):
        X_type, sums_type, codes_type, signs_type = (signature.args[i] for i in (0, 3, 4, 6))
        size = X_type.dtype.bitwidth // 8
        byte, int32, intp = ir.IntType(8).as_pointer(), ir.IntType(32), ir.IntType(64)
        X_array = context.make_array(X_type)(context, builder, args[0])
        codes_data = context.make_array(codes_type)(context, builder, args[4]).data
        signs_data = context.make_array(signs_type)(context, builder, args[6]).data
        stride = builder.extract_value(X_array.strides, 0)
        offset = builder.mul(args[2], intp(size))
        offset = builder.add(offset, builder.mul(args[1], stride))
        pointer = builder.gep(builder.bitcast(X_array.data, byte), [offset])
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), [byte] + [int32] * 3)
        )
        lines = []
        for _ in range(_LANES):
            source = builder.bitcast(pointer, _llvm_vector(X_type.dtype).as_pointer())
            line = builder.load(source, align=size)
            lines.append(line if size == 8 else builder.fpext(line, _llvm_vector(float64)))
            ahead = builder.gep(pointer, [intp(_PREFETCH)])
            # to read, into every level of the data cache
            builder.call(prefetch, [ahead, int32(0), int32(3), int32(1)])
            pointer = builder.gep(pointer, [stride])
        _transpose(builder, lines)
        undefined = ir.Constant(lines[0].type, ir.Undefined)

        def add(first, count):
            """Add the tile into blocks first..first+count-1."""
            for t, line in enumerate(lines):
                start = builder.add(builder.mul(args[5], intp(t)), first)
                for k in range(count):
                    address = builder.gep(codes_data, [builder.add(start, intp(k))])
                    code = builder.load(address)
                    if code.type.width < intp.width:
                        code = builder.zext(code, intp)
                    sign = builder.load(builder.gep(signs_data, [builder.and_(code, intp(1))]))
                    sign = builder.insert_element(undefined, sign, int32(0))
                    term = builder.fmul(_shuffle(builder, sign, undefined, [0] * _LANES), line)
                    offset = builder.mul(builder.lshr(code, intp(1)), intp(_LANES))
                    target = _vector_pointer(context, builder, sums_type, args[3], offset)
                    total = builder.fadd(builder.load(target, align=64), term)
                    builder.store(total, target, align=64)

        # Four blocks a turn: a loop over single blocks costs as much as its body.
        whole = builder.and_(args[5], intp(-4))
        with cgutils.for_range_slice(builder, intp(0), whole, intp(4), intp) as (block, _):
            add(block, 4)
        with cgutils.for_range_slice(builder, whole, args[5], intp(1), intp) as (block, _):
            add(block, 1)
        return context.get_dummy_value()

    return types.void(X, types.intp, types.intp, sums, codes, types.intp, signs), codegen


@_jit
def _hash_rows(ids, lo, hi, seed, n_blocks, block_size, rows, signs):
    _encode_ids(ids, lo, hi, seed, n_blocks, block_size, rows[lo:hi])
    for t in range(lo, hi):
        for k in range(n_blocks):
            signs[t, k] = 2.0 * (rows[t, k] & 1) - 1.0
            rows[t, k] >>= 1


def hash_columns(ids, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.hash_columns`."""
    rows = np.empty((len(ids), n_blocks), dtype=np.int64)
    signs = np.empty((len(ids), n_blocks))

    def part(lo, hi):
        _hash_rows(ids, lo, hi, np.uint64(seed), n_blocks, block_size, rows, signs)

    run_ranges(part, len(ids), work=rows.size)
    return rows, signs


# ----------------------------------------------------------------------------------- dense rows


@_jit
def _sketch_rows(X, first, last, codes, scale, sums, Y):
    """Y[first:last] += scale * X[first:last] M^T, _LANES rows at a time.

    One code then serves a whole vector of samples, and the transposed `sums` (m, _LANES) fit in L2.
    `codes` has at least _LANES - 1 spare rows, so that the last tile may be padded with zeros.
    """
    n_columns, n_blocks = X.shape[1], codes.shape[1]
    flat = codes.reshape(-1)
    tile = np.empty((_LANES, _LANES))
    signs = np.array([-1.0, 1.0])
    contiguous = X.strides[1] == X.itemsize
    for top in range(first, last, _LANES):
        height = min(_LANES, last - top)
        sums[:] = 0.0
        for left in range(0, n_columns, _LANES):
            width = min(_LANES, n_columns - left)
            here = flat[left * n_blocks :]
            if contiguous and height == _LANES and width == _LANES:
                _scatter_tile(X, top, left, sums, here, n_blocks, signs)
            else:
                tile[:] = 0.0
                for t in range(width):
                    for i in range(height):
                        tile[i, t] = X[top + i, left + t]
                _scatter_tile(tile, 0, 0, sums, here, n_blocks, signs)
        for row in range(Y.shape[1]):
            for i in range(height):
                Y[top + i, row] += scale * sums[row * _LANES + i]


def sketch_dense(X, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.sketch_dense`."""
    n, n_columns = X.shape
    m = n_blocks * block_size
    Y = np.zeros((n, m))
    scale = 1.0 / np.sqrt(n_blocks)
    native = X.dtype in (np.float32, np.float64)
    step = max(_LANES, _TABLE // n_blocks)
    for lo in range(0, n_columns if n else 0, step):
        hi = min(n_columns, lo + step)
        codes = _code_table(range(lo, hi + _LANES), seed, n_blocks, block_size)
        strip = X[:, lo:hi]

        def part(first, last, strip=strip, codes=codes):
            sums = _aligned(m * _LANES)
            if native:
                return _sketch_rows(strip, first, last, codes, scale, sums, Y)
            for top in range(first, last, _LANES):
                rows = strip[top : min(last, top + _LANES)].astype(np.float64, order="C")
                _sketch_rows(rows, 0, len(rows), codes, scale, sums, Y[top : top + len(rows)])

        run_ranges(part, n, work=n * codes.size / 4, multiple=_LANES)
    return Y


# -------------------------------------------------------------------------------------- adjoint


@_jit
def _gather(codes, n, R, width, signs, sums):
    """sums[t * width : (t + 1) * width] = sum_k +-R[row_k]; flat, width a multiple of _LANES."""
    sums[: n * width] = 0
    n_blocks = codes.shape[1]
    for t in range(n):
        for k in range(n_blocks):
            code = int64(codes[t, k])
            row, sign = (code >> 1) * width, signs[code & 1]
            for i in range(0, width, _LANES):
                _axpy(sums, t * width + i, R, row + i, sign)


@_jit
def _adjoint_rows(ids, lo, hi, R, width, signs, sums, seed, n_blocks, block_size, out):
    codes = np.empty((_TILE, n_blocks), dtype=np.int64)
    for start in range(lo, hi, _TILE):
        stop = min(hi, start + _TILE)
        _encode_ids(ids, start, stop, seed, n_blocks, block_size, codes)
        _gather(codes, stop - start, R, width, signs, sums)
        for t in range(stop - start):
            for i in range(out.shape[1]):
                out[start + t, i] = sums[t * width + i]


@_jit
def _energy_rows(lo, hi, R, width, signs, sums, seed, n_blocks, block_size, energy):
    """energy[t] = squared norm of row lo + t of M^T R."""
    codes = np.empty((_TILE, n_blocks), dtype=np.int64)
    for start in range(0, hi - lo, _TILE):
        stop = min(hi - lo, start + _TILE)
        _encode_range(lo + start, lo + stop, seed, n_blocks, block_size, codes)
        _gather(codes, stop - start, R, width, signs, sums)
        for t in range(stop - start):
            total = _energy(sums, t * width)
            for i in range(_LANES, width, _LANES):
                total += _energy(sums, t * width + i)
            energy[start + t] = total


def _padded(R, n_blocks):
    """Return R / sqrt(K), flat, its rows padded with zeros to whole vectors; the width; signs."""
    m, r = R.shape
    width = max(_LANES, -(-r // _LANES) * _LANES)
    flat = _aligned(m * width, R.dtype)
    np.divide(R, R.dtype.type(np.sqrt(n_blocks)), out=flat.reshape(m, width)[:, :r])
    return flat, width, np.array([-1, 1], dtype=R.dtype)


def adjoint(ids, R, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.adjoint`."""
    out = np.empty((len(ids), R.shape[1]), dtype=R.dtype)
    target = _padded(R, n_blocks)
    key = np.uint64(seed), n_blocks, block_size

    def part(lo, hi):
        sums = _aligned(_TILE * target[1], R.dtype)
        _adjoint_rows(ids, lo, hi, *target, sums, *key, out)

    run_ranges(part, len(ids), work=len(ids) * n_blocks * target[1] / _LANES)
    return out


def adjoint_energy(start, stop, R, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.adjoint_energy`."""
    energy = np.empty(stop - start, dtype=R.dtype)
    target = _padded(R, n_blocks)
    key = np.uint64(seed), n_blocks, block_size

    def part(lo, hi):
        sums = _aligned(_TILE * target[1], R.dtype)
        _energy_rows(start + lo, start + hi, *target, sums, *key, energy[lo:hi])

    run_ranges(part, len(energy), work=len(energy) * n_blocks * target[1] / _LANES)
    return energy
