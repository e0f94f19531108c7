"""What a recovery returns."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from .._base.signs import with_canonical_signs


class RecoveryWarning(UserWarning):
    """Warning that a sketch cannot support what was asked of it; the message says what would."""


@dataclass(frozen=True)
class SparseEigenpairs:
    """Sparse approximate eigenpairs of a symmetric N x N matrix A.

    Attributes
    ----------
    eigenvalues : ndarray of shape (r,)
        Value of v^T A v for each vector. The noise variance is included if it was estimated.
    eigenvectors : csc_array of shape (N, r)
        Columns of unit length whose entry of largest magnitude is positive (the first one in case
        of a tie). They are exactly orthogonal only if the eigenvectors of A are that sparse.
    added_variance : ndarray of shape (r,)
        Amount by which each vector increases the part of trace(A) that lies in the span of the
        vectors before it. If the vectors are orthogonal, this is the eigenvalue.
    support : ndarray of int64, shape (n_support,)
        Union of the supports, in increasing order.
    residual : float
        For a sketch, the share (in Frobenius norm) of the noise-corrected sketch that the vectors
        do not explain. For a matrix, the largest ||A v - lambda v|| over the vectors.
    noise_variance : float
        Estimated variance of independent noise in every feature; 0 if no noise is modelled.
    signal_to_threshold : ndarray of shape (r,)
        Ratio of the largest entry of each vector to the detection threshold. At 1 and below, a
        component cannot be told from noise. The ratio is ``inf`` if there is no noise.
    eigengaps : ndarray of shape (r,)
        Distance of each eigenvalue to the nearest other one found, relative to the largest. Vectors
        with small gaps are determined only up to a rotation among themselves.
    eigenvector_errors : ndarray of shape (r,)
        Estimated l2 distance of each unit vector, up to sign, to the eigenvector that it stands
        for: that of the population covariance for rows, that of A for entries. The estimate
        accounts for collisions, sampling noise, rotations among the vectors found and, in a matrix
        of entries, for what the support leaves of the sketch. It does not see features that were
        missed in noise or wrongly included. It is a root mean square over chance, not a bound, and
        sqrt(2) if vectors depend on each other.
    eigenvalue_errors : ndarray of shape (r,)
        Standard error of each eigenvalue, assuming that the scores of the rows on a vector are
        Gaussian.
    n_iter : int
        Number of decodings.
    stop_reason : str
        Reason why the decoding ended, as a sentence.
    upper_bound : ndarray of shape (r,) or None
        Bound that v^T A v provably does not exceed for any unit vector with as many nonzeros. For
        ``which="SA"`` it is a lower bound, and for ``"LM"`` it bounds the magnitude. None unless
        a certificate was requested.
    """

    eigenvalues: np.ndarray
    eigenvectors: sp.csc_array
    added_variance: np.ndarray
    support: np.ndarray
    residual: float
    noise_variance: float
    signal_to_threshold: np.ndarray
    eigengaps: np.ndarray
    eigenvector_errors: np.ndarray
    eigenvalue_errors: np.ndarray
    n_iter: int
    stop_reason: str
    upper_bound: np.ndarray | None = None

    @property
    def optimality_gap(self) -> np.ndarray | None:
        """Distance of each eigenvalue to its bound, as a share of the bound; None without one.

        Below 1e-9 it means that the vector is optimal. Vectors after the first solve a deflated
        problem, which is another reason why they can fall short of the bound.
        """
        if self.upper_bound is None:
            return None
        distance = np.abs(np.abs(self.upper_bound) - np.abs(self.eigenvalues))
        scale = np.abs(self.upper_bound)
        return np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0.0)

    def embed(
        self, ids: np.ndarray, n_features: int, *, noise_variance: float
    ) -> "SparseEigenpairs":
        """Return the same pairs with row i of the vectors moved to ids[i] of n_features."""
        vectors = self.eigenvectors
        placed = (vectors.data, ids[vectors.indices], vectors.indptr)
        return replace(
            self,
            eigenvectors=sp.csc_array(placed, shape=(n_features, vectors.shape[1])),
            support=ids[self.support],
            noise_variance=noise_variance,
        )


def assemble_pairs(
    ids,
    vectors,
    eigenvalues,
    n_features,
    *,
    added_variance,
    residual,
    noise_variance=0.0,
    signal_to_threshold=None,
    eigenvector_errors=None,
    eigenvalue_errors=None,
    n_iter=1,
    stop_reason="solved directly",
    upper_bound=None,
):
    """Build the result from the vectors' rows at `ids` (sorted), shape (len(ids), r)."""
    vectors = with_canonical_signs(vectors)
    rows, columns = np.nonzero(vectors)
    eigenvectors = sp.csc_array(
        (vectors[rows, columns], (ids[rows], columns)), shape=(n_features, vectors.shape[1])
    )
    eigenvectors.sort_indices()
    if signal_to_threshold is None:
        signal_to_threshold = np.full(vectors.shape[1], np.inf)
    return SparseEigenpairs(
        eigenvalues=eigenvalues,
        eigenvectors=eigenvectors,
        added_variance=added_variance,
        support=np.asarray(ids)[np.unique(rows)].astype(np.int64),
        residual=float(residual),
        noise_variance=float(noise_variance),
        signal_to_threshold=np.asarray(signal_to_threshold, dtype=np.float64),
        eigengaps=_relative_gaps(eigenvalues),
        eigenvector_errors=_or_unknown(eigenvector_errors, eigenvalues),
        eigenvalue_errors=_or_unknown(eigenvalue_errors, eigenvalues),
        n_iter=int(n_iter),
        stop_reason=stop_reason,
        upper_bound=upper_bound,
    )


def _or_unknown(errors, eigenvalues):
    return np.full(len(eigenvalues), np.nan) if errors is None else errors


def _relative_gaps(eigenvalues):
    largest = np.max(np.abs(eigenvalues), initial=0.0)
    if len(eigenvalues) < 2 or largest == 0.0:
        return np.full(len(eigenvalues), np.inf)
    distance = np.abs(eigenvalues[:, None] - eigenvalues[None, :])
    np.fill_diagonal(distance, np.inf)
    return distance.min(axis=1) / largest
