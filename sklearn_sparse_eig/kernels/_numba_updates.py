"""Numba twins of the kernels that add products of sparse and dense rows to a sketch: S += Y^T W.

An entry of Y adds a row of W to a row of S. Entry by entry that moves two rows of S for each, from
wherever in memory they are. Therefore entries are sorted by their row of S first, for a chunk of
rows of W at a time: a strip of a row of S is then summed in registers, from strips of W that stay
in L2.

The chunks, and with them the order of every sum, depend on the rows alone, never on the threads.
"""

import numpy as np
from numba import float64, int64, uint64

from .._base.threads import run_ranges, run_tasks, split_range, thread_count
from ._numba_base import (
    _GOLDEN,
    _LANES,
    _U1,
    _U2,
    _U32,
    _aligned,
    _axpy,
    _encode_ids,
    _jit,
    _mix64,
    _prefetch,
    _strip,
    _sum_row,
)
from ._numba_presums import find_presums, sum_presums

# Rows of W in a chunk, and entries sorted at a time where rows are long: 64 columns of as many rows
# take half a megabyte, and so do the sorted entries.
_ROWS = 1 << 10
_ENTRIES = 1 << 17
# Rows of S by which they are fetched ahead: they lie too far apart for the prefetchers.
_AHEAD = 4
# Entries below this share of the rows of S are added as they come: few rows would get two.
_FEW = 0.5
# Share of nonzeros below which sparse rows are added faster than BLAS adds dense ones. With one
# thread they took half the time at 0.2, and 0.8 of it at 0.4.
SPARSE_SHARE = 0.3
# Columns that one task adds where there are more threads than blocks.
_STRIP = 64


def _chunks(indptr):
    """Cut CSR rows into chunks; return where they begin, and the end."""
    n, cuts = len(indptr) - 1, [0]
    while cuts[-1] < n:
        top = cuts[-1]
        end = int(np.searchsorted(indptr, indptr[top] + _ENTRIES, side="right")) - 1
        cuts.append(min(n, max(top + 1, min(end, top + _ROWS))))
    return np.array(cuts, dtype=np.int64)


# -------------------------------------------------------------------------------------- products


@_jit
def _pack(W, weights, cuts, c, panels):
    """Copy weights * W for chunk c, strip by strip, as `_add_chunk` reads it.

    Strips have 64, 32 or 8 columns, the last ones filled up with zeros.
    """
    top, end, k = cuts[c], cuts[c + 1], W.shape[1]
    padded = (k + _LANES - 1) // _LANES * _LANES
    place, left = top * padded, 0
    while left < padded:
        width = _strip(padded - left)
        for r in range(top, end):
            for i in range(left, min(left + width, k)):
                panels[place + i - left] = weights[r] * W[r, i]
            place += width
        left += width


@_jit
def _add_chunk(S, k, low, high, left, right, panels, start, n, rows, values, starts):
    """Add the sorted entries of a chunk of n rows to rows low..high-1 of S, flat, of k columns.

    Entries starts[i] to starts[i + 1] - 1 belong to row low + i, and `panels[start]` is the first
    number of the chunk. Only columns left..right-1, of which left is the start of a strip.
    """
    line = np.empty(8 * _LANES)
    padded = (k + _LANES - 1) // _LANES * _LANES
    while left < right:
        width, strip = _strip(padded - left), start + n * left
        for row in range(low, high):
            here = row * k + left
            if row + _AHEAD < high:
                for i in range(0, width, _LANES):
                    _prefetch(S, here + _AHEAD * k + i)
            first, last = starts[row - low], starts[row - low + 1]
            if first == last:
                continue
            if left + width <= k:
                _sum_row(S, here, panels, strip, width, width, rows, values, first, last)
            else:
                for i in range(k - left):
                    line[i] = S[here + i]
                _sum_row(line, 0, panels, strip, width, width, rows, values, first, last)
                for i in range(k - left):
                    S[here + i] = line[i]
        left += width


# ---------------------------------------------------------------------------------- hashed entries


@_jit
def _sort_block(
    data, indices, indptr, top, end, seed, block, n_blocks, b, codes, starts, rows, values
):
    """Sort the entries of rows top..end-1 of X M^T in one block of M by their row there.

    Those in row i are starts[i] to starts[i + 1] - 1.
    """
    offset, step, size = _mix64(seed), uint64(block + 1) * _GOLDEN, uint64(b)
    scale, zero = 1.0 / np.sqrt(n_blocks), indptr[top]
    for i in range(len(starts)):
        starts[i] = 0
    for e in range(zero, indptr[end]):
        h = _mix64(_mix64(uint64(indices[e]) + offset) + step)
        code = (((h >> _U32) * size) >> _U32) * _U2 + (h & _U1)
        codes[e - zero] = code
        starts[int64(code >> _U1) + 2] += 1
    for i in range(2, b + 2):
        starts[i] += starts[i - 1]
    for r in range(top, end):
        for e in range(indptr[r], indptr[r + 1]):
            code = int64(codes[e - zero])
            place = starts[(code >> 1) + 1]
            starts[(code >> 1) + 1] = place + 1
            rows[place] = r - top
            value = scale * data[e]
            values[place] = value if code & 1 else -value


@_jit
def _add_block(
    S, k, total, data, indices, indptr, weights, cuts, panels, key, block, left, right, scratch
):
    """Add block `block` of M to columns left..right-1 of S, and to `total` with the first ones."""
    seed, n_blocks, b = key
    codes, starts, rows, values = scratch
    padded = (k + _LANES - 1) // _LANES * _LANES
    low, high = block * b, (block + 1) * b
    for c in range(len(cuts) - 1):
        top, end = cuts[c], cuts[c + 1]
        _sort_block(
            data, indices, indptr, top, end, seed, block, n_blocks, b, codes, starts, rows, values
        )
        if left == 0:
            for i in range(b):
                for e in range(starts[i], starts[i + 1]):
                    total[low + i] += values[e] * weights[top + rows[e]]
        chunk = top * padded, end - top
        _add_chunk(S, k, low, high, left, right, panels, *chunk, rows, values, starts)


@_jit
def _add_few(S, k, total, data, indices, indptr, W, weights, key, line):
    """Add S += M X^T diag(weights) W entry by entry; `line` is a row of whole vectors."""
    seed, n_blocks, b = key
    codes, scale = np.empty((1, n_blocks), dtype=np.int64), 1.0 / np.sqrt(n_blocks)
    ahead = np.empty((1, n_blocks), dtype=np.int64)
    whole = k // _LANES * _LANES
    for r in range(len(indptr) - 1):
        first, last = indptr[r], indptr[r + 1]
        for i in range(k):
            line[i] = weights[r] * W[r, i]
        if first < last:
            _encode_ids(indices, first, first + 1, seed, n_blocks, b, ahead)
        for e in range(first, last):
            for j in range(n_blocks):
                codes[0, j] = ahead[0, j]
            if e + 1 < last:
                _encode_ids(indices, e + 1, e + 2, seed, n_blocks, b, ahead)
            for j in range(n_blocks):
                code = codes[0, j]
                target = (code >> 1) * k
                for i in range(0, k, _LANES):
                    _prefetch(S, (ahead[0, j] >> 1) * k + i)
                value = scale * data[e]
                value = value if code & 1 else -value
                total[code >> 1] += value * weights[r]
                for i in range(0, whole, _LANES):
                    _axpy(S, target + i, line, i, value)
                for i in range(whole, k):
                    S[target + i] += value * line[i]


def add_measured(S, total, data, indices, indptr, W, weights, seed, n_blocks, block_size):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_measured`."""
    (m, k), flat = S.shape, S.reshape(-1)
    key = np.uint64(seed), n_blocks, block_size
    if (indptr[-1] - indptr[0]) * n_blocks < _FEW * m:
        _add_few(flat, k, total, data, indices, indptr, W, weights, key, _aligned(k + _LANES))
        return
    found = find_presums(data, indices, indptr, n_blocks)
    if found is not None:
        data, indices, indptr = found.data, found.indices, found.indptr
    cuts = _chunks(indptr[: len(W) + 1])
    panels, weights, cuts = _packed(W, weights, cuts, found)
    longest = int(np.max(indptr[cuts[1:]] - indptr[cuts[:-1]]))

    def add(block, left, right):
        scratch = (
            np.empty(longest, dtype=np.uint32 if block_size <= 1 << 31 else np.uint64),
            np.empty(block_size + 2, dtype=np.int64),
            *_sorted_arrays(longest),
        )
        csr = data, indices, indptr
        _add_block(flat, k, total, *csr, weights, cuts, panels, key, block, left, right, scratch)

    run_tasks(
        add,
        _tasks(n_blocks, -(-k // _LANES) * _LANES),
        work=(indptr[-1] - indptr[0]) * n_blocks * k / _LANES,
    )


def _packed(W, weights, cuts, found):
    """Return weights * W in strips, see `_pack`, then the sums of the recurring features found.

    Also the weights of all these rows and the cuts between their chunks.
    """
    n, k = W.shape
    padded = -(-k // _LANES) * _LANES
    panels = _aligned((n + (found.size if found else 0)) * padded)

    def part(lo, hi):
        for c in range(lo, hi):
            _pack(W, weights, cuts, c, panels)

    run_ranges(part, len(cuts) - 1, work=W.size)
    if found is None:
        return panels, weights, cuts
    sums = sum_presums(found, W, weights, panels[n * padded :])
    return panels, np.concatenate([weights, sums]), np.append(cuts, n + found.size)


def _tasks(n_blocks, k):
    """Return (block, left, right) for tasks enough to go round evenly among the threads."""
    threads, columns = thread_count(), [(0, k)]
    if n_blocks % threads and n_blocks < 4 * threads:
        # Each part of the columns sorts the entries of its block again.
        columns = split_range(k, -(-2 * threads // n_blocks), _STRIP) or columns
    return [(block, left, right) for block in range(n_blocks) for left, right in columns]


def _sorted_arrays(size):
    """Return arrays for sorted entries: their row in the chunk, and their value."""
    return np.empty(size, dtype=np.uint16), np.empty(size)


# ------------------------------------------------------------------------------- entries as given


@_jit
def _sort_entries(data, indices, indptr, top, end, starts, rows, values):
    """Sort the entries of rows top..end-1 of a CSR array by column, see `_sort_block`."""
    for i in range(len(starts)):
        starts[i] = 0
    for e in range(indptr[top], indptr[end]):
        starts[indices[e] + 2] += 1
    for i in range(2, len(starts)):
        starts[i] += starts[i - 1]
    for r in range(top, end):
        for e in range(indptr[r], indptr[r + 1]):
            place = starts[indices[e] + 1]
            starts[indices[e] + 1] = place + 1
            rows[place] = r - top
            values[place] = data[e]


@_jit
def _cross_few(S, k, data, indices, indptr, W, line):
    """S += Y^T W entry by entry; S is flat, `line` a row of whole vectors."""
    whole = k // _LANES * _LANES
    for row in range(len(indptr) - 1):
        for i in range(k):
            line[i] = W[row, i]
        for e in range(indptr[row], indptr[row + 1]):
            if e + 1 < indptr[row + 1]:
                for i in range(0, k, _LANES):
                    _prefetch(S, indices[e + 1] * k + i)
            target, value = int64(indices[e]) * k, float64(data[e])
            for i in range(0, whole, _LANES):
                _axpy(S, target + i, line, i, value)
            for i in range(whole, k):
                S[target + i] += value * line[i]


def add_cross(S, data, indices, indptr, W):
    """Twin of :func:`sklearn_sparse_eig.kernels.add_cross`."""
    (m, k), flat = S.shape, S.reshape(-1)
    if indptr[-1] - indptr[0] < _FEW * m:
        _cross_few(flat, k, data, indices, indptr, W, _aligned(k + _LANES))
        return
    cuts = _chunks(indptr)
    panels = _packed(W, np.ones(len(W)), cuts, None)[0]
    padded = -(-k // _LANES) * _LANES
    sizes = indptr[cuts[1:]] - indptr[cuts[:-1]]
    starts = np.empty(m + 2, dtype=np.int64)
    rows, values = _sorted_arrays(int(sizes.max()))
    for top, end in zip(cuts[:-1], cuts[1:], strict=True):
        _sort_entries(data, indices, indptr, top, end, starts, rows, values)

        def part(low, high, start=top * padded, n=end - top):
            args = panels, start, n, rows, values, starts[low:]
            _add_chunk(flat, k, low, high, 0, padded, *args)

        run_ranges(part, m, work=(indptr[end] - indptr[top]) * k / _LANES)
