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
from numbers import Integral

import numpy as np
from scipy.linalg import eigh

# A gain below this share of the largest column norm of B is rounding, not progress. It is what
# makes the local search finite on matrices with ties.
_RELATIVE_GAIN = 1e-12
# Work (in multiply-adds) of one truncated power step over all the columns tried as starts, and
# of growing supports from single indices. Small matrices can so try every column, at no visible
# cost, and large ones a few.
_POWER_WORK = 5e6
_GROWTH_WORK = 1e6
# Steps which sort the starts, and steps for those which the local search will see.
_SCREENING_STEPS = 8
_POWER_STEPS = 100
_KRYLOV_DIMENSION = 20
# Beyond this size a growing support takes all that is missing at once: the power iteration that
# follows corrects it for less than the eigendecompositions would cost.
_GROWN_SIZE = 32
# Indices outside the support which a search round looks at before it looks at all.
_PROMISING = 64
# Starts whose value is below this share of the best hardly ever overtake it.
_WORTHWHILE = 0.98


@dataclass(frozen=True)
class SparseVector:
    """A unit vector with few nonzeros, and what is known about it.

    Attributes
    ----------
    values : ndarray of shape (s,)
        Entries on the support; unit 2-norm, the entry of largest magnitude is positive.
    support : ndarray of shape (s,)
        Indices of the entries, increasing.
    eigenvalue : float
        The quadratic form at the vector: the top eigenvalue of B on the support.
    n_swaps : int
        Exchanges made by the local search which led here.
    is_swap_optimal : bool
        True when no exchange of one index of the support for another raises the eigenvalue by
        more than rounding.
    """

    values: np.ndarray
    support: np.ndarray
    eigenvalue: float
    n_swaps: int
    is_swap_optimal: bool

    def toarray(self, n_features):
        """Return the vector as an ndarray of shape (n_features,)."""
        dense = np.zeros(n_features)
        dense[self.support] = self.values
        return dense


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
    is the global optimum.

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
    return _solve(B, min(n_nonzero, len(B)), starts, rng, _rounding(B))


def sparse_principal_vectors(B, n_components, n_nonzero, *, which="LA", starts=3, rng=None):
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
    rng : None, int or numpy.random.Generator, default=None
        Source of the random seeds among the starts.

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
    signs = {"LA": (1.0,), "SA": (-1.0,), "LM": (1.0, -1.0)}[which]

    deflated = original.copy()
    basis = np.zeros((p, 0))
    shift = 0.0
    vectors = np.zeros((p, n_components))
    found = []
    for k, size in enumerate(sizes):
        s = min(size, p)
        best, sign = _solve_signs(deflated, s, starts, rng, tol, signs)
        if best.eigenvalue <= tol and k and not shift:
            # Directions already found tie with, or beat, all others: put them below. The sign
            # is settled from here on, since +B and -B cannot both be shifted.
            signs = (sign,)
            shift = _shift(sign * original)
            deflated += sign * shift * (np.eye(p) - basis @ basis.T)
            best, sign = _solve_signs(deflated, s, starts, rng, tol, signs)
        vectors[best.support, k] = best.values
        found.append(best)
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
    """Return B as an exactly symmetric float64 copy of shape (p, p), or raise ValueError."""
    B = np.asarray(B, dtype=np.float64)
    if B.ndim != 2 or B.shape[0] != B.shape[1] or not B.size:
        raise ValueError(f"B must be a nonempty square matrix, got shape {B.shape}.")
    largest = np.abs(B).max()
    if not np.isfinite(largest):
        raise ValueError("B must be finite, but contains NaN or infinity.")
    asymmetry = np.abs(B - B.T).max()
    if asymmetry > 1e-8 * largest:
        raise ValueError(
            f"B must be symmetric, but |B - B^T| reaches {asymmetry:.3g} where |B| reaches "
            f"{largest:.3g}; pass (B + B.T) / 2 if this is intended."
        )
    return (B + B.T) / 2


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


def _solve_signs(B, s, starts, rng, tol, signs):
    """Solve for each sign of B, return the result of largest value and its sign."""
    found = [(_solve(sign * B if sign < 0 else B, s, starts, rng, tol), sign) for sign in signs]
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
    update = np.outer(q, z)
    B -= update + update.T


# -------------------------------------------------------------------------------------- search


def _solve(B, s, starts, rng, tol):
    """Best local optimum over the starts, for a checked matrix and s <= p."""
    p = len(B)
    if s == p:
        w, U = eigh(B, subset_by_index=[p - 1, p - 1])
        return _as_result(np.arange(p), w[-1], U[:, -1], 0, True)
    if np.linalg.norm(B) <= tol:
        # Nothing is left but rounding: no support beats another.
        return _as_result(np.arange(s), B[0, 0], np.eye(s)[0], 0, True)
    seen, best = set(), None
    for support, value in _candidate_supports(B, s, starts, rng):
        if best is not None and value < best.eigenvalue - (1 - _WORTHWHILE) * abs(best.eigenvalue):
            break
        found = _swap_until_optimal(B, support, tol, seen)
        if found is not None and (best is None or found.eigenvalue > best.eigenvalue + tol):
            best = found
    return best


def _as_result(support, eigenvalue, values, n_swaps, is_swap_optimal):
    values = values / np.linalg.norm(values)
    if values[np.argmax(np.abs(values))] < 0:
        values = -values
    return SparseVector(values, support, float(eigenvalue), n_swaps, is_swap_optimal)


def _top_eigenpairs(blocks):
    """Top eigenvalues (...,) and eigenvectors (..., s) of symmetric blocks (..., s, s)."""
    w, U = np.linalg.eigh(blocks)
    return w[..., -1], U[..., -1]


# ------------------------------------------------------------------------------ starting points


def _candidate_supports(B, s, starts, rng):
    """Distinct sorted supports of s indices and their values, the best first, at most starts."""
    p = len(B)
    n_columns = int(np.clip(_POWER_WORK // p**2, 2 * starts, p))
    n_grown = int(np.clip(_GROWTH_WORK // (s**3 + p * s), starts, n_columns))
    diagonal = np.diagonal(B)
    norms = np.sqrt(np.einsum("ij,ij->j", B, B))
    leading, lowest = _krylov_extremes(B, norms)
    # Half of the seeds are the best by norm, the others spread by chance over the rest.
    order = np.argsort(-norms, kind="stable")
    spread = rng.permutation(order[n_columns // 2 :])
    seeds = np.concatenate([order[: n_columns // 2], spread])[:n_columns]
    # The signs for a start given as a support only: those of its dominant column.
    column = B[np.argmax(norms)]
    starting = np.vstack(
        [
            leading,
            _restricted(column, _largest(diagonal - diagonal.min(), s)),
            _restricted(column, _largest(norms, s)),
            B[seeds],
            _grow(B, seeds[:n_grown], s),
        ]
    )
    shift = max(0.0, -lowest)
    vectors, values = _truncated_power(B, starting, s, shift, _SCREENING_STEPS)
    _, first = np.unique(vectors != 0, axis=0, return_index=True)
    chosen = first[np.argsort(-values[first], kind="stable")[:starts]]
    vectors, values = _truncated_power(B, vectors[chosen], s, shift, _POWER_STEPS)
    order = np.argsort(-values, kind="stable")
    return [(np.sort(_largest(vectors[k], s)), values[k]) for k in order]


def _largest(scores, s):
    """Positions of the s entries of largest magnitude along the last axis."""
    return np.argpartition(-np.abs(scores), s - 1, axis=-1)[..., :s]


def _multiply(B, vectors):
    """vectors @ B for rows with few nonzeros, reading no more of B than needed."""
    used = np.flatnonzero(vectors.any(axis=0))
    if 2 * len(used) < len(B):
        return vectors[:, used] @ B[used]
    return vectors @ B


def _restricted(vectors, supports):
    """The rows of vectors with everything outside their supports set to zero."""
    result = np.zeros_like(vectors)
    np.put_along_axis(result, supports, np.take_along_axis(vectors, supports, -1), -1)
    return result


def _krylov_extremes(B, start):
    """Leading Ritz vector (p,) and lowest Ritz value of a small Krylov space of B.

    Only a start and a shift are wanted, so that a fixed number of Lanczos steps is enough, and
    never fails as an iteration with a tolerance may. O(p^2) time for each step.
    """
    basis = np.zeros((min(len(B), _KRYLOV_DIMENSION), len(B)))
    images = np.zeros_like(basis)
    q = start
    for k in range(len(basis)):
        scale = np.linalg.norm(q)
        for _ in range(2):
            q = q - (basis[:k] @ q) @ basis[:k]
        norm = np.linalg.norm(q)
        if norm <= 1e-12 * scale:
            basis, images = basis[:k], images[:k]
            break
        basis[k] = q / norm
        q = images[k] = B @ basis[k]
    if not len(basis):
        return np.ones(len(B)), 0.0
    w, U = np.linalg.eigh(images @ basis.T)
    return U[:, -1] @ basis, w[0]


def _grow(B, seeds, s):
    """Grow one support from each seed index to s indices; return vectors on them (n, p).

    An index joins by the exact top eigenvalue of B on the span of the present vector and that
    index, a lower bound for the enlarged support, found for all indices at once. Supports grow
    by a quarter at a time once they are large: the loop is logarithmic in s.
    """
    n, p = len(seeds), len(B)
    diagonal = np.diagonal(B)
    supports = seeds[:, None]
    image = B[seeds]
    while (size := supports.shape[1]) < s:
        eigenvalues, vectors = _top_eigenpairs(B[supports[:, :, None], supports[:, None, :]])
        dense = np.zeros((n, p))
        np.put_along_axis(dense, supports, vectors, axis=1)
        image = _multiply(B, dense)
        half = (diagonal - eigenvalues[:, None]) / 2
        gains = half + np.hypot(half, image)
        np.put_along_axis(gains, supports, -np.inf, axis=1)
        n_new = min(s - size, max(1, size // 4)) if size < _GROWN_SIZE else s - size
        joining = np.argpartition(-gains, n_new - 1, axis=1)[:, :n_new]
        supports = np.concatenate([supports, joining], axis=1)
    return _restricted(image, supports)


def _truncated_power(B, vectors, s, shift, n_steps):
    """Multiply by B + shift I and keep the s largest entries, until the supports repeat.

    Returns unit vectors (n, p) of s entries and their quadratic forms (n,). With a shift which
    makes the matrix positive semidefinite the quadratic form never decreases. One step costs
    O(n p min(p, n s)), as one matrix product over the union of the supports.
    """
    vectors = _restricted(vectors, _largest(vectors, s))
    values = np.zeros(len(vectors))
    active = np.arange(len(vectors))
    for _ in range(n_steps):
        norms = np.linalg.norm(vectors[active], axis=1, keepdims=True)
        current = vectors[active] = vectors[active] / np.where(norms > 0, norms, 1.0)
        image = _multiply(B, current)
        values[active] = np.einsum("ij,ij->i", current, image)
        image += shift * current
        new = _restricted(image, _largest(image, s))
        moved = np.any((new != 0) != (current != 0), axis=1)
        active = active[moved]
        if not len(active):
            break
        vectors[active] = new[moved]
    return vectors, values


# -------------------------------------------------------------------------------- local search


def _swap_until_optimal(B, support, tol, seen):
    """Exchange indices until no single exchange helps.

    `seen` holds every support any search has passed through. A search which meets one ends with
    None: it would only repeat the other's path, since the rule is deterministic.
    """
    n_swaps = 0
    w, U = np.linalg.eigh(B[np.ix_(support, support)])
    while True:
        key = support.tobytes()
        if key in seen:
            return None
        seen.add(key)
        improved = _improve(B, support, w, U, tol)
        if improved is None:
            return _as_result(support, w[-1], U[:, -1], n_swaps, True)
        support, w, U, n_new = improved
        n_swaps += n_new


def _improve(B, support, w, U, tol):
    """Make exchanges which raise the top eigenvalue by more than tol, or certify that none does.

    Returns the new support, eigenvalues, eigenvectors and number of exchanges, or None.
    """
    outside = np.setdiff1d(np.arange(len(B)), support, assume_unique=True)
    rows = B[support]
    diagonal = np.diagonal(B)
    # The indices which would add most if nothing had to leave usually suffice. All are tested
    # before the search ends.
    half = (diagonal - w[-1]) / 2
    joining = (half + np.hypot(half, U[:, -1] @ rows))[outside]
    rounds = [outside]
    if len(outside) > 2 * _PROMISING:
        promising = np.argpartition(-joining, _PROMISING)[:_PROMISING]
        rounds.insert(0, outside[np.sort(promising)])
    for entering in rounds:
        lower, doubtful = _swap_gains(w, U, rows[:, entering], diagonal[entering], tol)
        pairs = _disjoint_pairs(lower, tol, max(1, len(support) // 4))
        # Several exchanges at once if together they do at least as well as the best one alone
        # is known to do; fewer otherwise.
        goal = w[-1] + max(tol, 0.999 * lower.max())
        while len(pairs):
            trial = _exchange(support, entering, pairs)
            w_trial, U_trial = np.linalg.eigh(B[np.ix_(trial, trial)])
            if w_trial[-1] > goal:
                return trial, w_trial, U_trial, len(pairs)
            pairs = pairs[: len(pairs) // 2]
    # The bounds promise nothing more. Settle what they leave open exactly.
    pairs = _exact_swap(B, support, outside, doubtful, w[-1] + tol)
    if not len(pairs):
        return None
    trial = _exchange(support, outside, pairs)
    w_trial, U_trial = np.linalg.eigh(B[np.ix_(trial, trial)])
    # Where the secular equation and the solver disagree, the gain is at the level of rounding.
    return (trial, w_trial, U_trial, 1) if w_trial[-1] > w[-1] + tol / 2 else None


def _swap_gains(w, U, border, diagonal, tol):
    """Bound what each exchange adds to the top eigenvalue.

    Parameters
    ----------
    w, U : ndarrays of shape (s,) and (s, s)
        Eigenvalues, increasing, and eigenvectors of B_SS.
    border : ndarray of shape (s, c)
        B_{S,j} for the c indices j outside.
    diagonal : ndarray of shape (c,)
        B_jj.
    tol : float
        Gain that counts as rounding.

    Returns
    -------
    lower : ndarray of shape (s, c)
        The exchange of i for j gains at least this: the larger of two Rayleigh quotients, minus
        the eigenvalue.
    doubtful : ndarray of shape (s, c), dtype bool
        Where a gain above tol cannot be excluded. It is excluded wherever
        B_jj + q_ij - lam <= tol, which bounds the gain from above.

    Notes
    -----
    O(s^2 c) time, O(s c) memory. Derived here, see doc/sparse_eigenproblem.md.
    """
    lam, v = w[-1], U[:, -1]
    gap = np.maximum(lam - w[:-1], tol)
    rest = U[:, :-1]
    coordinates = rest.T @ border
    overlap = v @ border
    weighted = coordinates / gap[:, None]  # P^+ b_j in the eigenbasis
    first = rest @ weighted
    second = rest @ (weighted / gap[:, None])
    first_diagonal = (rest**2 @ (1 / gap))[:, None]
    second_diagonal = (rest**2 @ (1 / gap**2))[:, None]
    quadratic = np.einsum("kj,kj->j", coordinates, weighted)

    # v_i = 0 means that b~ does not exist; the quadratic form below is then no bound at all.
    entry = np.where(np.abs(v) > 1e-10, v, np.inf)[:, None]
    t = overlap / entry
    excess = diagonal - lam + quadratic - t * (2 * first - t * first_diagonal)
    norm = np.einsum("kj,kj->j", weighted, weighted) - t * (2 * second - t * second_diagonal)
    norm += ((first - t * first_diagonal) / entry) ** 2
    lower = excess / (1 + np.maximum(norm, 0))

    # The plain truncation of v, for entries so small that the bound above is loose.
    block_diagonal = U**2 @ w
    kept = np.maximum(1 - v**2, 0)
    usable = kept > 1e-10
    kept = np.where(usable, kept, 1.0)
    loss = np.where(usable, v**2 * (lam - block_diagonal) / kept, np.inf)[:, None]
    usable = usable[:, None]
    coupling = (overlap - v[:, None] * border) / np.sqrt(kept)[:, None]
    half = (diagonal - lam + np.where(usable, loss, 0.0)) / 2
    plain = half + np.hypot(half, coupling) - loss
    unclear = np.isinf(entry) | (lam - w[-2] <= 10 * tol if len(w) > 1 else False)
    lower = np.where(unclear, plain, np.maximum(lower, plain))

    doubtful = unclear | (excess > tol - 1e-14 * quadratic)
    # The eigenvalue of S and j together bounds every exchange which brings in j.
    enlarged = diagonal + quadratic + overlap**2 / tol
    return lower, doubtful & (enlarged > lam + tol)


def _disjoint_pairs(lower, tol, largest):
    """Positions (i, j) of promised gains, no index twice, the best first: (k, 2), k <= largest.

    The index best to leave goes with the index best to enter, the second with the second, and so
    on: gains are nearly a sum of what leaving costs and what entering brings, so that most rows
    would name the same partner.
    """
    largest = min(largest, *lower.shape)
    leaving = np.argsort(-lower.max(axis=1), kind="stable")[:largest]
    entering = np.argsort(-lower.max(axis=0), kind="stable")[:largest]
    # With ties the two first may not belong together.
    entering[0] = np.argmax(lower[leaving[0]])
    pairs = np.column_stack([leaving, entering])
    pairs = pairs[lower[leaving, entering] > tol]
    _, first = np.unique(pairs[:, 1], return_index=True)
    return pairs[np.sort(first)]


def _exchange(support, outside, pairs):
    new = support.copy()
    new[pairs[:, 0]] = outside[pairs[:, 1]]
    return np.sort(new)


def _exact_swap(B, support, outside, doubtful, threshold):
    """Find an exchange which raises the top eigenvalue above the threshold: (0 or 1, 2).

    Exact for one index i leaving and all indices j entering at once, by the secular equation in
    the eigenbasis of the block without i. O(s^3 + s^2 c) for each i with a doubtful exchange.
    """
    for i in np.flatnonzero(doubtful.any(axis=1)):
        left = np.delete(support, i)
        entering = np.flatnonzero(doubtful[i])
        w, U = np.linalg.eigh(B[np.ix_(left, left)])
        coordinates = U.T @ B[np.ix_(left, outside[entering])]
        # w <= threshold - tol by interlacing, up to rounding: the floor keeps the sign.
        gap = np.maximum(threshold - w, np.finfo(float).tiny)[:, None]
        excess = B[outside[entering], outside[entering]] - threshold
        excess = excess + np.sum(coordinates**2 / gap, axis=0)
        j = np.argmax(excess)
        if excess[j] > 0:
            return np.array([[i, entering[j]]])
    return np.empty((0, 2), dtype=int)
