"""Shards of sparse rows, as ``scipy.sparse.save_npz`` writes them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from ._base import Reader, as_rows, slices
from ._registry import register


@register
class NpzReader(Reader):
    """``.npz`` files of one sparse matrix each; one shard is in memory at a time."""

    name = "npz"
    suffixes = (".npz",)

    def rows_of(self, part: Any) -> int:
        with np.load(part, allow_pickle=False) as file:
            return int(file["shape"][0])

    def read(self, part: Any, start: int) -> Iterator[Any]:
        columns = self.names_of_indices()
        rows = sp.csr_array(sp.load_npz(part))
        for some in slices(rows.shape[0], start, self.wanted.batch_size):
            yield as_rows(rows[some], columns)
