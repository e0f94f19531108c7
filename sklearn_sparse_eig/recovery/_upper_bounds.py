"""How large the value of a sparse vector can be at most: the best of several proven bounds.

All bound max v^T B v over unit vectors of at most s entries, which is the largest eigenvalue of a
principal s x s submatrix. Derived in ``doc/sparse_eigenproblem.md``, "How far from the best".
"""

from math import comb

import numpy as np
import scipy.sparse as sp

from ._exhaustive import best_support, branch_and_bound
from ._gershgorin import frobenius_bound, possible_features, row_bound
from ._relaxation import relaxed_bound

# Features up to which all eigenvalues are computed: a few seconds.
_MAX_SPECTRUM = 2500
# Features up to which a sparse matrix is made dense, to exclude them one by one: 800 MB.
_MAX_SCREENED = 10000
# Features up to which the semidefinite relaxation is solved, and the steps: p^3 times so many.
_MAX_RELAXED = 400
_RELAXATION_WORK, _RELAXATION_STEPS = 2e9, 400
# Supports that are enumerated, and nodes and features of branch and bound: each about a second.
_MAX_SUPPORTS = 20000
_MAX_NODES, _MAX_BRANCHED = 3000, 120


def upper_bounds(
    A: np.ndarray | sp.csr_array, sizes: np.ndarray, eigenvalues: np.ndarray, which: str = "LA"
) -> np.ndarray:
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
    ndarray of shape (r,)
        Upper bounds; lower ones for "SA", and such on the magnitude for "LM".
    """
    signs = {"LA": (1.0,), "SA": (-1.0,), "LM": (1.0, -1.0)}[which]
    values = np.abs(eigenvalues) if which == "LM" else signs[0] * eigenvalues
    bounds = {}
    for size in set(sizes.tolist()):
        value = float(values[sizes <= size].max())
        bounds[size] = max(upper_bound(A if sign > 0 else -A, size, value) for sign in signs)
    result = np.array([bounds[size] for size in sizes.tolist()])
    return -result if which == "SA" else result


def upper_bound(B: np.ndarray | sp.csr_array, size: int, value: float) -> float:
    """Return a proven bound on v^T B v over unit vectors of at most `size` entries.

    Parameters
    ----------
    B : ndarray or csr_array of shape (n, n)
        Symmetric.
    size : int
        s, from 1 to n.
    value : float
        v^T B v of the best such vector known.

    Returns
    -------
    float
        At least `value`, and equal to it, up to rounding, where no better vector exists and that
        could be shown.
    """
    n = B.shape[0]
    scale = float(abs(B).max()) or 1.0
    tol = 1e-12 * scale * size  # eigenvalues of s x s matrices are not known better
    bound = min(row_bound(B, size, value), frobenius_bound(B, size))
    if bound <= value + tol or (sp.issparse(B) and n > _MAX_SCREENED):
        return max(value, bound)
    B = sp.csr_array(B).toarray() if sp.issparse(B) else B
    ids = possible_features(B, size, value + tol)
    if len(ids) < size:
        return value + tol  # no support of larger value is left
    B = B[np.ix_(ids, ids)] if len(ids) < n else B
    return max(value, min(bound, _dense_bound(B, size, value, tol)))


def _dense_bound(B, size, value, tol):
    """Return the best bound that may take eigendecompositions; `value` where none is better."""
    p = len(B)
    if p > _MAX_SPECTRUM:
        return np.inf
    if p == size or comb(p, size) <= _MAX_SUPPORTS:
        return max(value, best_support(B, size)[1])
    largest = float(np.linalg.eigvalsh(B)[-1])
    bound = largest + p * np.finfo(float).eps * float(np.abs(B).max()) * p
    if p <= _MAX_RELAXED:
        steps = int(min(_RELAXATION_WORK / p**3, _RELAXATION_STEPS))
        bound = min(bound, relaxed_bound(B, size, value, max_iter=steps, tol=tol))
    if bound > value + tol and p <= _MAX_BRANCHED:
        searched = branch_and_bound(B, size, value, max_nodes=_MAX_NODES, tol=tol)
        bound = min(bound, searched)
    return max(value, bound)
