"""Class means of gradients as short sketches, for networks with very many parameters."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from ..._base.messages import Progress, warn_user
from ...gradients import LayerOutline
from .._costs import Expected
from ._base import Plan, SpanRequest
from ._frozen_metric import FrozenMetricState
from ._registry import register
from ._span import JointSpan, Span, classes_with_means, combine
from ._sparse_means import SparseMeanSubspace, n_largest
from ._sums_by_key import SumsByKey
from ._tensor_sketch import TensorSketch

# Scores are within 0.01 of exact ones (measured), and m >= _LEAST_RATIO C.
_MEASUREMENTS, _LEAST_RATIO = 2**14, 4
# Entries of class means that are looked at in a second (measured on one core).
SWEEP_RATE = 3e7
# Floats of a temporary array (16 MB).
_BLOCK = 2**21


@register
class SketchedState(FrozenMetricState):
    """Counts and sketched class sums of whitened gradients: n_measurements floats a class.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    sketch : TensorSketch
    sums : SumsByKey
        Sketched sums of the classes that have come.
    """

    name = "sketched"
    is_hashed = True

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.sketch = TensorSketch(plan.layer_shapes, int(plan.n_measurements), plan.seed)
        self.sums = SumsByKey()

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "class_sums" in state:  # as kept before: one array
            state["sums"] = SumsByKey.of_rows(state.pop("class_sums"), state["counts"])
        super().__setstate__(state)

    @property
    def class_sums(self) -> np.ndarray:
        """Sketched sums of all classes, (n_classes, n_measurements)."""
        return self.sums.stacked(range(len(self.counts)), (self.sketch.n_measurements,))

    def means(self, labels: np.ndarray) -> np.ndarray:
        """Return the sketched means of some classes, (k, n_measurements)."""
        sums = self.sums.stacked([int(c) for c in labels], (self.sketch.n_measurements,))
        return sums / self.counts[labels, None]

    @classmethod
    def complete(cls, plan: Plan) -> Plan:
        """Return the plan with a number of measurements; warn if there are few for the classes."""
        least = _LEAST_RATIO * plan.n_expected
        if isinstance(plan.n_measurements, str):  # "auto"
            # A power of two: the fastest transforms.
            n_measurements = max(_MEASUREMENTS, 2 ** int(np.ceil(np.log2(least))))
            return replace(plan, n_measurements=n_measurements)
        if plan.n_measurements < least:
            warn_user(
                f"n_measurements={plan.n_measurements} for {plan.n_expected} classes: fewer than "
                f"{least} hardly tell the class means apart."
            )
        return plan

    @property
    def needs_eigenbasis(self) -> bool:
        """Only where entries are recovered; for inner products any root will do."""
        return self.plan.sparsity is not None

    def seconds_once(self) -> float:
        """Return roughly how long the metric and the recovery of the class means take."""
        n_entries = self.plan.n_expected * self.plan.n_parameters if self.needs_eigenbasis else 0
        return super().seconds_once() + n_entries / SWEEP_RATE

    def expected(self, i: int, layer: LayerOutline, is_one_hot: bool, rank: int | None) -> Expected:
        """Return what sketching layer i takes; sketches are of all layers together."""
        each = self.sketch.multiplications(i, layer.form != "factors")
        return Expected(0.0, each, 0.0 if self.needs_eigenbasis else each)

    def expected_in_common(self) -> Expected:
        """Return what sketches of the classes take, and products with directions."""
        m, plan = self.sketch.n_measurements, self.plan
        nonzeros = (plan.sparsity or 0.0) * plan.n_parameters * plan.n_expected
        score = nonzeros if self.needs_eigenbasis else float(m * plan.n_directions)
        return Expected(float(m * plan.n_expected), 0.0, score)

    def settings(self) -> dict[str, Any]:
        """Return all that must agree between states that are merged."""
        return super().settings() | self.sketch.spec()

    def span(self, request: SpanRequest) -> Span:
        """Return the span of the class means by their sketches, or of sparse ones."""
        if request.sparsity is None:
            return SketchedMeanSubspace(self, request.n_components)
        means = self._recovered_means(request)
        return SparseMeanSubspace(
            self.known_metric, means, self.plan.layer_shapes, request.n_components
        )

    def _prepare_to_write(self) -> None:
        self.sums = self.sums.writable() if self.n_samples else SumsByKey()

    def _update_whitened(self, layers: tuple, labels: np.ndarray) -> None:
        present, places = np.unique(labels, return_inverse=True)
        sums = np.zeros((len(present), self.sketch.n_measurements))
        self.sketch.add_sums(sums, layers, places)
        for label, values in zip(present, sums, strict=True):
            self.sums.add(int(label), values)

    def _add_sums(self, other: Self, sign: float) -> None:
        self.sums.merge(other.sums, sign)

    def _recovered_means(self, request):
        """Return the largest entries of each class mean, as estimated from its sketch."""
        n_parameters = self.plan.n_parameters
        means = self.means(classes_with_means(self.counts))
        progress = (
            Progress("GradPCADetector", "entries of class means") if request.verbose else None
        )
        n_kept = n_largest(n_parameters, request.sparsity)
        rows = [
            sp.csr_array((values, ids, [0, len(ids)]), shape=(1, n_parameters))
            for ids, values in self.sketch.largest(means, n_kept, progress)
        ]
        return sp.vstack(rows, format="csr")


class SketchedMeanSubspace(JointSpan):
    r"""Span of the class means, by inner products of sketches.

    Norms of gradients are exact. Sketches add noise to the coordinates: with k directions and m
    measurements, the part outside the subspace, of squared norm q^2, adds about :math:`k q^2 / m`
    to the squared length inside. This amount is subtracted again.

    Parameters
    ----------
    state : SketchedState
        Sketched class sums. Classes with fewer than two samples are left out.
    n_components : int, float or None
        Number of directions, as in ClassMeanSubspace.

    Attributes
    ----------
    eigenvalues : ndarray of shape (n_components,)
    gram : ndarray of shape (n_classes, n_classes)
        Inner products of sketches of the class means, an unbiased estimate.
    """

    def __init__(self, state: SketchedState, n_components: int | float | None = None) -> None:
        means = state.means(classes_with_means(state.counts))
        self.gram = means @ means.T
        eigenvalues, combinations, shift = combine(self.gram, n_components)
        super().__init__(state.known_metric, eigenvalues, shift)
        self.sketch = state.sketch
        self._directions = self.sketch.dual(combinations @ means)

    def _products(self, layers):
        n, step = len(layers[0]), max(1, _BLOCK // self.sketch.n_measurements)
        out = np.empty((n, self._directions.shape[1]))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            spectra = self.sketch.spectra([layer.take(rows) for layer in layers])
            out[rows] = spectra @ self._directions
        return out

    def _outside(self, squared_distance, squared_length):
        share = self.n_components / self.sketch.n_measurements
        outside = (squared_distance - squared_length) / max(1.0 - share, 0.5)
        return np.minimum(outside, squared_distance)
