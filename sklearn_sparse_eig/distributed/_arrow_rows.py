"""Rows from the columns of an Arrow batch, without a loop over them."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from ._shards import Block

Form = Literal["scalars", "array", "entries", "vector"]

# A vector of Spark ML is a struct of these fields; its type is one of two numbers.
VECTOR_FIELDS = ["type", "size", "indices", "values"]
_DENSE = 1


@dataclass(frozen=True)
class RowColumns:
    """Which columns hold the rows, in which form, and what goes with them.

    Parameters
    ----------
    names : list of str
        Columns of the features.
    form : {"scalars", "array", "entries", "vector"}
        A number in each column; a list of numbers; lists of ids and of values; or a vector of
        Spark ML.
    n_features : int or None
        Number of features, which entries do not tell.
    beside : dict
        Columns by the names of arguments: sample_weight, y.
    """

    names: list[str]
    form: Form
    n_features: int | None
    beside: dict[str, str]

    def block_of(self, batch: Any) -> Block:
        """Return the rows of a batch, and what goes with them."""
        given = {name: self._numbers(batch, column) for name, column in self.beside.items()}
        return Block(_READERS[self.form](self, batch), given)

    def _numbers(self, batch: Any, column: str) -> np.ndarray:
        values = _column(batch, column)
        return np.asarray(values.to_numpy(zero_copy_only=False))

    def _of_scalars(self, batch: Any) -> Any:
        return batch.select(self.names).to_pandas()

    def _of_arrays(self, batch: Any) -> np.ndarray:
        (name,) = self.names
        values, ends = _lists(_column(batch, name), name)
        return _as_matrix(values, ends, name)

    def _of_entries(self, batch: Any) -> sp.csr_array:
        id_name, value_name = self.names
        ids, ends = _lists(_column(batch, id_name), id_name)
        values, value_ends = _lists(_column(batch, value_name), value_name)
        if not np.array_equal(ends, value_ends):
            row = int(np.flatnonzero(np.diff(ends) != np.diff(value_ends))[0])
            raise ValueError(
                f"Columns {id_name!r} and {value_name!r} hold lists of different lengths, "
                f"{ends[row + 1] - ends[row]} ids and {value_ends[row + 1] - value_ends[row]} "
                "values in one row: each id needs one value."
            )
        return sp.csr_array((values, ids, ends), shape=(len(ends) - 1, self.n_features))

    def _of_vectors(self, batch: Any) -> Any:
        (name,) = self.names
        kinds, sizes, indices, values = _column(batch, name).flatten()
        is_dense = kinds.to_numpy(zero_copy_only=False) == _DENSE
        values, ends = _lists(values, name)
        if is_dense.all():
            return _as_matrix(values, ends, name)
        lengths = np.diff(ends)
        sizes = np.where(is_dense, lengths, sizes.fill_null(0).to_numpy(zero_copy_only=False))
        _check_equal(sizes, name)
        ids = np.arange(len(values)) - np.repeat(ends[:-1], lengths)  # those of dense vectors
        ids[np.repeat(~is_dense, lengths)] = indices.flatten().to_numpy(zero_copy_only=False)
        return sp.csr_array((values, ids, ends), shape=(len(sizes), int(sizes[0])))


_READERS = {
    "scalars": RowColumns._of_scalars,
    "array": RowColumns._of_arrays,
    "entries": RowColumns._of_entries,
    "vector": RowColumns._of_vectors,
}


def _column(batch: Any, name: str) -> Any:
    column = batch.column(name)
    if column.null_count:
        raise ValueError(
            f"Column {name!r} is null in {column.null_count} of {len(column)} rows of a batch. "
            f"Fill them or leave the rows out: df.dropna(subset=[{name!r}])."
        )
    return column


def _lists(lists: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the items of all lists of a column, and where each list ends, from 0 on."""
    items, ends = lists.flatten(), lists.offsets.to_numpy()
    if items.null_count:
        raise ValueError(
            f"Lists of column {name!r} hold null values: fill them, or leave them out."
        )
    return items.to_numpy(zero_copy_only=False), ends - ends[0]


def _as_matrix(values: np.ndarray, ends: np.ndarray, name: str) -> np.ndarray:
    lengths = np.diff(ends)
    _check_equal(lengths, name)
    return values.reshape(len(lengths), lengths[0] if len(lengths) else 0)


def _check_equal(sizes: np.ndarray, name: str) -> None:
    if len(sizes) and sizes.min() != sizes.max():
        raise ValueError(
            f"Column {name!r} holds rows of {sizes.min()} and of {sizes.max()} features; all need "
            "the same number. Give sparse rows as two columns, of ids and of values."
        )
