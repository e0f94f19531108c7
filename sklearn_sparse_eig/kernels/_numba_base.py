"""Numba: what all kernels are made of, vectors of numbers and the hash.

Compiled functions are serial, release the GIL and take a range; `_base.threads` splits the ranges.
Numba's own parallelism is avoided: its threading layers abort under concurrent Python threads or a
fork.

A *code* is one hashed entry in one integer: ``2 * row + (1 if the sign is + else 0)``.

Numba leaves LLVM's vectoriser of straight-line code off, and its loop vectoriser is of no use on
the short rows met here (8 samples, 20 components). Hence the intrinsics, which spell out vectors of
`_LANES` numbers; LLVM lowers them to whatever the machine has.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path

import numba
import numpy as np
from llvmlite import ir
from numba import float32, uint64
from numba.core import cgutils, types
from numba.extending import intrinsic

from .._base.threads import run_ranges

_LANES = 8
# Hash values are computed for this many columns at a time, into a buffer that stays in L1.
_TILE = 32
# Codes in the table shared by all rows of a dense batch (4 MB), or by one step of a Gram matrix.
_TABLE = 1 << 20

# The scalar form of `_hashing`; literals, because Numba's cache watches these files alone.
_GOLDEN = uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1, _MULTIPLIER_2 = uint64(0xBF58476D1CE4E5B9), uint64(0x94D049BB133111EB)
_U1, _U2, _U27, _U30, _U31, _U32 = (uint64(i) for i in (1, 2, 27, 30, 31, 32))


@cache
def _stamp():
    """Return a digest of all files of compiled functions together."""
    files = sorted(Path(__file__).parent.glob("_numba*.py"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _jit(function):
    """Compile on first call, caching on disk where some directory allows it."""
    try:
        kernel = numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available": nowhere to write
        return numba.njit(nogil=True)(function)
    # Numba's cache watches the one file that defines a kernel; ours call functions of other files.
    files = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if hasattr(files, "_source_stamp"):
        files._source_stamp = _stamp()
    return kernel


# ----------------------------------------------------------------------------------- intrinsics


def _llvm_vector(numba_type):
    """Return the LLVM vector of `_LANES` numbers of a Numba float type."""
    return ir.VectorType(ir.FloatType() if numba_type == float32 else ir.DoubleType(), _LANES)


def _shuffle(builder, a, b, lanes):
    """Return the vector made of `lanes` of the concatenation of a and b."""
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return builder.shuffle_vector(a, b, mask)


def _vector_pointer(context, builder, array_type, array, index):
    """Point to the lanes starting at flat position `index` of a contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _llvm_vector(array_type.dtype).as_pointer())


@intrinsic
def _axpy(typing_context, y, i, x, j, a):
    """y[i : i + _LANES] += a * x[j : j + _LANES], for flat contiguous arrays of one dtype."""

    def codegen(context, builder, signature, args):
        align = signature.args[0].dtype.bitwidth // 8
        target = _vector_pointer(context, builder, signature.args[0], args[0], args[1])
        source = _vector_pointer(context, builder, signature.args[2], args[2], args[3])
        vector = target.type.pointee
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, args[4], ir.Constant(ir.IntType(32), 0))
        scale = _shuffle(builder, first, undefined, [0] * _LANES)
        term = builder.fmul(scale, builder.load(source, align=align))
        builder.store(builder.fadd(builder.load(target, align=align), term), target, align=align)
        return context.get_dummy_value()

    return types.void(y, types.intp, x, types.intp, x.dtype), codegen


@intrinsic
def _prefetch(typing_context, x, i):
    """Fetch the cache line of position `i` of a flat contiguous array, to be written to."""

    def codegen(context, builder, signature, args):
        byte, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), [byte] + [int32] * 3)
        )
        place = builder.bitcast(builder.gep(data, [args[1]]), byte)
        builder.call(function, [place, int32(1), int32(3), int32(1)])
        return context.get_dummy_value()

    return types.void(x, types.intp), codegen


def _row_sum(n_vectors):
    """Return the function that sums rows of `n_vectors` vectors in registers."""

    @intrinsic
    def row_sum(typing_context, y, i, x, j, stride, rows, values, first, last):
        """y[i : i + w] += values[e] * x[j + rows[e] * stride :][:w] for e in first..last-1."""

        def codegen(context, builder, signature, args):
            intp, int32 = ir.IntType(64), ir.IntType(32)
            row_data = context.make_array(signature.args[5])(context, builder, args[5]).data
            value_data = context.make_array(signature.args[6])(context, builder, args[6]).data
            target = [
                _vector_pointer(context, builder, signature.args[0], args[0], place)
                for place in _lane_starts(builder, args[1], n_vectors)
            ]
            vector = target[0].type.pointee
            undefined = ir.Constant(vector, ir.Undefined)
            sums = [cgutils.alloca_once(builder, vector) for _ in target]
            for total, pointer in zip(sums, target, strict=True):
                builder.store(builder.load(pointer, align=8), total)
            with cgutils.for_range_slice(builder, args[7], args[8], intp(1), intp) as (e, _):
                row = builder.load(builder.gep(row_data, [e]))
                start = builder.add(args[3], builder.mul(builder.zext(row, intp), args[4]))
                scale = builder.load(builder.gep(value_data, [e]))
                scale = builder.insert_element(undefined, scale, int32(0))
                scale = _shuffle(builder, scale, undefined, [0] * _LANES)
                for total, place in zip(sums, _lane_starts(builder, start, n_vectors), strict=True):
                    source = _vector_pointer(context, builder, signature.args[2], args[2], place)
                    term = builder.fmul(scale, builder.load(source, align=8))
                    builder.store(builder.fadd(builder.load(total), term), total)
            for total, pointer in zip(sums, target, strict=True):
                builder.store(builder.load(total), pointer, align=8)
            return context.get_dummy_value()

        integers = types.intp, x, types.intp, types.intp
        signature = types.void(y, *integers, rows, values, types.intp, types.intp)
        return signature, codegen

    return row_sum


def _lane_starts(builder, start, n_vectors):
    """Return the positions at which `n_vectors` consecutive vectors start."""
    return [builder.add(start, ir.IntType(64)(t * _LANES)) for t in range(n_vectors)]


_row_sum_8, _row_sum_4, _row_sum_1 = _row_sum(8), _row_sum(4), _row_sum(1)


@intrinsic
def _energy(typing_context, x, i):
    """Sum of squares of x[i : i + _LANES], for a flat contiguous array, in its dtype."""

    def codegen(context, builder, signature, args):
        pointer = _vector_pointer(context, builder, signature.args[0], args[0], args[1])
        lanes = builder.load(pointer, align=signature.args[0].dtype.bitwidth // 8)
        lanes = builder.fmul(lanes, lanes)
        width = _LANES
        while width > 1:  # halve: a fixed order of addition, whatever the machine
            width //= 2
            low = _shuffle(builder, lanes, lanes, list(range(width)))
            high = _shuffle(builder, lanes, lanes, list(range(width, 2 * width)))
            lanes = builder.fadd(low, high)
        return builder.extract_element(lanes, ir.Constant(ir.IntType(32), 0))

    return x.dtype(x, types.intp), codegen


def _aligned(size, dtype=np.float64):
    """Return a zero vector that starts on a cache line: a straddling vector costs two."""
    extra = 64 // np.dtype(dtype).itemsize
    vector = np.zeros(size + extra, dtype=dtype)
    start = -vector.ctypes.data % 64 // vector.itemsize
    return vector[start : start + size]


# -------------------------------------------------------------------------------------- hashing


@_jit
def _mix64(z):
    z = (z ^ (z >> _U30)) * _MULTIPLIER_1
    z = (z ^ (z >> _U27)) * _MULTIPLIER_2
    return z ^ (z >> _U31)


@_jit
def _encode(column, offset, n_blocks, block_size, codes, t):
    """codes[t, k] = the code of block k of one column; offset = mix64(seed)."""
    base = _mix64(uint64(column) + offset)
    b = uint64(block_size)
    for k in range(n_blocks):
        h = _mix64(base + uint64(k + 1) * _GOLDEN)
        codes[t, k] = (((h >> _U32) * b >> _U32) + uint64(k) * b) * _U2 + (h & _U1)


@_jit
def _encode_ids(ids, lo, hi, seed, n_blocks, block_size, codes):
    """codes[t] = the codes of column ids[lo + t]."""
    offset = _mix64(seed)
    for t in range(hi - lo):
        _encode(ids[lo + t], offset, n_blocks, block_size, codes, t)


@_jit
def _encode_range(lo, hi, seed, n_blocks, block_size, codes):
    """codes[t] = the codes of column lo + t."""
    offset = _mix64(seed)
    for t in range(hi - lo):
        _encode(lo + t, offset, n_blocks, block_size, codes, t)


def _code_table(ids, seed, n_blocks, block_size):
    """Return the codes (n_ids, K) of a range or vector of ids, uint32 where they fit."""
    dtype = np.uint32 if n_blocks * block_size <= 2**31 else np.int64
    codes = np.empty((len(ids), n_blocks), dtype=dtype)
    key = np.uint64(seed), n_blocks, block_size

    def part(lo, hi):
        if isinstance(ids, range):
            _encode_range(ids.start + lo, ids.start + hi, *key, codes[lo:hi])
        else:
            _encode_ids(ids, lo, hi, *key, codes[lo:hi])

    run_ranges(part, len(ids), work=codes.size)
    return codes


# --------------------------------------------------------------------------------------- strips


@_jit
def _strip(rest):
    """Return the columns of the next strip where `rest` are left: 64, 32 or 8."""
    if rest >= 8 * _LANES:
        return 8 * _LANES
    return 4 * _LANES if rest >= 4 * _LANES else _LANES


@_jit
def _sum_row(y, i, x, j, stride, width, rows, values, first, last):
    """y[i : i + width] += values[e] * x[j + rows[e] * stride :][:width] for e in first..last-1.

    The width is that of a strip; arrays are flat.
    """
    if width == 8 * _LANES:
        _row_sum_8(y, i, x, j, stride, rows, values, first, last)
    elif width == 4 * _LANES:
        _row_sum_4(y, i, x, j, stride, rows, values, first, last)
    else:
        _row_sum_1(y, i, x, j, stride, rows, values, first, last)
