"""All supports of a small problem, by enumeration.

The value of a support S is the largest eigenvalue of B_SS, which never falls when S grows.
"""

from collections.abc import Iterator
from itertools import chain, combinations, islice

import numpy as np

# Supports whose eigenvalues are computed at a time.
_CHUNK = 4096
# Supports times cubes of their features: tenths of a second.
_MAX_WORK = 3e8


def best_support(B: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Return the support of a given size of largest value, and the value, by enumeration."""
    best, value = np.arange(size), -np.inf
    for supports in _chunks(np.arange(len(B)), size):
        values = support_values(B, supports)
        first = int(np.argmax(values))
        if values[first] > value:
            best, value = supports[first], float(values[first])
    return best, value


def is_little_work(n_supports: int, size: int, most: int) -> bool:
    """Return whether so many supports are few enough to be looked at: one always is."""
    return n_supports == 1 or (n_supports <= most and n_supports * size**3 <= _MAX_WORK)


def best_completion(
    B: np.ndarray, chosen: np.ndarray, free: np.ndarray, needed: int
) -> tuple[np.ndarray, float]:
    """Return the best support of the chosen and some free features, and its value.

    Parameters
    ----------
    B : ndarray of shape (p, p)
    chosen, free : ndarray of int64
    needed : int
        How many free features to take. All completions are looked at.
    """
    rest = np.concatenate(list(_chunks(free, needed)))
    fixed = np.broadcast_to(chosen, (len(rest), len(chosen)))
    supports = np.hstack([fixed, rest])
    values = support_values(B, supports)
    first = int(np.argmax(values))
    return supports[first], float(values[first])


def support_values(B: np.ndarray, supports: np.ndarray) -> np.ndarray:
    """Return the largest eigenvalue of each principal submatrix."""
    return np.linalg.eigvalsh(B[supports[:, :, None], supports[:, None, :]])[:, -1]


def _chunks(ids, size) -> Iterator[np.ndarray]:
    """Return all subsets of a given size, some thousand at a time."""
    if size == 0:
        yield np.zeros((1, 0), dtype=np.int64)
        return
    subsets = combinations(ids.tolist(), size)
    while part := list(islice(subsets, _CHUNK)):
        flat = np.fromiter(chain.from_iterable(part), np.int64, len(part) * size)
        yield flat.reshape(-1, size)
