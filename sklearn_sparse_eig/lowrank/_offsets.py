"""What is subtracted from a matrix before it is taken for one of low rank: means and effects."""

from dataclasses import dataclass
from typing import Self

import numpy as np

# Rounds of the variances of the effects, and the relative change at which they end.
_ROUNDS, _TOLERANCE = 50, 1e-4


@dataclass(frozen=True)
class Offsets:
    """Offsets m_j of the columns and, if rows have effects as well, how much these are shrunk.

    Attributes
    ----------
    columns : ndarray of shape (n_features,)
    shrinkage : float or None
        The effect of a row is the sum of what is known of it, less the offsets, divided by this
        plus the number of known entries. None if rows have no effects.
    """

    columns: np.ndarray
    shrinkage: float | None = None

    @property
    def has_row_effects(self) -> bool:
        """Whether each row has an offset of its own."""
        return self.shrinkage is not None

    @classmethod
    def none(cls, n_features: int) -> Self:
        """Return offsets that change nothing."""
        return cls(np.zeros(n_features))

    @classmethod
    def of_columns(cls, known: np.ndarray, mask: np.ndarray) -> Self:
        """Return the mean of what is known of each column."""
        return cls(known.sum(axis=0) / np.maximum(mask.sum(axis=0), 1.0))

    @classmethod
    def of_rows_and_columns(cls, known: np.ndarray, mask: np.ndarray) -> Self:
        """Return the effects of rows and columns, shrunk as far as their own variance demands.

        The model is x_ij = mean + r_i + c_j + noise with normal effects. Each round gives the
        posterior means for the present variances, then the variances for these (doc/).

        Parameters
        ----------
        known : ndarray of shape (n, m)
            Zero where nothing is known.
        mask : ndarray of float64, shape (n, m)
            One where an entry is known, else zero.
        """
        n_row, n_column, n = mask.sum(axis=1), mask.sum(axis=0), mask.sum()
        mean = known.sum() / n
        centred = known - mean * mask
        row_sums, column_sums = centred.sum(axis=1), centred.sum(axis=0)
        total = float(np.vdot(centred, centred)) / n
        noise, row_variance, column_variance = total, total, total
        shift, rows, columns = 0.0, np.zeros(len(n_row)), np.zeros(len(n_column))
        for _ in range(_ROUNDS):
            before = rows, columns
            by_row, by_column = _ratio(noise, row_variance), _ratio(noise, column_variance)
            rows = (row_sums - mask @ (shift + columns)) / (n_row + by_row)
            columns = (column_sums - mask.T @ rows - shift * n_column) / (n_column + by_column)
            shift = (centred.sum() - n_row @ rows - n_column @ columns) / n
            # A posterior variance is noise / (count + ratio).
            row_variance = np.mean(rows**2 + noise / (n_row + by_row))
            column_variance = np.mean(columns**2 + noise / (n_column + by_column))
            error = centred - mask * (shift + rows[:, None] + columns)
            spent = (n_row / (n_row + by_row)).sum() + (n_column / (n_column + by_column)).sum()
            noise = float(np.vdot(error, error)) / max(n - spent, 1.0)
            moved = max(np.abs(a - b).max() for a, b in zip((rows, columns), before, strict=True))
            if moved <= _TOLERANCE * np.sqrt(total):
                break
        return cls(mean + shift + columns, _ratio(noise, row_variance))

    def row_effects(self, known: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the effect of each row, zero if rows have none."""
        if self.shrinkage is None:
            return np.zeros(len(known))
        counts = mask.sum(axis=1) + self.shrinkage
        left = known.sum(axis=1) - mask @ self.columns
        return np.divide(left, counts, out=np.zeros(len(known)), where=counts > 0)

    def subtracted(self, known: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is left of the known entries, zero elsewhere, and the effects of rows."""
        rows = self.row_effects(known, mask)
        return known - mask * (rows[:, None] + self.columns), rows


def _ratio(noise, variance):
    return noise / variance if variance > 0.0 else np.inf
