"""Local search for the sparse eigenproblem: exchanges of indices, certified all at once.

Notation as in ``_sparse_principal``; the formulas are derived in ``doc/sparse_eigenproblem.md``.
"""

from dataclasses import dataclass

import numpy as np

from .._base.signs import with_canonical_signs

# Indices outside the support which a search round looks at before it looks at all.
_PROMISING = 64


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


def as_result(support, eigenvalue, values, n_swaps, is_swap_optimal):
    order = np.argsort(support)
    values = values / np.linalg.norm(values)
    values[order] = with_canonical_signs(values[order, None])[:, 0]
    return SparseVector(values, support, float(eigenvalue), n_swaps, is_swap_optimal)


def swap_until_optimal(B, support, tol, seen):
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
            return as_result(support, w[-1], U[:, -1], n_swaps, True)
        support, w, U, n_new = improved
        n_swaps += n_new


def _improve(B, support, w, U, tol):
    """Make exchanges which raise the top eigenvalue by more than tol, or certify that none does.

    Returns the new support, eigenvalues, eigenvectors and number of exchanges, or None.
    """
    is_outside = np.ones(len(B), dtype=bool)
    is_outside[support] = False
    outside = np.flatnonzero(is_outside)
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
    plain = half + np.sqrt(half * half + coupling * coupling) - loss
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
    kept = lower[leaving, entering] > tol
    kept[1:] &= entering[1:] != entering[0]
    return np.column_stack([leaving[kept], entering[kept]])


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
