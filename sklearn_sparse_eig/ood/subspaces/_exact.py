"""Class sums of gradients as they are, and the moments of their factors."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ...gradients import LayerOutline
from .._costs import Expected
from .._metric import Metric
from .._moments import Moment, moments_for, new_moments
from .._pace import progress_of_factors
from ._base import KnownGradients, Plan, SpanRequest
from ._class_means import ClassMeanSubspace
from ._class_sums import LayerSums, MatrixSums, expected_of_sums
from ._pair_sums import PairSums, is_one_hot
from ._registry import register
from ._span import Span
from ._sparse_means import SparseMeanSubspace, sparse_means
from ._sums_by_key import SumsByKey


@register
class GradientState(KnownGradients):
    """Counts, class sums of gradients, and moments of their factors.

    Parameters
    ----------
    plan : Plan
        Its metric says which moments are kept: full, diagonal or none.

    Attributes
    ----------
    layer_sums : list of LayerSums or None, one for each layer
        Sums of the classes that have come; None until a gradient tells which form they have.
    energy : float
        Sum of the squared norms of all gradients.
    moments : list of (Moment, Moment), for the inputs and outputs of each layer
    """

    name = "exact"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.layer_sums: list[LayerSums | None] = [None] * len(plan.layer_shapes)
        self.energy = 0.0
        self.moments = new_moments(plan.layer_shapes, plan.metric, plan.max_size)

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "class_sums" in state:  # as kept before: one array for each layer
            arrays, counts = state.pop("class_sums"), state["counts"]
            state["layer_sums"] = [
                MatrixSums(sums.shape[1:], SumsByKey.of_rows(sums, counts)) for sums in arrays
            ]
        super().__setstate__(state)

    @property
    def class_sums(self) -> list[np.ndarray]:
        """Sums of the gradients of all classes as matrices, (n_classes, p, q) for each layer."""
        return [self.sums_of(i, range(len(self.counts))) for i in range(len(self.layer_sums))]

    def sums_of(self, i: int, labels: Sequence[int]) -> np.ndarray:
        """Return the sums of some classes in layer i as matrices, (k, p, q)."""
        sums = self.layer_sums[i]
        if sums is None:
            return np.zeros((len(labels), *self.plan.layer_shapes[i]))
        return sums.matrices(labels)

    @property
    def n_floats(self) -> int:
        """How many numbers are kept."""
        moments = [moment.total.size for pair in self.moments for moment in pair]
        return sum(moments) + sum(sums.n_floats for sums in self.layer_sums if sums is not None)

    def expected(self, i: int, layer: LayerOutline, is_one_hot: bool, rank: int | None) -> Expected:
        """Return what layer i takes: a matrix for each class, or about one pair."""
        return expected_of_sums(self.plan, layer, is_one_hot, rank)

    def span(self, request: SpanRequest) -> Span:
        """Return the span of the class means, or of sparse ones."""
        metric = self._metric(request.sparsity is not None, request.verbose)
        if request.sparsity is None:
            return ClassMeanSubspace(self, metric, request.n_components, request.mean_rank)
        means = sparse_means(self, metric, request.sparsity)
        return SparseMeanSubspace(metric, means, self.plan.layer_shapes, request.n_components)

    def _metric(self, eigenbasis: bool, verbose: int) -> Metric:
        if not self.moments:
            return Metric(None)
        progress = progress_of_factors(2 * len(self.moments), verbose)
        return Metric.from_moments(self.moments, self.n_samples, eigenbasis, progress=progress)

    def _prepare_to_write(self) -> None:
        if self.n_samples == 0:
            new = self.empty()
            self.layer_sums, self.moments, self.energy = new.layer_sums, new.moments, 0.0
            return
        self.layer_sums = [sums and sums.writable() for sums in self.layer_sums]
        self.moments = [
            tuple(moment.kept_by(self.journal) for moment in pair) for pair in self.moments
        ]

    def _update(self, layers: Sequence, labels: np.ndarray) -> None:
        # Layer by layer, for a layer may be large and made only now.
        for i, layer in enumerate(layers):
            layer = layer.astype(np.float64)
            self.energy += float(layer.squared_norms().sum())
            sums = self.layer_sums[i]
            if sums is None:
                sums = self._take_form(i, PairSums if is_one_hot(layer) else MatrixSums)
                if self.moments:
                    self.moments[i] = moments_for(layer, self.moments[i])
            elif not sums.takes(layer):
                sums = self._spread(i)
            sums.add(layer, labels)
            if self.moments:
                layer.add_to(self.moments[i])

    def _add_sums(self, other: Self, sign: float) -> None:
        self.energy += sign * other.energy
        for i, theirs in enumerate(other.layer_sums):
            if theirs is None:
                continue
            moments = other.moments[i] if other.moments else ()
            mine = self.layer_sums[i]
            if mine is None:
                mine = self._take_form(i, type(theirs))
                if moments:
                    self.moments[i] = tuple(moment.like_empty() for moment in moments)
            if type(theirs) is not type(mine):
                mine = self._spread(i)
                theirs, moments = theirs.spread(), self._planned(i, moments)
            mine.merge(theirs, sign)
            for mine, added in zip(self.moments[i] if moments else (), moments, strict=True):
                mine.merge(added, sign)

    def _take_form(self, i, form):
        sums = self.layer_sums[i] = form(self.plan.layer_shapes[i])
        if self.moments and form.has_diagonal_outputs:
            self.moments[i] = self.moments[i][0], Moment(self.plan.layer_shapes[i][1], True)
        return sums

    def _spread(self, i):
        """Keep matrices from now on, for gradients of this layer have come in another form."""
        sums = self.layer_sums[i] = self.layer_sums[i].spread()
        if self.moments:
            self.moments[i] = self._planned(i, self.moments[i])
        return sums

    def _planned(self, i, moments):
        """Return moments of layer i that are kept in full where that is planned."""
        if not moments or self.plan.is_diagonal(self.plan.layer_shapes[i][1]):
            return moments
        return moments[0], moments[1].in_full()
