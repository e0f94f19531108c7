"""Exact mean and variance of every feature: the optional O(N) companion of a sketch."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .. import kernels
from .._base.atomic import Journaled, distinct
from .._base.threads import run_ranges
from ._centring import FAR, better_shifts, centre, is_outweighed

# Features looked at at a time.
_STEP = 1 << 14
# Columns of dense rows at a time: their sums stay in the fastest cache while all rows pass.
_STRIP = 512
# Entries of a strip at least, lest few rows take many calls.
_FEW = 1 << 16


@dataclass
class _Part:
    """The sums of some features."""

    total: np.ndarray
    shift: np.ndarray


class FeatureMoments(Journaled):
    """Weighted sums of (x - shift) and (x - shift)^2 for each feature.

    Parameters
    ----------
    n_features : int

    Notes
    -----
    Three vectors of length N. Rows are shifted by the mean of the first ones, which follows them
    where it moves far, so that variances survive a mean that is large against them. Of sparse rows
    only features that are next to never zero are shifted, so that an update takes O(nonzeros).
    """

    fields = ("total", "squares", "shift")
    _places: tuple[np.ndarray, np.ndarray] | None = None  # a shift, and where it is not zero

    def __init__(self, n_features: int) -> None:
        self.total = np.zeros(n_features)
        self.squares = np.zeros(n_features)
        self.shift = np.zeros(n_features)
        self.weight = 0.0

    def update(
        self, X: np.ndarray | sp.csr_array, weights: float | np.ndarray, total_weight: float
    ) -> None:
        """Add rows X (dense or CSR without duplicates) with the given weights."""
        if sp.issparse(X):
            self._recentre(X, weights, total_weight)
            self._add_sparse(X, weights, total_weight)
        else:
            self.begin(X, weights, total_weight)
            self._add_dense(X, weights)
        self.weight += total_weight

    def begin(self, X: np.ndarray, weights: float | np.ndarray, total_weight: float) -> None:
        """Prepare for dense rows, which are added by columns then; the weight comes last."""
        self._recentre(X, weights, total_weight)
        self._keep(None)

    def _recentre(self, X, weights, total_weight):
        if is_outweighed(self.weight, total_weight):
            self._move(centre(X, weights) - self.shift)

    def _add_dense(self, X, weights):
        step = max(_STRIP, _FEW // len(X))

        def part(low, high):
            for left in range(low, high, step):
                self.add_columns(X, left, min(left + step, high), weights)

        run_ranges(part, X.shape[1], work=X.size, multiple=_STRIP)

    def add_columns(
        self, X: np.ndarray, left: int, right: int, weights: float | np.ndarray
    ) -> None:
        """Add columns left..right-1 of dense rows to the sums, which the journal knows already."""
        total, squares = np.zeros(right - left), np.zeros(right - left)
        is_scalar = np.ndim(weights) == 0
        kernels.add_moments(
            X,
            left,
            right,
            self.shift[left:right],
            None if is_scalar else np.asarray(weights),
            total,
            squares,
        )
        factor = float(weights) if is_scalar else 1.0
        self.add_sums(left, right, factor * total, factor * squares)

    def add_sums(self, left: int, right: int, total: np.ndarray, squares: np.ndarray) -> None:
        """Add to the sums of columns left..right-1 what was summed about the same shifts."""
        self.total[left:right] += total
        self.squares[left:right] += squares

    def _add_sparse(self, X, weights, total_weight):
        shifted = self._shifted_features()
        features = X.indices
        self._keep(np.concatenate([features, shifted]) if len(shifted) else features)
        row_weights = np.repeat(np.broadcast_to(weights, X.shape[0]), np.diff(X.indptr))
        values = X.data.astype(np.float64)
        if len(shifted):
            shift = self.shift[features]
            values -= shift
            weight, n = self._weight_present(shifted, features, row_weights, shift != 0.0)
            # Where no row has a zero, nothing is left by rounding either.
            absent = np.where(n == X.shape[0], 0.0, total_weight - weight)
            self.total[shifted] -= absent * self.shift[shifted]
            self.squares[shifted] += absent * self.shift[shifted] ** 2
        weighted = row_weights * values
        _add_at(self.total, features, weighted)
        _add_at(self.squares, features, weighted * values)

    def _shifted_features(self):
        """Return the features with a shift; a new shift is always a new array."""
        if self._places is None or self._places[0] is not self.shift:
            self._places = self.shift, np.flatnonzero(self.shift)
        return self._places[1]

    @staticmethod
    def _weight_present(shifted, features, row_weights, is_shifted):
        """Return the weight and the number of rows in which each shifted feature is not zero."""
        places = np.searchsorted(shifted, features[is_shifted])
        weight = np.bincount(places, row_weights[is_shifted], len(shifted))
        return weight, np.bincount(places, minlength=len(shifted))

    def merge(self, other: "FeatureMoments", sign: float = 1.0) -> None:
        """Add (or subtract) another feature's sums, brought to this shift first."""
        if is_outweighed(self.weight, other.weight):
            self._move(other.shift - self.shift)
        self._keep(None)
        move = self.shift - other.shift
        self.squares += sign * (other.squares - move * (2.0 * other.total - move * other.weight))
        self.total += sign * (other.total - move * other.weight)
        self.weight += sign * other.weight

    def scale(self, factor: float) -> None:
        """Multiply all sums by a factor."""
        self._keep(None)
        self.total *= factor
        self.squares *= factor
        self.weight *= factor

    def follow_mean(self, *, fewest: bool) -> None:
        """Move the shifts to where the mean of the rows is by now, if that is far from them."""
        if self.weight <= 0.0:
            return
        if not fewest:
            (shift,) = better_shifts([self], self.weight, [self._variance()], fewest)
            self._move(shift - self.shift)
            return
        far = [self._far_features(), self._shifted_features()]
        places = distinct(np.concatenate(far))
        part = _Part(self.total[places], self.shift[places])
        spread = np.maximum(self.squares[places] / self.weight - (part.total / self.weight) ** 2, 0)
        (shift,) = better_shifts([part], self.weight, [spread], fewest)
        self._move(shift - part.shift, places)

    def _far_features(self):
        """Return all features whose mean is far from their shift, and none that is not near that.

        With t and s the sums of a feature and of its squares, and w the weight, it is far where
        (t / w)^2 > FAR (s / w - (t / w)^2): one product for each side of t^2 > s w FAR / (1 + FAR).
        """
        bound = self.weight * FAR / (1.0 + FAR) * (1.0 - 1e-9)
        found = [np.empty(0, dtype=np.int64)]
        for low in range(0, len(self.total), _STEP):  # so that nothing but the sums is read
            total, squares = self.total[low : low + _STEP], self.squares[low : low + _STEP]
            found.append(low + np.flatnonzero(total * total > squares * bound))
        return np.concatenate(found)

    def _move(self, move, features=None):
        """Bring the sums to shifts that lie further by `move`, of all features or of these."""
        moved = np.flatnonzero(move)
        if not len(moved):
            return
        places, move = moved if features is None else features[moved], move[moved]
        self._keep(places)
        total = self.total[places]
        self.squares[places] -= move * (2.0 * total - move * self.weight)
        self.total[places] -= move * self.weight
        shift = self.shift.copy()
        shift[places] += move
        self.shift = shift

    def _keep(self, features):
        """Note in the journal the features whose sums are about to change; None for all."""
        if features is not None:
            features = distinct(features) if _are_few(features, self.total) else None
        self.journal.keep(self.total, features)
        self.journal.keep(self.squares, features)

    def mean(self) -> np.ndarray:
        """Return the weighted mean of every feature, shape (N,)."""
        return self.shift + self.total / self.weight

    def _variance(self):
        return np.maximum(self.squares / self.weight - (self.total / self.weight) ** 2, 0.0)

    def second_moment(self, center: bool) -> np.ndarray:
        """Return the variance (or, uncentred, the mean square) of every feature, shape (N,)."""
        return self._variance() if center else self._variance() + self.mean() ** 2


def _add_at(array, places, values):
    """Add values at places, which may occur more than once."""
    if _are_few(places, array):
        np.add.at(array, places, values)
    else:  # faster, and the sums are rounded once where they are added
        array += np.bincount(places, values, len(array))


def _are_few(places, array):
    return 4 * len(places) < len(array)
