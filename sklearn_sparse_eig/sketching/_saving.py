"""A sketch in a file: the bytes of ``to_bytes``, written as a whole."""

import os
from typing import TYPE_CHECKING, Any, Self

from .._base.atomic import all_or_nothing
from .._base.files import PathLike, read_whole, write_whole
from .._base.linear import check_same


class SketchSavingMixin:
    """``save`` and ``load``, and what an archive of an estimator keeps of its sketch."""

    if TYPE_CHECKING:  # of the sketch
        row_buffer: int

        def to_bytes(self) -> bytes: ...

        def settings(self) -> dict[str, Any]: ...

        @classmethod
        def from_bytes(cls, data: Any) -> Self: ...

    def save(self, path: PathLike) -> None:
        """Write the sketch to a file, as :meth:`to_bytes` gives it.

        The file is written beside its place, synchronised with the disk, and renamed: there is
        always the old file or the new one, as a whole.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        OSError
            If it cannot be written, for instance because the disk is full. A file that was there
            is then as it was.
        """
        write_whole(path, [self.to_bytes()])

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read a sketch that was written by :meth:`save`; the file may come from anybody.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        sketch : EigenSketch

        Raises
        ------
        ValueError
            If the file holds no sketch, as in :meth:`from_bytes`.
        """
        try:
            return cls.from_bytes(read_whole(path))
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)} cannot be loaded. {error}") from error

    def to_archive(self) -> dict[str, Any]:
        """Return the bytes and, which they leave out, how many rows are added at a time."""
        return {"bytes": self.to_bytes(), "row_buffer": self.row_buffer}

    @classmethod
    def from_archive(cls, content: dict[str, Any]) -> Self:
        """Return the sketch of :meth:`to_archive`."""
        sketch = cls.from_bytes(content["bytes"])
        sketch.row_buffer = content["row_buffer"]
        return sketch

    @all_or_nothing
    def _take_archive(self, content: dict[str, Any]) -> None:
        """Go on from what another sketch of the same settings was."""
        saved: Any = self.from_archive(content)
        check_same(self.settings(), saved.settings())
        vars(self).update({name: v for name, v in vars(saved).items() if name != "revision"})
