"""Fitting to a stream of batches, which may be interrupted at any moment and resumed."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol, TypeVar

from .._base.compat import n_rows
from .._base.files import PathLike
from .._base.places import with_place
from .._base.threads import shared_pool
from ._ahead import read_ahead
from ._checkpoint import Checkpoint, Position
from ._pace import Pace

_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
_EVERY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|min|h|batch|batches)\s*")


class _Streaming(Protocol):
    def to_archive(self) -> dict[str, Any]: ...


_Estimator = TypeVar("_Estimator", bound=_Streaming)


def fit_stream(
    estimator: _Estimator,
    batches: Iterable[Any],
    *,
    checkpoint: PathLike | None = None,
    every: str | float = "1 min",
    progress: bool = True,
) -> _Estimator:
    """Pass batches to ``partial_fit`` while the next ones are read, and go on where a run ended.

    Parameters
    ----------
    estimator : SketchedSparsePCA, DeepFactorizationCovariance, GradPCADetector or EigenSketch
        Changed in place, as by ``partial_fit`` (or ``update``, of a sketch).
    batches : iterable
        Of rows, or of tuples ``(X, y)`` or ``(X, y, sample_weight)``; for a sketch,
        ``(X, sample_weight)``. It is read in a thread of its own, two batches ahead. What
        :func:`iter_batches` returns knows the number of its rows and can begin in the middle.
    checkpoint : path-like, default=None
        A file in which estimator and position are kept together. If it exists, the estimator
        becomes what it was, and the batches that it has seen are skipped. An estimator that draws
        measurements needs an int ``random_state`` then.
    every : str or float, default="1 min"
        How often the checkpoint is written: seconds, or a text such as ``"30 s"``, ``"2 h"`` or
        ``"100 batches"``. It is also written at the end, and when a batch is refused.
    progress : bool, default=True
        Whether rows, rows per second and the time left are shown, by tqdm if it is installed.

    Returns
    -------
    estimator : object
        The same estimator.

    Raises
    ------
    ValueError
        If the checkpoint is none, or belongs to other parameters or to another input, if `every`
        cannot be understood, or if a batch is refused.
    OSError
        If the checkpoint cannot be written. The last good one is kept. A folder that is not there
        is named before the first batch is read.
    TypeError
        If `batches` is a path, a table or an AnnData: :func:`iter_batches` reads these.

    Notes
    -----
    A checkpoint is written beside its place and renamed, so that a process that is killed, at any
    moment, leaves a whole one. Since a batch is added as a whole or not at all, and what is loaded
    goes on to the last bit, a run that was resumed ends with the same bits, given the same batches.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.streams import fit_stream
    >>> X = np.random.default_rng(0).normal(size=(600, 30)) * np.r_[[5.0] * 3, [1.0] * 27]
    >>> blocks = (X[low : low + 100] for low in range(0, 600, 100))
    >>> fit_stream(SketchedSparsePCA(random_state=0), blocks, progress=False).n_samples_seen_
    600
    """
    _check_batches(batches)
    seconds, n_batches = _parse(every)
    source = getattr(batches, "fingerprint", None)
    position = Position(source=source)
    saved = None if checkpoint is None else Checkpoint(checkpoint)
    if saved is not None:
        position = saved.resume(estimator, position)
    add = _adder(estimator)
    pace = Pace(getattr(batches, "n_rows", None), position.n_rows, progress)
    rest = _after(batches, position)
    position = written = replace(position, source=source)
    last = time.monotonic()
    try:
        with read_ahead(rest) as ahead, pace, shared_pool():
            for batch in ahead:
                try:
                    add(batch)
                except ValueError as error:
                    raise with_place(error, batches, position.n_batches, batch) from error
                position = position.after(_rows_of(batch))
                pace.advance(position.n_rows)
                n_new = position.n_batches - written.n_batches
                is_due = time.monotonic() - last >= seconds or n_new >= n_batches
                if saved is not None and is_due:
                    saved.write(estimator, position)
                    written, last = position, time.monotonic()
    except Exception:
        # A batch that was refused has changed nothing; an interrupt may have come in between.
        if saved is not None and position.n_batches > written.n_batches:
            saved.write(estimator, position)
        raise
    if saved is not None and position.n_batches > written.n_batches:
        saved.write(estimator, position)
    return estimator


def _check_batches(batches: Any) -> None:
    """Refuse what holds all rows at once, which would be taken apart row by row."""
    if isinstance(batches, str | os.PathLike):
        found = f"the path {os.fspath(batches)!r}"
    elif getattr(batches, "ndim", None) == 2 or hasattr(batches, "obs_names"):
        found = f"one {type(batches).__name__} with all rows"
    else:
        return
    raise TypeError(
        f"batches must be an iterable of batches of rows, got {found}. Give iter_batches of it, "
        "from sklearn_sparse_eig.streams."
    )


def _parse(every: str | float) -> tuple[float, float]:
    """Return the seconds and the number of batches after which a checkpoint is due."""
    if isinstance(every, str):
        found = _EVERY.fullmatch(every)
        if found:
            number, unit = float(found[1]), found[2]
            if unit.startswith("batch"):
                return float("inf"), max(number, 1.0)
            return number * _SECONDS[unit], float("inf")
    elif not isinstance(every, bool) and every >= 0:
        return float(every), float("inf")
    raise ValueError(
        f"every must be a number of seconds, or a text such as '30 s', '1 min', '2 h' or "
        f"'100 batches', got {every!r}."
    )


def _adder(estimator: Any) -> Any:
    """Return the function that adds a batch to an estimator, or to a sketch."""
    add = getattr(estimator, "partial_fit", None) or getattr(estimator, "update", None)
    if add is None:
        raise TypeError(f"An estimator with partial_fit is needed, got {type(estimator).__name__}.")
    return lambda batch: add(*batch) if isinstance(batch, tuple) else add(batch)


def _rows_of(batch: Any) -> int:
    return n_rows(batch[0] if isinstance(batch, tuple) else batch)


def _after(batches: Iterable[Any], position: Position) -> Iterator[Any]:
    """Return the batches that follow a position."""
    if not position.n_batches:
        return iter(batches)
    # Without a common fingerprint the rows are counted: they may be divided in another way.
    same = position.source == getattr(batches, "fingerprint", None)
    if same and hasattr(batches, "start_at"):
        return batches.start_at(position.n_batches)
    return _skipped(iter(batches), position)


def _skipped(batches: Iterator[Any], position: Position) -> Iterator[Any]:
    n_skipped = [_rows_of(batch) for batch in islice(batches, position.n_batches)]
    if len(n_skipped) < position.n_batches or sum(n_skipped) != position.n_rows:
        raise ValueError(
            f"The checkpoint has seen {position.n_rows} rows in {position.n_batches} batches, but "
            f"the input begins with {sum(n_skipped)} rows in {len(n_skipped)}: it is another one, "
            "or divided in another way. Give the same input, or another checkpoint."
        )
    yield from batches
