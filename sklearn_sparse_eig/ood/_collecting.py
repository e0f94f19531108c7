"""How a detector collects known gradients: what it is given, the model, and their stream."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.compat import n_rows, take_rows
from .._base.messages import report
from ..gradients import (
    Gradients,
    LayerChoice,
    Network,
    OutputName,
    check_rows,
    make_network,
    on_device,
)
from ._build import KnownRequest, Look, build
from ._classes import encode
from ._input import Settings, check_labels
from ._label_agreement import LabelAgreement
from ._pace import SOURCE, Pace
from ._saving import example_of
from ._seen_rows import hash_rows
from ._subsamples import metric_rows
from .subspaces import KnownGradients, Span, SpanRequest, is_one_hot

# Rows that are looked at before anything is kept.
_LOOK = 16


class CollectingMixin:
    """The state of a detector, begun for a model, filled from rows, and when it may be merged."""

    estimator: Any
    output: OutputName
    params: LayerChoice
    metric: str
    score_function: str
    n_components: int | float | None
    mean_rank: int | None
    labels: str
    subspace: str
    sparsity: float | None
    n_measurements: int | str
    backend: str
    device: Any
    random_state: int | np.random.RandomState | None
    verbose: int
    classes_: np.ndarray
    _network: Network
    _layers: Sequence[int]
    _state: KnownGradients
    _request: SpanRequest
    _span: tuple[KnownGradients, int, Span] | None
    _gradients: Callable[[Any], Iterator[tuple[int, Gradients]]]
    _forget_threshold: Callable[[], None]

    def _check_input(
        self, X: ArrayLike, y: ArrayLike | None, reset: bool
    ) -> tuple[Any, np.ndarray | None]:
        Settings(
            self.estimator,
            self.output,
            self.score_function,
            self.backend,
            self.labels,
            self.subspace,
            self.sparsity,
        ).check(has_labels=y is not None)
        rows = check_rows(self, X, reset=reset)
        return rows, check_labels(rows, y)

    def _check_merge(self, other: Any) -> None:
        if not self._network.is_same(other._network):
            raise ValueError(
                "Cannot merge detectors of different classifiers: their gradients have nothing to "
                "do with each other. Give both the same fitted estimator."
            )

    def _merge_settings(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "metric": self.metric,
            "subspace_": self.subspace_,
            "layers, as chosen by params,": self._layers,
        }

    def _state_changed(self) -> None:
        self._span = None
        self._forget_threshold()

    def _start(self, model: Any, X: Any, n_present: int | None = None) -> None:
        network = make_network(model if self.device is None else on_device(model, self.device))
        network.look_at(take_rows(X, slice(0, 2)))
        if network.classes is None:
            raise TypeError(
                f"A classifier is needed, got {type(model).__name__}, which has no classes_. Give "
                "an MLPClassifier, a linear classifier, a pipeline that ends in one of them, or a "
                "torch module."
            )
        self._network, self._layers = network, network.select(self.params)
        self._example = example_of(X)
        self.estimator_, self.classes_ = model, network.classes
        request = KnownRequest(
            "kernel" if self.backend == "kernel" else self.subspace,
            self.metric,
            n_components=self.n_components,
            sparsity=self.sparsity,
            mean_rank=self.mean_rank,
            n_measurements=self.n_measurements,
            random_state=self.random_state,
            verbose=self.verbose,
        )
        shapes = tuple(network.layer_shapes[i] for i in self._layers)
        self._state, self._request = build(
            request,
            len(network.classes),
            shapes,
            n_present,
            partial(self._look, X),
            [network.layer_names[i] for i in self._layers],
        )
        self.subspace_, self._span = self._state.name, None

    def _look(self, X: Any) -> Look:
        """Return in which form the chosen layers come, by the gradients of some rows of X."""
        rows = take_rows(X, slice(0, _LOOK))
        layers = list(self._network.gradients(rows, self.output, self._layers).layers)
        return Look(
            [i for i, layer in enumerate(layers) if is_one_hot(layer)],
            [i for i, layer in enumerate(layers) if layer.is_explicit],
        )

    def _encode(self, y: np.ndarray | None) -> np.ndarray | None:
        """Return y as indices of classes, or None where the predicted ones are to be taken."""
        if y is None or self.labels == "predicted":
            return None
        return encode(y, self.classes_)

    def _add(self, X: Any, labels: np.ndarray | None, warns: bool) -> None:
        """Add samples, with the indices of their classes or the predicted ones.

        With `warns` it warns of a model that does not look like a classifier of these labels.
        """
        agreement, pace = LabelAgreement(self.classes_), Pace(n_rows(X), self.verbose)
        if self._state.looks_ahead:
            # What is kept of a gradient depends on the metric, for which some rows are enough.
            rows = metric_rows(n_rows(X), labels, self._state.plan.full_sizes())
            some = X if rows is None else take_rows(X, rows)
            batches = pace.over(self._gradients(some), n_passes=2, n_rows=n_rows(some))
            self._state.look_ahead(_layers(batches, self.verbose))
        self._state.extend(_labelled(pace.over(self._gradients(X)), labels, agreement))
        self._state.note_rows(hash_rows(X))
        if warns:
            agreement.warn()


def _layers(batches, verbose):
    for _, gradients in batches:
        yield gradients.layers
    report(SOURCE, "metric: roots of the factors of all layers", verbose)


def _labelled(batches, labels, agreement):
    for start, gradients in batches:
        logits = gradients.logits
        given = None if labels is None else labels[start : start + len(logits)]
        agreement.add(logits, given)
        yield gradients.layers, logits.argmax(axis=1) if given is None else given
