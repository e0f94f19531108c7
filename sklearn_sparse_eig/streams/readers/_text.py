"""Documents as rows of hashed terms."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ...text import HashedTextVectorizer, TermNames
from ._base import Reader, needed
from ._registry import register

_PARQUET = (".parquet", ".pq")
_ZIPPED = ("", ".gz", ".bz2", ".xz", ".zst")
# What has columns of text.
_TABLES = (*_PARQUET, *(f".{k}{z}" for k in ("csv", "tsv", "jsonl") for z in _ZIPPED))


@register
class TextReader(Reader):
    """Documents, as rows of a vectoriser.

    Each file is a document, or each line of it (``lines=True``), or each value of a column of text
    in Parquet, CSV or JSON Lines (``text_column``). ``vectorizer`` has a ``transform``; the default
    is a :class:`~sklearn_sparse_eig.text.HashedTextVectorizer`.
    """

    name = "text"
    suffixes = (".txt",)
    options = ("lines", "text_column", "vectorizer")

    def begin(self) -> None:
        options = self.wanted.options
        self._column = options.get("text_column")
        if self.wanted.columns is not None or (self._column and options.get("lines")):
            raise ValueError(
                "Documents are files, lines (lines=True) or one column (text_column=): give no "
                "other columns."
            )
        self.vectorizer = options.get("vectorizer") or HashedTextVectorizer()
        # What knows the encoding may be within.
        inner = getattr(self.vectorizer, "vectorizer", None) or self.vectorizer
        self._encoding = getattr(inner, "encoding", "utf-8"), getattr(inner, "decode_error", None)
        self._is_whole = not self._column and not options.get("lines")
        if self._is_whole:  # as many files as are rows of a batch
            size = self.wanted.batch_size
            self.parts = [self.parts[i : i + size] for i in range(0, len(self.parts), size)]

    def settings(self) -> list[Any]:
        """Return what tells one way of reading from another, also in another process."""
        made_by = getattr(self.vectorizer, "vectorizer", None) or self.vectorizer
        params = made_by.get_params() if hasattr(made_by, "get_params") else {}
        told = sorted((k, getattr(v, "__qualname__", repr(v))) for k, v in params.items())
        return [self._column, self._is_whole, type(made_by).__name__, told]

    def files_of(self, part: Any) -> list[Any]:
        return part if self._is_whole else [part]

    @classmethod
    def is_for(cls, path: str, options: dict[str, Any]) -> bool:
        """Tables alone have columns of text."""
        return not options.get("text_column") or path.lower().endswith(_TABLES)

    def rows_of(self, part: Any) -> int | None:
        if self._is_whole:
            return len(part)
        if self._column and str(part).endswith(_PARQUET):
            return needed("pyarrow.parquet", "Parquet").read_metadata(part).num_rows
        return None

    def read(self, part: Any, start: int) -> Iterator[Any]:
        part = part[start:] if self._is_whole else part
        texts = islice(self._texts(part), 0 if self._is_whole else start, None)
        while batch := list(islice(texts, self.wanted.batch_size)):
            yield self.vectorizer.transform(batch)

    def row_names(self, part: Any) -> list[str] | None:
        return [os.fspath(file) for file in part] if self._is_whole else None

    def names_of(self, ids: Iterable[int]) -> TermNames:
        inner = getattr(self.vectorizer, "vectorizer", None) or self.vectorizer
        return inner.names_of((text for part in self.parts for text in self._texts(part)), ids)

    def _texts(self, part: Any) -> Iterator[str]:
        if self._column:
            for value in _of_column(part, self._column, self.wanted.batch_size):
                yield value if isinstance(value, str) else ""  # missing
        elif self._is_whole:
            for file in part:
                yield self._decoded(Path(file).read_bytes(), file)
        else:
            with open(part, "rb") as file:
                for line in file:
                    yield self._decoded(line, part)

    def _decoded(self, data: bytes, part: Any) -> str:
        encoding, on_error = self._encoding
        try:
            return data.decode(encoding, on_error or "strict")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{os.fspath(part)} is no text in {encoding}: byte {error.start} is "
                f"{data[error.start]:#x}. Give another encoding, such as latin-1, or "
                "decode_error='replace'."
            ) from error


def _of_column(part: Any, column: str, size: int) -> Iterator[Any]:
    """Yield the values of one column of a table."""
    path = os.fspath(part)
    if path.endswith(_PARQUET):
        file = needed("pyarrow.parquet", "Parquet").ParquetFile(path)
        _check_column(column, file.schema_arrow.names, path)
        for batch in file.iter_batches(size, columns=[column]):
            yield from batch.column(0).to_pylist()
        return
    pandas = needed("pandas", "tables of text")
    if ".jsonl" in path.lower():
        frames = pandas.read_json(path, lines=True, chunksize=size)
    else:
        sep = "\t" if ".tsv" in path.lower() else ","
        frames = pandas.read_csv(path, sep=sep, chunksize=size, dtype=object)
    with frames:
        for frame in frames:
            _check_column(column, list(frame.columns), path)
            yield from frame[column]


def _check_column(column: str, found: list[Any], path: str) -> None:
    if column not in found:
        raise ValueError(
            f"{path} has no column {column!r}; it has {', '.join(map(str, found[:8]))}"
            f"{' and more' if len(found) > 8 else ''}."
        )
