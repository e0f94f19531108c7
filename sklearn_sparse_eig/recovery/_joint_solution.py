"""The small problem for several vectors, by the variance of their span.

Vectors that are found one after another are each the best for what the others leave, which need
not be best together: the largest entries of the leading eigenvectors can span more. They are tried
beside, and where they do, power steps for all vectors at once continue from them.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse.linalg import ArpackError, eigsh

from ._joint_steps import joint_power_steps
from ._sparse_principal import sparse_principal_vectors

# Nonzeros from which several starts hardly ever end elsewhere, but cost the cube of the size each.
LARGE_SIZE = 200
# Columns among the starts where few of them are enough.
_FEW_COLUMNS = 2
# A relative gain in variance below which the vectors found one after another are kept.
_GAIN = 1e-9
# Features up to which all eigenvectors are computed, the number of features for each vector from
# which Lanczos iterations are faster, and how exact these are.
_SMALL, _LANCZOS_SHARE, _TOLERANCE = 200, 20, 1e-6


def joint_principal_vectors(
    A: np.ndarray,
    sizes: Sequence[int] | np.ndarray,
    *,
    starts: int = 3,
    start_vectors: np.ndarray | None = None,
    rng: int | np.random.Generator | None = None,
    thorough: bool = True,
) -> np.ndarray:
    """Find sparse vectors whose span holds no less of A than thresholded eigenvectors.

    Parameters
    ----------
    A : ndarray of shape (p, p)
        Symmetric.
    sizes : sequence of int, shape (r,)
        Nonzeros of each vector, with r at most p.
    starts, start_vectors, rng
        As in :func:`sparse_principal_vectors`. The start vectors may be the answer too.
    thorough : bool, default=True
        Whether to try many starts, thresholded eigenvectors beside start vectors, and the vectors
        one by one once more from others that hold more.

    Returns
    -------
    ndarray of shape (p, r)
        Those of :func:`sparse_principal_vectors`, unless others hold more.

    Notes
    -----
    O(p^2 r) time beyond that for the leading eigenvectors and for the vectors one by one, which
    are sought again only where others hold more.
    """
    sizes = np.minimum(sizes, len(A))
    search = _Search(A, starts, rng, thorough)
    found = search.one_by_one(sizes, start_vectors)
    others = [thresholded_eigenvectors(A, sizes)] if thorough or start_vectors is None else []
    if start_vectors is not None and _are_sparse(start_vectors, sizes):
        others.append(start_vectors)
    return search.best(found, others, sizes)


def joint_principal_paths(
    A: np.ndarray,
    counts: Sequence[int],
    sizes: Sequence[int],
    *,
    rng: int = 0,
) -> dict[tuple[int, int], np.ndarray]:
    """Find what :func:`joint_principal_vectors` finds, for several numbers and sizes of vectors.

    Vectors that are found one after another do not depend on how many are to follow, and neither do
    eigenvectors, so all numbers of vectors share the work for the largest, and all sizes the
    eigenvectors.

    Parameters
    ----------
    A : ndarray of shape (p, p)
        Symmetric.
    counts : sequence of int
        Numbers of vectors, each at most p.
    sizes : sequence of int
        Nonzeros of each vector.
    rng : int, default=0
        Seeds some starts, for each size anew.

    Returns
    -------
    dict of (int, int) to ndarray of shape (p, r)
        The vectors by their number r and their size.
    """
    most, results = max(counts), {}
    leading = _leading(A, most)[:, ::-1]
    for size in sizes:
        wanted = np.minimum(np.full(most, size), len(A))
        starts = 1 if size > LARGE_SIZE else 3
        search = _Search(A, starts, np.random.default_rng(rng), True)
        found, other = search.one_by_one(wanted, None), thresholded(leading, wanted)
        held, could_hold = search.captured_by_first(found), search.captured_by_first(other)
        for r in counts:
            vectors = found[:, :r]
            if _is_more(could_hold[r - 1], held[r - 1]):
                vectors = search.continued(other[:, :r], wanted[:r])
            results[r, size] = vectors
    return results


def _is_more(captured, than):
    return captured > (1.0 + _GAIN) * than


class _Search:
    """The search among the vectors of one matrix, one by one and jointly."""

    def __init__(self, A, starts, rng, thorough):
        self.A, self.starts, self.rng, self.thorough = A, starts, rng, thorough

    def one_by_one(self, sizes, guesses):
        return sparse_principal_vectors(
            self.A,
            len(sizes),
            sizes,
            starts=self.starts,
            n_columns=None if self.thorough else _FEW_COLUMNS,
            start_vectors=guesses,
            rng=self.rng,
        ).vectors

    def captured(self, V):
        """Return the trace of A on the span of V."""
        return self.captured_by_first(V)[-1]

    def captured_by_first(self, V):
        """Return the trace of A on the span of the first column of V, the first two and so on.

        Where A is negative on the span of some, fewer vectors hold more: they are no answer, which
        -inf stands for.
        """
        used = np.flatnonzero(V.any(axis=1))
        if len(used) < V.shape[1]:  # fewer rows than vectors have no basis for them all
            used = np.arange(len(V))
        Q, R = np.linalg.qr(V[used])
        block = self.A if len(used) == len(V) else self.A[np.ix_(used, used)]
        captured = np.cumsum(np.einsum("ij,ij->j", Q, block @ Q))
        for r in range(1, V.shape[1] + 1):
            singular = np.linalg.svd(R[:r, :r], compute_uv=False)
            if singular[-1] <= len(V) * np.finfo(np.float64).eps * singular[0]:
                captured[r - 1 :] = -np.inf
                break
        return captured

    def best(self, found, others, sizes):
        """Return the vectors found one by one, unless what comes of others holds more."""
        other = max(others, key=self.captured, default=found)
        if not _is_more(self.captured(other), self.captured(found)):
            return found
        return self.continued(other, sizes)

    def continued(self, other, sizes):
        """Return the best that comes of vectors that hold more than those found one by one."""
        # All this costs as much again, and is seldom needed.
        stepped = joint_power_steps(lambda Q: self.A @ Q, other, sizes)[0]
        other = max(other, stepped, key=self.captured)
        if not self.thorough:
            return other
        return max(other, self.one_by_one(sizes, other), key=self.captured)


def thresholded_eigenvectors(A: np.ndarray, sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the leading eigenvectors with all but the largest entries of each set to zero."""
    return thresholded(_leading(A, len(sizes))[:, ::-1], sizes)


def thresholded(columns: np.ndarray, sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return columns with all but the largest entries of each set to zero, of unit length."""
    vectors = np.zeros_like(columns)
    for column, vector, size in zip(columns.T, vectors.T, sizes, strict=True):
        top = np.argsort(-np.abs(column), kind="stable")[:size]
        vector[top] = column[top] / (np.linalg.norm(column[top]) or 1.0)
    return vectors


def _leading(A, r):
    """Return r leading eigenvectors of A, in increasing order of their eigenvalues."""
    p = len(A)
    if p > _SMALL and _LANCZOS_SHARE * r < p and A.any():
        try:
            start = np.random.default_rng(0).standard_normal(p)
            values, vectors = eigsh(A, k=r, which="LA", v0=start, tol=_TOLERANCE)
            return vectors[:, np.argsort(values, kind="stable")]
        except ArpackError:
            pass  # eigenvalues too close together; all of them, then
    return np.linalg.eigh(A)[1][:, p - r :]


def _are_sparse(vectors, sizes):
    """Whether these are unit vectors of so many nonzeros, not merely directions to start from."""
    norms = np.linalg.norm(vectors, axis=0)
    few = np.count_nonzero(vectors, axis=0) <= np.asarray(sizes)
    return bool(few.all() and np.allclose(norms, 1.0, rtol=1e-8))
