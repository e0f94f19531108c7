"""Decoding in time that does not grow with the number of features: ids spelled by their bits."""

from typing import Any, Self

import numpy as np

from ...sketching import Measurement
from .._lifting import SupportFit, measure_rows, orthonormal_range, restricted_least_squares
from ._base import best_of
from ._htp import _POOL, HTPDecoder
from ._registry import register

# The least certain bits of a bucket are tried both ways; a wrong id then passes the test of its
# bucket 2^_UNCERTAIN_BITS / b times in a bucket, and is left to its score.
_UNCERTAIN_BITS = 6
# Share of the energy of a column that counts as noise in any case.
_NOISE_FLOOR = 1e-6
# Median of the square of a normal variable.
_MEDIAN_SQUARE = 0.4549


@register
class BitTestDecoder(HTPDecoder):
    """Hard thresholding pursuit whose candidates spell their own ids.

    The identification of the sketch holds buckets of features. Each bucket is kept once as it is,
    and once for each binary digit, restricted to the features whose id has this digit. If one
    feature dominates a bucket, the digits that keep its energy are those of its id. An id that is
    found must hash to its bucket, and is scored by the main measurement, which is independent of
    the identification. Features found are subtracted, which uncovers others (peeling). Least
    squares and thresholds are those of :class:`HTPDecoder`.

    Parameters
    ----------
    max_iter : int, default=20
        Largest number of rounds of peeling.

    Notes
    -----
    A round takes O(n_buckets r (l + t) log N) time for l columns of the identification and t
    features found. In exact arithmetic and without noise, of t features only those are missed that
    share all their buckets: at most t^2 / (2 b^3) expected pairs among b = n_buckets / 3, as long
    as t is below about 0.8 n_buckets. In noise, the bits of a feature are read from one bucket, not
    from all K blocks of the main measurement, so features must stand out more than for a sweep by
    ``"htp"``; see ``doc/huge_feature_spaces.md`` for the measured loss.

    References
    ----------
    The method is derived here. The public MAM* experiments (arXiv:2507.17036) multiply the whole
    measurement with a bit-test matrix; here the bits are a thin side sketch. Peeling is that of
    invertible Bloom lookup tables (Goodrich and Mitzenmacher, arXiv:1101.2245).
    """

    name = "bit_test"
    needs_identification = True

    _sketch: Any
    _S: np.ndarray | None
    # The last Q with its cells and weights, and the cells of all rows of Psi, once they are read.
    _last: tuple[Any, Any, Any]
    _whole: np.ndarray | None

    def attach(self, sketch: Any, S: np.ndarray | None) -> Self:
        if not sketch.identifies:
            raise ValueError(
                "decoder='bit_test' reads the ids of features from a side sketch, which this "
                "sketch does not keep: make it with identification=3072 buckets or so."
            )
        bound = super().attach(sketch, S)
        bound._sketch, bound._S = sketch, S
        bound._last, bound._whole = (None, None, None), None
        return bound

    def n_hypotheses(self, measurement: Measurement) -> int:
        return self._sketch.identification_hash.n_measurements << _UNCERTAIN_BITS

    def decode(
        self, measurement: Measurement, Q: np.ndarray, size: int | None = None
    ) -> np.ndarray:
        if not self._is_attached:
            raise ValueError(
                "decoder='bit_test' reads a sketch, not its measurement alone: decode through "
                "EigenSketch.recover, or call attach(sketch, S) first."
            )
        return super().decode(measurement, Q, size)

    def strongest(self, fit: SupportFit, size: int) -> tuple[np.ndarray, np.ndarray]:
        if self._n_decodings > 1:
            return super().strongest(fit, size)
        # The first decoding peels: each round reads what the last has uncovered.
        ids = self._spelled(fit)
        self._pool = ids if self._pool is None else np.union1d(self._pool, ids)
        return best_of(fit, ids, size)

    def _keeps_a_pool(self, measurement):
        return True

    def _may_look_again(self):
        return self._n_decodings > 1

    def _look(self, fit, size):
        return best_of(fit, self._spelled(fit), _POOL)

    def clarity(self, fit: SupportFit) -> np.ndarray:
        """Return how many times the noise of a bucket the features of a fit are.

        The noise is what the buckets hold beside the features of the fit.
        """
        cells, W = self._cells(fit.Q)
        whole = cells[:, 0] if W is None else cells[:, 0] @ W
        whole = whole[:, : fit.Q.shape[1]]
        hash_ = self._sketch.identification_hash
        known = restricted_least_squares(hash_, fit.ids, whole)
        noise = _noise_of_columns(whole - measure_rows(hash_, fit.ids, known)) / _MEDIAN_SQUARE
        share = np.square(fit.Z) / hash_.n_blocks
        clear = np.full_like(share, np.inf)
        np.divide(share, noise, out=clear, where=noise > 0.0)
        return np.sqrt(clear.sum(axis=1))

    def _spelled(self, fit):
        """Return the ids that the buckets spell once the fit is taken out of them."""
        cells, W = self._cells(fit.Q)
        cells = cells.copy()
        hash_ = self._sketch.identification_hash
        if len(fit.ids):
            known = restricted_least_squares(hash_, fit.ids, cells[:, 0])
            hash_.add_bit_tests(cells, fit.ids, -known)
        return np.setdiff1d(spelled_ids(hash_, cells, W), fit.ids)

    def _cells(self, Q):
        """Return the identification of the F that Q measures, shape (n_buckets, 1 + n_bits, r').

        Q = M A Omega^T W for some W in the row space of S, spanned by V = S^T Q. On that space
        A Psi^T W' is the same as A Omega^T W if V^T G^T W' = V^T W. Where W' has more columns than
        Psi has rows, the cells of A Psi^T itself are returned, with W'; otherwise with None.
        """
        last, *cells = self._last
        if last is not Q:
            V = orthonormal_range(self._S.T @ Q)
            coefficients = np.linalg.lstsq(self._S @ V, Q, rcond=None)[0]
            fold = self._sketch.identification_fold
            W = np.linalg.lstsq((fold.T @ V).T, coefficients, rcond=None)[0]
            cells = self._identified(W)
            self._last = Q, *cells
        return cells

    def _identified(self, W):
        """Return the cells of A Psi^T W and None, or those of A Psi^T and W: what is narrower."""
        # Whole vectors for the kernel that subtracts features.
        n_rows, rank = W.shape
        if n_rows > rank:
            return self._sketch.identify(np.pad(W, [(0, 0), (0, -rank % 8)])), None
        if self._whole is None:
            self._whole = self._sketch.identify(np.eye(n_rows, n_rows + -n_rows % 8))
        return self._whole, np.pad(W, [(0, -n_rows % 8), (0, 0)])


def spelled_ids(hash_: Any, cells: np.ndarray, W: np.ndarray | None = None) -> np.ndarray:
    """Return the ids spelled by buckets, those that hash to where they were found.

    Parameters
    ----------
    hash_ : SparseSignMeasurement
        By which ids were assigned to buckets.
    cells : ndarray of shape (n_buckets, 1 + n_bits, l)
    W : ndarray of shape (l, r) or None
        What the cells are multiplied with first; None for nothing.

    Returns
    -------
    ndarray of int64
        Sorted and distinct.
    """
    whole, digits = cells[:, 0] if W is None else cells[:, 0] @ W, cells[:, 1:]
    # Columns of weak components are louder.
    noise = _noise_of_columns(whole)
    weighted = np.divide(whole, noise, out=np.zeros_like(whole), where=noise > 0.0)
    energy = np.einsum("jr,jr->j", weighted, whole)
    if W is not None:
        weighted = weighted @ W.T  # products with the cells as they are
    # Half of the energy is the border between a bit that is set and one that is not.
    margin = 2.0 * np.matmul(digits, weighted[:, :, None])[:, :, 0] - energy[:, None]
    n_bits = margin.shape[1]
    used = np.flatnonzero(energy > 0.0)
    margin = margin[used]
    powers = np.left_shift(np.int64(1), np.arange(n_bits))
    ids = (margin > 0.0) @ powers if n_bits else np.zeros(len(used), dtype=np.int64)
    n_uncertain = min(_UNCERTAIN_BITS, n_bits)
    candidates = ids[:, None]
    order = np.argpartition(np.abs(margin), n_uncertain - 1, axis=1) if n_uncertain else candidates
    for i in range(n_uncertain):
        flipped = candidates ^ powers[order[:, i]][:, None]
        candidates = np.hstack([candidates, flipped])
    buckets = np.repeat(used, candidates.shape[1])
    candidates = candidates.ravel()
    inside = candidates < hash_.n_features
    candidates, buckets = candidates[inside], buckets[inside]
    found = (hash_.buckets(candidates) == buckets[:, None]).any(axis=1)
    return np.unique(candidates[found])


def _noise_of_columns(whole):
    """Return the median of the squares of each column, which goes with its noise.

    Most buckets hold nothing else. Without noise it is next to zero, and all columns are alike.
    """
    squares = np.square(whole)
    return np.median(squares, axis=0) + _NOISE_FLOOR * squares.mean(axis=0)
