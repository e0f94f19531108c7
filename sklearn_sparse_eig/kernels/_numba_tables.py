"""Numba twins of the kernels that add ids by their buckets: Gram matrices and bit tests."""

import numpy as np
from numba import int64

from .._base.threads import run_ranges
from ._numba_base import _LANES, _TABLE, _axpy, _code_table, _jit


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
