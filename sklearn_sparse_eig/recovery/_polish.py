"""Truncated power steps over all features: what candidates chosen beforehand may have missed.

The small sparse problem sees candidate features alone. Where products A Q with the whole matrix can
be had (A itself, columns of the data, or a model of A), its vectors are improved over all features,
and the features that their images show become candidates of a second small problem.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..sketching import MAX_CANDIDATES
from ._joint_solution import thresholded_eigenvectors
from ._joint_steps import WORTHWHILE, Products, captured_variance, joint_power_steps
from ._sequential_steps import sequential_power_vectors

# Rounds of power steps and a small problem; hardly any data need the third.
_ROUNDS = 3
# Candidates at least, where the rows of A are at hand: more cost little.
_MIN_CANDIDATES = 200

SmallProblem = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Polished:
    """Sparse vectors with their candidates.

    Attributes
    ----------
    ids : ndarray of int64
        Features among which the vectors were chosen in the end, sorted.
    vectors : ndarray of shape (len(ids), r)
    """

    ids: np.ndarray
    vectors: np.ndarray


def polish(
    multiply: Products,
    solve: SmallProblem,
    start: Polished,
    sizes: Sequence[int] | np.ndarray,
    n_features: int,
    max_candidates: int,
    *,
    positive: bool = False,
    products_are_cheap: bool = False,
    captured_by: Callable[[np.ndarray], float] | None = None,
    brief: bool = False,
) -> Polished:
    """Improve sparse vectors over all features; the variance of their span never falls.

    Parameters
    ----------
    multiply : callable
        Q (n_features x r) to A Q.
    solve : callable
        ``solve(ids, vectors)`` solves the sparse problem among the features `ids`, with the rows of
        `vectors` (len(ids) x r) as further starts, and returns vectors of the same shape.
    start : Polished
    sizes : sequence of int
        Nonzeros of each vector.
    n_features : int
    max_candidates : int
        Features that `solve` is given, or more where the supports alone are more.
    positive : bool, default=False
        Set negative entries to zero in each power step; `solve` and `start` have none.
    products_are_cheap : bool, default=False
        Whether to try vectors found one after another over all features as well, where the supports
        alone take up most of the candidates.
    captured_by : callable or None, default=None
        V to the trace of A on its span, where this takes less than a product.
    brief : bool, default=False
        Whether to end where power steps or the small problem alone gain next to nothing.

    Returns
    -------
    Polished

    Notes
    -----
    Derived here, see ``doc/sparse_eigenproblem.md``. At most 93 products with r columns, few of
    which are needed, and three small problems.
    """

    def trace(V):
        return captured_by(V) if captured_by else captured_variance(multiply, V)

    best = start
    V = _placed(n_features, start)
    # Vectors of which some are the same, as thresholded ones may be, are worse than any others.
    are_independent = np.linalg.matrix_rank(start.vectors) == start.vectors.shape[1]
    captured = trace(V) if are_independent else -np.inf
    if products_are_cheap and is_crowded(sizes, max_candidates):
        other = sequential_power_vectors(multiply, n_features, sizes)
        if (now := trace(other)) > captured:
            ids = np.flatnonzero(other.any(axis=1))
            best, V, captured = Polished(ids, other[ids]), other, now
    for round_ in range(_ROUNDS):
        V, images = joint_power_steps(multiply, V, sizes, positive=positive, brief=brief)
        powered = trace(V) if brief else captured
        if brief and round_ and powered <= (1.0 + WORTHWHILE) * captured:
            break  # among nearly the same candidates the small problem has been solved
        ids = _candidates(V, images, sizes, max_candidates)
        found = Polished(ids, solve(ids, V[ids]))
        V = _placed(n_features, found)
        now = trace(V)
        if now > captured:
            best, captured = found, now
        if now - powered <= WORTHWHILE * powered:
            break  # power steps would end where they have ended before
    return best


def wider_candidates(
    covariance: Callable[[np.ndarray], np.ndarray],
    multiply: Products,
    ids: np.ndarray,
    sizes: Sequence[int] | np.ndarray,
    n_features: int,
    max_candidates: int,
) -> np.ndarray:
    """Return the candidates that power steps over all features lead to, sorted.

    They are those of :func:`polish` before any small problem is solved.

    Parameters
    ----------
    covariance : callable
        Some features to the block of A at them.
    multiply : callable
        Q (n_features x r) to A Q.
    ids : ndarray of int64
        Candidates to start from, sorted.
    sizes, n_features, max_candidates
        As in :func:`polish`.
    """
    start = Polished(ids, thresholded_eigenvectors(covariance(ids), sizes))
    V, images = joint_power_steps(multiply, _placed(n_features, start), sizes, brief=True)
    return _candidates(V, images, sizes, min(n_candidates(int(np.sum(sizes))), max_candidates))


def n_candidates(n_nonzero: int) -> int:
    """Return how many features the small problem is given for so many nonzeros in all."""
    return min(max(2 * n_nonzero, _MIN_CANDIDATES), MAX_CANDIDATES)


def is_crowded(sizes: Sequence[int] | np.ndarray, max_candidates: int) -> bool:
    """Whether the supports alone take up most of the candidates, so that their choice decides much.

    Then vectors found one after another over all features start the polish, and what a search among
    candidates finds before it is lost.
    """
    return bool(2 * np.sum(sizes) > max_candidates)


def _candidates(V, images, sizes, max_candidates):
    """Return the supports and the strongest features of each image, in turn, sorted."""
    supports = V.any(axis=1)
    order = np.argsort(-np.abs(images), axis=0, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(images))[:, None], axis=0)
    turn = (rank / np.asarray(sizes)).min(axis=1)
    turn[supports] = -1.0
    n_candidates = min(max(max_candidates, int(supports.sum())), len(images))
    return np.sort(np.argsort(turn, kind="stable")[:n_candidates])


def _placed(n_features, found):
    V = np.zeros((n_features, found.vectors.shape[1]))
    V[found.ids] = found.vectors
    return V
