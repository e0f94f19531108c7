"""What an object holds, as plain values: two are equal where the objects are, bit for bit."""

from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp

_PLAIN = (str, bytes, bool, int, type(None), type(Ellipsis), slice, range)
_BY_IDENTITY = (type, ModuleType, FunctionType, BuiltinFunctionType)


def fingerprint(value: Any, _seen: tuple = ()) -> Any:
    """Return nested dicts, tuples and bytes that tell whether an object is still what it was.

    Of what has ``to_bytes`` those bytes count, of other objects all attributes at any depth. The
    journal of a change is left out.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float | complex | np.generic):
        return type(value).__name__, np.asarray(value).tobytes()
    if isinstance(value, _BY_IDENTITY):
        return type(value).__name__, id(value)
    if id(value) in map(id, _seen):
        return "cycle", type(value).__name__
    seen = (*_seen, value)
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return "array", value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return {_key(key): fingerprint(item, seen) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return "set", tuple(sorted(repr(item) for item in value))
    if isinstance(value, list | tuple | np.ndarray):
        items = {str(i): fingerprint(item, seen) for i, item in enumerate(value)}
        return {"type": type(value).__name__} | items
    return {"type": type(value).__name__, "content": _content(value, seen)}


def _key(key):
    return key if isinstance(key, str) else repr(key)


def _content(value, seen):
    if callable(getattr(value, "to_bytes", None)):
        return value.to_bytes()
    if isinstance(value, np.random.RandomState | np.random.Generator):
        bits = value._bit_generator if hasattr(value, "_bit_generator") else value.bit_generator
        return fingerprint(bits.state, seen)
    if sp.issparse(value):
        return fingerprint(vars(value), seen)
    if callable(getattr(value, "state_dict", None)):  # a model of torch
        return fingerprint(value.state_dict(), seen)
    if callable(getattr(value, "detach", None)):  # a tensor of torch
        return fingerprint(value.detach().cpu().numpy(), seen)
    if isinstance(value, MethodType):
        return fingerprint(value.__self__, seen)
    attributes = getattr(value, "__dict__", None)
    if attributes is None:
        return id(value)
    return fingerprint({k: v for k, v in attributes.items() if k != "_journal"}, seen)


def first_difference(before: Any, after: Any, path: str = "") -> str | None:
    """Return the path of the first attribute in which two fingerprints differ, None where equal."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            missing = object()
            inner = path if key in ("content", "type") else f"{path}.{key}"
            found = first_difference(before.get(key, missing), after.get(key, missing), inner)
            if found is not None:
                return found
        return None
    return None if before == after else path or "its bytes"
