"""Matrix completion rank by rank: the limit of a deep factorisation started very small.

From a vanishing start, descent dwells at a stationary point of rank L until the largest singular
direction of the residual has grown, and then moves on to rank L + 1. Following these points with
alternating least squares costs a few products of the size of the data for each, where the descent
would wait for a time like init_scale ** (2 - depth).
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import svds

from .._base.progress import tell

# Ranks that are tried where none is given.
MAX_RANK = 30
# Relative size of a residual that is rounding.
_EXACT = 1e-9
# Share of the squared error below which an improvement ends the alternations: on the way to the
# rank that is looked for, and there.
_ROUGH, _FINE = 1e-3, 1e-9
# Added to normal equations, relative to their trace: rows with fewer entries than the rank.
_RIDGE = 1e-13
_DENSE = 200


@dataclass(frozen=True)
class RankPath:
    """Stationary points of increasing rank.

    Attributes
    ----------
    residual_norms : ndarray of shape (n_ranks + 1,)
        Spectral norm of the residual on the observed entries at rank 0, 1, ...; the eigenvalues
        themselves where all entries are observed.
    factors : list of (ndarray of shape (n, L), ndarray of shape (m, L))
        One pair for each rank 1, 2, ...
    n_iter : int
        Alternations in all.
    """

    residual_norms: np.ndarray
    factors: list
    n_iter: int


def complete_by_rank(
    target, observed, *, max_rank=None, until=0.0, max_iter=1000, tol=_ROUGH, ridge=0.0, go_on=None
):
    """Follow the stationary points of increasing rank.

    Parameters
    ----------
    target : ndarray of shape (n, m)
    observed : ndarray of bool, shape (n, m)
    max_rank : int, default=None
        None for as many as half of the observed entries can determine, at most ``MAX_RANK``.
    until : float, default=0.0
        Stop where the spectral norm of the residual is down to this.
    max_iter : int
        Alternations for each rank.
    tol : float
        Stop alternating where they improve the squared error by less than this share.
    ridge : float
        Added to the squared error: this times the squared norms of both factors.
    go_on : callable or None
        Is given the factors of each rank and says whether to look at the next one.

    Returns
    -------
    RankPath
    """
    n, m = target.shape
    mask = observed.astype(np.float64)
    residual = np.where(observed, target, 0.0)
    if max_rank is None:
        max_rank = most_ranks((n, m), observed.sum() / 2)
    A, B = np.zeros((n, 0)), np.zeros((m, 0))
    norms, factors, n_iter = [], [], 0
    for rank in range(max_rank + 1):
        tell("alternating least squares", "ranks", rank, max_rank)
        u, norm, v = _leading_pair(residual)
        norms.append(norm)
        if rank == max_rank or norm <= max(until, _EXACT * norms[0]):
            break
        A = np.column_stack([A, np.sqrt(norm) * u])
        B = np.column_stack([B, np.sqrt(norm) * v])
        A, B, residual, steps = _alternate(A, B, target, observed, mask, max_iter, tol, ridge)
        factors.append((A, B))
        n_iter += steps
        if go_on is not None and not go_on(A, B):
            break
    return RankPath(np.array(norms), factors, n_iter)


def refine_factors(factors, target, observed, *, max_iter=1000, tol=_FINE, ridge=0.0):
    """Return the factors of a stationary point to high accuracy, and the alternations made."""
    mask = observed.astype(np.float64)
    A, B, _, steps = _alternate(*factors, target, observed, mask, max_iter, tol, ridge)
    return A, B, steps


def most_ranks(shape, n_numbers):
    """Return the largest rank with at most so many degrees of freedom, between 1 and MAX_RANK."""
    n, m = shape
    ranks = np.arange(1, min(n, m) + 1)
    return int(np.clip((ranks * (n + m - ranks) <= n_numbers).sum(), 1, MAX_RANK))


def _leading_pair(residual):
    if min(residual.shape) <= _DENSE:
        u, s, vt = np.linalg.svd(residual, full_matrices=False)
    else:
        u, s, vt = svds(residual, k=1, v0=np.ones(min(residual.shape)))
    return u[:, 0], float(s[0]), vt[0]


def _alternate(A, B, target, observed, mask, max_iter, tol, ridge=0.0):
    known = np.where(observed, target, 0.0)
    error = np.inf
    # Rounding of the data: below it, there is nothing left to fit.
    exact = (_EXACT * np.linalg.norm(known)) ** 2
    step = 0
    while step < max_iter:
        step += 1
        if ridge:
            B = _balanced(A, B)
            A = _solve_rows(known, mask, B, ridge)
        else:
            A = np.linalg.qr(_solve_rows(known, mask, np.linalg.qr(B)[0]))[0]
        B = _solve_rows(known.T, mask.T, A, ridge)
        residual = np.where(observed, target - A @ B.T, 0.0)
        previous, error = error, float(np.vdot(residual, residual))
        error += ridge * float(np.vdot(A, A) + np.vdot(B, B))
        if error <= exact or previous - error <= tol * error:
            break
    return A, B, residual, step


def _balanced(A, B):
    """Return the right factor of A B^T whose norm, with that of the left one, is the least."""
    basis, right = np.linalg.qr(B)
    _, values, rotation = np.linalg.svd(np.linalg.qr(A)[1] @ right.T)
    return basis @ rotation.T * np.sqrt(values)


def _solve_rows(known, mask, B, ridge=0.0):
    """Return the coordinates of each row in the columns of B, by least squares and a ridge."""
    rank = B.shape[1]
    if not rank:
        return np.zeros((len(known), 0))
    products = (B[:, :, None] * B[:, None, :]).reshape(len(B), rank * rank)
    gram = (mask @ products).reshape(-1, rank, rank)
    least = _RIDGE * np.trace(gram, axis1=1, axis2=2) + np.finfo(float).tiny
    gram += (ridge + least)[:, None, None] * np.eye(rank)
    return np.linalg.solve(gram, (known @ B)[:, :, None])[:, :, 0]


def row_coordinates(rows, observed, basis, ridge=0.0):
    """Return the coordinates of rows with missing entries, orthonormal columns if without ridge."""
    known = np.where(observed, rows, 0.0)
    if observed.all() and not ridge:
        return known @ basis
    return _solve_rows(known, observed.astype(np.float64), basis, ridge)
