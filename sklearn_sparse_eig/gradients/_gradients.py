"""Gradients of a batch of samples, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from ._layers import LayerGradients


@dataclass(frozen=True)
class Gradients:
    """Gradients of a scalar output for many samples, layer by layer.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        The scalar output itself.
    logits : ndarray of shape (n_samples, n_classes)
        The logits from which it was computed.
    layers : sequence of LayerFactors, LayerMatrices or LayerPlaces
        Gradients of the chosen layers, from input to output. Matrices may be computed anew on each
        access.
    labels : ndarray of shape (n_samples,), default=None
        Classes that came with the samples.
    rows : anything with rows, default=None
        The samples themselves, where they come in a stream.
    """

    values: np.ndarray
    logits: np.ndarray
    layers: Sequence[LayerGradients]
    labels: np.ndarray | None = None
    rows: Any = None

    def inner(self, other: "Gradients") -> np.ndarray:
        """Return all inner products with the gradients of other samples (the tangent kernel)."""
        layers = zip(self.layers, other.layers, strict=True)
        return reduce(np.add, (a.astype(np.float64).inner(b.astype(np.float64)) for a, b in layers))

    def squared_norms(self) -> np.ndarray:
        """Return the squared norm of each gradient."""
        return reduce(np.add, (layer.squared_norms() for layer in self.layers))

    def dense(self) -> np.ndarray:
        """Return the gradients as rows, (n_samples, n_parameters), layer after layer."""
        return np.hstack([layer.dense() for layer in self.layers])
