"""What a detector will take, layer by layer, before anything is computed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.messages import report
from ..gradients import Outline
from . import _costs
from ._pace import SOURCE
from ._subsamples import n_metric_rows, n_threshold_rows
from .subspaces import KnownGradients, SpanRequest

# Layers that are listed one by one, the most expensive of them where there are more.
_LISTED = 24


@dataclass(frozen=True)
class LayerPlan:
    """What one layer will take.

    Parameters
    ----------
    name : str
    shape : tuple of (int, int)
        Of its gradient, inputs by outputs.
    places : int or None
        At how many places of a sample it is used; None if its gradient is no sum over places.
    engine : str
        How gradients are computed.
    factors : str
        The two factors of the metric: full or diagonal; none in the Euclidean metric.
    bytes : float
        Of the state: class sums and metric.
    fit, score : float
        Multiplications for a row, in units of those of a forward pass, beside the passes
        themselves, which all layers share.
    """

    name: str
    shape: tuple[int, int]
    places: int | None
    engine: str
    factors: str
    bytes: float
    fit: float
    score: float


@dataclass(frozen=True)
class DetectorPlan:
    """What a detector will take; printed, it is a table.

    Parameters
    ----------
    layers : tuple of LayerPlan
    subspace, metric : str
    n_classes : int
        Classes that are expected.
    n_rows : int or None
        Rows to be fitted, None if they are not known; costs are those for very many then.
    forward : float
        Multiplications of a forward pass of one row with the parameters of the model: what ``fit``
        and ``score`` are measured in.
    passes : float
        Forward passes that a forward and a backward pass to these layers take.
    bytes : float
        Of the whole state; NaN if the kind of subspace does not tell.
    fit, score : float
        Forward passes that a row takes in all, when it is fitted and when it is scored.
    seconds_once : float
        What does not depend on the rows, roughly, beside roots of small factors.
    """

    layers: tuple[LayerPlan, ...]
    subspace: str
    metric: str
    n_classes: int
    n_rows: int | None
    forward: float
    passes: float
    bytes: float
    fit: float
    score: float
    seconds_once: float

    @property
    def n_parameters(self) -> int:
        """Parameters of all layers."""
        return sum(p * q for p, q in (layer.shape for layer in self.layers))

    def costliest(self, by: str = "score") -> list[LayerPlan]:
        """Return the layers, those first that take the most."""
        return sorted(self.layers, key=lambda layer: -getattr(layer, by))

    def to_frame(self) -> Any:
        """Return the table as a pandas DataFrame, with a row for each layer."""
        import pandas as pd

        return pd.DataFrame([vars(layer) for layer in self.layers]).set_index("name")

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the table line by line: layers, what they are, and totals."""
        return [*self._table(), self._what(), *self._totals()]

    def announce(self, verbose: int) -> None:
        """Report the table, at ``verbose=1``; what it is of is told when the state is made."""
        for line in [*self._table(), *self._totals()]:
            report(SOURCE, line, verbose)

    def _table(self):
        kept = {id(layer) for layer in self.costliest()[:_LISTED]}
        shown = [layer for layer in self.layers if id(layer) in kept]
        rows = [("layer", "shape", "places", "engine", "factors", "state", "fit", "score")]
        rows += [_cells(layer) for layer in shown]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
        if len(shown) < len(self.layers):
            lines.append(f"and {len(self.layers) - len(shown)} layers that take less")
        return [line.rstrip() for line in lines]

    def _what(self):
        rows = "" if self.n_rows is None else f", {self.n_rows:,} rows"
        return (
            f"{self.n_parameters:,} parameters in {len(self.layers)} layers, {self.n_classes} "
            f"classes{rows}: subspace {self.subspace!r}, metric {self.metric!r}"
        )

    def _totals(self):
        yield (
            f"state {_size(self.bytes)}; a row takes {_number(self.fit)} forward passes to fit and "
            f"{_number(self.score)} to score, {self.passes:.1f} of them for one pass there and back"
        )
        if self.n_rows is not None and not np.isnan(self.fit):
            yield f"fit: {self.n_rows * self.fit:.3g} forward passes of one row in all"
        if self.seconds_once >= 1.0:
            yield f"metric and class means: about {self.seconds_once:.0f} s once"


def _cells(layer):
    p, q = layer.shape
    places = "-" if layer.places is None else f"{layer.places}"
    costs = [_number(cost, ".2g") for cost in (layer.fit, layer.score)]
    what = layer.name, f"{p} x {q}", places, layer.engine, layer.factors
    return (*what, _size(layer.bytes), *costs)


def _number(value, how=".1f"):
    return "unknown" if np.isnan(value) else format(value, how)


def _size(n_bytes):
    if np.isnan(n_bytes):
        return "unknown"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes:.0f} B"


def make_plan(
    outline: Outline,
    indices: Sequence[int],
    state: KnownGradients,
    request: SpanRequest,
    one_hot: Iterable[int],
    contamination: float,
    n_features: int,
    n_rows: int | None = None,
) -> DetectorPlan:
    """Return what a state will take that is made for some layers.

    Parameters
    ----------
    outline : Outline
        Of all layers.
    indices : sequence of int
        The layers of the state.
    state : KnownGradients
        Empty.
    request : SpanRequest
    one_hot : iterable of int
        Layers whose derivatives at the outputs are unit vectors, by their place among `indices`.
    contamination : float
    n_features : int
        What enters the head, for scores that ask for it.
    n_rows : int or None, default=None
    """
    forward = max(outline.forward, 1.0)
    passes = 1.0 + outline.backward(indices) / forward
    if any(not outline.layers[i].has_form for i in indices):
        passes += 3.0  # forwards and backwards once more, to parameters too
    shares = looking, scoring = _shares(state, contamination, n_rows)
    one_hot = set(one_hot)
    layers = [
        _layer_plan(place, outline, i, state, request, place in one_hot, shares)
        for place, i in enumerate(indices)
    ]
    kept, common = state.plan, [state.expected_in_common()]
    if kept.keeps_features:
        common.append(_costs.features(n_features, kept.n_expected, kept.is_diagonal(n_features)))
    in_common = _costs.Expected(*map(sum, zip(*common, strict=True)))
    score = passes + sum(layer.score for layer in layers) + in_common.score / forward
    fit = passes * (1.0 + looking + scoring) + sum(layer.fit for layer in layers)
    return DetectorPlan(
        tuple(layers),
        state.name,
        state.plan.metric,
        state.plan.n_expected,
        n_rows,
        forward,
        passes,
        sum(layer.bytes for layer in layers) + 8.0 * in_common.floats,
        fit + (in_common.add + scoring * in_common.score) / forward,
        score,
        state.seconds_once(),
    )


def _shares(state, contamination, n_rows):
    """Return the shares of rows that are read once more for the metric, and for the threshold."""
    if n_rows is None:
        return 0.0, 0.0
    metric = n_metric_rows(state.plan.full_sizes()) if state.looks_ahead else 0
    return min(1.0, metric / n_rows), min(1.0, n_threshold_rows(contamination) / n_rows)


def _layer_plan(place, outline, i, state, request, is_one_hot, shares):
    layer, forward = outline.layers[i], max(outline.forward, 1.0)
    plan, expected = state.plan, state.expected(place, layer, is_one_hot, request.mean_rank)
    looking, scoring = shares
    rank_one = layer.form == "factors"
    diagonal = tuple(plan.is_diagonal(size) for size in layer.shape)
    if is_one_hot and not state.looks_ahead:
        diagonal = diagonal[0], True
    made = 0.0 if rank_one or layer.form == "places" else _costs.forming(layer)
    bytes_, whitening, moments = 8.0 * expected.floats, 0.0, 0.0
    if plan.metric != "euclidean":
        sides = list(zip(layer.shape, diagonal, strict=True))
        entries = sum(_costs.moment_floats(*side) for side in sides)
        bytes_ += state.bytes_of_metric(outline.is_single) * entries
        moments = _costs.adding_moments(layer, diagonal)
        roots = tuple(_costs.root_cost(*side, request.sparsity is None) for side in sides)
        whitening = _costs.whitening(layer, roots)
    score = made + whitening + _costs.norm(layer) + expected.score
    fit = made + expected.add + scoring * score
    fit += looking * (made + moments) + whitening if state.looks_ahead else moments
    return LayerPlan(
        layer.name,
        layer.shape,
        layer.places,
        layer.engine,
        _describe(plan.metric, diagonal),
        bytes_,
        fit / forward,
        score / forward,
    )


def _describe(metric, diagonal):
    if metric == "euclidean":
        return "none"
    left, right = ("diagonal" if d else "full" for d in diagonal)
    return left if left == right else f"{left}, {right}"
