"""Scores of a sample from where its gradient lies; high means like the known classes.

A score is added as one entry of :data:`SCORES`, and is then a value of ``score_function``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._subspace import Coordinates, Span


@dataclass(frozen=True)
class Place:
    """Where gradients lie relative to a subspace, computed when asked for."""

    span: Span
    layers: Sequence

    @cached_property
    def norm(self) -> np.ndarray:
        """Norm of g; takes no directions."""
        return self.span.norms(self.layers)

    @cached_property
    def coordinates(self) -> Coordinates:
        """Coordinates of u = g - centre."""
        return self.span.coordinates(self.layers)

    @property
    def distance(self) -> np.ndarray:
        """Norm of u."""
        return self.coordinates.distance

    @property
    def cosine(self) -> np.ndarray:
        """Cosine of the angle of u to the subspace."""
        return self.coordinates.length / self.coordinates.distance

    @property
    def cotangent(self) -> np.ndarray:
        """Cotangent of the angle of u to the subspace."""
        return self.coordinates.length / self.coordinates.residual


def _odds(f, cotangent):
    # For a negative output a small angle must not make the score smaller still.
    return np.where(f > 0.0, cotangent, 1.0 / np.maximum(cotangent, 1e-12))


# From the output f and the place of its gradient.
SCORES: dict[str, Callable[[np.ndarray, Place], np.ndarray]] = {
    "snr_ratio": lambda f, place: f / place.distance * _odds(f, place.cotangent),
    "ratio": lambda f, place: place.cosine,
    "snr": lambda f, place: f / place.distance,
    "laplace": lambda f, place: f / place.norm,
}


def score(name: str, values: np.ndarray, layers: Sequence, subspace: Span) -> np.ndarray:
    """Return the score of each sample.

    Parameters
    ----------
    name : {"snr_ratio", "ratio", "snr", "laplace"}
        With f the output, u = g - centre and theta the angle of u to the subspace:
        (f / |u|) cot(theta), with tan(theta) where f <= 0; cos(theta); f / |u|; f / |g|.
    values : ndarray of shape (n_samples,)
        The output.
    layers : sequence of layers of gradients
    subspace : Span

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    return SCORES[name](values, Place(subspace, layers))
