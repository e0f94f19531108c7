"""How a row, with whatever is known of it, gets its coordinates in a low-rank model."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ._greedy import row_coordinates
from ._offsets import Offsets


@dataclass(frozen=True)
class RowModel:
    """Rows are offsets of columns, an effect of their own, and coordinates in a few directions.

    Attributes
    ----------
    offsets : Offsets
    basis : ndarray of shape (n_features, rank)
        Orthonormal unless there is a ridge.
    ridge : float
        Times the squared norm of the coordinates, added to the squared error of a row.
    span : ndarray of shape (n_features, k)
        Orthonormal: what rows are made of beside the offsets of columns.
    """

    offsets: Offsets
    basis: np.ndarray
    ridge: float
    span: np.ndarray

    @classmethod
    def of(cls, offsets: Offsets, basis: np.ndarray, ridge: float = 0.0) -> Self:
        """Return the model whose rows have an effect if the offsets know of one."""
        directions = basis
        if offsets.has_row_effects:
            directions = np.column_stack([np.ones(len(basis)), basis])
        return cls(offsets, basis, ridge, np.linalg.qr(directions)[0])

    def parts(self, target: np.ndarray, observed: np.ndarray, effects: np.ndarray) -> np.ndarray:
        """Return coordinates in ``span`` of rows whose offsets and effects were subtracted."""
        inner = row_coordinates(target, observed, self.basis, self.ridge)
        return np.outer(effects, self.span.sum(axis=0)) + inner @ (self.basis.T @ self.span)

    def coordinates(
        self, rows: np.ndarray, observed: np.ndarray, components: np.ndarray
    ) -> np.ndarray:
        """Return the coordinates of rows in orthonormal components that span the same space."""
        mask = observed.astype(np.float64)
        target, effects = self.offsets.subtracted(np.where(observed, rows, 0.0), mask)
        return self.parts(target, observed, effects) @ (self.span.T @ components.T)

    def decomposed(self, coordinates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return singular values and right vectors of rows with these coordinates."""
        _, values, rotation = np.linalg.svd(coordinates, full_matrices=False)
        return values, self.span @ rotation.T
