"""The matrices S - t G for all t: a sketch less noise whose variance is estimated step by step.

What does not depend on t, products of S and G with themselves and with each other, is made once.
"""

from functools import cached_property

import numpy as np

from ..sketching import LEFT, Difference, ImplicitMatrix


class Pencil:
    """All S - t G for two matrices of one shape.

    Parameters
    ----------
    first, second : ImplicitMatrix of shape (m, k)
        S and G.
    """

    def __init__(self, first: ImplicitMatrix, second: ImplicitMatrix) -> None:
        self.first, self.second = first, second

    @cached_property
    def inner(self) -> float:
        """The sum of the products of the entries of S and G."""
        return self.second.inner(self.first)

    def at(self, factor: float) -> ImplicitMatrix:
        """Return S - factor G."""
        return PencilMatrix(self, factor)


class PencilMatrix(Difference):
    """S - t G, whose squares are sums of those of S and G."""

    def __init__(self, pencil: Pencil, factor: float) -> None:
        super().__init__(pencil.first, factor, pencil.second)
        self._pencil = pencil

    @cached_property
    def gram(self):
        """S^T S - t (G^T S + S^T G) + t^2 G^T G, unless next to nothing is left of these terms."""
        if not self._second.is_cheap:
            return super().gram
        out = self._first.gram.copy()
        cross = self._factor * self._second.adjoint_times(self._first)
        out -= cross
        out -= cross.T
        out += self._factor**2 * self._second.gram
        return out if np.trace(out) > LEFT * np.trace(self._first.gram) else super().gram

    @cached_property
    def squared_norm(self):
        size, t = self._first.squared_norm, self._factor
        left = size - 2.0 * t * self._pencil.inner + t**2 * self._second.squared_norm
        return left if left > LEFT * size else super().squared_norm
