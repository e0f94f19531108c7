"""Features that no support of larger value can contain, by bounds on the supports that do.

Let S be a support of s features, i one of them, d the diagonal of B and b_i the norm of the s - 1
largest entries of row i off the diagonal. With U_t a bound on the value of supports of t features,

    lam_max(B_SS) <= lam_max [[d_i, b_i], [b_i, U_(s-1)]],                                   (block)

and, with c the largest of d and E_S the sum of squares off the diagonal (Wolkowicz, Styan, 1980),

    lam_max(B_SS) <= c + sqrt((s - 1) / s * E_S).                                          (squares)

Both hold for every i in S, so that features for which one of them is too small can be left out. See
``doc/sparse_eigenproblem.md``, "How far from the best".
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from ._gershgorin import frobenius_bound, largest_entries, largest_of_rows, perron_bound

# Floats of a block of rows: 4 MB.
_BUFFER = 1 << 19
# Features are left out again where more than this share of them went the last time.
_WORTHWHILE = 0.02


def possible_features(
    B: np.ndarray | sp.csr_array, size: int, value: float, sign: float = 1.0
) -> tuple[np.ndarray, np.ndarray | sp.csr_array, float]:
    """Return the features that a support of larger value may contain.

    Parameters
    ----------
    B : ndarray or csr_array of shape (n, n)
        Symmetric.
    size : int
        From 1 to n.
    value : float
        Supports of at most this value do not count.
    sign : float, default=1.0
        -1 stands for -B.

    Returns
    -------
    ids : ndarray of int64
        Fewer than `size` where there is no such support.
    block : ndarray or csr_array of shape (len(ids), len(ids))
        B at these features, of unchanged sign.
    bound : float
        What no support exceeds that has a larger value than `value`.
    """
    ids, block = np.arange(B.shape[0]), B
    while True:
        kept, bound = _kept(block, size, value, sign)
        ids = ids[kept]
        if len(ids) < size or bound <= value:
            return ids[:0], block[:0][:, :0], value
        if len(ids) == len(kept):
            return ids, block, bound
        block = block[kept][:, kept] if sp.issparse(block) else B[np.ix_(ids, ids)]
        if len(ids) >= (1.0 - _WORTHWHILE) * len(kept):
            return ids, block, bound


def _kept(B, size, value, sign):
    """Return which features remain, by the first test that leaves out many, and a bound."""
    diagonal, entries = sign * B.diagonal(), largest_entries(B, size - 1)
    bounds = size_bounds(diagonal, entries)
    kept = _kept_by_blocks(diagonal, entries, bounds, value)
    if not _are_many(~kept) and not sp.issparse(B):
        kept &= _kept_by_squares(B, diagonal, size, value)
    if not _are_many(~kept) and size > 2:
        bounds[-2] = min(bounds[-2], perron_bound(B, size - 1, sign=sign))
        kept &= _kept_by_blocks(diagonal, entries, bounds, value)
    return kept, bounds[-1]


def _are_many(dropped):
    return np.count_nonzero(dropped) > _WORTHWHILE * len(dropped)


def size_bounds(diagonal: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """Return bounds on the value of supports of 1 to s features.

    Parameters
    ----------
    diagonal : ndarray of shape (n,)
    entries : ndarray of shape (n, s - 1)
        The largest entries of each row off the diagonal, in descending order.

    Returns
    -------
    ndarray of shape (s,)
    """
    sums = diagonal[:, None] + np.cumsum(entries, axis=1)
    squares = np.cumsum(np.square(entries), axis=1)
    bounds = [float(diagonal.max())]
    for t in range(2, entries.shape[1] + 2):
        rows = squares[:, t - 2]
        with_each = larger_eigenvalue(diagonal, np.sqrt(rows), bounds[-1])
        bounds.append(
            min(
                kth_largest(with_each, t),
                float(sums[:, t - 2].max()),
                float(square_bound(bounds[0], np.sort(rows)[-t:].sum(), t)),
                frobenius_bound(diagonal, entries[:, : t - 1], t),
            )
        )
    return np.array(bounds)


def larger_eigenvalue(a: np.ndarray, b: np.ndarray, c: float) -> np.ndarray:
    """Return that of [[a, b], [b, c]]."""
    return 0.5 * (a + c) + np.hypot(0.5 * (a - c), b)


def kth_largest(values: np.ndarray, k: int) -> float:
    """Return the k-th largest entry."""
    return float(np.partition(values, len(values) - k)[len(values) - k])


def square_bound(largest: float, squares: Any, size: int) -> Any:
    """Return the bound by the sum of squares off the diagonal."""
    return largest + np.sqrt((size - 1) / size * np.maximum(squares, 0.0))


def squares_with_each(
    squares: np.ndarray, fixed: np.ndarray | float, count: int, rows: slice = slice(None)
) -> np.ndarray:
    """Return, for some features, the largest sum of squares of supports that contain it.

    Parameters
    ----------
    squares : ndarray of shape (p, p)
        Entries squared, zero on the diagonal.
    fixed : ndarray of shape (p,) or 0.0
        Squares that each feature brings beside those.
    count : int
        Features of a support, at least 2.
    rows : slice
        The features.

    Returns
    -------
    ndarray
    """
    brought = fixed + largest_of_rows(squares, count - 2).sum(axis=1)
    return _with_each(squares[rows], brought, fixed, count, rows)


def _with_each(squares, brought, fixed, count, rows):
    with_each = 2.0 * squares
    with_each += brought
    own = np.arange(len(brought))[rows]
    with_each[np.arange(len(own)), own] = 0.0  # a feature is no partner of its own
    fixed = fixed[rows] if isinstance(fixed, np.ndarray) else fixed
    return fixed + largest_of_rows(with_each, count - 1).sum(axis=1)


def _kept_by_blocks(diagonal, entries, bounds, value):
    if len(bounds) == 1:
        return diagonal > value
    if bounds[-2] >= value:
        return np.ones(len(diagonal), dtype=bool)
    norms = np.linalg.norm(entries, axis=1)
    return larger_eigenvalue(diagonal, norms, bounds[-2]) > value


def _kept_by_squares(B, diagonal, size, value):
    n = len(B)
    if size == 1:
        return diagonal > value
    largest, step = float(diagonal.max()), max(1, _BUFFER // n)
    blocks = [slice(low, min(low + step, n)) for low in range(0, n, step)]

    def squares(rows):
        result = np.square(B[rows])
        result[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = 0.0
        return result

    brought = np.concatenate(
        [largest_of_rows(squares(rows), size - 2).sum(axis=1) for rows in blocks]
    )
    with_each = np.concatenate(
        [_with_each(squares(rows), brought, 0.0, size, rows) for rows in blocks]
    )
    return square_bound(largest, with_each, size) > value
