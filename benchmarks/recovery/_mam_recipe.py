"""The published decoder of the MAM* experiments: medians of readings, one vector at a time."""

import numpy as np

# Readings that differ by less than this share of the largest are equal, or zero, to the recipe:
# eigenvectors are not exact, and a test for equality would reject everything.
EQUAL = 1e-9
CHUNK = 1 << 18


def median_decode(y, measurement, size, accept):
    """Return the ids and values of the `size` features with the largest medians in y.

    A reading of feature n is y at the row n mod p of the block of prime p; with `accept` a feature
    counts only where all K readings are nonzero and their median is their mode. All N features are
    tried. Most are ruled out by what their readings must satisfy, which is counted for a chunk of
    them at a time: half the readings as large as the smallest median kept; none zero and two
    equal. That saves time and changes nothing.
    """
    primes = measurement.primes
    K, N = len(primes), measurement.n_features
    offsets = np.concatenate([[0], np.cumsum(primes)[:-1]])
    blocks = [y[low : low + p] for low, p in zip(offsets, primes, strict=True)]
    tolerance = EQUAL * np.abs(y).max()
    nonzero = np.abs(y) > tolerance
    conditions = []
    if accept:
        block_of = np.repeat(np.arange(K), primes)
        conditions = [(_periods(nonzero, offsets, primes), K)]
        conditions += [(_periods(_repeated(y, block_of, tolerance), offsets, primes), 2)]
    ids, values = np.empty(0, dtype=np.int64), np.empty(0)
    least, large = -1.0, None
    for low in range(0, N, CHUNK):
        width = min(CHUNK, N - low)
        smallest = np.abs(values).min() if len(values) == size else 0.0
        if smallest > least:
            least = smallest
            large = _periods(np.abs(y) >= least, offsets, primes), (K + 1) // 2
        kept = np.ones(width, dtype=bool)
        for periods, needed in [*conditions, large]:
            count = np.zeros(width, dtype=np.uint8)
            for period, p in zip(periods, primes, strict=True):
                count += period[low % p : low % p + width]
            kept &= count >= needed
        found = low + np.flatnonzero(kept)
        readings = np.stack([b[found % p] for b, p in zip(blocks, primes, strict=True)], axis=1)
        medians = np.median(readings, axis=1)
        if accept and len(found):
            good = _median_is_mode(readings, medians, tolerance)
            found, medians = found[good], medians[good]
        ids, values = np.concatenate([ids, found]), np.concatenate([values, medians])
        if len(ids) > size:
            best = np.argpartition(-np.abs(values), size - 1)[:size]
            ids, values = ids[best], values[best]
    return ids, values * np.sqrt(K)


def median_decode_among(y, measurement, candidates, size):
    """Return the same with acceptance, for given candidates: the oracle of the public scripts."""
    primes = measurement.primes
    offsets = np.concatenate([[0], np.cumsum(primes)[:-1]])
    readings = y[candidates[:, None] % primes + offsets]
    medians = np.median(readings, axis=1)
    tolerance = EQUAL * np.abs(y).max()
    good = (np.abs(readings) > tolerance).all(axis=1)
    good &= _median_is_mode(readings, medians, tolerance)
    ids, values = candidates[good], medians[good]
    best = np.argsort(-np.abs(values), kind="stable")[:size]
    return ids[best], values[best] * np.sqrt(len(primes))


def _periods(flags, offsets, primes):
    """Return the flags of each block, repeated beyond a chunk so that any slice of it is there."""
    flags = flags.astype(np.uint8)
    return [
        np.resize(flags[low : low + p], CHUNK + p) for low, p in zip(offsets, primes, strict=True)
    ]


def _repeated(y, block_of, tolerance):
    """Return which entries of y have an equal one in another block."""
    order = np.argsort(y, kind="stable")
    repeated = np.zeros(len(y), dtype=bool)
    close = np.flatnonzero(np.diff(y[order]) <= tolerance)
    # Neighbours in one block may both equal a third one: runs of close values are taken whole.
    for run in np.split(close, np.flatnonzero(np.diff(close) > 1) + 1):
        if len(run):
            members = order[run[0] : run[-1] + 2]
            repeated[members] = len(np.unique(block_of[members])) > 1
    return repeated


def _median_is_mode(readings, medians, tolerance):
    """Return where no reading is repeated oftener than the median, and that at least once."""
    at_median = (np.abs(readings - medians[:, None]) <= tolerance).sum(axis=1)
    most = np.zeros(len(readings), dtype=np.int64)
    for column in readings.T:
        np.maximum(most, (np.abs(readings - column[:, None]) <= tolerance).sum(axis=1), out=most)
    return (at_median >= 2) & (at_median == most)
