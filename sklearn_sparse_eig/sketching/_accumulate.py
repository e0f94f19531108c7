"""Adding measured rows to a sketch, in place: S += Y^T diag(w) W."""

import numpy as np
from scipy.linalg.blas import dgemm, dsyrk


def add_dense(S, Y, W=None, weights=1.0):
    """Add Y^T diag(weights) W to S in place.

    Parameters
    ----------
    S : ndarray of float64, shape (m, k), C order
    Y : ndarray of float64, shape (n, m), C order
    W : ndarray of float64, shape (n, k), C order, or None
        None stands for Y; then only the upper triangle of S is kept up to date, which halves the
        cost. :func:`symmetrize` reads it back.
    weights : float or ndarray of float64, shape (n,)

    Notes
    -----
    O(n m k) operations, as one BLAS call without temporaries (one copy of Y if weighted).
    """
    uniform = np.ndim(weights) == 0
    left = Y if uniform else Y * weights[:, None]
    alpha = float(weights) if uniform else 1.0
    # BLAS works in Fortran order: it is given S^T, and all transposes are views.
    if W is None and uniform:
        out = dsyrk(alpha, Y.T, beta=1.0, c=S.T, lower=1, overwrite_c=1)
    else:
        right = Y if W is None else W
        out = dgemm(alpha, right.T, left.T, beta=1.0, c=S.T, trans_b=1, overwrite_c=1)
    if not np.shares_memory(out, S):  # pragma: no cover - BLAS wrappers may refuse to overwrite
        S.T[...] = out


def symmetrize(S):
    """Return the symmetric matrix whose upper triangle is that of S."""
    upper = np.triu(S)
    out = upper + upper.T
    np.fill_diagonal(out, np.diagonal(S))
    return out


def weighted_sum(rows, weights):
    """Return sum_i weights[i] rows[i] for dense or sparse rows, as a dense vector."""
    if np.ndim(weights) == 0:
        return float(weights) * np.asarray(rows.sum(axis=0)).ravel()
    return np.asarray(rows.T @ weights).ravel()
