"""Streams whose metric is fixed by the first samples, for what is kept is already whitened."""

from abc import ABC, abstractmethod

import numpy as np

from ._metric import Metric
from ._state import new_moments


class FrozenMetricState(ABC):
    """Counts, and a metric that later samples do not change; base of compressed states.

    A compressed gradient cannot be whitened afterwards, so the metric must be known before. It is
    learned from samples passed to :meth:`add_moments`, then frozen; only then come updates. The
    Euclidean metric is frozen from the start.

    Parameters
    ----------
    n_classes : int
    layer_shapes : sequence of (int, int)
    metric : {"kfac", "diag", "euclidean"}
    max_size : int
        Factors of the metric beyond this many entries are kept diagonal.

    Attributes
    ----------
    counts : ndarray of int64, shape (n_classes,)
    metric : Metric or None
        None until it is frozen.
    n_metric_samples : int
        Samples behind the metric.
    """

    def __init__(self, n_classes, layer_shapes, metric, max_size):
        self.counts = np.zeros(n_classes, dtype=np.int64)
        self.n_metric_samples = 0
        self.metric = Metric(None) if metric == "euclidean" else None
        self._moments = new_moments(layer_shapes, metric, max_size)

    @property
    def n_samples(self):
        """Number of samples seen."""
        return int(self.counts.sum())

    def add_moments(self, layers):
        """Add gradients to what the metric is learned from."""
        for moments, layer in zip(self._moments, layers, strict=True):
            layer.add_to(moments)
        self.n_metric_samples += len(layer)

    def freeze(self):
        """Fix the metric, in its eigenbasis, and forget the moments.

        Raises
        ------
        ValueError
            If there are fewer than two samples.
        """
        if self.n_metric_samples < 2:
            raise ValueError(
                "The first samples fix the metric, and one alone has none: pass more in the first "
                f"batch, some hundreds if you can (n_samples = {self.n_metric_samples})."
            )
        self.metric = Metric.from_moments(self._moments, self.n_metric_samples, eigenbasis=True)
        self._moments = []

    def share_metric(self, other):
        """Take over the metric of another state."""
        self.metric, self.n_metric_samples = other.metric, other.n_metric_samples
        self._moments = []

    def update(self, layers, labels):
        """Add gradients, layer by layer, with the indices of their classes."""
        self._add(tuple(self.metric.whiten(layers)), labels)
        self.counts += np.bincount(labels, minlength=len(self.counts))

    def merge(self, other):
        """Add the sums of another state of the same metric.

        Raises
        ------
        ValueError
            If the metrics are not the same, or the sketches are not. Nothing is changed then.
        """
        if not _same(self.metric, other.metric):
            raise ValueError(
                "Cannot merge: the gradients were whitened by different metrics, each frozen from "
                "the first samples of its own stream. Start all shards by empty_copy() of one "
                "detector that has seen some samples, or use metric='euclidean'."
            )
        mine, theirs = self.spec(), other.spec()
        for name, value in mine.items():
            if theirs[name] != value:
                raise ValueError(
                    f"Cannot merge: {name} is {value} here, {theirs[name]} in the other. Give both "
                    "the same random_state, an int, or start all shards by empty_copy()."
                )
        self._add_state(other)
        self.counts += other.counts

    @abstractmethod
    def spec(self):
        """Return all but the metric that must agree between states that are merged, as a dict."""

    @abstractmethod
    def subspace(self, n_components=None, sparsity=None):
        """Return the Span of the samples so far."""

    @abstractmethod
    def _add(self, layers, labels):
        """Add whitened gradients."""

    @abstractmethod
    def _add_state(self, other):
        """Add the content of another state."""


def _same(first, second):
    if first is None or second is None or (first.roots is None) != (second.roots is None):
        return first is second
    return first.roots is None or all(
        type(mine) is type(theirs) and np.array_equal(mine.values, theirs.values)
        for pair, other in zip(first.roots, second.roots, strict=True)
        for mine, theirs in zip(pair, other, strict=True)
    )
