"""Arrays that are kept in float64, and used in the precision of what they are multiplied with."""

from typing import Any

import numpy as np


class InBothPrecisions:
    """An array, and when asked for a copy in single precision.

    Gradients of a torch module in float32 are scored in float32, which halves the time; all sums
    over samples are in float64.

    Parameters
    ----------
    values : ndarray of float64
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._single: np.ndarray | None = None

    def like(self, rows: Any) -> np.ndarray:
        """Return the array in float32 if the rows are, else as it is."""
        if rows.dtype != np.float32:
            return self.values
        if self._single is None:
            self._single = self.values.astype(np.float32)
        return self._single
