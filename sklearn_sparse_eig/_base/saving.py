"""``save`` and ``load`` of estimators, without pickle."""

import os
from typing import TYPE_CHECKING, Any, Self

from sklearn.utils.validation import check_is_fitted

from . import archive
from .atomic import all_or_nothing
from .files import PathLike, read_whole, write_whole
from .locks import locked

# Raised with the meaning of saved attributes.
_VERSION = 1


class SavedMixin:
    """``save`` and ``load`` of an estimator: its parameters, and its attributes by name.

    Attributes that are no part of the state, such as a model that belongs to somebody else, are
    left out by :meth:`_saved_attributes`, and made again by :meth:`_take_attributes`.
    """

    if TYPE_CHECKING:  # of the estimator

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

    def save(self, path: PathLike) -> None:
        """Write the estimator to a file, without pickle.

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
        TypeError
            If a parameter is an object of another library.
        """
        write_whole(path, self._packed())

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read an estimator that was written by :meth:`save`.

        Parameters
        ----------
        path : path-like

        Returns
        -------
        estimator : object
            It goes on as the one that was saved would have gone on, to the last bit.

        Raises
        ------
        ValueError
            If the file is of another kind, from a later version, truncated or damaged.
        """
        return cls._unpacked(read_whole(path), os.fspath(path))

    def _packed(self) -> list[bytes | memoryview]:
        with locked(self):
            return archive.pack(self.to_archive())

    @classmethod
    def _unpacked(cls, data: bytes, path: str, **given: Any) -> Self:
        return cls.from_archive(open_archive(data, path), path, **given)

    def to_archive(self) -> dict[str, Any]:
        """Return what :meth:`from_archive` needs, as plain values, arrays and objects of ours."""
        check_is_fitted(self)
        return {
            "estimator": type(self).__name__,
            "version": _VERSION,
            "params": self._saved_params(),
            "attributes": dict(sorted(self._saved_attributes().items())),
        }

    @classmethod
    def from_archive(cls, content: Any, path: str = "The archive", **given: Any) -> Self:
        """Return the estimator of :meth:`to_archive`; `given` replaces parameters left out."""
        found = content.get("estimator") if isinstance(content, dict) else None
        if found != cls.__name__:
            raise ValueError(
                f"{path} holds {found or 'something else'}, not a {cls.__name__}. Use load of its "
                "own class, or sklearn_sparse_eig.streams.load."
            )
        if content.get("version") != _VERSION:
            raise ValueError(
                f"{path} has version {content.get('version')} of {found}, and this release reads "
                f"version {_VERSION}: read it with the release that wrote it."
            )
        estimator = cls(**(content["params"] | given))
        estimator._take_attributes(dict(content["attributes"]))
        return estimator

    @all_or_nothing
    def _take_archive(self, content: dict[str, Any]) -> None:
        """Go on from what another estimator with these parameters was."""
        for name in vars(self).keys() - set(self._param_names()):
            delattr(self, name)
        self._take_attributes(dict(content["attributes"]))

    def _param_names(self) -> list[str]:
        return list(self.get_params(deep=False))

    def _saved_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._param_names()}

    def _saved_attributes(self) -> dict[str, Any]:
        params = set(self._param_names())
        return {name: value for name, value in vars(self).items() if name not in params}

    def _take_attributes(self, attributes: dict[str, Any]) -> None:
        vars(self).update(attributes)


def open_archive(data: bytes, path: str) -> Any:
    """Return what an archive holds; ValueError, with the path, if it is none."""
    try:
        return archive.unpack(data)
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be loaded: {error}. Write it with save, or take the last good copy."
        ) from error
