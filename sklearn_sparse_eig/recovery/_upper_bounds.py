"""How large the value of a sparse vector can be at most: the best of several proven bounds.

All bound max v^T B v over unit vectors of at most s entries, which is the largest eigenvalue of a
principal s x s submatrix. Derived in ``doc/sparse_eigenproblem.md``, "How far from the best".
"""

from dataclasses import dataclass, replace
from math import comb

import numpy as np
import scipy.sparse as sp

from .._base.progress import tell
from .._base.threads import limit_blas
from ._branch_and_bound import branch_and_bound
from ._exhaustive import best_support, is_little_work
from ._gershgorin import perron_bound
from ._relaxation import relaxed_bound
from ._screening import possible_features
from ._sparse_principal import sparse_principal_vector
from ._sparse_starts import krylov_extremes

# What is left to rounding, as a share of the value: a bound that meets the value is so far above.
_MARGIN = 5e-10
# The largest entries for which matrices need not be scaled.
_TINY, _HUGE = 1e-100, 1e100
# Features up to which a sparse matrix is made dense, and all eigenvalues are computed: a second.
_SMALL = 2500
# Features up to which the search is tried, and its nodes, and squares of their features: at most
# some three seconds.
_MAX_BRANCHED, _MAX_NODES, _MAX_WORK = 1500, 5000, 1e8
# Supports that are enumerated instead, which leaves nothing to rounding: less than a tenth of one.
_MAX_SUPPORTS = 2000
# Features up to which the semidefinite relaxation is solved, and the steps: p^3 times so many.
_MAX_RELAXED = 400
_RELAXATION_WORK, _RELAXATION_STEPS = 1e9, 400


@dataclass(frozen=True)
class UpperBound:
    """What no vector of some number of nonzeros exceeds.

    Attributes
    ----------
    bound : float
    value : float
        That of the support.
    support : ndarray of int64 or None
        Features of a vector that is better than the one given, where the search met one.
    """

    bound: float
    value: float = -np.inf
    support: np.ndarray | None = None


def upper_bounds(
    A: np.ndarray | sp.csr_array, sizes: np.ndarray, eigenvalues: np.ndarray, which: str = "LA"
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a proven bound on v^T A v for each number of nonzeros.

    Parameters
    ----------
    A : ndarray or csr_array of shape (n, n)
        Symmetric.
    sizes : ndarray of int, shape (r,)
        Nonzeros allowed.
    eigenvalues : ndarray of shape (r,)
        v^T A v for vectors of so many nonzeros.
    which : {"LA", "SA", "LM"}, default="LA"

    Returns
    -------
    bounds : ndarray of shape (r,)
        Upper bounds; lower ones for "SA", and such on the magnitude for "LM".
    better : ndarray of shape (n,) or None
        A vector that is better than the first, and all of fewer nonzeros, where one was met.
    """
    distinct, found = sorted(set(sizes.tolist())), {}
    for i, size in enumerate(distinct):
        tell("certificate", "numbers of nonzeros", i, len(distinct))
        known = _best_known(sizes, eigenvalues, size, which)
        found[size] = bound_of_size(A, size, known, which)
    bounds = np.array([found[size].bound for size in sizes.tolist()])
    better = found[int(sizes[0])].support
    vector = None if better is None else _vector_on(A, better, which)
    return -bounds if which == "SA" else bounds, vector


def _vector_on(A, support, which):
    """Return the unit vector of extreme value on a support."""
    values, vectors = np.linalg.eigh(_dense(A[support][:, support]))
    key = {"LA": values, "SA": -values, "LM": np.abs(values)}[which]
    vector = np.zeros(A.shape[0])
    vector[support] = vectors[:, np.argmax(key)]
    return vector


def _best_known(sizes, eigenvalues, size, which):
    """Return the best value of at most so many nonzeros, where the largest is sought."""
    values = {"LA": eigenvalues, "SA": -eigenvalues, "LM": np.abs(eigenvalues)}[which]
    return float(values[sizes <= size].max())


def bound_of_size(
    A: np.ndarray | sp.csr_array, size: int, value: float, which: str = "LA"
) -> UpperBound:
    """Return a bound for one number of nonzeros, on -v^T A v for "SA" and on |v^T A v| for "LM"."""
    signs = {"LA": (1.0,), "SA": (-1.0,), "LM": (1.0, -1.0)}[which]
    result = UpperBound(-np.inf)
    for sign in signs:
        one = upper_bound(A, size, max(value, result.value), sign)
        better = one if one.support is not None else result
        result = UpperBound(max(one.bound, result.bound), better.value, better.support)
    return result


def upper_bound(
    B: np.ndarray | sp.csr_array, size: int, value: float, sign: float = 1.0
) -> UpperBound:
    """Return a proven bound on v^T B v over unit vectors of at most `size` entries.

    Parameters
    ----------
    B : ndarray or csr_array of shape (n, n)
        Symmetric.
    size : int
        s, from 1 to n.
    value : float
        v^T B v of the best such vector known.
    sign : float, default=1.0
        -1 stands for -B, without a copy of B.

    Returns
    -------
    UpperBound
        At least `value`. Where no better vector exists and that could be shown, no more than a
        billionth above it.
    """
    n, scale = B.shape[0], _largest_entry(B)
    if not _TINY <= scale <= _HUGE:  # whose squares are no numbers
        found = upper_bound(B / scale, size, value / scale, sign)
        return replace(found, bound=scale * found.bound, value=scale * found.value)
    B = _dense(B) if n <= _SMALL else B
    if n <= _SMALL and is_little_work(comb(n, size), size, _MAX_SUPPORTS):
        return _by_enumeration(sign * B, size, value)
    tol = _tolerance(B, size, value)
    ids, block, bound = possible_features(B, size, value + 0.5 * tol, sign)
    if len(ids) < size:
        return UpperBound(value + tol)
    bound = min(bound, perron_bound(block, size, value + 0.5 * tol, sign))
    if bound <= value + 0.5 * tol or len(ids) > _SMALL:
        return UpperBound(max(bound, value + tol))
    block = _dense(block)
    with limit_blas(1):  # thousands of small decompositions
        found = _searched(sign * block if sign < 0 else block, size, value, bound)
    support = None if found.support is None else ids[found.support]
    bound = found.bound if len(ids) == n else max(found.bound, value + tol)
    return UpperBound(bound, found.value, support)


def _tolerance(B, size, value):
    """Return by how much a bound may exceed a value that is the largest."""
    # Eigenvalues of s x s matrices are not known better than by the second.
    return max(_MARGIN * abs(value), 1e-12 * _largest_entry(B) * size)


def _largest_entry(B):
    """Return the largest magnitude, 1 where all are zero."""
    return float(max(B.max(), -B.min())) or 1.0


def _by_enumeration(B, size, value):
    support, best = best_support(B, size)
    if best > value + _tolerance(B, size, value):
        return UpperBound(best, best, support)
    return UpperBound(max(best, value))


def _searched(B, size, value, bound):
    """Return the best bound by search and decompositions."""
    p, known, support = len(B), value, None
    if p <= _MAX_BRANCHED:
        known, support = _better_start(B, size, value)
        work = {"max_nodes": _MAX_NODES, "max_work": _MAX_WORK}
        searched = branch_and_bound(B, size, known, **work, tol=_tolerance(B, size, known))
        if searched.support is not None:
            known, support = searched.value, searched.support
        bound = min(bound, searched.bound)
        if searched.has_ended:
            return UpperBound(bound, known, support)
    tol = _tolerance(B, size, known)
    bound = min(bound, _spectral_bound(B, bound))
    if p <= _MAX_RELAXED and bound > known + tol:
        steps = int(min(_RELAXATION_WORK / p**3, _RELAXATION_STEPS))
        bound = min(bound, relaxed_bound(B, size, known, max_iter=steps, tol=tol))
    return UpperBound(max(bound, known + tol), known, support)


def _better_start(B, size, value):
    """Return the value and support of a local optimum, if it is better than the value."""
    found = sparse_principal_vector(B, size, rng=0)
    if found.eigenvalue > value + _tolerance(B, size, value):
        return found.eigenvalue, found.support
    return value, None


def _spectral_bound(B, bound):
    """Return the largest eigenvalue, if it may be less than a bound."""
    p = len(B)
    leading, _ = krylov_extremes(B, np.linalg.norm(B, axis=0))
    if leading @ B @ leading >= bound:
        return np.inf
    rounding = p * np.finfo(float).eps * float(np.abs(B).max()) * p
    return float(np.linalg.eigvalsh(B)[-1]) + rounding


def _dense(B):
    return B.toarray() if sp.issparse(B) else B
