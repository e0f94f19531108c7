"""Which rows have been seen, as a small sample of their hashes that adds up over shards."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

# Distinct rows that are remembered (256 KB): all of a smaller stream, of a longer one a sample.
_MOST_KEPT = 2**14
# Floats of a temporary array that stays in the cache of a processor (256 KB).
_BLOCK = 2**15
_ALL = np.uint64(2**64 - 1)
# Share of known rows beyond what chance explains that is told.
_TOLERATED = 0.1


@dataclass(frozen=True)
class SeenRows:
    """Record of the rows with the smallest hashes, and of how often each was seen.

    All rows with a hash up to ``limit`` are kept, which is a random sample of the distinct rows.
    Counts add up and can be subtracted, so that a sum over shards is as one stream.

    Parameters
    ----------
    hashes : ndarray of uint64
        Hashes in increasing order.
    counts : ndarray of int64
    limit : uint64
    """

    hashes: np.ndarray
    counts: np.ndarray
    limit: np.uint64 = _ALL

    @classmethod
    def none(cls) -> "SeenRows":
        """Return the record of a stream without rows."""
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.int64))

    @classmethod
    def of(cls, hashes: np.ndarray) -> "SeenRows":
        """Return the record of rows with these hashes."""
        return cls.none().plus(cls(*np.unique(hashes, return_counts=True)))

    def plus(self, other: "SeenRows", sign: float = 1.0) -> "SeenRows":
        """Return the sum of this record and `sign` times another one."""
        limit = min(self.limit, other.limit)
        both = np.concatenate([self.hashes, other.hashes])
        hashes, place = np.unique(both, return_inverse=True)
        counts = np.zeros(len(hashes), np.int64)
        np.add.at(counts, place, np.concatenate([self.counts, int(sign) * other.counts]))
        kept = (counts > 0) & (hashes <= limit)
        hashes, counts = hashes[kept][:_MOST_KEPT], counts[kept][:_MOST_KEPT]
        if kept.sum() > _MOST_KEPT:
            limit = hashes[-1]
        return SeenRows(hashes, counts, limit)

    def known_share(self, hashes: np.ndarray) -> float:
        """Return the share of rows that have been seen, or 0 if chance may explain it.

        Rows of few possible values repeat themselves. By Good (1953) a new row has been seen
        before with a probability of about one less the share of rows that were seen once.

        References
        ----------
        Good, "The population frequencies of species and the estimation of population parameters",
        Biometrika 40, 1953.
        """
        sampled = hashes[hashes <= self.limit]
        if not len(sampled) or not len(self.hashes):
            return 0.0
        share = float(np.isin(sampled, self.hashes).mean())
        expected = 1.0 - (self.counts == 1).sum() / self.counts.sum()
        spread = np.sqrt(expected * (1.0 - expected) / len(sampled))
        return share if share > expected + 3.0 * spread + _TOLERATED else 0.0


def hash_rows(X: Any) -> np.ndarray:
    """Return a hash of each row, an array of uint64; equal rows, dense or CSR, have equal ones.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, ...)
        Or a list of texts, or a frame.
    """
    if sp.issparse(X):
        return _hash_sparse(sp.csr_array(X))
    if hasattr(X, "kwargs"):
        # Each array in its own way, so that two of them cannot change places.
        parts = [hash_rows(array) * weight for (_, array), weight in _weighted(X)]
        return _mix(np.add.reduce(parts))
    rows = _as_array(X)
    if rows.dtype.kind not in "biuf":
        return np.array([_hash_object(row) for row in rows], dtype=np.uint64)
    rows = np.asarray(rows).reshape(len(rows), -1)
    weights = _weights(np.arange(rows.shape[1]))
    step = max(1, _BLOCK // max(rows.shape[1], 1))
    parts = [
        _hash_entries(rows[i : i + step], weights).sum(axis=1) for i in range(0, len(rows), step)
    ]
    return _mix(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)


class RowHashes:
    """Hashes of rows that are read once, in whatever parts they come.

    Parameters
    ----------
    X : anything with rows

    Attributes
    ----------
    rows : anything with rows
        To be read in the place of X.
    """

    def __init__(self, X: Any) -> None:
        self.rows = X
        self._parts: list[np.ndarray] = []
        if hasattr(X, "watched"):  # in another order each time, perhaps, and not in memory
            self.rows = X.watched(lambda rows: self._parts.append(hash_rows(rows)))
        else:
            self._parts.append(hash_rows(X))

    def found(self) -> np.ndarray:
        """Return the hashes, once the rows have been read."""
        return np.concatenate([np.zeros(0, np.uint64), *self._parts])


def _weighted(X):
    """Return the arrays of several by name, in the order of names, each with an odd weight."""
    columns = sorted(X.items())
    return zip(columns, _weights(np.arange(len(columns))), strict=True)


def _hash_sparse(rows):
    entries = _hash_entries(rows.data, _weights(rows.indices))
    # Differences of running sums, which are exact as they wrap around.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(entries, dtype=np.uint64)])
    return _mix(sums[rows.indptr[1:]] - sums[rows.indptr[:-1]])


def _hash_entries(values, weights):
    """Return a hash of each entry: 0 for zeros, which CSR rows leave out; weights are odd."""
    # Minus zero is zero.
    hashed = np.add(values, 0.0, dtype=np.float64, order="C").view(np.uint64)
    hashed *= weights
    hashed ^= hashed >> np.uint64(32)
    hashed *= weights
    return hashed


def _weights(columns):
    return _mix(columns.astype(np.uint64) + np.uint64(1)) | np.uint64(1)


def _mix(words):
    """Return the words with all bits mixed (the finaliser of SplitMix64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _hash_object(row):
    text = repr(row.tolist() if hasattr(row, "tolist") else row)
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _as_array(X):
    # Not an array of texts, whose entries would all be as long as the longest.
    rows = np.asarray(X, dtype=None if hasattr(X, "__array__") else object)
    if rows.dtype == object and rows.ndim > 1:
        try:
            return rows.astype(np.float64)
        except (TypeError, ValueError):
            return rows  # of texts, or with gaps that are no numbers
    return rows
