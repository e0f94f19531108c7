"""Readers by name, by suffix, and by what is given."""

import os
from typing import Any, TypeVar

from ._base import Reader

_REGISTRY: dict[str, type[Reader]] = {}
_Class = TypeVar("_Class", bound=type[Reader])


def register(cls: _Class) -> _Class:
    """Make a reader known by its ``name``. Returns the class, so it decorates."""
    _REGISTRY[cls.name] = cls
    return cls


def reader_names() -> list[str]:
    """Return the names of all formats, sorted."""
    return sorted(_REGISTRY)


def find_reader(source: Any, format_: str | None) -> type[Reader]:
    """Return the reader of a format, or of the one that a source is in.

    Raises
    ------
    ValueError, TypeError
        If the name, the suffix or the object is not known.
    """
    if format_ is not None:
        if format_ not in _REGISTRY:
            raise ValueError(f"format must be one of {reader_names()}, got {format_!r}.")
        return _REGISTRY[format_]
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source).lower().rstrip("/")
        for cls in _REGISTRY.values():
            if name.endswith(cls.suffixes):
                return cls
        known = sorted(suffix for cls in _REGISTRY.values() for suffix in cls.suffixes)
        raise ValueError(
            f"The format of {os.fspath(source)} is not known by its suffix; known are "
            f"{', '.join(known)}. Name it by format=, one of {reader_names()}."
        )
    for cls in _REGISTRY.values():
        if cls.takes(source):
            return cls
    raise TypeError(
        f"Batches of a {type(source).__name__} are not known: give a path, a list of paths, an "
        "array, a sparse matrix or an AnnData."
    )
