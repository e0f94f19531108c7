"""Parquet files: plain columns, dictionaries and lists, read by Arrow."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from ._base import Reader, needed
from ._registry import register


@register
class ParquetReader(Reader):
    """Parquet data sets.

    Plain columns are features. A dictionary of texts has a feature for each of its values, as
    ``column=value``; for the values, these columns are read once before. Lists of one length are
    as many features. ``columns={"ids": "values"}`` are sparse rows: a list column of ids, from 0 to
    ``n_features``, beside one of their values, or None for ones. ``drop`` leaves columns out.
    """

    name = "parquet"
    suffixes = (".parquet", ".pq")
    options = ("n_features", "drop")

    def begin(self) -> None:
        self._parquet = needed("pyarrow.parquet", "Parquet")
        self._arrow = needed("pyarrow", "Parquet")
        self._sparse: tuple[str, str | None] | None = None
        schema = self._parquet.read_schema(self.parts[0])
        columns = self.wanted.columns
        if isinstance(columns, Mapping):
            if len(columns) != 1:
                raise ValueError("columns must map one column of ids to one of values, or None.")
            self._sparse = next(iter(columns.items()))
            names = [name for name in self._sparse if name is not None]
            if self.wanted.options.get("n_features") is None:
                raise ValueError("Columns of ids need n_features=, one more than the largest id.")
        else:
            names = schema.names if columns is None else [str(c) for c in columns]
            names = self.without_dropped(names, schema.names)
        missing = [name for name in names if name not in schema.names]
        if missing:
            raise ValueError(
                f"{self.parts[0]} has no column {missing[0]!r}; it has "
                f"{', '.join(schema.names[:8])}{' and more' if len(schema.names) > 8 else ''}."
            )
        self._names = list(names)
        if self._sparse is None:
            self._lay_out(schema)

    def _lay_out(self, schema):
        """Find the features of each column, and their names."""
        types = self._arrow.types
        self._widths: dict[str, int] = {}
        self._values: dict[str, dict[str, int]] = {}
        self.feature_names = []
        for name in self._names:
            kind = schema.field(name).type
            if types.is_dictionary(kind) and _is_text(types, kind.value_type):
                texts = sorted(self._texts(name))
                self._values[name] = {text: i for i, text in enumerate(texts)}
                self.feature_names += [f"{name}={text}" for text in texts]
            elif types.is_fixed_size_list(kind) or _is_list(types, kind):
                self._widths[name] = self._width(name)
                self.feature_names += [f"{name}[{i}]" for i in range(self._widths[name])]
            elif _is_text(types, kind) or types.is_nested(kind) or types.is_temporal(kind):
                raise ValueError(
                    f"Column {name!r} is {kind}, which is no feature. Leave it out by drop= or "
                    "columns=, write it as a dictionary (category) or as numbers, or give "
                    "text_column= if its values are documents."
                )
            else:
                self.feature_names.append(name)

    def _texts(self, name):
        found = set()
        for part in self.parts:
            column = self._parquet.read_table(part, columns=[name]).column(name)
            for chunk in column.chunks:
                found |= {str(t) for t in chunk.dictionary.to_pylist() if t is not None}
        return found

    def _width(self, name):
        batches = self._parquet.ParquetFile(self.parts[0]).iter_batches(1, columns=[name])
        first = next(iter(batches), None)
        return 0 if first is None else len(first.column(0)[0].as_py() or [])

    def rows_of(self, part: Any) -> int:
        return self._parquet.read_metadata(part).num_rows

    def read(self, part: Any, start: int) -> Iterator[Any]:
        for table in self._tables(part, start):
            yield self._sparse_rows(table) if self._sparse else self._dense_rows(table, part)

    def _tables(self, part, start):
        """Yield tables of as many rows as are wanted, from a row on."""
        file, size = self._parquet.ParquetFile(part), self.wanted.batch_size
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        first = 0
        while first < len(groups) and start >= groups[first]:
            start -= groups[first]
            first += 1
        waiting: list[Any] = []
        n_waiting = 0
        rest = range(first, len(groups))
        for batch in file.iter_batches(size, row_groups=list(rest), columns=self._names):
            if start >= batch.num_rows:
                start -= batch.num_rows
                continue
            waiting.append(batch.slice(start))
            n_waiting, start = n_waiting + waiting[-1].num_rows, 0
            while n_waiting >= size:
                table = self._arrow.Table.from_batches(waiting)
                yield table.slice(0, size)
                waiting, n_waiting = table.slice(size).to_batches(), n_waiting - size
        if n_waiting:
            yield self._arrow.Table.from_batches(waiting)

    def _dense_rows(self, table, part):
        blocks: list[Any] = []
        for name in self._names:
            column = table.column(name)
            if name in self._values:
                blocks.append(self._one_hot(column, self._values[name], name, part))
            elif name in self._widths:
                column = column.combine_chunks()
                flat = _numbers(column.flatten(), name)
                width = self._widths[name]
                if len(flat) != len(column) * width:
                    raise ValueError(
                        f"Lists of column {name!r} in {part} are not all of length {width}. For "
                        "lists of ids give columns={'ids': 'values'}."
                    )
                blocks.append(flat.reshape(len(column), width))
            else:
                blocks.append(_numbers(column, name)[:, None])
        if any(sp.issparse(block) for block in blocks):
            return sp.csr_array(sp.hstack([sp.csr_array(b) for b in blocks], format="csr"))
        kinds = {block.dtype for block in blocks}
        dtype = np.float32 if kinds == {np.dtype(np.float32)} else np.float64
        return np.concatenate([block.astype(dtype, copy=False) for block in blocks], axis=1)

    def _one_hot(self, column, places, name, part):
        rows, columns, start = [], [], 0
        for chunk in column.chunks:
            texts = [None if t is None else str(t) for t in chunk.dictionary.to_pylist()]
            if any(t is not None and t not in places for t in texts):
                raise ValueError(f"Column {name!r} of {part} has changed since it was opened.")
            local = np.array([-1 if t is None else places[t] for t in texts] + [-1])
            codes = local[chunk.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)]
            rows.append(start + np.flatnonzero(codes >= 0))
            columns.append(codes[codes >= 0])
            start += len(chunk)
        row, col = np.concatenate([*rows, []]), np.concatenate([*columns, []])
        ones = np.ones(len(row))
        shape = (len(column), len(places))
        return sp.csr_array((ones, (row.astype(np.int64), col.astype(np.int64))), shape=shape)

    def _sparse_rows(self, table):
        ids_name, values_name = self._sparse
        ids = table.column(ids_name).combine_chunks()
        lengths = np.asarray(ids.value_lengths().fill_null(0))
        indices = np.array(ids.flatten().cast("int64"))  # a copy, which SciPy may sort
        data = np.ones(len(indices))
        if values_name is not None:
            values = table.column(values_name).combine_chunks()
            if not np.array_equal(np.asarray(values.value_lengths().fill_null(0)), lengths):
                raise ValueError(f"Lists of {ids_name!r} and {values_name!r} differ in length.")
            data = _numbers(values.flatten(), values_name).copy()
        n_features = int(self.wanted.options["n_features"])
        if len(indices) and not 0 <= indices.min() <= indices.max() < n_features:
            raise ValueError(
                f"Ids of column {ids_name!r} lie between {indices.min()} and {indices.max()}, but "
                f"n_features is {n_features}."
            )
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        rows = sp.csr_array((data, indices, indptr), shape=(len(lengths), n_features))
        rows.sum_duplicates()
        return rows


def _numbers(column, name):
    """Return an Arrow column as floats, with NaN for what is missing."""
    try:
        kind = "float32" if str(column.type) == "float" else "float64"
        if "dictionary" in str(column.type):
            column = column.cast(column.type.value_type)
        return column.cast(kind, safe=False).to_numpy(**_copying(column))
    except Exception as error:
        raise ValueError(f"Column {name!r} cannot be read as numbers: {error}") from error


def _copying(column):
    return {} if hasattr(column, "chunks") else {"zero_copy_only": False}


def _is_text(types, kind):
    return types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind)


def _is_list(types, kind):
    return types.is_list(kind) or types.is_large_list(kind)
