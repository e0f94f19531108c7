"""Class sums of gradients as they are, and the moments of their factors."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from .._metric import Metric
from .._moments import new_moments
from ._base import KnownGradients, Plan, SpanRequest
from ._class_means import ClassMeanSubspace
from ._registry import register
from ._span import Span
from ._sparse_means import SparseMeanSubspace, sparse_means


@register
class GradientState(KnownGradients):
    """Counts, class sums of gradients, and moments of their factors.

    Parameters
    ----------
    plan : Plan
        Its metric says which moments are kept: full, diagonal or none.

    Attributes
    ----------
    class_sums : list of ndarray of shape (n_classes, p, q), one for each layer
    energy : float
        Sum of the squared norms of all gradients.
    moments : list of (Moment, Moment), for the inputs and outputs of each layer
    """

    name = "exact"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.class_sums = [np.zeros((plan.n_classes, p, q)) for p, q in plan.layer_shapes]
        self.energy = 0.0
        self.moments = new_moments(plan.layer_shapes, plan.metric, plan.max_size)

    def span(self, request: SpanRequest) -> Span:
        """Return the span of the class means, or of sparse ones."""
        metric = self._metric(eigenbasis=request.sparsity is not None)
        if request.sparsity is None:
            return ClassMeanSubspace(self, metric, request.n_components, request.mean_rank)
        means = sparse_means(self, metric, request.sparsity)
        return SparseMeanSubspace(metric, means, self.plan.layer_shapes, request.n_components)

    def _metric(self, eigenbasis: bool) -> Metric:
        if not self.moments:
            return Metric(None)
        return Metric.from_moments(self.moments, self.n_samples, eigenbasis)

    def _prepare_to_write(self) -> None:
        if self.n_samples == 0:
            new = self.empty()
            self.class_sums, self.moments, self.energy = new.class_sums, new.moments, 0.0
            return
        for sums in self.class_sums:
            self.journal.keep(sums)
        self.moments = [
            tuple(moment.kept_by(self.journal) for moment in pair) for pair in self.moments
        ]

    def _update(self, layers: Sequence, labels: np.ndarray) -> None:
        groups = [(label, np.flatnonzero(labels == label)) for label in np.unique(labels)]
        # Layer by layer, for a layer may be large and made only now.
        for i, layer in enumerate(layers):
            layer = layer.astype(np.float64)
            self.energy += float(layer.squared_norms().sum())
            for label, rows in groups:
                self.class_sums[i][label] += layer.sum(rows)
            if self.moments:
                layer.add_to(self.moments[i])

    def _add_sums(self, other: Self, sign: float) -> None:
        self.energy += sign * other.energy
        for mine, theirs in zip(self.class_sums, other.class_sums, strict=True):
            mine += sign * theirs
        for pair, others in zip(self.moments, other.moments, strict=True):
            for moment, added in zip(pair, others, strict=True):
                moment.merge(added, sign)
