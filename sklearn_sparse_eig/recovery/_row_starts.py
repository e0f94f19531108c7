"""Starts for the sparse eigenproblem from rows of the matrix: an index and its best partners.

Notation as in ``_sparse_principal``. The vectors that a solution of few nonzeros couples strongly
lie in one row of B: for every index i, the block of i and of the s - 1 indices of largest
``|B_ij|`` is iterated alone, which costs O(s^2) a step instead of O(p s).
"""

import numpy as np

# Entries of blocks looked at in all, which bounds time (a few tenths of a second), and at once,
# which bounds memory (8 MB).
_BLOCK_WORK = 2e6
_BLOCK_ENTRIES = 1 << 20
_POWER_STEPS = 4
# A start that shares more of its support with a better one leads to the same optimum.
_LARGEST_OVERLAP = 0.6
_TINY = np.finfo(np.float64).tiny


def row_starts(B, s, shift, n_starts):
    """Return unit vectors on the best and most different row blocks, the best first.

    Parameters
    ----------
    B : ndarray of shape (p, p)
        Symmetric.
    s : int
        Nonzeros of a vector, below p.
    shift : float
        By which B is positive semidefinite, so that power steps climb.
    n_starts : int
        The largest number of vectors.

    Returns
    -------
    ndarray of shape (n, p)
        With ``1 <= n <= n_starts``.

    Notes
    -----
    O(p^2 + p s^2) time. Where the blocks are too large for all rows, those of largest
    ``B_ii + |largest s - 1 entries|_2`` are taken.
    """
    p = len(B)
    step = max(1, _BLOCK_ENTRIES // max(p, s**2))
    rows, supports = np.arange(p), _partners(B, s, step)
    n_rows = max(n_starts, int(_BLOCK_WORK // s**2))
    if n_rows < p:
        promise = np.linalg.norm(B[rows[:, None], supports], axis=1) + np.diagonal(B)
        rows = np.sort(np.argpartition(-promise, n_rows - 1)[:n_rows])
        supports = supports[rows]
    parts = [
        _block_power(B, rows[low : low + step], supports[low : low + step], shift)
        for low in range(0, len(rows), step)
    ]
    vectors, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    chosen = _distinct(supports, values, p, n_starts)
    result = np.zeros((len(chosen), p))
    np.put_along_axis(result, supports[chosen], vectors[chosen], axis=1)
    return result


def _partners(B, s, step):
    """Return, for each index, itself with its s - 1 strongest partners, shape (p, s)."""
    p = len(B)
    supports = np.empty((p, s), dtype=np.intp)
    for low in range(0, p, step):
        strength = np.abs(B[low : low + step])
        np.negative(strength, out=strength)
        own = np.arange(low, low + len(strength))
        strength[own - low, own] = -np.inf
        supports[own] = np.argpartition(strength, s - 1, axis=1)[:, :s]
    return supports


def _block_power(B, rows, supports, shift):
    """Return vectors (n, s) on the supports after a few power steps, and their values (n,)."""
    blocks = B[supports[:, :, None], supports[:, None, :]]
    vectors = B[rows[:, None], supports]
    for _ in range(_POWER_STEPS):
        # A row of zeros stays what it is: its value is 0.
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _TINY)
        unit, images = vectors, np.matmul(blocks, vectors[:, :, None])[:, :, 0]
        vectors = images + shift * unit
    return unit, np.einsum("ni,ni->n", unit, images)


def _distinct(supports, values, p, n_starts):
    """Return the positions of the best supports that overlap little with better ones."""
    s = supports.shape[1]
    chosen, members = [], np.zeros((n_starts, p), dtype=bool)
    for i in np.argsort(-values, kind="stable"):
        overlap = members[: len(chosen), supports[i]].sum(axis=1)
        if not len(chosen) or overlap.max() <= _LARGEST_OVERLAP * s:
            members[len(chosen), supports[i]] = True
            chosen.append(i)
            if len(chosen) == n_starts:
                break
    return np.array(chosen)
