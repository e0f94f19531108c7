"""Fitted objects as bytes without pickle: a tree of plain values, arrays, and objects of ours.

The layout is a table in ``doc/files.md``. Objects are known by the names of their classes, of which
only those of this package are made, and by their attributes; no code of anybody else's is run.
"""

import json
import struct
from hashlib import blake2b
from importlib import import_module
from math import prod
from typing import Any

import numpy as np
import scipy.sparse as sp

MAGIC = b"SSEstate"
_VERSION = 1
_PREFIX = struct.Struct("<8sHQ")
_DIGEST = 16
_OURS = __name__.partition(".")[0]
_SPARSE = {"csr_array": sp.csr_array, "csc_array": sp.csc_array}
_NOT_UNDERSTOOD = (
    *(KeyError, TypeError, AttributeError, IndexError),
    *(ImportError, OverflowError, RecursionError),
)
# Kinds of dtypes that are bytes of a fixed size.
_KINDS = "biufcUS"


def pack(value: Any) -> list[bytes | memoryview]:
    """Return a value as bytes, piece by piece.

    Parameters
    ----------
    value : object
        Plain values, containers of them, arrays, and objects of this package, at any depth.

    Raises
    ------
    TypeError
        If there is something else in it.
    """
    writer = _Writer()
    text = json.dumps(writer.tree(value), separators=(",", ":")).encode()
    parts: list[bytes | memoryview] = [_PREFIX.pack(MAGIC, _VERSION, len(text)), text]
    parts += writer.arrays
    digest = blake2b(digest_size=_DIGEST)
    for part in parts:
        digest.update(part)
    return [*parts, digest.digest()]


class _Writer:
    """Turns values into a tree for JSON, and puts arrays aside."""

    def __init__(self) -> None:
        self.arrays: list[memoryview] = []
        self._known: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no id is used twice

    def tree(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return {"float": value.hex()}
        if isinstance(value, np.generic):
            return {"scalar": self._array(np.asarray(value))}
        if id(value) in self._known:
            return {"again": self._known[id(value)]}
        number = self._known[id(value)] = len(self._known)
        self._alive.append(value)
        return {"as": number} | self._new(value)

    def _new(self, value: Any) -> dict[str, Any]:
        kind = type(value)
        if isinstance(value, np.ndarray):
            return {"array": self._array(value)}
        if isinstance(value, bytes):
            return {"bytes": self._array(np.frombuffer(value, np.uint8))}
        if isinstance(value, dict):
            return {"dict": [[self.tree(k), self.tree(v)] for k, v in value.items()]}
        if kind in (list, tuple):
            return {kind.__name__: [self.tree(item) for item in value]}
        if kind in (set, frozenset):
            ordered = sorted(value, key=repr)
            return {kind.__name__: [self.tree(item) for item in ordered]}
        if kind.__name__ in _SPARSE and sp.issparse(value):
            parts = [self._array(part) for part in (value.data, value.indices, value.indptr)]
            return {"sparse": kind.__name__, "shape": list(value.shape), "parts": parts}
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.tree(value.get_state())}
        return self._object(value)

    def _object(self, value: Any) -> dict[str, Any]:
        cls = type(value)
        name = f"{cls.__module__}:{cls.__qualname__}"
        if not cls.__module__.startswith(f"{_OURS}.") or "<locals>" in name:
            raise TypeError(
                f"An object of type {cls.__module__}.{cls.__qualname__} cannot be saved without "
                "pickle. Use joblib.dump for your own files, or leave it out."
            )
        if hasattr(value, "to_archive"):
            return {"object": name, "archive": self.tree(value.to_archive())}
        if isinstance(value, tuple):
            return {"object": name, "items": [self.tree(item) for item in value]}
        return {"object": name, "state": [[k, self.tree(v)] for k, v in vars(value).items()]}

    def _array(self, array: np.ndarray) -> Any:
        if array.dtype == object:
            return {"objects": [self.tree(item) for item in array.ravel()], "shape": array.shape}
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"An array of dtype {array.dtype} cannot be saved.")
        # The order in memory decides the last bits of products.
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        little = array.dtype.newbyteorder("<")
        flat = np.ascontiguousarray(array.T if is_fortran else array, dtype=little)
        self.arrays.append(flat.reshape(-1).view(np.uint8).data)
        return [little.str, list(array.shape), "F" if is_fortran else "C"]


def is_archive(data: bytes) -> bool:
    """Return whether bytes begin as :func:`pack` begins."""
    return data[:8] == MAGIC


def unpack(data: bytes) -> Any:
    """Return the value of :func:`pack`.

    Raises
    ------
    ValueError
        If the bytes are foreign, of another version, truncated or damaged.
    """
    if len(data) < _PREFIX.size + _DIGEST or not is_archive(data):
        raise ValueError("it does not start with the signature of this library")
    _, version, length = _PREFIX.unpack_from(data)
    if version != _VERSION:
        raise ValueError(
            f"it has format version {version}, and this release reads version {_VERSION}"
        )
    view = memoryview(data)
    if blake2b(view[:-_DIGEST], digest_size=_DIGEST).digest() != bytes(view[-_DIGEST:]):
        raise ValueError("it is truncated or damaged, for its checksum does not match")
    body = view[_PREFIX.size : -_DIGEST]
    if length > len(body):
        raise ValueError("it ends within its header")
    try:
        tree = json.loads(bytes(body[:length]).decode())
        return _Reader(body[length:]).value(tree)
    except _NOT_UNDERSTOOD as error:
        raise ValueError(f"its contents cannot be understood ({error!r})") from error


class _Reader:
    """Turns a tree back into values, reading arrays in the order in which they were written."""

    def __init__(self, payload: memoryview) -> None:
        self._payload = payload
        self._offset = 0
        self._known: dict[int, Any] = {}

    def value(self, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        if "float" in tree:
            return float.fromhex(tree["float"])
        if "scalar" in tree:
            return self._array(tree["scalar"])[()]
        if "again" in tree:
            return self._known[tree["again"]]
        value = self._new(tree)
        self._known[tree["as"]] = value
        return value

    def _new(self, tree: dict[str, Any]) -> Any:
        if "array" in tree:
            return self._array(tree["array"])
        if "bytes" in tree:
            return self._array(tree["bytes"]).tobytes()
        if "dict" in tree:
            return {self.value(key): self.value(item) for key, item in tree["dict"]}
        for kind in (list, tuple, set, frozenset):
            if kind.__name__ in tree:
                return kind(self.value(item) for item in tree[kind.__name__])
        if "sparse" in tree:
            parts = tuple(self._array(part) for part in tree["parts"])
            return _SPARSE[tree["sparse"]](parts, shape=tuple(tree["shape"]))
        if "random_state" in tree:
            random_state = np.random.RandomState()
            random_state.set_state(self.value(tree["random_state"]))
            return random_state
        return self._object(tree)

    def _object(self, tree: dict[str, Any]) -> Any:
        cls = _class_of(tree["object"])
        if "archive" in tree:
            return cls.from_archive(self.value(tree["archive"]))
        if "items" in tree:
            if not issubclass(cls, tuple):  # other constructors may take any memory and time
                raise ValueError(f"it holds {tree['object']} as a tuple, which it is not")
            return cls(*(self.value(item) for item in tree["items"]))
        made = object.__new__(cls)
        vars(made).update({name: self.value(item) for name, item in tree["state"]})
        return made

    def _array(self, tree: Any) -> np.ndarray:
        if isinstance(tree, dict):
            out = np.empty(len(tree["objects"]), dtype=object)
            out[:] = [self.value(item) for item in tree["objects"]]
            return out.reshape(tree["shape"])
        dtype, shape, order = np.dtype(tree[0]), tuple(tree[1]), tree[2]
        n_bytes = dtype.itemsize * prod(shape)
        if dtype.kind not in _KINDS or not 0 <= n_bytes <= len(self._payload) - self._offset:
            raise ValueError("it ends within an array")
        piece = self._payload[self._offset : self._offset + n_bytes]
        self._offset += n_bytes
        array = np.frombuffer(piece, dtype).astype(dtype.newbyteorder("="))  # a copy, to be written
        return array.reshape(shape[::-1]).T if order == "F" else array.reshape(shape)


def _class_of(name: str) -> Any:
    module, _, path = name.partition(":")
    if not module.startswith(f"{_OURS}."):
        raise ValueError(f"it holds an object of {module}, which is none of this library")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not isinstance(found, type) or found.__module__ != module:
        raise ValueError(f"it holds {name}, which is no class")
    return found
