"""Rows that come batch by batch from a DataLoader or a Dataset, with labels if these have any."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from .._base.compat import n_rows, take_rows
from ._arrays import from_torch
from ._columns import Columns

# Keys of a batch under which labels are looked for, in this order.
LABELS = ("labels", "label", "targets", "target", "y")
# Rows at a time of a Dataset; and of smaller batches, if their shapes allow it.
_BATCH, _LEAST_ROWS = 64, 16


def is_loader(X: Any) -> bool:
    """Whether X is a DataLoader or a Dataset of torch."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and isinstance(X, data.DataLoader | data.Dataset)


def split_batch(batch: Any) -> tuple[Any, Any]:
    """Return what a batch holds for the model, an array or ``Columns``, and labels or None.

    Of a tuple or list of several the last entry is the labels. Of a dict they are under one of the
    names ``LABELS``, and whatever else it holds is passed by name.
    """
    if isinstance(batch, Mapping):
        columns = dict(batch)
        found = [columns.pop(name) for name in LABELS if name in columns]
        return Columns(kwargs=columns), found[0] if found else None
    if not isinstance(batch, tuple | list):
        return np.asarray(from_torch(batch)), None
    if len(batch) == 1:
        return split_batch(batch[0])
    *inputs, labels = batch
    if len(inputs) > 1:
        return Columns(inputs), labels
    return _inputs(inputs[0]), labels


def _inputs(entry):
    if isinstance(entry, tuple | list):
        return Columns(entry)
    # Labels beside a dict count, not those inside it.
    return split_batch(entry)[0]


class LoaderRows:
    """Rows of a DataLoader, read anew in each pass.

    Parameters
    ----------
    loader : DataLoader or Dataset
    check : callable
        Of the rows of a batch: returns them, checked.
    kept : ndarray of bool, default=None
        Which rows of a pass are kept, None for all.

    Attributes
    ----------
    has_labels : bool or None
        Whether batches come with labels; None until one has come.
    """

    def __init__(
        self,
        loader: Any,
        check: Callable[[Any], Any] = lambda rows: rows,
        kept: np.ndarray | None = None,
    ) -> None:
        data = sys.modules["torch.utils.data"]
        if not isinstance(loader, data.DataLoader):
            loader = data.DataLoader(loader, batch_size=_BATCH)
        self._loader, self._check, self._kept = loader, check, kept
        self._n_rows: int | None = None
        self._first: Any = None
        self.has_labels: bool | None = None
        self._watches: tuple[Callable[[Any], None], ...] = ()

    @property
    def is_ordered(self) -> bool:
        """Whether each pass gives the rows in the same order, as far as anyone can tell."""
        data = sys.modules["torch.utils.data"]
        batches = self._loader.batch_sampler
        sampler = self._loader.sampler if batches is None else getattr(batches, "sampler", None)
        shuffling = data.RandomSampler, data.SubsetRandomSampler, data.WeightedRandomSampler
        return not isinstance(sampler, shuffling)

    def __len__(self) -> int:
        if self._n_rows is None:
            self._n_rows = self._count() if self._kept is None else int(self._kept.sum())
        return self._n_rows

    def _count(self):
        """Return the number of rows of a pass, by reading all of them where nothing else tells."""
        data, loader = sys.modules["torch.utils.data"], self._loader
        if not isinstance(loader.dataset, data.IterableDataset):
            batches = loader.batch_sampler
            if type(batches) is data.BatchSampler:
                n, size = len(batches.sampler), batches.batch_size
                return n - n % size if batches.drop_last else n
        return sum(n_rows(split_batch(batch)[0]) for batch in loader)

    def begin(self, check: Callable[[Any], Any]) -> None:
        """Read the first batch, with a check of its own, and keep it as the first rows."""
        first = LoaderRows(self._loader, check)
        self._first = first.take_rows(slice(0, None))
        self.has_labels = first.has_labels

    def watched(self, watch: Callable[[Any], None]) -> "LoaderRows":
        """Return the same rows, shown batch by batch to a function when they are read."""
        new = self._with(self._kept)
        new._n_rows = self._n_rows
        new._watches = (*self._watches, watch)
        return new

    def _with(self, kept):
        new = LoaderRows(self._loader, self._check, kept)
        new._first, new.has_labels, new._watches = self._first, self.has_labels, self._watches
        return new

    def take_rows(self, rows: Any) -> Any:
        """Return the first rows, as far as one batch goes, or those of some places in a pass.

        Parameters
        ----------
        rows : slice from the start, or array of int
        """
        if isinstance(rows, slice):
            if self._first is None:
                self._first, _ = next(self._read(), (None, None))
                if self._first is None:
                    raise ValueError("Found 0 sample(s), but at least one is needed.")
            return take_rows(self._first, rows)
        kept = np.zeros(len(self), dtype=bool)
        kept[rows] = True
        return self._with(kept)

    def chunks(self) -> Iterator[tuple[Any, np.ndarray | None]]:
        """Yield the rows of one batch after the other, and their labels or None."""
        start = 0
        for rows, labels in self._read():
            stop = start + n_rows(rows)
            if self._kept is not None:
                some = np.flatnonzero(self._kept[start:stop])
                rows = take_rows(rows, some)
                labels = None if labels is None else labels[some]
            start = stop
            if n_rows(rows):
                for watch in self._watches:
                    watch(rows)
                yield rows, labels
        expected = self._n_rows if self._kept is None else len(self._kept)
        if start != expected if expected is not None else not start:
            raise ValueError(
                f"The {type(self._loader).__name__} gave {start} rows in a pass, where "
                f"{expected or 'some'} were expected. It has to give the same ones each time; or "
                "pass its batches one by one to partial_fit."
            )

    def _read(self):
        """Yield rows and labels of each batch, those of small ones together."""
        held: list = []
        for batch in self._loader:
            rows, labels = split_batch(batch)
            rows = self._check(rows)
            self.has_labels = labels is not None
            new = rows, _checked_labels(labels, n_rows(rows))
            if held and not _fit_together(held[0], new):
                yield _joined(held)
                held = []
            held.append(new)
            if sum(n_rows(rows) for rows, _ in held) >= _LEAST_ROWS:
                yield _joined(held)
                held = []
        if held:
            yield _joined(held)


def _arrays(rows):
    return dict(rows.items()) if hasattr(rows, "kwargs") else {"": rows}


def _fit_together(one, other):
    """Whether rows have the same shape, which batches of texts may not have."""
    shapes = [
        {name: array.shape[1:] for name, array in _arrays(rows).items()} for rows, _ in (one, other)
    ]
    return shapes[0] == shapes[1] and (one[1] is None) == (other[1] is None)


def _joined(pairs):
    if len(pairs) == 1:
        return pairs[0]
    parts, labels = zip(*pairs, strict=True)
    labels = None if labels[0] is None else np.concatenate(labels)
    if not hasattr(parts[0], "kwargs"):
        return np.concatenate(parts), labels
    n = len(parts[0].args)
    args = [np.concatenate([part.args[i] for part in parts]) for i in range(n)]
    kwargs = {k: np.concatenate([part.kwargs[k] for part in parts]) for k in parts[0].kwargs}
    return Columns(args, kwargs), labels


def _checked_labels(labels, n):
    if labels is None:
        return None
    labels = np.asarray(from_torch(labels))
    if labels.ndim == 0 or len(labels) != n or labels.size != n:
        raise ValueError(
            f"A batch of {n} samples has labels of shape {labels.shape}. Its last entry must be "
            f"labels, one for each sample, or it must be a dict with them under one of "
            f"{', '.join(map(repr, LABELS))}; a batch without labels is a tuple of one entry."
        )
    return column_or_1d(labels)


def chunks(X: Any) -> Iterator[tuple[Any, np.ndarray | None]]:
    """Yield rows that are in memory at the same time, with labels that came with them or None."""
    each = getattr(X, "chunks", None)
    yield from [(X, None)] if each is None else each()
