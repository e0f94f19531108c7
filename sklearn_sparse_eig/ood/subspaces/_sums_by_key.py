"""Sums of arrays, one for each key that has come."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np


class SumsByKey:
    """Sums of arrays, one for each key that has come.

    Arrays are replaced, and written in place only within the change that has made them, so that
    a shallow copy (:meth:`writable`) is enough to take a change back.

    Attributes
    ----------
    sums : dict of ndarray
    """

    def __init__(self, sums: dict | None = None) -> None:
        self.sums: dict[Any, np.ndarray] = {} if sums is None else sums
        self._mine: set = set()

    def __getstate__(self) -> dict[str, Any]:
        return {"sums": self.sums, "_mine": set()}

    def writable(self) -> "SumsByKey":
        """Return what may be changed in the place of this, which stays as it is."""
        return type(self)(dict(self.sums))

    def add(self, key: Any, values: np.ndarray) -> None:
        """Add to the sum of a key."""
        known = self.sums.get(key)
        if known is None:
            known = np.zeros(values.shape)
        elif key in self._mine:
            known += values
            return
        self.sums[key] = known + values
        self._mine.add(key)

    def merge(self, other: "SumsByKey", sign: float) -> None:
        """Add `sign` times other sums."""
        for key, values in other.sums.items():
            self.add(key, sign * values)

    def stacked(self, keys: Sequence, shape: tuple[int, ...]) -> np.ndarray:
        """Return the sums of some keys in an array, zero where none has come."""
        out = np.zeros((len(keys), *shape))
        for row, key in zip(out, keys, strict=True):
            if key in self.sums:
                row[...] = self.sums[key]
        return out

    @classmethod
    def of_rows(cls, rows: np.ndarray, counts: np.ndarray) -> Self:
        """Return the sums that an array has in its rows, of those that were counted."""
        return cls({int(i): np.array(rows[i]) for i in np.flatnonzero(counts)})
