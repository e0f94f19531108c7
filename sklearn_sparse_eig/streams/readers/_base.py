"""What every reader can do: a source as a list of parts, each with rows that come in batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

Columns = Sequence[str] | Sequence[int] | Mapping[str, str | None] | None


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a source.

    Parameters
    ----------
    batch_size : int
        Rows at a time.
    columns : sequence of str or int, mapping, or None
        Columns to read; None for all.
    options : dict
        What a single format knows, such as ``layer``.
    """

    batch_size: int
    columns: Columns = None
    options: dict[str, Any] = field(default_factory=dict)


class Reader(ABC):
    """Base class of readers.

    A subclass reads one part (:meth:`read`), mostly a file, and tells the number of its rows if
    that is known without reading it (:meth:`rows_of`). Decorated with :func:`register`, it is found
    by its name, by the suffix of a file or by the object given.

    Parameters
    ----------
    parts : list
        Paths in the order of reading, or one object.
    wanted : Wanted

    Attributes
    ----------
    name : str
        The name of the format.
    suffixes : tuple of str
        How names of its files end.
    options : tuple of str
        Options that it takes besides columns.
    feature_names : list of str or None
        Names of the columns, if they have any.
    vectorizer : object or None
        What makes rows of documents, if the rows are that.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ()
    feature_names: list[str] | None = None
    vectorizer: Any = None

    def __init__(self, parts: list[Any], wanted: Wanted) -> None:
        self.parts = parts
        self.wanted = wanted
        unknown = sorted(wanted.options.keys() - set(self.options))
        if unknown:
            known = ", ".join(self.options) or "none"
            raise ValueError(
                f"The reader of {self.name} knows no option {unknown[0]!r}; it has these: {known}."
            )
        self.begin()

    @classmethod
    def takes(cls, source: Any) -> bool:
        """Return whether an object that is no path is for this reader."""
        return False

    @classmethod
    def is_for(cls, path: str, options: dict[str, Any]) -> bool:
        """Return whether a file of a folder is meant, when options are given."""
        return True

    def begin(self) -> None:
        """Look at the source, for instance for the names of columns."""
        return  # not all have something to look for

    @abstractmethod
    def rows_of(self, part: Any) -> int | None:
        """Return the number of rows of a part, or None if it has to be read for that."""

    @abstractmethod
    def read(self, part: Any, start: int) -> Iterator[Any]:
        """Yield the rows of a part from `start` on, ``wanted.batch_size`` at a time."""

    def settings(self) -> Any:
        """Return what tells one way of reading from another, by its repr in any process."""
        return self.wanted.columns, sorted(self.wanted.options.items())

    def files_of(self, part: Any) -> list[Any]:
        """Return the files of a part, or the object in a list."""
        return [part]

    def row_names(self, part: Any) -> list[str] | None:
        """Return the names of the rows of a part, if they have any."""
        return None

    def names_of(self, ids: Iterable[int]) -> Any:
        """Find the terms of some ids in the documents that rows are made of."""
        raise TypeError(
            f"The rows of {self.name} are no documents: names belong to text alone, as "
            "iter_batches reads it with text_column=, lines=True or format='text'."
        )

    def without_dropped(self, names: Iterable[Any], found: Iterable[Any]) -> list[Any]:
        """Return names of columns without those of the option ``drop``."""
        dropped = [str(name) for name in self.wanted.options.get("drop") or ()]
        unknown = [name for name in dropped if name not in found]
        if unknown:
            raise ValueError(f"{self.parts[0]} has no column {unknown[0]!r} to drop.")
        return [name for name in names if name not in dropped]

    def names_of_indices(self) -> list[int] | None:
        """Return columns as a list of int, for arrays; None for all."""
        columns = self.wanted.columns
        if columns is None:
            return None
        if isinstance(columns, Mapping) or any(isinstance(c, str) for c in columns):
            raise ValueError(
                f"{self.name} has no names of columns: give columns as integers, got {columns!r}."
            )
        return [int(c) for c in columns]


def needed(package: str, format_: str) -> Any:
    """Import a library of a reader, or say how to install it."""
    try:
        return import_module(package)
    except ImportError as error:
        base = package.partition(".")[0]
        raise ImportError(
            f"Reading {format_} needs {base}: pip install {base}, or "
            "pip install 'sklearn_sparse_eig[io]' for all formats."
        ) from error


def slices(n_rows: int, start: int, batch_size: int) -> Iterator[slice]:
    """Yield the slices of a part that is at hand."""
    for low in range(start, n_rows, batch_size):
        yield slice(low, min(low + batch_size, n_rows))


def as_rows(rows: Any, columns: list[int] | None = None) -> np.ndarray | sp.csr_array:
    """Return what a library has read as an array, or as a csr_array."""
    if sp.issparse(rows):
        rows = sp.csr_array(rows)
        return rows if columns is None else sp.csr_array(rows[:, columns])
    rows = np.asarray(rows)
    if rows.ndim == 1:
        rows = rows[:, None]
    return rows if columns is None else rows[:, columns]
