"""Arrays that are kept in float64, and used in the precision of what they are multiplied with."""

from typing import Any, Self

import numpy as np


class InBothPrecisions:
    """An array, and when asked for a copy in single precision.

    Gradients of a torch module in float32 are scored in float32, which halves the time; all sums
    over samples are in float64.

    Parameters
    ----------
    values : ndarray of float64
        Of float32 where nothing is multiplied with it that is not.
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._single: np.ndarray | None = None

    def rounded(self) -> Self:
        """Return the same in float32 alone, for half of the memory or a third."""
        return type(self)(self.values.astype(np.float32))

    def like(self, rows: Any) -> np.ndarray:
        """Return the array in float32 if the rows are, else in float64."""
        if rows.dtype != np.float32:
            return self.values.astype(np.float64, copy=False)
        if self.values.dtype == np.float32:
            return self.values
        if self._single is None:
            self._single = self.values.astype(np.float32)
        return self._single


class InOnePrecision:
    """An array in the precision of what it was multiplied with first, and last.

    For arrays that follow from others, of which two copies would be too many.

    Parameters
    ----------
    values : ndarray of float64
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.values.shape

    def __len__(self) -> int:
        return len(self.values)

    def like(self, rows: Any) -> np.ndarray:
        """Return the array in float32 if the rows are, else in float64."""
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        if self.values.dtype != dtype:
            self.values = self.values.astype(dtype)
        return self.values
