"""A second reading of the rows: exact on candidate features, then power steps over all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import scipy.sparse as sp

from ..recovery import (
    Polished,
    is_non_negative,
    joint_non_negative_vectors,
    joint_principal_vectors,
    n_candidates,
    polish,
    wider_candidates,
)
from ..sketching import EigenSketch
from ._rows import columns_of

# Floats of a dense copy of some columns of a batch.
_DENSE = 1 << 18
# Floats of rows that stay in the cache between the two products with them, and rows at least: two
# thirds of the time of products with rows that do not.
_CACHED, _FEW_ROWS = 1 << 16, 4
# Floats for each nonzero of sparse rows, with the rows of a second sketch that they change.
_FLOATS_PER_NONZERO = 32


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
    buffer : int, default=2**21
        Floats of rows that are centred, or written out, at a time.
    scale : ndarray of shape (n_features,) or None, default=None
        By what features are divided; None for nothing.
    """

    batches: Batches
    n_features: int
    center: bool
    add: Callable
    buffer: int = 1 << 21
    scale: np.ndarray | None = None

    def scaled(self, scale: np.ndarray | None) -> "SecondReading":
        """Return the reading of rows whose features are divided by a scale, None for ones."""
        return replace(self, scale=scale)

    def blocks(self, width: int) -> Iterator[tuple]:
        """Yield rows with their weights, so many at a time as fit, of `width` floats if dense."""
        for rows, weights in self.batches():
            if sp.issparse(rows):
                width = _FLOATS_PER_NONZERO * max(rows.nnz // max(rows.shape[0], 1), 1)
            step = max(1, self.buffer // width)
            for low in range(0, rows.shape[0], step):
                part = weights if np.ndim(weights) == 0 else weights[low : low + step]
                yield rows[low : low + step], part

    def scaled_blocks(self) -> Iterator[tuple]:
        """Yield whole rows, scaled, with their weights."""
        for rows, weights in self.blocks(self.n_features):
            yield rows if self.scale is None else scaled_rows(rows, self.scale), weights

    def covariance(self, ids: np.ndarray) -> EigenSketch:
        """Return the exact covariance of some features."""
        exact = EigenSketch(
            len(ids), n_measurements=None, measurement="identity", center=self.center
        )
        exact.row_buffer = self.buffer
        for rows, weights in self.blocks(len(ids)):
            columns = columns_of(rows, ids)
            if self.scale is not None:
                columns = scaled_rows(columns, self.scale[ids])
            self.add(exact, columns, weights)
        return exact

    def product_variance(self, exact: EigenSketch, ids: np.ndarray, V: np.ndarray) -> np.ndarray:
        """Return the variances over the rows of products of centred features and forms.

        Parameters
        ----------
        exact : EigenSketch
            The covariance of the features at ids.
        ids : ndarray of int64, shape (t,)
        V : ndarray of shape (t, r)
            The forms are z_j = v_j^T (x - mean).

        Returns
        -------
        ndarray of shape (t, r)
            The variance of (x_i - mean_i) z_j, from a single reading.
        """
        mean = cast(np.ndarray, exact.feature_mean()) if self.center else np.zeros(len(ids))
        sums = np.zeros((2, *V.shape))
        for rows, weights in self.blocks(len(ids)):
            rows = columns_of(rows, ids)
            parts = _column_blocks(rows)
            # Before the product: a large mean would cost all digits.
            z = sum(x @ V[part] for part, x in _centred(rows, parts, mean))
            z = np.hstack([z, z * z]) * np.broadcast_to(weights, len(z))[:, None]
            for part, x in _centred(rows, parts, mean):
                sums[0, part] += x.T @ z[:, : V.shape[1]]
                sums[1, part] += np.square(x, out=x).T @ z[:, V.shape[1] :]
        products, squares = sums / exact.weight
        return np.maximum(squares - products**2, 0.0)

    def mean(self) -> tuple[np.ndarray, float]:
        """Return the mean of every feature (zero if not centred) and the weight of all rows."""
        total, weight = np.zeros(self.n_features), 0.0
        for rows, weights in self.scaled_blocks():
            row_weights = np.broadcast_to(weights, rows.shape[0])
            if self.center:
                total += rows.T @ row_weights
            weight += float(row_weights.sum())
        return total / weight, weight

    def multiply(self, Q: np.ndarray, mean: np.ndarray, weight: float) -> np.ndarray:
        """Return A Q for the covariance A of all features, which is never formed."""
        images, total, shift = np.zeros_like(Q), np.zeros(Q.shape[1]), mean @ Q
        for rows, weights in self.scaled_blocks():
            if sp.issparse(rows):
                measured = rows @ Q - shift
                measured *= np.broadcast_to(weights, rows.shape[0])[:, None]
                total += measured.sum(axis=0)
                images += rows.T @ measured
                continue
            weights = np.broadcast_to(weights, len(rows))[:, None]
            step = max(_FEW_ROWS, _CACHED // len(Q), Q.shape[1])
            for low in range(0, len(rows), step):
                few = rows[low : low + step] - mean  # before the product, or all digits may go
                images += few.T @ ((few @ Q) * weights[low : low + step])
        return (images - np.outer(mean, total)) / weight

    def wider_candidates(
        self, ids: np.ndarray, sizes: np.ndarray, max_candidates: int
    ) -> np.ndarray:
        """Return candidates for vectors of so many nonzeros, improved over all features, sorted."""
        mean, weight = self.mean()
        return wider_candidates(
            lambda ids: self.covariance(ids).matrix(),
            lambda Q: self.multiply(Q, mean, weight),
            ids,
            sizes,
            self.n_features,
            max_candidates,
        )


def _column_blocks(rows):
    """Return slices of columns of which a dense copy is small."""
    width = max(16, _DENSE // max(rows.shape[0], 1))
    return [slice(low, low + width) for low in range(0, rows.shape[1], width)]


def _centred(rows, parts, mean):
    """Yield parts of the columns, as new dense arrays less their means."""
    rows = rows.tocsc() if sp.issparse(rows) else rows
    for part in parts:
        columns = rows[:, part]
        yield part, (columns.toarray() if sp.issparse(columns) else columns) - mean[part]


def scaled_rows(rows: np.ndarray | sp.csr_array, scale: np.ndarray) -> np.ndarray | sp.csr_array:
    """Return rows, dense or CSR, with every feature divided by its scale."""
    if isinstance(rows, np.ndarray):
        return rows / scale
    return sp.csr_array((rows.data / scale[rows.indices], rows.indices, rows.indptr), rows.shape)


def noise_scale(sketch: EigenSketch) -> np.ndarray:
    """Return the standard deviation of every feature, one where it is constant."""
    deviation = np.sqrt(cast(np.ndarray, sketch.feature_variance()))
    return np.where(deviation > 0.0, deviation, 1.0)


def polished_candidates(
    reading: SecondReading,
    ids: np.ndarray,
    sizes: np.ndarray,
    max_candidates: int,
    start_vectors: np.ndarray | None = None,
    rng: int = 0,
    positive: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return candidates, and sparse vectors among them, improved over all features.

    Parameters
    ----------
    reading : SecondReading
    ids : ndarray of int64
        Candidates to start from, sorted.
    sizes : ndarray of int, shape (r,)
        Nonzeros of each component.
    max_candidates : int
        Bound on the candidates.
    start_vectors : ndarray of shape (len(ids), r) or None, default=None
        Sparse vectors to start from; None for those of the small problem among the candidates.
    rng : int, default=0
        Seeds some starts of the small problems.
    positive : bool, default=False
        Where an entry is negative, go on to vectors that have none.

    Returns
    -------
    ids : ndarray of int64, sorted
    vectors : ndarray of shape (len(ids), r)
    """

    def solve(ids, start_vectors=None):
        A = reading.covariance(ids).matrix()
        return joint_principal_vectors(A, sizes, start_vectors=start_vectors, rng=rng)

    def solve_positive(ids, guess):
        A = reading.covariance(ids).matrix()
        return joint_non_negative_vectors(A, sizes, [guess], rng=rng)

    mean, weight = reading.mean()

    def improved(start, solve, positive=False):
        return polish(
            lambda Q: reading.multiply(Q, mean, weight),
            solve,
            start,
            sizes,
            reading.n_features,
            min(n_candidates(int(sizes.sum())), max_candidates),
            positive=positive,
        )

    first = solve(ids) if start_vectors is None else start_vectors
    better = improved(Polished(ids, first), solve)
    if positive and not is_non_negative(better.vectors):
        start = Polished(better.ids, solve_positive(better.ids, better.vectors))
        better = improved(start, solve_positive, positive=True)
    return better.ids, better.vectors
