"""What a score may ask of samples beside their gradients: logits, and what enters the head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .._base.compat import take_rows
from ..gradients import Gradients, Network
from ._confidence import margin
from .subspaces import KnownFeatures, Span


@dataclass(frozen=True)
class Evidence:
    """Logits and features of samples, and what is known of those of known samples.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
    features : {ndarray, csr_array} of shape (n_samples, n_features)
    known : KnownFeatures
    """

    logits: np.ndarray
    features: Any
    known: KnownFeatures

    @property
    def margin(self) -> np.ndarray:
        """How far the largest logit is above their mean."""
        return margin(self.logits)

    @property
    def confidence(self) -> np.ndarray:
        """How sure the model is, in standard deviations of known samples above their mean."""
        return self.known.confidence.of(self.logits)

    @property
    def relative_distance(self) -> np.ndarray:
        """How much nearer the features are to a class than to the whole."""
        return self.known.distance.of(self.features)

    def mean_square(self, span: Span) -> float:
        """Mean squared norm of the gradients of known samples, in the metric of the subspace."""
        found = span.metric.mean_square
        return (self.known.mean_square if found is None else found) or 1.0


@dataclass(frozen=True)
class FeatureReader:
    """Tells the features of samples: what enters the last layer, or else the logits.

    Parameters
    ----------
    network : Network
    n_features : int or None
        None where the last layer is not dense, or does not get one vector for each sample: then
        the logits less their mean stand for the features.
    """

    network: Network
    n_features: int | None

    @classmethod
    def of(cls, network: Network, X: Any) -> Self:
        """Return the reader of a network, which is tried on the first rows of X."""
        try:
            found = network.features(take_rows(X, slice(0, 2)))
        except (TypeError, ValueError, NotImplementedError):
            # By TypeError and ValueError networks say that their last layer is not dense, by
            # NotImplementedError, that they do not tell features at all.
            return cls(network, None)
        return cls(network, int(found.shape[1]))

    def read(self, found: Gradients, layers: Sequence[int]) -> Any:
        """Return the features of the rows of some gradients.

        Parameters
        ----------
        found : Gradients
        layers : sequence of int
            Indices of the layers that `found` has.
        """
        if self.n_features is None:
            return found.logits - found.logits.mean(axis=1, keepdims=True)
        head = self.network.select("head")[0]
        if head in layers:
            inputs = getattr(found.layers[list(layers).index(head)], "inputs", None)
            if inputs is not None and inputs.ndim == 2:
                return inputs[:, : self.n_features]  # without the ones of the bias
        return self.network.features(found.rows)
