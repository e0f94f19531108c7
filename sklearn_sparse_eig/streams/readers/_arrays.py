"""Rows that are in memory already."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from ._base import Reader, as_rows, slices
from ._registry import register


@register
class ArrayReader(Reader):
    """Dense arrays, memory-mapped ones too, and CSR arrays."""

    name = "array"

    @classmethod
    def takes(cls, source: Any) -> bool:
        return isinstance(source, np.ndarray) or sp.issparse(source)

    def begin(self) -> None:
        self.parts = [sp.csr_array(X) if sp.issparse(X) else X for X in self.parts]

    def rows_of(self, part: Any) -> int:
        return part.shape[0]

    def read(self, part: Any, start: int) -> Iterator[Any]:
        columns = self.names_of_indices()
        for some in slices(part.shape[0], start, self.wanted.batch_size):
            yield as_rows(part[some], columns)
