"""A small linear state and estimator on the ground floor, and faulty ones beside them."""

import time

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_sparse_eig._base.atomic import all_or_nothing
from sklearn_sparse_eig._base.fitting import fitting
from sklearn_sparse_eig._base.linear import LinearState
from sklearn_sparse_eig._base.locks import locked
from sklearn_sparse_eig._base.streams import StreamMixin


class Sums(LinearState):
    """The sum of rows, written in place."""

    def __init__(self, n_features, scale=1.0):
        self.n_features, self.scale = n_features, scale
        self.total = np.zeros(n_features)
        self.n_samples = 0

    def settings(self):
        return {"n_features": self.n_features, "scale": self.scale}

    def empty(self):
        return Sums(self.n_features, self.scale)

    @all_or_nothing
    def update(self, X):
        self.journal.keep(self.total)
        for row in X:
            self.total += self.scale * row
            self.n_samples += 1
        return self

    def _add(self, other, sign):
        self.journal.keep(self.total)
        self.total += sign * other.total
        self.n_samples += int(sign) * other.n_samples

    def matrix(self):
        with locked(self):
            return self.total * 1.0 + 0.0 * self.n_samples


class Mean(StreamMixin, BaseEstimator):
    """The mean of a stream, with a cache that the revision of the state guards."""

    _parameter_constraints = {"scale": [float]}
    _state_name = "sums_"

    def __init__(self, scale=1.0):
        self.scale = scale

    @fitting()
    def fit(self, X, y=None):
        X = validate_data(self, X)
        self.sums_ = Sums(X.shape[1], self.scale).update(X)
        self._state_changed()
        return self

    @fitting()
    def partial_fit(self, X, y=None):
        first = not hasattr(self, "sums_")
        X = validate_data(self, X, reset=first)
        if first:
            self.sums_ = Sums(X.shape[1], self.scale)
        self.sums_.update(X)
        self._state_changed()
        return self

    def _state_changed(self):
        self._cached = None

    @property
    def mean_(self):
        check_is_fitted(self)
        with locked(self):
            if self._cached is None:
                self._cached = self.sums_.matrix() / max(self.sums_.n_samples, 1)
            return self._cached


class TornSums(Sums):
    """Writes in place without a journal, nor a lock for its readers."""

    def empty(self):
        return TornSums(self.n_features, self.scale)

    def update(self, X):
        for row in X:
            self.total += self.scale * row
            time.sleep(0.0005)
            self.n_samples += 1
        return self

    def matrix(self):
        return self.total.copy()


class StaleMean(Mean):
    """Keeps what it has computed, whatever is fed later."""

    def _state_changed(self):
        if not hasattr(self, "_cached"):
            self._cached = None


class LeakyMean(Mean):
    """Its empty copies share the state of the original."""

    def empty_copy(self):
        empty = super().empty_copy()
        empty.sums_ = self.sums_
        return empty


class ForgetfulMean(Mean):
    """Merges a named shard as often as it comes."""

    def merge(self, other, *, shard_id=None):
        return super().merge(other)


class GreedyMean(Mean):
    """Its merge empties what it has merged."""

    def merge(self, other, *, shard_id=None):
        super().merge(other, shard_id=shard_id)
        other.sums_.total[...] = 0.0
        return self


class HalfFittedMean(Mean):
    """A refused fit has already dropped the earlier one."""

    def fit(self, X, y=None):
        self.sums_ = Sums(np.shape(X)[1], self.scale)
        return super().fit(X, y)
