"""The leading subspace of a sketch, and how many of its dimensions are signal."""

import numpy as np
import scipy.linalg as la
from scipy.sparse.linalg import LinearOperator, eigsh

from ..sketching import DENSE_EIGEN, ImplicitMatrix

# Measured noise is not white: hashing spreads its spectrum and a covariance skews it, which lifts
# its edge by up to this factor. A rank too low costs nothing but the chance to follow a component
# that was not asked for; a rank too high blurs those that were.
_CAUTION = 1.6
# Singular values below this share of the largest are rounding.
_RESOLUTION = 1e-7
# Below this share of the largest, singular values cannot be had from their squares.
_SQUARED_RESOLUTION = 1e-5


def leading_subspace(
    S: ImplicitMatrix, min_rank: int, max_rank: int, symmetric: bool
) -> np.ndarray:
    """Return right singular vectors W (k x rank) that span the signal in S (m x k).

    The rank is the number of singular values above the bulk of the others, between the two given
    bounds. The bulk is taken as white: its root mean square decides where the edge is.

    Parameters
    ----------
    S : ImplicitMatrix of shape (m, k)
    min_rank, max_rank : int
        Bounds of the rank, 1 <= min_rank <= max_rank.
    symmetric : bool
        Whether S is symmetric (m = k), which allows Lanczos.

    Returns
    -------
    ndarray of shape (k, rank)

    Notes
    -----
    O(m k^2) time for a thin S (a Gram matrix), O(m^2) per Lanczos step for a large symmetric one.

    References
    ----------
    Gavish and Donoho, "The optimal hard threshold for singular values is 4/sqrt(3)", IEEE Trans.
    Inf. Theory 60 (2014): the threshold used, equation (11).
    """
    m, k = S.shape
    min_rank = min(min_rank, k)
    max_rank = max(min_rank, min(max_rank, k))
    if symmetric:
        values, vectors = _symmetric_leading(S, max_rank)
    else:
        squares, vectors = largest_eigenpairs(S.gram, max_rank)
        values, vectors = np.sqrt(np.maximum(squares[::-1], 0.0)), vectors[:, ::-1]
        if values[min_rank - 1] < _SQUARED_RESOLUTION * values[0]:
            # Squares lose the weak singular values; QR keeps them, at ten times the cost.
            _, values, rows = la.svd(_triangle(S), check_finite=False)
            vectors = rows.T
    values, vectors = values[:max_rank], vectors[:, :max_rank]
    rest = max(S.squared_norm - np.square(values).sum(), 0.0)
    bulk = np.sqrt(rest / max(min(m, k) - len(values), 1))
    edge = _CAUTION * _hard_threshold(min(m, k) / max(m, k)) * bulk
    edge = max(edge, _RESOLUTION * values[0])
    rank = int(np.clip((values > edge).sum(), min_rank, len(values)))
    return vectors[:, :rank]


def largest_eigenpairs(A: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `count` largest eigenvalues of A, increasing, and their eigenvectors."""
    n = len(A)
    if 2 * count < n:
        values, vectors = la.eigh(A, subset_by_index=[n - count, n - 1], check_finite=False)
        if len(values) == count:  # LAPACK may find fewer where many eigenvalues are equal
            return values, vectors
    values, vectors = la.eigh(A, check_finite=False)
    return values[n - count :], vectors[:, n - count :]


def _symmetric_leading(S, count):
    """Return the `count` eigenpairs of largest magnitude, as (|eigenvalues|, eigenvectors)."""
    n = len(S)
    if n <= DENSE_EIGEN or 4 * count >= n:
        values, vectors = la.eigh(np.asarray(S), overwrite_a=True, check_finite=False)
    else:
        # A fixed start keeps the result reproducible; any vector not orthogonal to the leading
        # eigenvectors serves.
        start = np.random.default_rng(0).standard_normal(n)
        operator = LinearOperator((n, n), matvec=lambda v: S @ v, dtype=np.float64)
        values, vectors = eigsh(operator, k=count, which="LM", v0=start, ncv=min(n, 3 * count + 20))
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    return np.abs(values[order]), vectors[:, order]


def _triangle(S):
    """Return the triangle R of S = Q R, by rows some at a time: R of what was seen, and more."""
    k = S.shape[1]
    pending, R = [], np.zeros((0, k))
    for part, rows in S.chunks():
        pending.append(rows)
        if sum(map(len, pending)) >= k or part.stop == len(S):
            R = la.qr(np.vstack([R, *pending]), mode="r", check_finite=False)[0][:k]
            pending = []
    return R


def _hard_threshold(beta):
    """Return the optimal threshold for singular values, in units of the bulk's root mean square.

    For noise of unit variance in an m x k matrix the root mean square singular value is sqrt(m),
    the unit in which Gavish and Donoho state it.
    """
    return np.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + np.sqrt(beta**2 + 14 * beta + 1)))
