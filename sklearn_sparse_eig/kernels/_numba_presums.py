"""Features that recur in a batch of sparse rows, brought together before they are hashed.

A feature that occurs c times adds c rows of W to each of its K rows of S. Where their sum is formed
first, K more rows do: c + K products instead of c K. The sum stands for a row of its own with the
feature as its only entry.
"""

from dataclasses import dataclass

import numpy as np
from numba import int64, uint64

from .._base.threads import run_ranges
from ._numba_base import _LANES, _jit, _mix64, _strip, _sum_row

# Nonzeros looked at before all are counted, and the share of them that must occur again.
_SAMPLE, _SHARE = 1 << 12, 1.0 / 16.0
# Features summed at most: their sums take 2 k floats for each entry of a block that they add.
_MOST = 1 << 14
# Features are counted in parts of the range of a hash, each with a table that stays in the cache.
_PARTS_LOG = 6
# Features that occur more often than this need not be told apart by how often they do.
_OFTEN = 1 << 10


@dataclass
class Presums:
    """Rows of which recurring features were taken out, and those features.

    Attributes
    ----------
    data, indices, indptr : ndarray
        The rows without them, then one row with a one for each of them.
    starts, rows, values : ndarray
        Feature f is values[e] in row rows[e] for e from starts[f] to starts[f + 1] - 1.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    values: np.ndarray

    @property
    def size(self) -> int:
        """The number of recurring features."""
        return len(self.starts) - 1


def find_presums(data, indices, indptr, n_blocks):
    """Return the recurring features of CSR rows, or None where it does not pay to sum them."""
    first, last = int(indptr[0]), int(indptr[-1])
    # c K products against c + K, of which those of the sum are from farther away: twice as dear.
    fewest = 2 * n_blocks // (n_blocks - 2) + 1 if n_blocks > 2 else 0
    if not fewest or not _recurs(indices[first:last]):
        return None
    nnz, n = last - first, len(indptr) - 1
    features, counts, slots, occurring = _count(indices, first, last)
    at_least = np.cumsum(occurring[::-1])[::-1]
    while fewest < _OFTEN and at_least[fewest] > _MOST:
        fewest += 1
    g = int(at_least[fewest])
    if g == 0:
        return None
    rank = np.empty(nnz, dtype=np.int32)
    starts = np.zeros(g + 1, dtype=np.int64)
    total = _rank(counts, fewest, rank, starts)
    found = Presums(
        np.empty(nnz - total + g, dtype=data.dtype),
        np.empty(nnz - total + g, dtype=indices.dtype),
        np.empty(n + g + 1, dtype=np.int64),
        starts,
        np.empty(total, dtype=np.int32),
        np.empty(total),
    )
    lists = found.data, found.indices, found.indptr, found.rows, found.values
    _divide(data, indices, indptr, slots, rank, starts[:-1].copy(), features, *lists)
    return found


def _recurs(ids):
    """Whether a sample of ids says that many occur more than once."""
    sample = ids[:: max(1, len(ids) // _SAMPLE)][:_SAMPLE]
    sample = np.sort(sample)
    return np.count_nonzero(sample[1:] == sample[:-1]) > _SHARE * len(sample)


def _count(indices, first, last):
    """Return distinct ids with gaps, how often each occurs, where nonzeros have theirs.

    And how many ids occur 0, 1, 2, ... times, those beyond `_OFTEN` together.
    """
    nnz, n_parts = last - first, 1 << _PARTS_LOG
    bounds = np.zeros(n_parts + 2, dtype=np.int64)
    ids, places = np.empty(nnz, dtype=np.int64), np.empty(nnz, dtype=np.int32)
    _part_ids(indices, first, last, _PARTS_LOG, bounds, ids, places)
    features, counts = np.empty(nnz, dtype=np.int64), np.zeros(nnz, dtype=np.int32)
    slots = np.empty(nnz, dtype=np.int32)
    occurring = np.zeros((n_parts, _OFTEN + 1), dtype=np.int64)

    def count(low, high):
        longest = int(np.max(bounds[low + 1 : high + 1] - bounds[low:high]))
        table = np.empty(1 << (2 * longest).bit_length(), dtype=np.int32)
        for part in range(low, high):
            args = ids, places, bounds[part], bounds[part + 1], table
            _count_part(*args, features, counts, slots, occurring[part])

    run_ranges(count, n_parts, work=8 * nnz)
    return features, counts, slots, occurring.sum(axis=0)


@_jit
def _part_ids(indices, first, last, parts_log, bounds, ids, places):
    """Sort ids by the highest bits of their hash: part p from bounds[p] to bounds[p + 1] - 1."""
    shift = uint64(64 - parts_log)
    for e in range(first, last):
        bounds[int64(_mix64(uint64(indices[e])) >> shift) + 2] += 1
    for p in range(2, len(bounds)):
        bounds[p] += bounds[p - 1]
    for e in range(first, last):
        p = int64(_mix64(uint64(indices[e])) >> shift) + 1
        ids[bounds[p]] = indices[e]
        places[bounds[p]] = e - first
        bounds[p] += 1


@_jit
def _count_part(ids, places, low, high, table, features, counts, slots, occurring):
    """Count the ids low..high-1 in a hash table with open addressing, at most half full."""
    for i in range(len(table)):
        table[i] = 0
    mask, n = len(table) - 1, 0
    for e in range(low, high):
        key = ids[e]
        place = int64(_mix64(uint64(key)) & uint64(mask))
        while table[place] != 0 and features[low + table[place] - 1] != key:
            place = (place + 1) & mask
        if table[place] == 0:
            features[low + n] = key
            n += 1
            table[place] = n
        slot = low + table[place] - 1
        counts[slot] += 1
        slots[places[e]] = slot
    for slot in range(low, low + n):
        occurring[min(counts[slot], len(occurring) - 1)] += 1


@_jit
def _rank(counts, fewest, rank, starts):
    """Number the ids that occur `fewest` times or more; return how often they do together."""
    n = total = 0
    for slot in range(len(counts)):
        rank[slot] = -1
        if counts[slot] >= fewest:
            rank[slot] = n
            n += 1
            total += counts[slot]
            starts[n] = total
    return total


@_jit
def _divide(data, indices, indptr, slots, rank, place, features, light, ids, ptr, rows, values):
    """Write the nonzeros of features without a rank by rows, the others by features.

    Each of the latter also becomes a row with a one, after the others.
    """
    zero, out, n = indptr[0], 0, len(indptr) - 1
    for r in range(n):
        ptr[r] = out
        for e in range(indptr[r], indptr[r + 1]):
            slot = slots[e - zero]
            f = rank[slot]
            if f < 0:
                light[out] = data[e]
                ids[out] = indices[e]
                out += 1
            else:
                rows[place[f]] = r
                values[place[f]] = data[e]
                place[f] += 1
                ids[len(ids) - len(place) + f] = features[slot]
    for f in range(len(place)):
        ptr[n + f] = out + f
        light[out + f] = 1.0
    ptr[n + len(place)] = out + len(place)


@_jit
def _sum_strips(W, k, weights, starts, rows, values, low, high, n, panels, sums):
    """Write the sums of features low..high-1 of n to `panels`, strip by strip, and to `sums`.

    W is flat, with rows of k numbers, whole vectors.
    """
    for f in range(low, high):
        for e in range(starts[f], starts[f + 1]):
            values[e] *= weights[rows[e]]
            sums[f] += values[e]
    left = 0
    while left < k:
        width = _strip(k - left)
        for f in range(low, high):
            place = n * left + f * width
            for i in range(width):
                panels[place + i] = 0.0
            first, last = starts[f], starts[f + 1]
            _sum_row(panels, place, W, left, k, width, rows, values, first, last)
        left += width


def sum_presums(found, W, weights, panels):
    """Write the sums of diag(weights) W over each feature into strips; return those of weights.

    `found.values` are multiplied by the weights.
    """
    n, k = W.shape
    short = -k % _LANES
    flat = (np.pad(W, [(0, 0), (0, short)]) if short else W).reshape(-1)
    sums = np.zeros(found.size)

    def part(lo, hi):
        _sum_strips(
            flat, k + short, weights, found.starts, found.rows, found.values,
            lo, hi, found.size, panels, sums,
        )  # fmt: skip

    run_ranges(part, found.size, work=len(found.rows) * k / _LANES)
    return sums
