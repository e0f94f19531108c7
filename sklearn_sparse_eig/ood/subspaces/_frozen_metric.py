"""Streams whose metric is fixed by the first samples, for what is kept is already whitened."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

import numpy as np

from ..._base.atomic import all_or_nothing
from ..._base.messages import warn_user
from .._metric import Metric
from .._moments import moments_for, new_moments
from .._pace import progress_of_factors
from ._base import KnownGradients, Plan

# Samples below which a metric costs more than what sketching does (measured: doc/gradpca.md).
_FEW_SAMPLES = 1000
# Of the eigenvectors of a matrix of n rows, for n^3 (measured on one core).
_SECONDS_PER_CUBE = 5e-10


class LookAheadState(KnownGradients):
    """Base class of states with a metric that later samples do not change.

    :meth:`look_ahead` learns it; updates come after that. The Euclidean metric is known from the
    start. Empty copies share the metric.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    metric : Metric or None
        None until it is known.
    whitens_as_they_come : bool
        Whether gradients in float32 are whitened in it, so that no root has to be more precise.
    """

    whitens_as_they_come: ClassVar[bool] = False

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.metric: Metric | None = Metric(None) if plan.metric == "euclidean" else None
        self._n_metric_samples = 0

    @property
    def n_metric_samples(self) -> int:
        """Number of samples behind the metric."""
        return self._n_metric_samples

    @property
    def known_metric(self) -> Metric:
        """The metric; a RuntimeError while there is none."""
        if self.metric is None:
            raise RuntimeError("The metric has to be known: call look_ahead first.")
        return self.metric

    @property
    def looks_ahead(self) -> bool:
        """Whether the metric is still to be learned."""
        return self.metric is None

    @property
    def needs_eigenbasis(self) -> bool:
        """Whether single entries count, which are few in the eigenbasis of the metric alone."""
        return True

    def seconds_once(self) -> float:
        """Return roughly how long the eigenvectors of the factors take."""
        return self._seconds_of_roots(_SECONDS_PER_CUBE) if self.needs_eigenbasis else 0.0

    def _seconds_of_roots(self, seconds_per_cube: float) -> float:
        sizes = self.plan.full_sizes()
        return seconds_per_cube * float(sum(size**3 for size in sizes))

    @all_or_nothing
    def look_ahead(self, gradients: Iterable[Sequence], verbose: int = 0) -> None:
        """Fix the metric by batches of gradients, in its eigenbasis if that is needed.

        Raises
        ------
        ValueError
            If there are fewer than two samples.
        """
        plan, n, single = self.plan, 0, self.whitens_as_they_come
        moments = new_moments(plan.layer_shapes, plan.metric, plan.max_size)
        for layers in gradients:
            for i, layer in enumerate(layers):
                if n == 0:
                    moments[i] = moments_for(layer, moments[i])
                single &= layer.dtype == np.float32
                layer.astype(np.float64).add_to(moments[i])
            n += len(layer)
        if n < 2:
            raise ValueError(
                "The first samples fix the metric, and one alone has none: pass more in the first "
                f"batch, some hundreds if you can (n_samples = {n})."
            )
        # Each moment is given up as soon as its root is known, for both may be large.
        given_up = (moments.pop(0) for _ in range(len(moments)))
        progress = progress_of_factors(2 * len(moments), verbose)
        self.metric = Metric.from_moments(given_up, n, self.needs_eigenbasis, single, progress)
        self._n_metric_samples = n

    def empty(self) -> Self:
        """Return a state of the same metric that has seen nothing."""
        new = super().empty()
        new.metric, new._n_metric_samples = self.metric, self._n_metric_samples
        return new

    def _add(self, other: Self, sign: float) -> None:
        if not _is_same(self.metric, other.metric):
            raise ValueError(
                "Cannot merge: the gradients were whitened by different metrics, each frozen from "
                "the first samples of its own stream. Start all shards by empty_copy() of one "
                "detector that has seen some samples, or use metric='euclidean'."
            )
        super()._add(other, sign)


class FrozenMetricState(LookAheadState):
    """Base class of compressed states, which take gradients that are whitened.

    A gradient cannot be whitened after it has been compressed, so the metric must be known before.
    """

    def _update(self, layers: Sequence, labels: np.ndarray) -> None:
        metric = self.known_metric
        layers = tuple(layer.astype(np.float64) for layer in layers)
        self._update_whitened(tuple(metric.whiten(layers)), labels)

    @abstractmethod
    def _update_whitened(self, layers: tuple, labels: np.ndarray) -> None:
        """Add a batch of whitened gradients to the sums."""


def _is_same(mine, theirs):
    return mine is theirs or (mine is not None and theirs is not None and mine.is_same(theirs))


def warn_if_few(n_samples: int) -> None:
    """Warn of a metric that too few samples have fixed for good."""
    if n_samples < _FEW_SAMPLES:
        warn_user(
            f"The first samples fix the metric, and there are only {n_samples} of them. Pass "
            f"{_FEW_SAMPLES} or more in the first batch, as many as you can, or use "
            "metric='euclidean'."
        )
