"""The kernels of dense rows, of which each call is serial and writes to its own columns alone."""

import numpy as np

from ._backend import twin


def _check(X, left, right, *vectors):
    """Refuse what would make a compiled kernel write outside an array."""
    fits = 0 <= left <= right <= X.shape[1] and all(len(v) == right - left for v in vectors)
    if not fits:
        raise ValueError(
            f"Columns {left} to {right} of {X.shape[1]} do not fit sums of lengths "
            f"{[len(v) for v in vectors]}."
        )


def centre_columns(
    X: np.ndarray,
    left: int,
    right: int,
    shift: np.ndarray,
    out: np.ndarray,
    at: int,
    total: np.ndarray,
    squares: np.ndarray | None = None,
) -> None:
    """Write columns left..right-1 of X, less a shift, and add them up.

    Parameters
    ----------
    X : ndarray of shape (n, N), real, in any order
    left, right : int, 0 <= left <= right <= N
    shift : ndarray of float64, shape (right - left,)
    out : ndarray of float64, shape (n, M), C order
        Written at columns at..at+right-left-1.
    at : int
    total, squares : ndarray of float64, shape (right - left,)
        The sums over the rows, and those of squares, are added to them. None for no squares.
    """
    _check(X, left, right, shift, total)
    twin("_dense").centre_columns(X, left, right, shift, out, at, total, squares)


def add_moments(
    X: np.ndarray,
    left: int,
    right: int,
    shift: np.ndarray,
    weights: np.ndarray | None,
    total: np.ndarray,
    squares: np.ndarray,
) -> None:
    """Add the sums over rows of w (x - shift) and w (x - shift)^2, for columns left..right-1.

    Parameters
    ----------
    X : ndarray of shape (n, N), real, in any order
    left, right : int, 0 <= left <= right <= N
    shift : ndarray of float64, shape (right - left,)
    weights : ndarray of float64, shape (n,), or None
        None stands for ones.
    total, squares : ndarray of float64, shape (right - left,)
        They are added to.
    """
    _check(X, left, right, shift, total, squares)
    twin("_dense").add_moments(X, left, right, shift, weights, total, squares)


def sketch_dense_twice(
    X: np.ndarray,
    hash_a: tuple[int, int, int],
    hash_b: tuple[int, int, int],
    shift: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Measure dense rows by two hashes, and sum up their columns, in one pass over them.

    Parameters
    ----------
    X : ndarray of shape (n, N), real, in any order
    hash_a, hash_b : (int, int, int)
        Of M and Omega, each (seed, K, b).
    shift : ndarray of float64, shape (N,), or None
        None where no sums of columns are wanted.

    Returns
    -------
    Y, Z : ndarray of float64, shapes (n, K_a b_a) and (n, K_b b_b), C order
        X M^T and X Omega^T.
    total, squares : ndarray of float64, shape (N,), or empty without a shift
        The sums over rows of x - shift, and of its squares.

    Notes
    -----
    Cost O(n N (K_a + K_b)) operations. Threads share the rows, and no bit depends on their number.
    """
    shift = np.empty(0) if shift is None else shift
    if len(shift) not in (0, X.shape[1]):
        raise ValueError(f"shift must have length {X.shape[1]}, got {len(shift)}.")
    return twin("_dense").sketch_dense_twice(X, hash_a, hash_b, shift)
