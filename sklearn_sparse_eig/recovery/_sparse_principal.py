"""The small sparse eigenproblem: few-entry vectors of large quadratic form.

For a dense symmetric matrix B the functions here look for

    max v^T B v   subject to   ||v||_2 = 1,  ||v||_0 <= s,

which is the largest eigenvalue of a principal s x s submatrix of B. The problem is NP-hard, so
the answer is a local optimum with a certificate: no exchange of one index of the support for
one outside raises the eigenvalue. The certificate is computed for all s (p - s) exchanges at
once, from one eigendecomposition of the s x s block.

Notation: S is the support, lam and v the top eigenpair of B_SS, P = lam I - B_SS, P^+ its
pseudo-inverse, and b_j = B_{S,j} the border which the index j outside S would add. Derived here,
see doc/sparse_eigenproblem.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from numbers import Integral

import numpy as np
from scipy.linalg import eigh

from .._base.progress import tell
from .._base.symmetric import check_matrix_values, symmetric_part
from ._exhaustive import best_support, is_little_work
from ._non_negative import non_negative_vector
from ._sparse_exchange import as_result, swap_until_optimal
from ._sparse_starts import candidate_supports

# A gain below this share of the largest column norm of B is rounding, not progress. It is what
# makes the local search finite on matrices with ties.
_RELATIVE_GAIN = 1e-12
# Starts whose value is below this share of the best hardly ever overtake it.
_WORTHWHILE = 0.98
# Rows that are deflated at a time: they stay in cache.
_DEFLATED = 64
# Supports that are all looked at: some milliseconds.
_FEW_SUPPORTS = 1000


@dataclass(frozen=True)
class SparsePrincipalVectors:
    """Sparse vectors found one after another by deflation.

    Attributes
    ----------
    vectors : ndarray of shape (p, r)
        One unit vector per column, the entry of largest magnitude positive. Not orthogonal in
        general.
    eigenvalues : ndarray of shape (r,)
        v^T B v on the original matrix, in the order in which the vectors were found. They share
        variance when the vectors are not orthogonal, and need not decrease.
    is_swap_optimal : ndarray of shape (r,), dtype bool
        Whether each vector is swap-optimal for its deflated matrix.
    n_swaps : ndarray of shape (r,), dtype int
        Exchanges made for each vector.
    """

    vectors: np.ndarray
    eigenvalues: np.ndarray
    is_swap_optimal: np.ndarray
    n_swaps: np.ndarray


def sparse_principal_vector(B, n_nonzero, *, starts=3, rng=None):
    """Maximise v^T B v over unit vectors with at most n_nonzero entries.

    Parameters
    ----------
    B : array-like of shape (p, p)
        Symmetric, finite; positive semidefinite or not.
    n_nonzero : int
        Largest number of nonzero entries, at least 1. From p on the answer is the leading
        eigenvector.
    starts : int, default=3
        Number of distinct supports given to the local search: the best after truncated power
        iteration from a larger pool.
    rng : None, int or numpy.random.Generator, default=None
        Source of the random seeds among the starts.

    Returns
    -------
    SparseVector

    Notes
    -----
    Starts: the leading eigenvector truncated, the largest diagonal entries, the columns of
    largest norm, single columns truncated, and supports grown greedily from one index. Each
    goes through truncated power iteration, and the best through exchanges until none helps.
    An exchange round costs O(s^2 p) time and O(s p) memory for s = n_nonzero.

    For s = 1 and s >= p - 1 every support is one exchange away from every other, so the result
    is the global optimum. It is too where there are at most a thousand supports, which are all
    looked at.

    Derived here, see doc/sparse_eigenproblem.md. Truncated power iteration is due to Yuan and
    Zhang, JMLR 14 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> B = np.diag([1.0, 2.0, 3.0]) + np.array([[0, 2, 0], [2, 0, 0], [0, 0, 0]])
    >>> found = sparse_principal_vector(B, 2, rng=0)
    >>> found.support
    array([0, 1])
    >>> round(found.eigenvalue, 4)
    3.5616
    """
    B = _check_symmetric(B)
    _check_count("n_nonzero", n_nonzero)
    _check_count("starts", starts)
    rng = np.random.default_rng(rng)
    return _solve(B, min(n_nonzero, len(B)), rng, _rounding(B), starts)


def sparse_principal_vectors(
    B,
    n_components,
    n_nonzero,
    *,
    which="LA",
    starts=3,
    n_row_starts=0,
    n_columns=None,
    start_vectors=None,
    rng=None,
    positive=False,
):
    """Find several sparse vectors of extreme quadratic form, one after another.

    Parameters
    ----------
    B : array-like of shape (p, p)
        Symmetric, finite; positive semidefinite or not.
    n_components : int
        Number of vectors, from 1 to p.
    n_nonzero : int or sequence of n_components ints
        Largest number of nonzero entries of each vector.
    which : {"LA", "SA", "LM"}, default="LA"
        Largest or smallest algebraic value, or largest magnitude.
    starts : int, default=3
        Supports given to the local search for each vector, see `sparse_principal_vector`.
    n_row_starts : int, default=0
        Vectors on row blocks that are tried among the starts: for each index the block of it and
        its strongest partners. They find better optima of large matrices, in O(p^2 + p s^2) more
        time.
    n_columns : int or None, default=None
        Columns that are tried among the starts. None tries as many as take little time, and grows
        supports from some of them.
    start_vectors : ndarray of shape (p, n_components) or None, default=None
        Guesses at the vectors, which are tried among the starts.
    rng : None, int or numpy.random.Generator, default=None
        Source of the random seeds among the starts.
    positive : bool, default=False
        Vectors without negative entries: the same where those found without it have none.

    Returns
    -------
    SparsePrincipalVectors

    Notes
    -----
    After each vector B becomes P B P, where P projects onto the complement of all vectors found
    so far (orthogonalised projection deflation: Mackey, Deflation methods for sparse PCA, NIPS
    2008). Deflated directions then have the value 0. When nothing positive is left, B is shifted
    to be positive definite before it is deflated, so that these directions are last, not first.
    With n_nonzero = p the vectors are therefore the eigenvectors, whatever the signs of the
    eigenvalues.

    Each vector costs O(p^2) beyond its search.

    Examples
    --------
    >>> import numpy as np
    >>> found = sparse_principal_vectors(np.diag([1.0, 3.0, 2.0]), 2, 1, rng=0)
    >>> found.eigenvalues
    array([3., 2.])
    """
    original = _check_symmetric(B)
    p = len(original)
    _check_count("n_components", n_components, p)
    _check_count("starts", starts)
    if which not in ("LA", "SA", "LM"):
        raise ValueError(f"which must be 'LA', 'SA' or 'LM', got {which!r}.")
    sizes = _check_sizes(n_nonzero, n_components)
    rng = np.random.default_rng(rng)
    tol = _rounding(original)
    options = {
        "starts": starts,
        "n_row_starts": n_row_starts,
        "n_columns": n_columns,
        "positive": positive,
    }
    signs = {"LA": (1.0,), "SA": (-1.0,), "LM": (1.0, -1.0)}[which]

    # Neither is written to while one vector is wanted, which spares the copy.
    deflated = original.copy() if n_components > 1 else original
    basis = np.zeros((p, 0))
    shift = 0.0
    vectors = np.zeros((p, n_components))
    found = []
    for k, size in enumerate(sizes):
        s = min(size, p)
        guess = None if start_vectors is None else start_vectors[:, k]
        best, sign = _solve_signs(deflated, s, rng, tol, signs, options, guess)
        if best.eigenvalue <= tol and k and not shift:
            # Directions already found tie with, or beat, all others: put them below. The sign
            # is settled from here on, since +B and -B cannot both be shifted.
            signs = (sign,)
            shift = _shift(sign * original)
            deflated += sign * shift * (np.eye(p) - basis @ basis.T)
            best, sign = _solve_signs(deflated, s, rng, tol, signs, options)
        vectors[best.support, k] = best.values
        found.append(best)
        tell("sparse vectors", "vectors", k + 1, n_components)
        if k + 1 == n_components:
            break
        direction = _orthonormalize(basis, vectors[:, k])
        if direction is not None:
            basis = np.column_stack([basis, direction])
            _deflate(deflated, direction)
    return SparsePrincipalVectors(
        vectors=vectors,
        eigenvalues=np.einsum("ik,ik->k", vectors, original @ vectors),
        is_swap_optimal=np.array([one.is_swap_optimal for one in found]),
        n_swaps=np.array([one.n_swaps for one in found]),
    )


# ------------------------------------------------------------------------------------ checking


def _check_symmetric(B):
    """Return B as an exactly symmetric float64 array (p, p), B itself if it is one."""
    B = check_matrix_values(B, "B")
    if B.ndim != 2 or B.shape[0] != B.shape[1] or not B.size:
        raise ValueError(f"B must be a nonempty square matrix, got shape {B.shape}.")
    return np.ascontiguousarray(symmetric_part(B, "B"))


def _check_count(name, value, largest=None):
    is_count = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_count or value < 1 or (largest is not None and value > largest):
        bound = "at least 1" if largest is None else f"from 1 to {largest}"
        raise ValueError(f"{name} must be an integer {bound}, got {value!r}.")


def _check_sizes(n_nonzero, n_components):
    if not isinstance(n_nonzero, Sequence | np.ndarray):
        n_nonzero = [n_nonzero] * n_components
    if len(n_nonzero) != n_components:
        raise ValueError(
            f"n_nonzero must be an integer or n_components={n_components} of them, "
            f"got {len(n_nonzero)}."
        )
    for size in n_nonzero:
        _check_count("n_nonzero", size)
    return n_nonzero


def _rounding(B):
    """Gain that counts as rounding; positive even for B = 0."""
    return _RELATIVE_GAIN * (np.sqrt(np.einsum("ij,ij->j", B, B).max()) or 1.0)


# ----------------------------------------------------------------------------------- deflation


def _solve_signs(B, s, rng, tol, signs, options, guess=None):
    """Solve for each sign of B, return the result of largest value and its sign."""
    found = []
    for sign in signs:
        signed, search = sign * B if sign < 0 else B, dict(options)
        positive = search.pop("positive")
        one = _solve(signed, s, rng, tol, guess=guess, **search)
        if positive:
            one = non_negative_vector(signed, s, one, tol, guess)
        found.append((one, sign))
    return max(found, key=lambda pair: pair[0].eigenvalue)


def _shift(B):
    """A c > 0 which makes B + c I positive definite, with room to spare."""
    w = eigh(B, eigvals_only=True)
    return max(0.0, -w[0]) + 0.1 * (max(abs(w[0]), abs(w[-1])) or 1.0)


def _orthonormalize(basis, v):
    """Unit vector along the part of v outside the basis, or None when there is none."""
    q = v
    for _ in range(2):  # the second pass removes what rounding left
        q = q - basis @ (basis.T @ q)
    norm = np.linalg.norm(q)
    return q / norm if norm > 1e-10 else None


def _deflate(B, q):
    """Replace B by (I - q q^T) B (I - q q^T), in place and exactly symmetric."""
    z = B @ q
    z -= 0.5 * (q @ z) * q
    for low in range(0, len(B), _DEFLATED):
        rows = slice(low, low + _DEFLATED)
        update = q[rows, None] * z
        update += z[rows, None] * q
        B[rows] -= update


# -------------------------------------------------------------------------------------- search


def _solve(B, s, rng, tol, starts, guess=None, n_row_starts=0, n_columns=None):
    """Best local optimum over the starts, for a checked matrix and s <= p."""
    p = len(B)
    if s == p:
        w, U = eigh(B, subset_by_index=[p - 1, p - 1])
        if len(w) == 0:  # LAPACK may find none by index where many eigenvalues are equal
            w, U = eigh(B)
        return as_result(np.arange(p), w[-1], U[:, -1], 0, True)
    if np.linalg.norm(B) <= tol:
        # Nothing is left but rounding: no support beats another.
        return as_result(np.arange(s), B[0, 0], np.eye(s)[0], 0, True)
    seen, best = set(), None
    candidates = candidate_supports(B, s, starts, rng, guess, n_row_starts, n_columns)
    for support, value in candidates:
        if best is not None and value < best.eigenvalue - (1 - _WORTHWHILE) * abs(best.eigenvalue):
            break
        found = swap_until_optimal(B, support, tol, seen)
        if found is not None and (best is None or found.eigenvalue > best.eigenvalue + tol):
            best = found
    # Where s = p - 1 the exchanges have looked at all supports.
    if is_little_work(comb(p, s), s, _FEW_SUPPORTS):
        support, value = best_support(B, s)
        if best is None or value > best.eigenvalue + tol:
            w, U = eigh(B[np.ix_(support, support)])
            return as_result(support, w[-1], U[:, -1], 0, True)
    return best
