"""An estimator and how far it has come, in one file."""

import os
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Self

from .._base import archive
from .._base.files import PathLike, check_place, read_whole, remove_parts, write_whole
from .._base.saving import open_archive

# Parameters that say how something is computed, and not what.
_FREE = {"verbose", "n_jobs", "device"}


@dataclass(frozen=True)
class Position:
    """How much of an input has been seen."""

    n_batches: int = 0
    n_rows: int = 0
    source: str | None = None  # tells one input from another, if it can be told

    def after(self, n_rows: int) -> Self:
        """Return the position after one more batch."""
        return replace(self, n_batches=self.n_batches + 1, n_rows=self.n_rows + n_rows)


class Checkpoint:
    """The file of a run, which is replaced as a whole."""

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def write(self, estimator: Any, position: Position) -> None:
        """Write the estimator with its position."""
        content = {"stream": position, "content": estimator.to_archive()}
        content["class"] = type(estimator).__name__
        write_whole(self.path, archive.pack(content))

    def resume(self, estimator: Any, start: Position) -> Position:
        """Bring an estimator to where the last run was, and return how far that had come."""
        seed = getattr(estimator, "random_state", 0)
        if not isinstance(seed, Integral):
            raise ValueError(
                f"random_state must be an int, got {seed!r}: a run that is resumed has to draw the "
                "same numbers."
            )
        check_place(self.path)  # now, and not when the first checkpoint is due
        if not os.path.exists(self.path):
            return start
        content = read_checkpoint(self.path)
        _check_same_class(content["class"], type(estimator).__name__, self.path)
        _check_params(content["content"], estimator, self.path)
        position = content["stream"]
        if None not in (position.source, start.source) and position.source != start.source:
            raise ValueError(
                f"The checkpoint {os.fspath(self.path)} was made for another input. Then: "
                f"{position.source}. Now: {start.source}. Give the same input, or another "
                "checkpoint."
            )
        estimator._take_archive(content["content"])
        remove_parts(self.path)
        return position


def is_checkpoint(content: Any) -> bool:
    """Return whether an archive holds a position beside an estimator."""
    return isinstance(content, dict) and "stream" in content


def read_checkpoint(path: PathLike) -> dict[str, Any]:
    """Return the contents of a checkpoint; ValueError if it is none."""
    try:
        content = open_archive(read_whole(path), os.fspath(path))
    except ValueError as error:
        raise ValueError(
            f"{error} If it is no checkpoint, choose another path for the checkpoint: what is "
            "there is not replaced."
        ) from error
    if not is_checkpoint(content):
        raise ValueError(
            f"{os.fspath(path)} is no checkpoint: there is no position in it. Choose another path."
        )
    return content


def _check_same_class(found: str, given: str, path: PathLike) -> None:
    if found != given:
        raise ValueError(
            f"The checkpoint {os.fspath(path)} is of a {found}, got a {given}. Choose another path."
        )


def _check_params(content: dict[str, Any], estimator: Any, path: PathLike) -> None:
    """Raise ValueError if the estimator of a checkpoint had other parameters."""
    if "params" not in content:  # a sketch, which compares its settings itself
        return
    mine, theirs = estimator._saved_params(), content["params"]
    for name in sorted(mine.keys() - _FREE):
        if b"".join(archive.pack(mine[name])) != b"".join(archive.pack(theirs.get(name))):
            raise ValueError(
                f"The checkpoint {os.fspath(path)} was made with {name}={theirs.get(name)!r}, got "
                f"{name}={mine[name]!r}. Give the same parameters, or another checkpoint."
            )
