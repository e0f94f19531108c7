"""Exact mean and variance of every feature: the optional O(N) companion of a sketch."""

import numpy as np
import scipy.sparse as sp

from .._base.atomic import Journaled


class FeatureMoments(Journaled):
    """Weighted sums of (x - shift) and (x - shift)^2 for each feature.

    Parameters
    ----------
    n_features : int

    Notes
    -----
    Three vectors of length N. Rows are shifted by the first dense batch's mean, so that variances
    survive a mean that is large against them; sparse rows need no shift, for their zeros bound
    the mean by the spread.
    """

    fields = ("total", "squares", "shift")

    def __init__(self, n_features):
        self.total = np.zeros(n_features)
        self.squares = np.zeros(n_features)
        self.shift = np.zeros(n_features)
        self.weight = 0.0

    def update(self, X, weights, total_weight):
        """Add rows X (dense or CSR without duplicates) with the given weights."""
        if sp.issparse(X):
            # Sum of w (x - a)^2 = sum of w x^2 - 2 a sum of w x + a^2 sum of w, entry by entry.
            self._keep(None if self.shift.any() else X.indices)
            values = X.data.astype(np.float64)
            row_weights = np.broadcast_to(weights, X.shape[0])
            weighted = values * np.repeat(row_weights, np.diff(X.indptr))
            np.add.at(self.total, X.indices, weighted)
            np.add.at(self.squares, X.indices, weighted * (values - 2.0 * self.shift[X.indices]))
            if self.shift.any():
                self.squares += total_weight * self.shift**2
                self.total -= total_weight * self.shift
        else:
            centred = np.asarray(X, dtype=np.float64)
            if self.weight == 0.0 and not self.total.any():
                self.shift = centred.mean(axis=0)
            centred = centred - self.shift
            if np.ndim(weights) == 0:
                total = float(weights) * centred.sum(axis=0)
                squares = float(weights) * np.einsum("ij,ij->j", centred, centred)
            else:
                total = weights @ centred
                squares = weights @ (centred * centred)
            self._keep(None)
            self.total += total
            self.squares += squares
        self.weight += total_weight

    def merge(self, other, sign=1.0):
        """Add (or subtract) another feature's sums, brought to this shift first."""
        if self.weight == 0.0 and not self.total.any():
            self.shift = other.shift.copy()
        self._keep(None)
        move = self.shift - other.shift
        self.squares += sign * (other.squares - move * (2.0 * other.total - move * other.weight))
        self.total += sign * (other.total - move * other.weight)
        self.weight += sign * other.weight

    def scale(self, factor):
        self._keep(None)
        self.total *= factor
        self.squares *= factor
        self.weight *= factor

    def _keep(self, features):
        """Note in the journal the features whose sums are about to change; None for all."""
        if features is not None and 2 * len(features) < len(self.total):
            features = np.unique(features)
        self.journal.keep(self.total, features)
        self.journal.keep(self.squares, features)

    def mean(self):
        """Return the weighted mean of every feature, shape (N,)."""
        return self.shift + self.total / self.weight

    def second_moment(self, center):
        """Return the variance (or, uncentred, the mean square) of every feature, shape (N,)."""
        drift = self.total / self.weight
        centred = np.maximum(self.squares / self.weight - drift**2, 0.0)
        return centred if center else centred + (self.shift + drift) ** 2
