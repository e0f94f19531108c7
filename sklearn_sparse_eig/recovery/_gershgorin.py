"""Bounds on sparse eigenvalues from the largest entries of each row of a matrix.

Let lam be the largest eigenvalue of B_SS for ``|S| = s``. With ``|B_ij|`` off the diagonal lam can
only grow, so that for any weights x > 0 (Collatz and Wielandt)

    lam <= max over i in S of B_ii + sum over the other j in S of |B_ij| x_j / x_i.

The sum is at most that of the s - 1 largest ``|B_ij| x_j``. See ``doc/sparse_eigenproblem.md``,
"How far from the best".
"""

import numpy as np
import scipy.sparse as sp

# Floats of a block of rows: 4 MB.
_BUFFER = 1 << 19
# Passes over B for better weights: so many entries are read, and so many passes made.
_WORK, _MAX_ITER, _MIN_ITER = 2e8, 40, 3
# The least weight, beside the largest, and the gain of a pass that is worth another.
_LEAST_WEIGHT, _LEAST_GAIN = 1e-3, 1e-5
# Groups of fewer columns save no time.
_MIN_GROUP = 3


def perron_bound(
    B: np.ndarray | sp.csr_array, size: int, enough: float = -np.inf, sign: float = 1.0
) -> float:
    """Return an upper bound on the value of all supports of a given size.

    Parameters
    ----------
    B : ndarray or csr_array of shape (n, n)
    size : int
    enough : float
        A bound that needs no improvement.
    sign : float, default=1.0
        -1 stands for -B.
    """
    diagonal = sign * B.diagonal()
    n = len(diagonal)
    weights, bound = np.ones(n), np.inf
    max_iter = int(np.clip(_WORK / n**2, _MIN_ITER, _MAX_ITER))
    for _ in range(max_iter):
        images = diagonal * weights + largest_sums(B, size - 1, weights)
        previous, bound = bound, min(bound, float((images / weights).max()))
        if bound <= enough or previous - bound <= _LEAST_GAIN * abs(bound):
            break
        weights = next_weights(images, weights, diagonal)
    return bound


def next_weights(images: np.ndarray, weights: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """Return the images, shifted to be positive and scaled: a step of the power method."""
    positive = images + max(0.0, -float(diagonal.min())) * weights
    largest = float(positive.max())
    if largest <= 0.0:
        return weights
    return np.maximum(positive / largest, _LEAST_WEIGHT)


def frobenius_bound(diagonal: np.ndarray, entries: np.ndarray, size: int) -> float:
    """Return the root of the sum of the squares that a principal submatrix may hold.

    Parameters
    ----------
    diagonal : ndarray of shape (n,)
    entries : ndarray of shape (n, size - 1)
        The largest off the diagonal, see `largest_entries`.
    size : int
    """
    rows = diagonal**2 + np.square(entries).sum(axis=1)
    return float(np.sqrt(np.sort(rows)[-size:].sum()))


def largest_sums(
    B: np.ndarray | sp.csr_array, count: int, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return, for each row, the sum of the largest |B_ij| weights_j off the diagonal."""
    return _by_rows(B, count, weights, lambda entries: entries.sum(axis=1))


def largest_entries(B: np.ndarray | sp.csr_array, count: int) -> np.ndarray:
    """Return, for each row, the largest |B_ij| off the diagonal in descending order."""
    return _by_rows(B, count, None, lambda entries: -np.sort(-entries, axis=1))


def _by_rows(B, count, weights, summarise):
    """Return what a function makes of the largest entries of some rows, for all rows."""
    n = B.shape[0]
    count = min(count, n - 1)
    if sp.issparse(B):
        return summarise(_largest_stored(sp.coo_array(B), count, weights))
    parts, step = [], max(1, _BUFFER // n)
    for low in range(0, n, step):
        rows = _off_diagonal(B, low, min(low + step, n))
        if weights is not None:
            rows *= weights
        parts.append(summarise(largest_of_rows(rows, count)))
    return np.concatenate(parts)


def _off_diagonal(B, low, high):
    rows = np.abs(B[low:high])
    rows[np.arange(high - low), np.arange(low, high)] = 0.0
    return rows


def largest_of_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """Return the largest entries of each row, in any order.

    They lie in those groups of columns whose maxima are largest, which leaves few to sort.
    """
    n_rows, n = rows.shape
    if count <= 0:
        return rows[:, :0]
    if count >= n:
        return rows
    in_group = int(np.sqrt(n / count))
    if in_group >= _MIN_GROUP and n_rows:
        n_groups = n // in_group
        groups = rows[:, : in_group * n_groups].reshape(n_rows, in_group, n_groups)
        maxima = groups.max(axis=1)
        best = np.argpartition(maxima, n_groups - count, axis=1)[:, n_groups - count :]
        members = np.take_along_axis(groups, best[:, None, :], axis=2).reshape(n_rows, -1)
        rows = np.hstack([members, rows[:, in_group * n_groups :]])
        n = rows.shape[1]
    return np.partition(rows, n - count, axis=1)[:, n - count :]


def _largest_stored(B, count, weights):
    """Return the same for a sparse matrix, zeros where a row has fewer entries."""
    off = B.row != B.col
    row, values = B.row[off], np.abs(B.data[off])
    if weights is not None:
        values = values * weights[B.col[off]]
    order = np.lexsort((-values, row))
    row, values = row[order], values[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)  # within its row
    kept = place < count
    entries = np.zeros((B.shape[0], count))
    entries[row[kept], place[kept]] = values[kept]
    return entries
