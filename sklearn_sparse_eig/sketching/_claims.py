"""What the bytes of a sketch claim, checked before any memory is set aside for it.

Bytes may come from anybody: a checksum shows that they were not damaged, and not who wrote them.
Sizes are computed from the header as Python integers and compared with the bytes at hand, so that
a few bytes cannot ask for much memory or time. The values are looked at when they are in place.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from ._feature_moments import FeatureMoments
from ._second_moments import SecondMoments
from ._variance import are_usable

# Brackets within brackets: a header has four at most, and six where a measurement has a list.
_DEEPEST = 8
_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"')
_MOST_FEATURES = 2**62
_MOST_ROWS = 2**63
# Sums and weights beyond these cannot come from rows or matrices that are let in: 2**63 rows of
# weight 1e100 and mean square 1e140, in measurements that are larger by some powers of ten. A
# recovery multiplies two means.
_LARGEST_SUM = 1e270
_LARGEST_MEAN = 1e144
_LARGEST_WEIGHT = 1e120


class _Refused(ValueError):
    """What is wrong with a header, before it is said that it is one."""


def refuse(reason: str) -> NoReturn:
    """Raise the error that says why the bytes are no sketch."""
    raise _Refused(
        f"The bytes are not those of a sketch: {reason}. Write them with to_bytes or save."
    )


def read_header(data: bytes) -> dict[str, Any]:
    """Return the header of a sketch as a dict, whatever the bytes.

    Raises
    ------
    ValueError
        If it is not JSON of a bounded depth with a dict on top.
    """
    try:
        text = data.decode("utf-8")
        depth = _depth(text)
        if depth > _DEEPEST:
            refuse(f"the header is nested {depth} deep")
        header = json.loads(text, parse_constant=_refuse_constant)
    except _Refused:
        raise
    except ValueError as error:  # no UTF-8, no JSON, or an integer of thousands of digits
        refuse(f"the header cannot be read ({error})")
    if not isinstance(header, dict):
        refuse("the header is not an object")
    return header


def _depth(text: str) -> int:
    """Return how deep brackets are nested, found without recursion."""
    brackets = np.frombuffer(_TEXTS.sub("", text).encode(), np.uint8)
    opened = (brackets == ord("[")) | (brackets == ord("{"))
    closed = (brackets == ord("]")) | (brackets == ord("}"))
    return int(np.cumsum(opened.astype(np.int64) - closed).max(initial=0))


def _refuse_constant(name: str) -> NoReturn:
    refuse(f"the header has the number {name}")


def check_size(settings: Any, n_bytes: int) -> None:
    """Raise ValueError unless the arrays of a sketch of these settings take so many bytes.

    Parameters
    ----------
    settings : object
        What stands in the header as :meth:`EigenSketch.settings`.
    n_bytes : int
        Bytes that follow the header.
    """
    if not isinstance(settings, dict):
        refuse("its settings are not an object")
    M = _check_spec(settings.get("measurement"), "measurement")
    test = _check_spec(settings.get("test"), "test matrix")
    N, m, k = M["n_features"], M["n_measurements"], test["n_measurements"]
    if test["n_features"] != N:
        refuse(f"its two sides have {N} and {test['n_features']} features")
    n_floats = m * k + 2 * m + (2 * k if M != test else 0)
    if not isinstance(settings.get("center"), bool):
        refuse(f"center is {_shown(settings.get('center'))}")
    moments, identification = settings.get("feature_moments"), settings.get("identification")
    if moments is True:
        n_floats += len(FeatureMoments.fields) * N
    elif moments is not False:
        refuse(f"feature_moments is {_shown(moments)}")
    if identification is not None:
        n_floats += _identification_floats(identification, N, k)
    if 8 * n_floats != n_bytes:
        refuse(f"its settings ask for arrays of {8 * n_floats} bytes, and {n_bytes} are there")


def _check_spec(spec: Any, what: str) -> dict[str, Any]:
    """Return the settings of a measurement, whose sizes are numbers now."""
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        refuse(f"the {what} has no name")
    _check_int(spec, "n_features", 1, _MOST_FEATURES)
    _check_int(spec, "n_measurements", 1, _MOST_FEATURES)
    for name in sorted(spec.keys() & {"seed", "n_blocks"}):
        _check_int(spec, name, 0, 2**64 - 1)
    return spec


def _check_int(values: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value: Any = values.get(name)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or not low <= value <= high:
        refuse(f"{name} is {_shown(value)}, not an integer from {low} to {high}")
    return value


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge integer"
    return text if len(text) < 60 else f"{text[:60]}..."


def _identification_floats(identification: Any, n_features: int, range_size: int) -> int:
    if not isinstance(identification, dict):
        refuse("its identification is not an object")
    hash_ = _check_spec(identification.get("hash"), "hash of the identification")
    width = _check_int(identification, "width", 8, _MOST_FEATURES)
    if width % 8 or identification.get("range_size") != range_size:
        refuse("its identification does not fit the test matrix")
    if hash_["n_features"] != n_features:
        refuse("its identification is for another number of features")
    return hash_["n_measurements"] * (1 + (n_features - 1).bit_length()) * width


def check_number_of_rows(n_samples: Any) -> int:
    """Return the number of rows, an integer that counters hold; less than none were deleted."""
    return _check_int({"n_samples": n_samples}, "n_samples", -_MOST_ROWS + 1, _MOST_ROWS - 1)


def read_float(text: Any, name: str) -> float:
    """Return a finite float from the hexadecimal text of it."""
    if not isinstance(text, str):
        refuse(f"{name} is {_shown(text)}, not a float in hexadecimal")
    try:
        value = float.fromhex(text)
    except (ValueError, OverflowError):
        refuse(f"{name} is {_shown(text)}, not a float in hexadecimal")
    if not np.isfinite(value):
        refuse(f"{name} is {value}")
    return value


def check_values(state: SecondMoments) -> None:
    """Raise ValueError unless a state that was read holds what rows or a matrix can leave there."""
    arrays = state.arrays()
    for name, array in arrays.items():
        low, high = array.min(initial=0.0), array.max(initial=0.0)
        if not (-_LARGEST_SUM <= low and high <= _LARGEST_SUM):  # nor NaN
            refuse(f"its array {name!r} has values that are not finite, or beyond all sums")
    moments = state._moments
    if moments is not None and state.is_exact:
        refuse("it has feature moments beside the exact covariance")
    if moments is not None and not np.isclose(moments.weight, state.weight, rtol=1e-9, atol=0.0):
        refuse("its feature moments have another weight than the rows")
    if state.content == "rows":
        _check_rows(state, arrays)
        return
    of_rows = (state.n_samples, state.weight, state._weight_squares, state._power)
    others = [array for name, array in arrays.items() if name not in ("cross", "identification")]
    if any(of_rows) or any(array.any() for array in others):
        refuse("it holds sums of rows, but no rows")
    matrix = [array for name, array in arrays.items() if name in ("cross", "identification")]
    if state.content is None and any(array.any() for array in matrix):
        refuse("it holds sums, but neither rows nor entries")
    if any(np.abs(array).max(initial=0.0) > _LARGEST_MEAN for array in matrix):
        refuse("its matrix has values too large to be squared")


def _check_rows(state: SecondMoments, arrays: dict[str, np.ndarray]) -> None:
    weight, squares = state.weight, state._weight_squares
    if abs(weight) > _LARGEST_WEIGHT or abs(squares) > _LARGEST_WEIGHT**2:
        refuse(f"its weights, {weight:.3g} in all, are out of scale")
    # Effective rows are no more than weights count; what was forgotten may have vanished.
    if squares and weight**2 / _LARGEST_WEIGHT > abs(squares):
        refuse("its weights and their squares do not belong together")
    if not are_usable(state):
        refuse("its means or mean squares are too large to be squared")
    if not weight:
        return
    for name, array in arrays.items():
        if not name.endswith("shift"):
            low, high = array.min(initial=0.0), array.max(initial=0.0)
            if max(-low, high) / abs(weight) > _LARGEST_MEAN:
                refuse(f"its array {name!r} has means too large to be squared")
        elif np.abs(array).max(initial=0.0) > _LARGEST_MEAN / 1e70:
            refuse(f"its array {name!r} is too large to be squared")
