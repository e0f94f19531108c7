"""All supports of a small problem: by enumeration, or by branch and bound.

The value of a support S is the largest eigenvalue of B_SS, which never falls when S grows.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain, combinations, islice
from math import comb

import numpy as np

from ._gershgorin import node_bound

# Supports whose eigenvalues are computed at a time.
_CHUNK = 4096
# Completions of a node that are enumerated rather than branched on.
_LEAF = 300


def best_support(B: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Return the support of a given size of largest value, and the value, by enumeration."""
    best, value = np.arange(size), -np.inf
    for supports in _chunks(np.arange(len(B)), size):
        values = _values(B, supports)
        first = int(np.argmax(values))
        if values[first] > value:
            best, value = supports[first], float(values[first])
    return best, value


def branch_and_bound(
    B: np.ndarray, size: int, value: float, *, max_nodes: int, tol: float
) -> float:
    """Return an upper bound on the value of all supports of a given size.

    Parameters
    ----------
    B : ndarray of shape (p, p)
    size : int
        Less than p.
    value : float
        That of some support, from which the search starts.
    max_nodes : int
        Nodes to expand. Beyond them the bound is that of the best node left.
    tol : float
        Improvements below it are not looked for.

    Returns
    -------
    float
        The largest value, up to tol, where the search has ended.
    """
    best, n_nodes, order = value, 0, 0
    heap = [(-np.inf, order, np.zeros(0, dtype=np.int64), np.arange(len(B)))]
    while heap:
        bound, _, chosen, free = heappop(heap)
        bound = -bound
        if bound <= best + tol:
            break
        if n_nodes == max_nodes:
            return bound
        n_nodes += 1
        needed = size - len(chosen)
        if comb(len(free), needed) <= _LEAF:
            best = max(best, _best_completion(B, chosen, free, needed))
            continue
        best, feature = _branch(B, chosen, free, needed, best)
        rest = free[free != feature]
        for fixed in (np.append(chosen, feature), chosen):
            estimate = min(bound, node_bound(B, fixed, rest, size))
            if estimate > best + tol:
                order += 1
                heappush(heap, (-estimate, order, fixed, rest))
    return best + tol


def _branch(B, chosen, free, needed, best):
    """Return the best value known, and the free feature with the largest share of what is left."""
    ids = np.concatenate([chosen, free])
    vector = np.abs(np.linalg.eigh(B[np.ix_(ids, ids)])[1][len(chosen) :, -1])
    order = free[np.argsort(-vector, kind="stable")]
    support = np.concatenate([chosen, order[:needed]])
    return max(best, float(_values(B, support[None])[0])), order[0]


def _best_completion(B, chosen, free, needed):
    supports = np.concatenate(list(_chunks(free, needed)))
    fixed = np.broadcast_to(chosen, (len(supports), len(chosen)))
    return float(_values(B, np.hstack([fixed, supports])).max())


def _values(B, supports):
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
