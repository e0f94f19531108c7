"""Truncated power steps over all features: what candidates chosen beforehand may have missed.

The small sparse problem sees candidate features alone. Where products A Q with the whole matrix can
be had (A itself, columns of the data, or a model of A), its vectors are improved over all features,
and the features that their images show become candidates of a second small problem.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..sketching import MAX_CANDIDATES, ImplicitMatrix
from ._joint_steps import WORTHWHILE, Products, captured_variance, joint_power_steps
from ._lifting import orthonormal_range
from ._sequential_steps import sequential_power_vectors

# Rounds of power steps and a small problem; hardly any data need the third.
_ROUNDS = 3
# Candidates at least, where the rows of A are at hand: more cost little.
_MIN_CANDIDATES = 200
# A matrix with fewer rows that are not zero than one in so many is read by these alone.
_SPARSE = 4
# Rows of a model that are looked at together.
_CHUNK = 4096

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
    captured = trace(V)
    if products_are_cheap and 2 * np.sum(sizes) > max_candidates:
        other = sequential_power_vectors(multiply, n_features, sizes)
        if (now := trace(other)) > captured:
            ids = np.flatnonzero(other.any(axis=1))
            best, V, captured = Polished(ids, other[ids]), other, now
    for _ in range(_ROUNDS):
        V, images = joint_power_steps(multiply, V, sizes, positive=positive)
        ids = _candidates(V, images, sizes, max_candidates)
        found = Polished(ids, solve(ids, V[ids]))
        V = _placed(n_features, found)
        now = trace(V)
        gain = now - captured
        if gain > 0.0:
            best, captured = found, now
        if gain <= WORTHWHILE * captured:
            break
    return best


def n_candidates(n_nonzero: int) -> int:
    """Return how many features the small problem is given for so many nonzeros in all."""
    return min(max(2 * n_nonzero, _MIN_CANDIDATES), MAX_CANDIDATES)


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


class NystromModel:
    """A positive model of all of A from its products with a test matrix: A ~ B C^-1 B^T.

    B = A Omega^T is the sketch S of the identity measurement and C = Omega B. It is exact where A
    has no larger rank than Omega has rows.

    Parameters
    ----------
    sketch : EigenSketch
        With all features measured as they are.
    S : ImplicitMatrix of shape (n_features, k)
    among : ndarray of bool, shape (n_features,), or None, default=None
        Features that are modelled; the others are taken as zero.

    Attributes
    ----------
    root : ndarray of shape (k, rank)
        P with C^-1 = P P^T, so that A ~ F F^T for F = B P, which is never formed.
    """

    # Eigenvalues of the core below this share of the largest are rounding.
    _RESOLUTION = 1e-9

    def __init__(self, sketch, S: ImplicitMatrix, among: np.ndarray | None = None) -> None:
        core = S.measured_by(sketch.test)
        values, vectors = np.linalg.eigh(0.5 * (core + core.T))
        keep = values > self._RESOLUTION * values.max()
        self.root = vectors[:, keep] / np.sqrt(values[keep])
        self._S, self._among = S, among

    def multiply(self, Q: np.ndarray) -> np.ndarray:
        """Return A Q."""
        return self._seen(self._S @ (self.root @ self._coordinates(Q)))

    def captured(self, V: np.ndarray) -> float:
        """Return the trace of A on the span of V."""
        return float(np.square(self._coordinates(orthonormal_range(V))).sum())

    def _coordinates(self, Q):
        """Return F^T Q, for which only rows of S are read where Q is not zero."""
        used = np.flatnonzero(self._seen(Q).any(axis=1))
        if _SPARSE * len(used) > len(Q):
            return self.root.T @ (self._S.T @ self._seen(Q))
        return self.root.T @ self._S.rows_adjoint(used, Q[used])

    def _seen(self, Q):
        return Q if self._among is None else np.where(self._among[:, None], Q, 0.0)

    def loudest(self, ids: np.ndarray, size: int) -> np.ndarray:
        """Return the sorted ids of at most `size` of some features, of largest variance here."""
        if len(ids) <= size:
            return ids
        energy = np.concatenate(
            [
                np.square(self._S.rows_product(part, self.root)).sum(axis=1)
                for part in np.array_split(ids, -(-len(ids) // _CHUNK))
            ]
        )
        return ids[np.sort(np.argpartition(-energy, size - 1)[:size])]

    def matrix(self, ids: np.ndarray) -> np.ndarray:
        """Return the model of A among some features, shape (len(ids), len(ids))."""
        rows = self._S.rows_product(ids, self.root)
        return rows @ rows.T
