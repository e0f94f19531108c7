"""The small sparse eigenproblem for vectors without negative entries.

    max v^T B v   subject to   ||v||_2 = 1,  ||v||_0 <= s,  v >= 0.

At an optimum v is the leading eigenvector of B on its own support, which may be smaller than s: it
is a critical point of the Rayleigh quotient in the interior of that orthant, and local maxima on a
sphere are global. Few supports are therefore enumerated, which is exact. Otherwise truncated power
steps that set negative entries to zero climb from many starts (B is shifted to be positive
semidefinite, so that the form never falls), and pairs of an entry that leaves and one that enters
are tried by the best combination of both. That is a local optimum, without a certificate. Derived
here, see doc/sparse_eigenproblem.md.
"""

from itertools import chain, combinations
from math import comb

import numpy as np

from ._sparse_exchange import SparseVector
from ._sparse_starts import krylov_extremes

# Entries above this multiple of -1 are rounding of zero in a unit vector.
ROUNDING = 1e-10
# Supports of all sizes that are all looked at.
_FEW_SUPPORTS = 2000
# Work of one power step over all starts, which bounds their number, and starts of the exchanges.
_WORK, _BEST = 2e7, 3
# Power steps of the starts, after an exchange and on a single support, and exchanges, at most.
_STEPS, _FEW_STEPS, _OWN_STEPS, _EXCHANGES = 20, 2, 60, 200
_SETTLED = 1e-9


def non_negative_vector(
    B: np.ndarray, s: int, free: SparseVector, tol: float, guess: np.ndarray | None = None
) -> SparseVector:
    """Return a sparse vector without negative entries, the free one where that has none.

    Parameters
    ----------
    B : ndarray of shape (p, p)
        Symmetric.
    s : int
        Nonzeros at most.
    free : SparseVector
        That of the problem without signs; what clipping leaves of it is among the starts.
    tol : float
        A gain that counts as rounding.
    guess : ndarray of shape (p,) or None, default=None
        One more start.

    Returns
    -------
    SparseVector
        ``is_swap_optimal`` where it is that of the free vector, or all supports were looked at.
    """
    p = len(B)
    if (free.values >= -ROUNDING).all():
        v = np.zeros(p)
        v[free.support] = free.values
        return _as_result(B, clipped(v), free.is_swap_optimal)
    if sum(comb(p, t) for t in range(1, s + 1)) <= _FEW_SUPPORTS:
        return _as_result(B, _best_of_all(B, s), True)
    leading, lowest = krylov_extremes(B, np.sqrt(np.einsum("ij,ij->j", B, B)))
    shift = max(0.0, -lowest)
    v = np.zeros(p)
    v[free.support] = free.values
    starts = [x for u in (v, leading, guess) if u is not None for x in (u, -u)]
    seeds = np.argsort(-np.diagonal(B) - np.linalg.norm(np.maximum(B, 0.0), axis=1), kind="stable")
    seeds = seeds[: int(np.clip(_WORK // p**2, 8, p))]
    vectors = _kept(np.vstack([*starts, B[seeds]]), s)
    climbed = _climb(B, vectors, s, shift, _STEPS)
    # What clipping leaves is compared as it is too, should the shift not be enough to climb.
    vectors = np.vstack([climbed, vectors])
    values = np.einsum("ij,ij->i", vectors, vectors @ B)
    order = np.argsort(-values, kind="stable")
    best, best_value = vectors[order[0]], values[order[0]]
    for k in order[:_BEST]:
        found, value = _exchanged(B, vectors[k], s, shift, tol)
        if value > best_value:
            best, best_value = found, value
    return _as_result(B, best, False)


def clipped(v: np.ndarray) -> np.ndarray:
    """Return the non-negative part of a vector, or of its negative where that is longer."""
    up, down = np.maximum(v, 0.0), np.maximum(-v, 0.0)
    part = up if np.linalg.norm(up) >= np.linalg.norm(down) else down
    return part / np.linalg.norm(part)


def _as_result(B, v, certain):
    support = np.flatnonzero(v)
    values = v[support] / np.linalg.norm(v[support])
    eigenvalue = float(values @ B[np.ix_(support, support)] @ values)
    return SparseVector(values, support, eigenvalue, 0, certain)


def _kept(images, s):
    """Return the s largest positive entries of each row as unit vectors, or its largest entry."""
    p = images.shape[1]
    positive = np.maximum(images, 0.0)
    if s < p:
        small = np.argpartition(-positive, s - 1, axis=1)[:, s:]
        np.put_along_axis(positive, small, 0.0, axis=1)
    norms = np.linalg.norm(positive, axis=1, keepdims=True)
    empty = norms[:, 0] == 0.0
    positive[empty, images[empty].argmax(axis=1)] = 1.0
    norms[empty] = 1.0
    return positive / norms


def _climb(B, vectors, s, shift, n_steps):
    """Return where projected power steps lead from the rows."""
    for _ in range(n_steps):
        new = _kept(vectors @ B + shift * vectors, s)
        moved = np.abs(new - vectors).max()
        vectors = new
        if moved < _SETTLED:
            break
    return vectors


def _settled(B, v, shift):
    """Return the best vector found on the support of v: its eigenvector, where that has no sign."""
    while True:
        T = np.flatnonzero(v)
        block = B[np.ix_(T, T)]
        u = np.linalg.eigh(block)[1][:, -1]
        u = u if u.sum() > 0.0 else -u
        if (u >= -ROUNDING).all():
            clean = np.maximum(u, 0.0)
        else:
            clean = _climb(block, v[None, T], len(T), shift, _OWN_STEPS)[0]
        result = np.zeros(len(B))
        result[T] = clean / np.linalg.norm(clean)
        if (u >= -ROUNDING).all() or np.count_nonzero(result) == len(T):
            return result
        v = result  # the support has shrunk, so this ends


def _exchanged(B, v, s, shift, tol):
    """Return what exchanges lead to, and its value."""
    v = _better(B, v, _settled(B, v, shift))
    value = v @ B @ v
    for _ in range(_EXCHANGES):
        trial = _kept(_best_exchange(B, v, s)[None], s)
        trial = _climb(B, trial, s, shift, _FEW_STEPS)[0]
        trial = _better(B, trial, _settled(B, trial, shift))
        gain = trial @ B @ trial - value
        if gain <= tol:
            break
        v, value = trial, value + gain
    return v, float(v @ B @ v)


def _better(B, first, second):
    return second if second @ B @ second > first @ B @ first else first


def _best_exchange(B, v, s):
    """Return the best combination of v without one entry and of one new entry."""
    T = np.flatnonzero(v)
    outside = np.setdiff1d(np.arange(len(B)), T, assume_unique=True)
    if not len(outside):
        return v
    image, diagonal = B @ v, np.diagonal(B)
    leaving = v[T]
    rest = np.sqrt(np.maximum(1.0 - leaving**2, 0.0))
    usable = rest > ROUNDING
    norm = np.where(usable, rest, 1.0)
    kept = (v @ image - 2.0 * leaving * image[T] + leaving**2 * diagonal[T]) / norm**2
    border = (image[outside] - leaving[:, None] * B[np.ix_(T, outside)]) / norm[:, None]
    kept, border = np.where(usable, kept, -np.inf), np.where(usable[:, None], border, 0.0)
    members = [*T]
    if len(T) < s:  # nothing has to leave
        kept, border = np.append(kept, v @ image), np.vstack([border, image[outside]])
        members.append(-1)
    own = diagonal[outside]
    finite = np.where(np.isfinite(kept), kept, own.min() - 1.0)[:, None]
    half = np.hypot((finite - own) / 2, np.maximum(border, 0.0))
    row, column = np.unravel_index(np.argmax((finite + own) / 2 + half), border.shape)
    base = v.copy()
    if members[row] >= 0:
        base[members[row]] = 0.0
    size = np.linalg.norm(base)
    base = base / size if size > ROUNDING else 0.0 * base
    coupling = max(border[row, column], 0.0)
    pair = np.array([[finite[row, 0], coupling], [coupling, own[column]]])
    weights = np.abs(np.linalg.eigh(pair)[1][:, -1])
    base = weights[0] * base
    base[outside[column]] += weights[1]
    return base


def _best_of_all(B, s):
    """Return the best of all supports of at most s entries whose eigenvector has no signs."""
    p, best, value = len(B), np.zeros(len(B)), -np.inf
    for t in range(1, s + 1):
        supports = np.fromiter(chain.from_iterable(combinations(range(p), t)), dtype=np.intp)
        supports = supports.reshape(-1, t)
        values, vectors = np.linalg.eigh(B[supports[:, :, None], supports[:, None, :]])
        leading = vectors[:, :, -1]
        leading = leading * np.where(leading.sum(axis=1) < 0.0, -1.0, 1.0)[:, None]
        top = np.where((leading >= -ROUNDING).all(axis=1), values[:, -1], -np.inf)
        first = int(np.argmax(top))
        if top[first] > value:
            best, value = np.zeros(p), top[first]
            best[supports[first]] = np.maximum(leading[first], 0.0)
    return best
