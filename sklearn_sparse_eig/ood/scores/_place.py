"""Where a gradient lies relative to a subspace, and what else is known: all a score may ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._evidence import Evidence
from ..subspaces import Coordinates, Span


@dataclass(frozen=True)
class Place:
    """Position of gradients relative to a subspace, computed on demand.

    Parameters
    ----------
    span : Span
    layers : sequence of layers of gradients
    evidence : Evidence or None, default=None
        The logits and features of the samples, for scores that use them.
    """

    span: Span
    layers: Sequence
    evidence: Evidence | None = None

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
