"""Bounds on sparse eigenvalues from the rows of a matrix: sums of its largest entries.

Let lam be the largest eigenvalue of B_SS for |S| = s, and v its eigenvector, largest entry 1. Then

    lam |v_i| <= B_ii |v_i| + sum of |B_ij| |v_j| over the other j in S,

so that lam is at most B_ii plus the s - 1 largest |B_ij|, for the i of the largest entry. See
``doc/sparse_eigenproblem.md``, "How far from the best".
"""

import numpy as np
import scipy.sparse as sp

# Rounds in which the bounds on the entries of v are tightened.
_N_ROUNDS = 5
# Floats of a block of rows: 16 MB.
_BUFFER = 1 << 21


def row_bound(B: np.ndarray | sp.csr_array, size: int, value: float) -> float:
    """Return an upper bound on the value of all supports of a given size.

    Parameters
    ----------
    B : ndarray or csr_array of shape (n, n)
    size : int
    value : float
        A value that is reached: smaller ones need no bound.
    """
    diagonal = B.diagonal()
    weights, bound = np.ones(len(diagonal)), np.inf
    for _ in range(_N_ROUNDS):
        sums = largest_sums(B, size - 1, weights)
        leader = float((diagonal + sums).max())  # the row of the largest entry, whose weight is 1
        if leader >= bound * (1.0 - 1e-4):
            return min(leader, bound)
        bound = leader
        # lam |v_i| <= B_ii |v_i| + sums_i, and lam >= value.
        room = value - diagonal
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = np.where(room > sums, sums / room, 1.0)
        weights = np.minimum(weights, 1.0)
    return bound


def frobenius_bound(B: np.ndarray | sp.csr_array, size: int) -> float:
    """Return the root of the sum of the squares that a principal submatrix may hold."""
    squares = sp.csr_array(B).power(2) if sp.issparse(B) else np.square(B)
    diagonal = B.diagonal()
    rows = diagonal**2 + largest_sums(squares, size - 1)
    return float(np.sqrt(np.sort(rows)[-size:].sum()))


def largest_sums(
    B: np.ndarray | sp.csr_array, count: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return, for each row, the sum of the largest |B_ij| weights_j off the diagonal."""
    n = B.shape[0]
    if count == 0:
        return np.zeros(n)
    if sp.issparse(B):
        return _sparse_largest_sums(sp.coo_array(B), count, weights)
    sums, step = np.empty(n), max(1, _BUFFER // n)
    for low in range(0, n, step):
        rows = _off_diagonal(B, low, min(low + step, n))
        if weights is not None:
            rows *= weights
        if count < n:
            rows = np.partition(rows, n - count, axis=1)[:, n - count :]
        sums[low : low + step] = rows.sum(axis=1)
    return sums


def _off_diagonal(B, low, high):
    rows = np.abs(B[low:high])
    rows[np.arange(high - low), np.arange(low, high)] = 0.0
    return rows


def _sparse_largest_sums(B, count, weights):
    off = B.row != B.col
    row, values = B.row[off], np.abs(B.data[off])
    if weights is not None:
        values = values * weights[B.col[off]]
    order = np.lexsort((-values, row))
    row, values = row[order], values[order]
    starts = np.searchsorted(row, row)  # where the row of an entry begins
    kept = np.arange(len(row)) - starts < count
    return np.bincount(row[kept], values[kept], minlength=B.shape[0])


def possible_features(B: np.ndarray, size: int, value: float) -> np.ndarray:
    """Return the features that a support of larger value may contain.

    A support with feature j has at most the largest of the row bounds with j among the entries.
    """
    ids = np.arange(len(B))
    while len(ids) > size:
        block = B if len(ids) == len(B) else B[np.ix_(ids, ids)]
        kept = ids[_bounds_with_each(block, size) > value]
        if len(kept) == len(ids):
            break
        ids = kept
    return ids


def _bounds_with_each(B, size):
    """Return a bound on the value of the supports that contain a feature, for each of them."""
    n = len(B)
    if size == 1:
        return B.diagonal()
    bounds, step = np.full(n, -np.inf), max(1, _BUFFER // n)
    for low in range(0, n, step):
        here = np.arange(low, min(low + step, n))
        rows = _off_diagonal(B, low, here[-1] + 1)
        largest = np.partition(rows, n - size + 1, axis=1)[:, n - size + 1 :]
        sums = B[here, here] + largest.sum(axis=1)
        bounds[here] = np.maximum(bounds[here], sums)
        # With j, which is not among the largest, the least of these goes.
        with_j = sums[:, None] - np.maximum(largest[:, :1] - rows, 0.0)
        with_j[here - low, here] = sums
        np.maximum(bounds, with_j.max(axis=0), out=bounds)
    return bounds


def node_bound(B: np.ndarray, chosen: np.ndarray, free: np.ndarray, size: int) -> float:
    """Return an upper bound on the value of supports that hold the chosen and some free features.

    Parameters
    ----------
    B : ndarray of shape (p, p)
    chosen, free : ndarray of int64
    size : int
        Features in a support.
    """
    needed = size - len(chosen)
    ids = np.concatenate([chosen, free])
    if needed >= len(free) or needed == 0:
        ids = ids[:size] if needed == 0 else ids
        return float(np.linalg.eigvalsh(B[np.ix_(ids, ids)])[-1])
    block = B[np.ix_(ids, ids)]
    spectral = float(np.linalg.eigvalsh(block)[-1])
    rows, n = _off_diagonal(block, 0, len(ids)), len(chosen)
    sums = block.diagonal() + rows[:, :n].sum(axis=1)
    largest = -np.sort(-rows[:, n:], axis=1)[:, :needed]
    sums[:n] += largest[:n].sum(axis=1)
    sums[n:] += largest[n:, : needed - 1].sum(axis=1)  # these rows are one of those needed
    return min(spectral, float(sums.max()))
