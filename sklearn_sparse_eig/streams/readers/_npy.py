"""Arrays of NumPy, mapped into memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._base import Reader, as_rows, slices
from ._registry import register


@register
class NpyReader(Reader):
    """``.npy`` files, of which only the rows at hand are in memory."""

    name = "npy"
    suffixes = (".npy",)

    def rows_of(self, part: Any) -> int:
        return np.load(part, mmap_mode="r", allow_pickle=False).shape[0]

    def read(self, part: Any, start: int) -> Iterator[Any]:
        columns = self.names_of_indices()
        array = np.load(part, mmap_mode="r", allow_pickle=False)
        for some in slices(array.shape[0], start, self.wanted.batch_size):
            yield as_rows(np.array(array[some]), columns)
