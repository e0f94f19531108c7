"""How like the known classes samples are: scores, and coordinates in the subspace."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._base.compat import n_rows
from .._base.locks import locked
from .._base.messages import warn_user
from .._base.typed import Auto, InputLike, TransformerMixin
from ..gradients import Gradients, Network, OutputName, check_rows
from ._evidence import Evidence, FeatureReader
from ._pace import Pace
from .scores import SCORES, score
from .subspaces import KnownFeatures, KnownGradients, Span, SpanRequest


class ScoringMixin(TransformerMixin):
    """Scores of a fitted detector: known gradients, and a network that gives those of new rows.

    ``transform`` obeys ``set_output`` only if its class is a TransformerMixin itself.
    """

    score_function: str
    output: OutputName
    batch_size: int | Auto
    verbose: int
    _network: Network
    _layers: Sequence[int]
    _state: KnownGradients
    _request: SpanRequest
    _span: tuple[KnownGradients, int, Span] | None
    _reader: FeatureReader | None = None  # as in detectors saved before there was one
    _features: tuple[KnownGradients, int, KnownFeatures] | None = None

    def score_samples(self, X: InputLike) -> np.ndarray:
        """Return how similar each sample is to the known classes; higher is more typical.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        return self._scores(check_rows(self, X, reset=False, keeps_order=True))

    def ood_score(self, X: InputLike) -> np.ndarray:
        """Return minus :meth:`score_samples`: higher is less typical, as in other libraries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return -self.score_samples(X)

    def transform(self, X: InputLike) -> np.ndarray:
        """Return the coordinates of the gradients in the subspace of class means.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`

        Returns
        -------
        ndarray of shape (n_samples, n_components_)
        """
        check_is_fitted(self)
        X = check_rows(self, X, reset=False, keeps_order=True)
        with locked(self):
            span, batches = self._get_subspace(), self._gradients(X)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is told below
            found = np.vstack([span.coordinates(each.layers).projected for _, each in batches])
        _tell_lost(found.sum(axis=1), "coordinates")
        return found

    def _scores(self, X: Any, pace: Pace | None = None) -> np.ndarray:
        with locked(self):
            span, batches, name = self._get_subspace(), self._gradients(X), self.score_function
            evidence = self._evidence(X) if SCORES[name].uses_features else _none
        pace = Pace(n_rows(X), self.verbose) if pace is None else pace
        batches = pace.over(batches, n_rows=n_rows(X))
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is told below
            scores = [
                score(name, each.values, each.layers, span, evidence(each)) for _, each in batches
            ]
        found = np.concatenate(scores)
        _tell_lost(found, "scores")
        return found

    def _get_subspace(self) -> Span:
        """Return the subspace of the samples seen, computed once for each revision of the state.

        Under the lock, so that what is stored belongs to the state as it is: a partial_fit in
        another thread comes before or after.
        """
        with locked(self):
            state = self._state
            if self._span is not None:
                known_state, revision, span = self._span
                if known_state is state and revision == state.revision:
                    return span
            span = state.span(self._request)
            self._span = state, state.revision, span
            return span

    def _evidence(self, X: Any) -> Callable[[Gradients], Evidence]:
        """Return what gives the evidence of a batch of X, by what is known now."""
        state, reader, layers = self._state, self._reader, self._layers
        known = self._features
        if known is None or known[0] is not state or known[1] != state.revision:
            known = self._features = state, state.revision, state.known_features()
        if reader is None:  # of a copy that has been given another score
            reader = self._reader = FeatureReader.of(self._network, X)

        def evidence(found):
            return Evidence(found.logits, reader.read(found, layers), known[2])

        return evidence

    def _gradients(self, X: Any) -> Iterator[tuple[int, Gradients]]:
        """Return an iterator over (start, gradients) of batches of X."""
        # Taken once, so that a fit in another thread does not change them on the way.
        with locked(self):
            network, layers, output = self._network, self._layers, self.output
        return network.stream(X, output, layers, self.batch_size)


def _tell_lost(found, what):
    if n_lost := np.count_nonzero(~np.isfinite(found)):
        warn_user(
            f"The {what} of {n_lost} of {len(found)} rows are not finite, for their gradients "
            "overflow. Such inputs are far from any that were seen; scale them as in training, "
            "or leave them out."
        )


def _none(found):
    """Return no evidence, for scores that ask for none."""
