"""Rows of any source in batches, from any batch on."""

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ..text import TermNames
from .readers import Reader, Wanted, find_reader
from .readers._base import Columns


class Batches:
    """Batches of rows, which can be read several times and from any batch on.

    Parameters
    ----------
    reader : Reader
        The reader of a format, with its files. Mostly :func:`iter_batches` makes both.

    Attributes
    ----------
    n_rows : int or None
        Rows in all, if the format tells.
    feature_names : list of str or None
        Names of the columns, if they have any.
    fingerprint : str
        Tells this input from others: names and sizes of its files, and how it is read.
    vectorizer : object or None
        What makes rows of documents, where the source is text.
    format : str
        The name of the format.
    """

    vectorizer: Any
    n_rows: int | None
    feature_names: list[str] | None
    fingerprint: str
    format: str

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        counts = [reader.rows_of(part) for part in reader.parts]
        self._counts = counts
        # Batches of each part, where rows are not counted beforehand: known when it has been read.
        self._n_read: list[int | None] = [None] * len(counts)
        known = [count for count in counts if count is not None]
        self.n_rows = sum(known) if len(known) == len(counts) else None
        self.feature_names = reader.feature_names
        self.vectorizer = reader.vectorizer
        self.format = reader.name
        self.fingerprint = _fingerprint(reader, counts)

    def __iter__(self) -> Iterator[Any]:
        return self.start_at(0)

    def start_at(self, n_batches: int) -> Iterator[Any]:
        """Return an iterator over the batches after the first `n_batches`."""
        size = self._reader.wanted.batch_size
        for i, (part, count) in enumerate(zip(self._reader.parts, self._counts, strict=True)):
            if count is not None and n_batches >= -(-count // size):
                n_batches -= -(-count // size)
                continue
            start = n_batches * size if count is not None else 0
            skipped = 0 if count is not None else n_batches
            n_read = 0
            for batch in self._reader.read(part, start):
                n_read += 1
                if skipped:
                    skipped, n_batches = skipped - 1, n_batches - 1
                    continue
                yield batch
            if count is None:
                self._n_read[i] = n_read
            n_batches = 0 if count is not None else n_batches

    def place_of(self, n_batches: int, row: int) -> str:
        """Return where a row lies: its file, the batch within it, and its number there.

        Parameters
        ----------
        n_batches : int
            How many batches come before that of the row, which has been read.
        row : int
            Its number in the batch. All numbers are counted from 0.

        Returns
        -------
        str
        """
        size = self._reader.wanted.batch_size
        i = 0
        for count, n_read in zip(self._counts, self._n_read, strict=True):
            of_part = n_read if count is None else -(-count // size)
            if of_part is None or n_batches < of_part:
                break
            n_batches, i = n_batches - of_part, i + 1
        row += n_batches * size
        files = self._reader.files_of(self._reader.parts[i])
        file = files[row] if len(files) > 1 else files[0]
        if not isinstance(file, str | os.PathLike):
            return f"batch {n_batches}, row {row}"
        if len(files) > 1:
            return os.fspath(file)
        return f"{os.fspath(file)}, batch {n_batches}, row {row}"

    def row_names(self) -> list[str] | None:
        """Return the names of all rows: paths of documents, names of cells; None without any."""
        names = [self._reader.row_names(part) for part in self._reader.parts]
        if any(some is None for some in names):
            return None
        return [name for some in names for name in some or ()]

    def names_of(self, ids: Iterable[int]) -> TermNames:
        """Find the terms of some ids, in a second pass over documents.

        Parameters
        ----------
        ids : iterable of int
            Such as ``support_`` of a :class:`~sklearn_sparse_eig.SketchedSparsePCA`.

        Returns
        -------
        TermNames
            For ``describe``. Reading ends when all ids are found.

        Raises
        ------
        TypeError
            If the rows are not made of documents.
        """
        return self._reader.names_of(ids)

    def __repr__(self) -> str:
        rows = "" if self.n_rows is None else f"{self.n_rows} rows in "
        return f"<Batches: {rows}{len(self._reader.parts)} parts of {self._reader.name}>"


def iter_batches(
    source: Any,
    batch_size: int = 8192,
    *,
    columns: Columns = None,
    format: str | None = None,
    **options: Any,
) -> Batches:
    """Return batches of rows from files or from memory, for :func:`fit_stream` or a loop.

    Parameters
    ----------
    source : path-like, list of path-like, array, sparse matrix or AnnData
        A file, a folder, a pattern such as ``"shards/*.npz"``, or several files, which are read in
        the order given; those of folders and patterns in that of their names. Formats are known by
        suffix: ``.parquet``, ``.svmlight``, ``.npz`` (of SciPy), ``.npy``, ``.csv``, ``.tsv``,
        ``.h5ad``, ``.h5``, ``.zarr``, and ``.txt``, documents as rows of hashed terms.
    batch_size : int, default=8192
        Rows at a time. The last batch of each file may be smaller.
    columns : list of str or int, mapping, or None, default=None
        Columns to read, by name where they have names. For Parquet, ``{"ids": "values"}`` are
        sparse rows in two list columns.
    format : str or None, default=None
        Name of the format, if the suffix does not tell: ``"text"`` for documents in any files.
    **options : dict
        Of a format: ``layer`` (AnnData), ``dataset`` (HDF5, Zarr), ``n_features`` (Parquet,
        svmlight), ``zero_based`` and ``labels`` (svmlight), ``sep`` (CSV), ``drop``, columns to
        leave out (Parquet, CSV). For documents:
        ``lines`` (each line is one, in place of each file), ``text_column`` (they lie in a column
        of Parquet, CSV or JSON Lines), and ``vectorizer``, by default a
        :class:`~sklearn_sparse_eig.text.HashedTextVectorizer`.

    Returns
    -------
    Batches
        An iterable with ``n_rows``, ``feature_names`` and ``fingerprint``; batches are arrays or
        CSR arrays.

    Raises
    ------
    ValueError, TypeError
        If there are no files, if the format is not known, or if columns are missing or no numbers.
    ImportError
        If the library of a format is not installed; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig.streams import iter_batches
    >>> batches = iter_batches(np.eye(5), batch_size=2)
    >>> [batch.shape for batch in batches], batches.n_rows
    ([(2, 5), (2, 5), (1, 5)], 5)
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise TypeError(f"batch_size must be an int, got {batch_size!r}.")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
    if format is None and (options.get("lines") or options.get("text_column")):
        format = "text"
    parts = _parts(source, format, options)
    reader = find_reader(parts[0], format)
    return Batches(reader(parts, Wanted(int(batch_size), columns, options)))


def _parts(source: Any, format_: str | None, options: dict[str, Any]) -> list[Any]:
    """Return the files that a source stands for, or the object in a list."""
    if isinstance(source, str | os.PathLike):
        return _files(os.fspath(source), format_, options)
    if isinstance(source, Sequence) and all(isinstance(s, str | os.PathLike) for s in source):
        files = [file for s in source for file in _files(os.fspath(s), format_, options)]
        if not files:
            raise ValueError("There are no files: the list of paths is empty.")
        return files
    return [source]


def _files(path: str, format_: str | None, options: dict[str, Any]) -> list[str]:
    is_store = path.rstrip("/").endswith(".zarr") or format_ == "zarr"
    if os.path.isdir(path) and not is_store:
        found = sorted(str(p) for p in Path(path).rglob("*") if _is_data(p, format_, options))
        if not found:
            raise ValueError(
                f"There are no files of a known format in the folder {path}. Name the format; "
                "'text' takes any files as documents."
            )
        endings = {find_reader(file, format_).name for file in found}
        if len(endings) > 1 and "text" in endings:  # which says something about the data
            found = [file for file in found if find_reader(file, format_).name != "text"]
            endings.discard("text")
        if len(endings) > 1:
            raise ValueError(
                f"The folder {path} has files of several formats, {', '.join(sorted(endings))}: "
                "give a pattern such as 'folder/*.parquet'."
            )
        return found
    if os.path.exists(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    if not found:
        raise ValueError(f"There is no file {path}.")
    return found


def _is_data(path: Path, format_: str | None, options: dict[str, Any]) -> bool:
    # Data sets mark what is none of their data by an underscore; among documents it means nothing.
    marks = (".",) if format_ == "text" else (".", "_")
    hidden = any(part.startswith(marks) for part in (path.name, path.parent.name))
    if hidden or not path.is_file() or any(p.suffix == ".zarr" for p in path.parents):
        return False
    try:
        return find_reader(path, format_).is_for(str(path), options)
    except ValueError:
        return False


def _fingerprint(reader: Reader, counts: list[int | None]) -> str:
    """Return a text that tells an input from others, by names, sizes and settings."""
    wanted = reader.wanted
    digest = blake2b(digest_size=8)
    for part, count in zip(reader.parts, counts, strict=True):
        for file in reader.files_of(part):
            if isinstance(file, str | os.PathLike):
                is_file = os.path.isfile(file)
                size = os.path.getsize(file) if is_file else count
                digest.update(f"{os.path.basename(file)} {size} {count}\n".encode())
            else:
                digest.update(f"{getattr(file, 'shape', None)}\n".encode())
    digest.update(repr(reader.settings()).encode())
    return (
        f"{len(reader.parts)} parts of {reader.name} in batches of {wanted.batch_size}, "
        f"{digest.hexdigest()}"
    )
