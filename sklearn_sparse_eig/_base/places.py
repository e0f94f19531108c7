"""Where in a stream an entry lies that is not finite: looked for after rows were refused."""

from typing import Any

import numpy as np
import scipy.sparse as sp


def with_place(error: ValueError, batches: Any, n_batches: int, rows: Any) -> ValueError:
    """Return an error that says which entry is not finite, or the same one if all are.

    Parameters
    ----------
    error : ValueError
        That with which the rows were refused.
    batches : object
        Where they come from. ``place_of(n_batches, row)`` and ``feature_names`` are used if it has
        them.
    n_batches : int
        How many batches came before.
    rows : array or sparse matrix
        The batch, or a tuple that begins with it.
    """
    rows = rows[0] if isinstance(rows, tuple) else rows
    found = _first_not_finite(rows)
    if found is None:
        return error
    row, column, value = found
    names = getattr(batches, "feature_names", None)
    name = names[column] if names is not None and column < len(names) else column
    told = "NaN" if np.isnan(value) else "infinity"
    where = f"batch {n_batches}, row {row}"
    if hasattr(batches, "place_of"):
        where = batches.place_of(n_batches, row)
    new = ValueError(f"There is {told} in column {name} of {where} (counted from 0). {error}")
    new.__cause__ = error
    return new


def _first_not_finite(rows: Any) -> tuple[int, int, float] | None:
    """Return row, column and value of the first entry that is NaN or infinite."""
    if getattr(rows, "ndim", 2) != 2:
        return None
    if sp.issparse(rows):
        entries = sp.coo_array(rows)
        places = np.flatnonzero(_is_not_finite(entries.data))
        if not len(places):
            return None
        row, column = (int(ids[places[0]]) for ids in entries.coords)
        return row, column, float(entries.data[places[0]])
    dense = np.asarray(rows)
    found = np.argwhere(_is_not_finite(dense))
    if not len(found) or dense.ndim != 2:
        return None
    row, column = (int(i) for i in found[0])
    return row, column, float(dense[row, column])


def _is_not_finite(data: np.ndarray) -> np.ndarray:
    return ~np.isfinite(data) if data.dtype.kind == "f" else np.zeros(data.shape, dtype=bool)
