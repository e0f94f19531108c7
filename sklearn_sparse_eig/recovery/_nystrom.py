"""Sparse vectors over all features from one pass, by a model of A that needs no second one.

Where every feature has a row of its own in the sketch B = A Omega^T, that is the Nystrom model
A ~ B C^-1 B^T for C = Omega B.
"""

import numpy as np

from ..sketching import ImplicitMatrix
from ._inverse_root import inverse_root
from ._joint_solution import LARGE_SIZE, joint_principal_vectors, thresholded
from ._lifting import orthonormal_range
from ._polish import Polished, is_crowded, polish

# A matrix with fewer rows that are not zero than one in so many is read by these alone.
_SPARSE = 4
# Rows of a model that are looked at together.
_CHUNK = 4096


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

    def __init__(self, sketch, S: ImplicitMatrix, among: np.ndarray | None = None) -> None:
        self.root = inverse_root(S.measured_by(sketch.test))
        self._S, self._among = S, among
        self.n_features = len(S)

    @property
    def is_exact(self) -> bool:
        """Whether A has a smaller rank than the test matrix has rows, so that all of it is seen."""
        return self.root.shape[1] < self._S.shape[1]

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

    def improved(
        self,
        ids: np.ndarray,
        leading: np.ndarray | None,
        sizes: np.ndarray,
        max_candidates: int,
        rng: np.random.Generator,
        *,
        noisy: bool,
    ) -> Polished:
        """Return sparse vectors over all features, given some among which most of theirs are.

        Parameters
        ----------
        ids : ndarray of int64
        leading : ndarray of shape (len(ids), r) or None
            Rows there of leading eigenvectors, as columns of any length, which may spare a search.
        sizes : ndarray of int, shape (r,)
        max_candidates : int
        rng : Generator
        noisy : bool
            Whether noise may take up some of the largest entries of `leading`.

        Notes
        -----
        Where the model is exact, the small problem is searched thoroughly, before and after power
        steps. Otherwise supports that it can hardly tell apart are many, and which of them is found
        does not matter: few starts are enough. There, without noise, and where other vectors will
        take their place, thresholded eigenvectors do before the power steps.
        """
        thorough = self.is_exact
        starts = 3 if thorough and np.max(sizes) <= LARGE_SIZE else 1

        def solve(ids, vectors):
            options = {"starts": starts, "start_vectors": vectors, "rng": rng, "thorough": thorough}
            return joint_principal_vectors(self.matrix(ids), sizes, **options)

        does = is_crowded(sizes, max_candidates) or not (thorough or noisy)
        if leading is None or not does:
            vectors = solve(ids, None)
        else:
            vectors = thresholded(leading, np.minimum(sizes, len(ids)))
        return polish(
            self.multiply,
            solve,
            Polished(ids, vectors),
            sizes,
            self.n_features,
            max_candidates,
            products_are_cheap=True,
            captured_by=self.captured,
            brief=not thorough,
        )
