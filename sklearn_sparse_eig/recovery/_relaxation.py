"""The semidefinite relaxation of sparse PCA, and the bound that any point of its dual gives.

X = v v^T has trace 1 and, for a unit v of s entries, absolute values that sum to at most s. So
max <B, X> over such positive semidefinite X bounds the problem from above (d'Aspremont, El Ghaoui,
Jordan, Lanckriet, SIAM Review 49, 2007), and so does its dual at *every* symmetric U:

    v^T B v = v^T (B - U) v + v^T U v  <=  lambda_max(B - U) + s max |U_ij|.

Here U comes from the alternating direction method of multipliers, stopped after some steps.
"""

import numpy as np
from scipy.linalg import eigh

# The penalty, in units of the largest entry of B, and how often it is adapted.
_PENALTY = 1.0
_ADAPT_EVERY = 10
_CHECK_EVERY = 10


def relaxed_bound(B: np.ndarray, size: int, value: float, *, max_iter: int, tol: float) -> float:
    """Return an upper bound on the largest eigenvalue of principal submatrices of a given size.

    Parameters
    ----------
    B : ndarray of shape (p, p)
    size : int
    value : float
        A value that is reached: the iteration ends where the bound meets it.
    max_iter : int
        Steps, each of one eigendecomposition.
    tol : float
    """
    p, scale = len(B), float(np.abs(B).max()) or 1.0
    penalty = _PENALTY * scale * size
    Y = np.zeros((p, p))
    W = np.zeros((p, p))  # the multipliers, over the penalty
    bound = float(eigh(B, eigvals_only=True, subset_by_index=[p - 1, p - 1])[0])
    for step in range(1, max_iter + 1):
        X = _onto_spectrahedron(Y - W + B / penalty)
        previous, Y = Y, _onto_l1_ball(X + W, size)
        W += X - Y
        if step % _CHECK_EVERY == 0 or step == max_iter:
            U = penalty * W
            top = eigh(B - U, eigvals_only=True, subset_by_index=[p - 1, p - 1])[0]
            bound = min(bound, float(top) + size * float(np.abs(U).max()))
            if bound <= value + tol:
                break
        if step % _ADAPT_EVERY == 0:
            primal, dual = np.linalg.norm(X - Y), np.linalg.norm(Y - previous)
            factor = 2.0 if primal > 5.0 * dual else 0.5 if dual > 5.0 * primal else 1.0
            penalty, W = penalty * factor, W / factor
    return bound


def _onto_spectrahedron(M):
    """Return the nearest positive semidefinite matrix of trace 1."""
    values, vectors = np.linalg.eigh(0.5 * (M + M.T))
    values = _onto_simplex(values[::-1])[::-1]
    used = values > 0.0
    return (vectors[:, used] * values[used]) @ vectors[:, used].T


def _onto_simplex(values, radius=1.0):
    """Return the nearest point of non-negative entries of given sum, for descending values."""
    sums = np.cumsum(values) - radius
    count = int(np.count_nonzero(values * np.arange(1, len(values) + 1) > sums))
    return np.maximum(values - sums[count - 1] / count, 0.0)


def _onto_l1_ball(M, radius):
    """Return the nearest matrix whose absolute values sum to at most the radius."""
    absolute = np.abs(M)
    if absolute.sum() <= radius:
        return M
    values = np.sort(absolute, axis=None)[::-1]
    sums = np.cumsum(values) - radius
    count = int(np.count_nonzero(values * np.arange(1, len(values) + 1) > sums))
    return np.sign(M) * np.maximum(absolute - sums[count - 1] / count, 0.0)
