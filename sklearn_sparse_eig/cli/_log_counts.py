"""Counts of cells or documents, brought to one total and to logarithms, batch by batch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._base.places import with_place
from .._base.sparse import canonical
from ..streams import Batches

# The total of a row, as is usual for cells.
TOTAL = 1e4


class LogCounts:
    """The batches of a source with ``log(1 + 10000 count / total)`` in place of each count."""

    vectorizer = None

    def __init__(self, batches: Batches) -> None:
        self.counts = batches
        self.n_rows, self.feature_names = batches.n_rows, batches.feature_names
        self.format = batches.format
        self.fingerprint = f"log counts of {batches.fingerprint}"

    def __iter__(self) -> Iterator[Any]:
        return self.start_at(0)

    def start_at(self, n_batches: int) -> Iterator[Any]:
        """Return an iterator over the batches after the first `n_batches`."""
        for i, rows in enumerate(self.counts.start_at(n_batches), n_batches):
            try:
                logs = log_counts(rows)
            except ValueError as error:
                raise with_place(error, self.counts, i, rows) from error
            yield logs

    def place_of(self, n_batches: int, row: int) -> str:
        """Return where a row lies."""
        return self.counts.place_of(n_batches, row)

    def row_names(self) -> list[str] | None:
        """Return the names of all rows, if they have any."""
        return self.counts.row_names()


def log_counts(rows: Any) -> Any:
    """Return the logarithms of counts; rows without any stay zero, and duplicates add before."""
    rows = canonical(rows) if sp.issparse(rows) else rows
    data = rows.data if sp.issparse(rows) else np.asarray(rows)
    low, high = (data.min(), data.max()) if data.size else (0.0, 0.0)
    if not 0 <= low <= high < np.inf:
        raise ValueError(
            f"Counts are numbers and not negative, got {high if low >= 0 else low}: mend them, or "
            "leave out --log-counts."
        )
    totals = np.asarray(rows.sum(axis=1), dtype=np.float64).ravel()
    factors = TOTAL / np.where(totals > 0.0, totals, 1.0)
    if not sp.issparse(rows):
        return np.log1p(data * factors[:, None])
    values = np.log1p(data * np.repeat(factors, np.diff(rows.indptr)))
    return sp.csr_array((values, rows.indices, rows.indptr), shape=rows.shape)


def are_counts(rows: Any) -> bool:
    """Return whether rows look like raw counts: whole numbers, some of them large."""
    data = rows.data if sp.issparse(rows) else np.asarray(rows)
    return bool(data.size and data.max() > 20 and data.min() >= 0) and are_whole(rows)


def are_whole(rows: Any) -> bool:
    """Return whether all entries are whole numbers."""
    data = rows.data if sp.issparse(rows) else np.asarray(rows)
    return bool((data == np.rint(data)).all())
