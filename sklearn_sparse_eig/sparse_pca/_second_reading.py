"""Recovery by a second reading of the rows: exact on the candidates, then polished over all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..recovery import Polished, SparseEigenpairs, polish, recover
from ..sketching import EigenSketch

# Vectors of the length of a row that polishing keeps for each component: the vectors, a basis of
# them, their images and an ordering of these.
_ARRAYS = 4

Batches = Callable[[], Iterator[tuple]]


@dataclass(frozen=True)
class SecondReading:
    """Rows that can be read again, batch by batch, with their weights.

    Parameters
    ----------
    batches : callable
        Returns an iterator over pairs of rows and weights (an array or a number for all).
    n_features : int
    center : bool
    add : callable
        ``add(sketch, rows, weights)`` adds a batch to a sketch.
    """

    batches: Batches
    n_features: int
    center: bool
    add: Callable

    def covariance(self, ids: np.ndarray) -> EigenSketch:
        """Return the exact covariance of some features."""
        exact = EigenSketch(
            len(ids), n_measurements=None, measurement="identity", center=self.center
        )
        for rows, weights in self.batches():
            self.add(exact, selected_columns(rows, ids), weights)
        return exact

    def mean(self) -> tuple[np.ndarray, float]:
        """Return the mean of every feature (zero if not centred) and the weight of all rows."""
        total, weight = np.zeros(self.n_features), 0.0
        for rows, weights in self.batches():
            row_weights = np.broadcast_to(weights, rows.shape[0])
            if self.center:
                total += rows.T @ row_weights
            weight += float(row_weights.sum())
        return total / weight, weight

    def multiply(self, Q: np.ndarray, mean: np.ndarray, weight: float) -> np.ndarray:
        """Return A Q for the covariance A of all features, which is never formed."""
        images, total, shift = np.zeros_like(Q), np.zeros(Q.shape[1]), mean @ Q
        for rows, weights in self.batches():
            if sp.issparse(rows):
                measured = rows @ Q - shift
            else:
                rows = rows - mean  # before the product: a large mean would cost all digits
                measured = rows @ Q
            measured *= np.broadcast_to(weights, rows.shape[0])[:, None]
            images += rows.T @ measured
            if sp.issparse(rows):
                total += measured.sum(axis=0)
        return (images - np.outer(mean, total)) / weight


def recover_from_rows(
    reading: SecondReading,
    ids: np.ndarray,
    n_components: int,
    sizes: np.ndarray | None,
    memory: float,
    **options,
) -> tuple[EigenSketch, np.ndarray, SparseEigenpairs]:
    """Recover on the exact covariance of candidates, then look at all features once more.

    Parameters
    ----------
    reading : SecondReading
    ids : ndarray of int64
        The candidates, sorted.
    n_components : int
    sizes : ndarray of int or None
        Nonzeros of each component; None where they are chosen, which leaves the candidates.
    memory : float
        Bytes; polishing takes some vectors of the length of a row, and is left out beyond.
    **options
        For :func:`recover`.

    Returns
    -------
    exact : EigenSketch
        The covariance of the features `ids`.
    ids : ndarray of int64
    pairs : SparseEigenpairs
        On these features.
    """
    seen = {}

    def solve(ids, start_vectors=None):
        exact = reading.covariance(ids)
        pairs = recover(exact, n_components, start_vectors=start_vectors, **options)
        seen[ids.tobytes()] = exact, ids, pairs
        return pairs.eigenvectors.toarray()

    vectors = solve(ids)
    if sizes is not None and 8.0 * _ARRAYS * n_components * reading.n_features <= memory:
        mean, weight = reading.mean()
        better = polish(
            lambda Q: reading.multiply(Q, mean, weight),
            solve,
            Polished(ids, vectors),
            np.broadcast_to(sizes, n_components),
            reading.n_features,
            max(2 * int(np.broadcast_to(sizes, n_components).sum()), 200),
        )
        ids = better.ids
    return seen[ids.tobytes()]


def selected_columns(X, ids):
    """Return X[:, ids] as float64, dense or CSR; nothing of the length of a row is allocated."""
    if not sp.issparse(X):
        return np.asarray(X[:, ids], dtype=np.float64)
    position = np.searchsorted(ids, X.indices)
    position[position == len(ids)] = 0
    kept = ids[position] == X.indices
    indptr = np.concatenate([[0], np.cumsum(kept)])[X.indptr]
    data = X.data[kept].astype(np.float64)
    return sp.csr_array((data, position[kept], indptr), shape=(X.shape[0], len(ids)))
