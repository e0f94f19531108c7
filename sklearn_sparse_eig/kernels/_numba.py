"""Numba twins of the kernels.

Compiled functions are serial, release the GIL and take a range; `_base.threads` splits the ranges.
Numba's own parallelism is avoided: its threading layers abort under concurrent Python threads or a
fork.

A *code* is one hashed entry in one integer: ``2 * row + (1 if the sign is + else 0)``.

Numba leaves LLVM's vectoriser of straight-line code off, and its loop vectoriser is of no use on
the short rows met here (8 samples, 20 components). Hence the intrinsics below, which spell out
vectors of `_LANES` numbers; LLVM lowers them to whatever the machine has.
"""

import numba
import numpy as np
from llvmlite import ir
from numba import float32, float64, int64, uint64
from numba.core import cgutils, types
from numba.extending import intrinsic

from .._base.threads import run_ranges

_LANES = 8
# Hash values are computed for this many columns at a time, into a buffer that stays in L1.
_TILE = 32
# Bytes by which dense rows are fetched ahead: eight interleaved streams defeat the prefetchers.
_PREFETCH = 512
# Codes in the table shared by all rows of a dense batch (4 MB), or by one step of a Gram matrix.
_TABLE = 1 << 20
# The compact slice of a sketch that one thread of `add_cross` works in: about half of an L2.
_CROSS_BYTES = 1 << 19

# The scalar form of `_hashing`; literals, because Numba's cache watches this file alone.
_GOLDEN = uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1, _MULTIPLIER_2 = uint64(0xBF58476D1CE4E5B9), uint64(0x94D049BB133111EB)
_U1, _U2, _U27, _U30, _U31, _U32 = (uint64(i) for i in (1, 2, 27, 30, 31, 32))


def _jit(function):
    """Compile on first call, caching on disk where some directory allows it."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available": nowhere to write
        return numba.njit(nogil=True)(function)


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


# ---------------------------------------------------------------------------------- sparse rows


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


# ---------------------------------------------------------------------------- updates of a sketch


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


@_jit
def _gram_block(out, codes_a, codes_b, diag, scale):
    """Add one K_a x K_b pair of blocks; codes count from row 0 of M and of Omega."""
    for t in range(len(codes_a)):
        a, b = int64(codes_a[t]), int64(codes_b[t])
        value = scale * diag[t] if diag.size else scale
        out[a >> 1, b >> 1] += value if (a ^ b) & 1 == 0 else -value


def add_cross_gram(out, ids, diag, hash_a, hash_b):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_cross_gram`."""
    blocks_a, blocks_b = hash_a[1], hash_b[1]
    scale = 1.0 / np.sqrt(blocks_a * blocks_b)
    # One b_a x b_b block of `out` fits in L2 where `out` does not, so blocks are the outer loops;
    # long steps reuse it, and their codes stream.
    step = max(1, _TABLE // max(blocks_a, blocks_b))
    for lo in range(0, len(ids), step):
        hi = min(len(ids), lo + step)
        codes_a = np.ascontiguousarray(_code_table(ids[lo:hi], *hash_a).T)
        codes_b = np.ascontiguousarray(_code_table(ids[lo:hi], *hash_b).T)
        weights = np.empty(0) if diag is None else diag[lo:hi]

        def part(first, last, codes_a=codes_a, codes_b=codes_b, weights=weights):
            for a in range(first, last):
                for b in range(blocks_b):
                    _gram_block(out, codes_a[a], codes_b[b], weights, scale)

        run_ranges(part, blocks_a, work=codes_a.size * blocks_b)


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


# ------------------------------------------------------------------------------------- bit tests


@_jit
def _bit_rows(cells, n_slots, starts, members, ids, values, width, scales, first, last):
    """Add the members of buckets first..last-1; `cells` and `values` flat, in rows of `width`."""
    for bucket in range(first, last):
        for e in range(starts[bucket], starts[bucket + 1]):
            code = members[e]
            source, scale = (code >> 1) * width, scales[code & 1]
            slot = bucket * n_slots * width
            for i in range(0, width, _LANES):
                _axpy(cells, slot + i, values, source + i, scale)
            bits = ids[code >> 1]
            while bits:
                slot += width
                if bits & 1:
                    for i in range(0, width, _LANES):
                        _axpy(cells, slot + i, values, source + i, scale)
                bits >>= 1


@_jit
def _sort_by_bucket(codes, starts, members):
    """Counting sort: members[starts[j] : starts[j + 1]] are the ids hashed to bucket j.

    A member is twice its position, plus 1 where its sign is +. `starts` comes as zeros.
    """
    n_ids, n_blocks = codes.shape
    for t in range(n_ids):
        for k in range(n_blocks):
            starts[(int64(codes[t, k]) >> 1) + 1] += 1
    for bucket in range(len(starts) - 1):
        starts[bucket + 1] += starts[bucket]
    place = starts[:-1].copy()
    for t in range(n_ids):
        for k in range(n_blocks):
            code = int64(codes[t, k])
            members[place[code >> 1]] = 2 * t + (code & 1)
            place[code >> 1] += 1


def add_bit_tests(cells, ids, values, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_bit_tests`."""
    n_buckets, n_slots, width = cells.shape
    padded = -(-width // _LANES) * _LANES
    if padded != width:  # whole vectors only; sketches have such widths
        wider = np.zeros((n_buckets, n_slots, padded))
        values = np.pad(values, [(0, 0), (0, padded - width)])
        add_bit_tests(wider, ids, values, seed, n_blocks, block_size)
        cells += wider[:, :, :width]
        return
    scale = 1.0 / np.sqrt(n_blocks)
    scales = np.array([-scale, scale])
    for lo in range(0, len(ids), _TABLE // n_blocks):
        part = ids[lo : lo + _TABLE // n_blocks]
        codes = _code_table(part, seed, n_blocks, block_size)
        starts = np.zeros(n_buckets + 1, dtype=np.int64)
        members = np.empty(codes.size, dtype=np.int64)
        _sort_by_bucket(codes, starts, members)
        rows = values[lo : lo + len(part)].reshape(-1)

        def add(first, last, starts=starts, members=members, part=part, rows=rows):
            _bit_rows(
                cells.reshape(-1), n_slots, starts, members, part, rows, width, scales, first, last
            )

        run_ranges(add, n_buckets, work=codes.size * width * n_slots / (2 * _LANES))
