"""How a detector collects known gradients: what it is given, the model, and their stream."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.compat import n_rows, take_rows
from .._base.messages import report
from .._base.typed import InputLike
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
from ._evidence import FeatureReader
from ._input import Settings, check_labels
from ._label_agreement import LabelAgreement
from ._pace import SOURCE, Pace
from ._saving import example_of
from ._seen_rows import RowHashes
from ._subsamples import metric_rows
from .scores import SCORES
from .subspaces import KnownFeatures, KnownGradients, Span, SpanRequest, is_one_hot

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
    classes_: Any
    _network: Network
    _layers: Sequence[int]
    _state: KnownGradients
    _reader: FeatureReader | None
    _features: tuple[KnownGradients, int, KnownFeatures] | None
    _request: SpanRequest
    _span: tuple[KnownGradients, int, Span] | None
    _gradients: Callable[[Any], Iterator[tuple[int, Gradients]]]
    _forget_threshold: Callable[[], None]
    _choose: Callable[..., tuple[Sequence[int], Any]]

    def _check_input(
        self, X: InputLike, y: ArrayLike | None, reset: bool
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
            "arrays of X": sorted(vars(self).get("_column_names", ())),
        }

    def _state_changed(self) -> None:
        self._span = self._features = None
        self._forget_threshold()

    def _make_network(self, model: Any, X: Any) -> Network:
        """Return the network of a classifier, which has looked at some rows of X."""
        network = make_network(model if self.device is None else on_device(model, self.device))
        network.look_at(take_rows(X, slice(0, 2)))
        if network.classes is None:
            raise TypeError(
                f"A classifier is needed, got {type(model).__name__}, which has no classes_. Give "
                "an MLPClassifier, a linear classifier, a pipeline that ends in one of them, or a "
                "torch module."
            )
        return network

    def _known_request(self) -> KnownRequest:
        return KnownRequest(
            "kernel" if self.backend == "kernel" else self.subspace,
            self.metric,
            n_components=self.n_components,
            sparsity=self.sparsity,
            mean_rank=self.mean_rank,
            n_measurements=self.n_measurements,
            random_state=self.random_state,
            verbose=self.verbose,
            keeps_features=SCORES[self.score_function].uses_features,
        )

    def _start(self, model: Any, X: Any, n_present: int | None = None) -> None:
        network = self._make_network(model, X)
        # Of a stream only the first rows are here.
        n_all = None if n_present is None else n_rows(X)
        self._layers, plan = self._choose(network, X, n_present, n_all, self.verbose > 0)
        if plan is not None:
            plan.announce(self.verbose)
        self._network, self.estimator_, self.classes_ = network, model, network.classes
        self._example = example_of(X)
        shapes = tuple(network.layer_shapes[i] for i in self._layers)
        self._state, self._request = build(
            self._known_request(),
            len(self.classes_),
            shapes,
            n_present,
            partial(self._look, X),
            [network.layer_names[i] for i in self._layers],
        )
        keeps_features = SCORES[self.score_function].uses_features
        self._reader = FeatureReader.of(network, X) if keeps_features else None
        self.subspace_, self._span, self._features = self._state.name, None, None

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

    def _labels(self, labels):
        """Return a function of a batch and its start that gives indices of classes, or None."""

        def of_batch(start, gradients):
            if labels is not None:
                return labels[start : start + len(gradients.values)]
            return self._encode(gradients.labels)

        return of_batch

    def _add(
        self, X: Any, labels: np.ndarray | None, warns: bool, has_threshold: bool = False
    ) -> Pace:
        """Add samples, with the indices of their classes or the predicted ones.

        With `warns` it warns of a model that does not look like a classifier of these labels. The
        pace is returned for the pass that follows, if there is one for a threshold.
        """
        n_passes = 1 + self._state.looks_ahead + has_threshold
        pace = Pace(n_rows(X), self.verbose, n_passes=n_passes)
        agreement, hashes = LabelAgreement(self.classes_), RowHashes(X)
        if self._state.looks_ahead:
            # What is kept of a gradient depends on the metric, for which some rows are enough.
            rows = metric_rows(n_rows(X), labels, self._state.plan.full_sizes())
            some = X if rows is None else take_rows(X, rows)
            batches = pace.over(self._gradients(some), n_passes=2, n_rows=n_rows(some))
            self._state.look_ahead(_layers(batches, self.verbose), self.verbose)
        batches = pace.over(self._gradients(hashes.rows))
        labelled = _labelled(batches, self._labels(labels), agreement)
        self._state.extend(self._with_evidence(labelled))
        self._state.note_rows(hashes.found())
        if warns:
            agreement.warn()
        pace.silence()
        return pace

    def _with_evidence(self, batches: Iterator) -> Iterator[tuple]:
        """Yield layers and labels, and features and logits where they are kept."""
        for gradients, labels in batches:
            if self._reader is None:
                yield gradients.layers, labels
            else:
                features = self._reader.read(gradients, self._layers)
                yield gradients.layers, labels, features, gradients.logits


def _layers(batches, verbose):
    for _, gradients in batches:
        yield gradients.layers
    report(SOURCE, "metric: roots of the factors of all layers", verbose)


def _labelled(batches, labels, agreement):
    for start, gradients in batches:
        logits, given = gradients.logits, labels(start, gradients)
        agreement.add(logits, given)
        yield gradients, logits.argmax(axis=1) if given is None else given
