"""Class means of low rank, from sketches of class sums: for large layers and many classes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from ...gradients import LayerOutline
from .._costs import Expected, products
from ._base import Plan, SpanRequest
from ._class_means import ClassMeanSubspace
from ._class_sums import LayerSums, MatrixSums, expected_of_sums
from ._frozen_metric import LookAheadState
from ._pair_sums import PairSums, is_one_hot
from ._registry import register
from ._span import Span
from ._two_sided import ENOUGH, FEWEST, TwoSidedSums, n_rows_of, pays, sketch_size

# Of the inverse root of a factor of n rows, for n^3, and of the low-rank mean of a class in a
# layer (measured on one core).
_SECONDS_PER_CUBE, _SECONDS_PER_MEAN = 5e-11, 1e-3
# Bytes of all sketches up to which there is room for larger ones.
_ROOM = 2**28


@register
class LowRankState(LookAheadState):
    """Counts, and two-sided sketches of class sums of whitened gradients.

    Layers whose sketches would be no smaller than their sums keep the sums, and a head whose
    derivatives are one-hot keeps pairs; both as they come, to be whitened in the end.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    layer_sums : list of LayerSums or None, one for each layer
        None until a gradient tells which form they have.
    """

    name = "low_rank"
    is_hashed = whitens_as_they_come = True

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.layer_sums: list[LayerSums | None] = [None] * len(plan.layer_shapes)

    @classmethod
    def complete(cls, plan: Plan) -> Plan:
        """Return the plan with a number of columns, ``n_measurements``.

        Raises
        ------
        ValueError
            If single entries of the means are wanted, or fewer than two columns.
        """
        if plan.sparsity is not None:
            raise ValueError(
                f"sparsity={plan.sparsity} asks for single entries of class means, which "
                "subspace='low_rank' does not keep. Use subspace='sketched' or 'exact'."
            )
        if isinstance(plan.n_measurements, str):  # "auto"
            floats = sum(class_floats(shape, ENOUGH) for shape in plan.layer_shapes)
            has_room = 8 * plan.n_expected * floats <= _ROOM
            return replace(plan, n_measurements=ENOUGH if has_room else FEWEST)
        if plan.n_measurements < 2:
            raise ValueError(
                f"subspace='low_rank' needs two measurements or more, got n_measurements="
                f"{plan.n_measurements}; {FEWEST} to {ENOUGH} are usual."
            )
        return plan

    @property
    def size(self) -> int:
        """Columns of the range sketches."""
        return int(self.plan.n_measurements)

    @property
    def needs_eigenbasis(self) -> bool:
        """Never: what is kept is multiplied, in any basis."""
        return False

    @property
    def n_floats(self) -> int:
        """How many numbers are kept of gradients, beside the metric."""
        return sum(sums.n_floats for sums in self.layer_sums if sums is not None)

    def seconds_once(self) -> float:
        """Return roughly how long the roots of the metric and the low-rank means take."""
        shapes = self.plan.layer_shapes
        return self._seconds_of_roots(_SECONDS_PER_CUBE) + (
            _SECONDS_PER_MEAN
            * self.plan.n_expected
            * sum(pays(shape, self.size) for shape in shapes)
        )

    def bytes_of_metric(self, is_single: bool) -> int:
        """Return the bytes of an entry of the metric, which is as precise as the gradients."""
        return 4 if is_single else 8

    def expected(self, i: int, layer: LayerOutline, is_one_hot: bool, rank: int | None) -> Expected:
        """Return what layer i takes: both sketches of each class, where these pay."""
        if is_one_hot or not pays(layer.shape, self.size):
            return expected_of_sums(self.plan, layer, is_one_hot, rank)
        (p, q), n = layer.shape, self.plan.n_expected
        rank = min(rank or self.size, max(1, self.size // 2))
        places = 1 if layer.form == "factors" else layer.places or 1
        width = self.size + n_rows_of(self.size)
        # Of places both ways: into the sketches of a row, and from there into those of a class.
        add = p * q * width if layer.form == "matrices" else places * (p + q) * width
        score = products(layer, n, self.plan.n_directions, rank)
        return Expected(n * sketch_size(layer.shape, self.size), add, score)

    def settings(self) -> dict[str, Any]:
        """Return all that must agree between states that are merged."""
        return super().settings() | {"seed": self.plan.seed, "n_measurements": self.size}

    def span(self, request: SpanRequest) -> Span:
        """Return the span of the class means of low rank."""
        return ClassMeanSubspace(self, self.known_metric, request.n_components, request.mean_rank)

    def _prepare_to_write(self) -> None:
        if self.n_samples == 0:
            self.layer_sums = [None] * len(self.layer_sums)
        self.layer_sums = [sums and sums.writable() for sums in self.layer_sums]

    def _update(self, layers: Sequence, labels: np.ndarray) -> None:
        # Layer by layer, for a layer may be large and made only now.
        for i, layer in enumerate(layers):
            sums = self.layer_sums[i]
            if sums is None:
                sums = self._start(i, self._form_of(i, layer))
            elif not sums.takes(layer):
                sums = self._changed(i, self._form_of(i, layer))
            if sums.is_whitened:
                layer = self.known_metric.whiten_layer(i, layer)
            sums.add(layer, labels)

    def _add_sums(self, other: Self, sign: float) -> None:
        for i, theirs in enumerate(other.layer_sums):
            if theirs is None:
                continue
            mine = self.layer_sums[i]
            if mine is None:
                mine = self._start(i, type(theirs))
            if type(mine) is not type(theirs):
                if mine.can_change:
                    mine = self._changed(i, type(theirs))
                else:
                    theirs = self._in_form(i, theirs, type(mine))
            mine.merge(theirs, sign)

    def _form_of(self, i, layer):
        if is_one_hot(layer):
            return PairSums
        return TwoSidedSums if pays(self.plan.layer_shapes[i], self.size) else MatrixSums

    def _new(self, i, form):
        shape = self.plan.layer_shapes[i]
        if form is not TwoSidedSums:
            return form(shape)
        return form(shape, seed=(self.plan.seed, i), size=self.size)

    def _start(self, i, form):
        self.layer_sums[i] = self._new(i, form)
        return self.layer_sums[i]

    def _changed(self, i, form):
        self.layer_sums[i] = self._in_form(i, self.layer_sums[i], form)
        return self.layer_sums[i]

    def _in_form(self, i, sums, form):
        """Return the sums of pairs in another form."""
        new = self._new(i, form)
        for label in sums.labels():
            matrix = sums.matrices([label])
            if new.is_whitened:
                matrix = self.known_metric.whiten_matrices(i, matrix)
            new.add_matrix(label, matrix[0])
        return new


def class_floats(shape: tuple[int, int], k: int = FEWEST) -> int:
    """Return how many numbers are kept of a class in a layer, unless it has one-hot derivatives."""
    return sketch_size(shape, k) if pays(shape, k) else shape[0] * shape[1]
