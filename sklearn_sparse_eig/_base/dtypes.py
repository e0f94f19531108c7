"""Which entries are numbers, real and finite, and what to do with those that are not."""

import os
from datetime import date, timedelta
from typing import Any

import numpy as np
import scipy.sparse as sp

_TIMES = "Convert times to numbers first, such as seconds since a start: "
# By kind of dtype: what is taken for a number by casting, though it is none.
_ADVICE = {
    "M": _TIMES + "(X - start) / np.timedelta64(1, 's').",
    "m": "Convert durations to numbers first, such as seconds: X / np.timedelta64(1, 's').",
    "c": "Complex data not supported: give real and imaginary parts as features of their own.",
    "V": (
        "Make columns of the fields first: numpy.lib.recfunctions.structured_to_unstructured(X)."
    ),
    "U": (
        "Parse numbers written as text by X.astype(float), and times by pandas.to_datetime; encode "
        "categories by OneHotEncoder, and documents by TfidfVectorizer."
    ),
}
_ADVICE["S"] = _ADVICE["T"] = _ADVICE["U"]


def check_numbers(X: Any, name: str = "X") -> Any:
    """Return X as it is, or a list as an array, if its entries are real numbers.

    What only NumPy's wide and narrow floats hold is brought to a type that all kernels take.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame
    name : str, default="X"
        What the message calls it.

    Raises
    ------
    ValueError
        If entries are times, durations, complex, text or records.
    TypeError
        If they are objects that are no numbers, or X is an AnnData or a path.
    """
    if isinstance(X, list | tuple):
        X = np.asarray(X)
    if isinstance(X, str | os.PathLike):
        raise TypeError(
            f"{name} is the text {os.fspath(X)!r}, and rows are needed. If it is a path, "
            "iter_batches and fit_stream of sklearn_sparse_eig.streams read it."
        )
    if hasattr(X, "obs_names") and hasattr(X, "layers"):
        raise TypeError(f"{name} is an {type(X).__name__}: give its matrix, adata.X, or a layer.")
    for dtype in _dtypes(X):
        kind = getattr(dtype, "kind", None)
        if kind in _ADVICE:
            raise ValueError(f"{name} must be real and numeric, got dtype {dtype}. {_ADVICE[kind]}")
        if kind == "O":
            _check_objects(X, name)
    return _of_common_type(X)


def _dtypes(X):
    dtype = getattr(X, "dtype", None)
    if dtype is not None:
        return [dtype]
    dtypes = getattr(X, "dtypes", None)
    if dtypes is None:
        return []
    if all(hasattr(dtype, "kind") for dtype in dtypes):
        return dtypes
    return [np.asarray(X[:1]).dtype]  # a frame with types of its own


def _check_objects(X, name):
    """Refuse objects that ``float`` would take though they are no numbers, or would not take."""
    entries = X.tocoo().data if sp.issparse(X) else X
    for kind in set(map(type, np.asarray(entries, dtype=object).ravel())):
        found = f"{name} must be real and numeric, got objects of type {kind.__name__}. "
        if issubclass(kind, str | bytes):
            raise ValueError(found + _ADVICE["U"])
        if issubclass(kind, timedelta | np.timedelta64):
            raise ValueError(found + _ADVICE["m"])
        if issubclass(kind, date | np.datetime64):
            raise ValueError(found + _ADVICE["M"])
        if issubclass(kind, complex | np.complexfloating):
            raise ValueError(found + _ADVICE["c"])
        if not hasattr(kind, "__float__") and kind.__name__ not in ("NoneType", "NAType"):
            # In the words of float, which callers of scikit-learn know.
            raise TypeError(
                f"{found}What float() takes as argument must be a string or a real number."
            )


def _of_common_type(X):
    if not (isinstance(X, np.ndarray) or sp.issparse(X)) or X.dtype.kind != "f":
        return X
    if X.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused as such
            return X.astype(np.float64)
    return X.astype(np.float32) if sp.issparse(X) and X.dtype.itemsize < 4 else X


def check_finite(X: Any, name: str = "X", advice: str = "remove or replace these entries") -> None:
    """Raise ValueError if an array or sparse matrix has values that are not finite."""
    values = X.data if sp.issparse(X) else X
    if values.dtype.kind != "f":
        return
    # The sum of finite values may overflow; only then is the slower test of each value needed.
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum(dtype=np.float64)
    if not np.isfinite(total) and not np.isfinite(values).all():
        raise ValueError(f"{name} contains NaN or infinity; {advice}.")


def check_squares(X: Any, name: str = "X", limit: float = 1e140) -> None:
    """Raise ValueError if an array or sparse matrix has values beyond a limit; NaN pass.

    Sums of squares of values beyond 1e140 overflow, or products of such sums do.
    """
    largest = _largest(X)
    if largest > limit:
        raise ValueError(
            f"{name} has values up to {largest:.3g}, which cannot be squared and added in floating "
            "point. Remove them if they are errors; else multiply by a constant."
        )


def check_squares_count(X: Any, name: str = "X") -> None:
    """Raise ValueError if all squares of an array vanish or are subnormal, though it is not 0."""
    largest = _largest(X)
    if 0.0 < largest < 1e-150:
        raise ValueError(
            f"The values of {name}, at most {largest:.3g}, are so small that their squares vanish "
            "in floating point. Multiply them by a constant."
        )


def _largest(X):
    """Return the largest absolute value, NaN apart, as a float: it may be compared with any."""
    values = X.data if sp.issparse(X) else X
    largest = np.fmax.reduce(values, axis=None, initial=0.0)
    return max(float(largest), -float(np.fmin.reduce(values, axis=None, initial=0.0)))
