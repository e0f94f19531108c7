"""The entrance of rows, for estimators and sketches alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.utils.validation import assert_all_finite, check_array, check_X_y, validate_data

from .dtypes import check_finite, check_numbers, check_squares
from .sparse import canonical, check_structure, check_two_axes, with_room_for_sums


def admit(X: Any, name: str = "X") -> Any:
    """Return what is given as rows, of real numbers and of sound structure.

    Nothing is cast but small integers that would overflow. Stands before scikit-learn's own checks,
    which cast times and records to numbers and trust the indices of sparse matrices.

    Raises
    ------
    ValueError, TypeError
        With what was given, what is needed and what to do.
    """
    if not sp.issparse(X):
        return check_numbers(X, name)
    check_structure(X, name)
    return with_room_for_sums(check_numbers(X, name))


def validate_rows(
    estimator: Any,
    X: Any,
    y: Any = "no_validation",
    *,
    reset: bool = True,
    dense_may_be_infinite: bool = False,
    **options: Any,
) -> Any:
    """Return X, or X and y, as scikit-learn's ``validate_data`` does, and refuse more.

    Parameters
    ----------
    estimator : estimator
        Remembers the number and the names of the features if `reset`.
    X : array-like or sparse matrix
    y : array-like or None
        Left out where there are no targets.
    reset : bool, default=True
    dense_may_be_infinite : bool, default=False
        Whether an array of floats is not read, because what adds it up sees whether an entry was
        NaN or infinite; see :func:`explained_if_infinite`.
    **options
        Of ``validate_data``.
    """
    if dense_may_be_infinite and isinstance(X, np.ndarray) and X.dtype.kind == "f":
        options["ensure_all_finite"] = False
    return validate_data(estimator, admit(X), y, reset=reset, **options)


@contextmanager
def explained_if_infinite(estimator: Any, X: Any) -> Iterator[None]:
    """Say in scikit-learn's words that an array was refused, if it is because it is not finite."""
    try:
        yield
    except ValueError as refused:
        if not sp.issparse(X):
            try:
                assert_all_finite(X, estimator_name=type(estimator).__name__, input_name="X")
            except ValueError as reason:
                raise reason from None
        raise refused


def validate_regression(
    estimator: Any, X: Any, y: Any, *, reset: bool = True, **options: Any
) -> tuple[Any, np.ndarray]:
    """Return X and y, of one target or several, as float64: :func:`validate_rows` with targets."""
    options = {"multi_output": True, **options, "dtype": np.float64, "y_numeric": True}
    X, y = validate_rows(estimator, X, check_numbers(y, "y"), reset=reset, **options)
    # Of several targets, or of integers, scikit-learn leaves the type as it is.
    y = np.asarray(y, dtype=np.float64)
    check_squares(X)
    check_squares(y, "y")
    return X, y


def check_regression(X: Any, y: Any) -> tuple[Any, np.ndarray]:
    """Return rows and one target as float64, rows dense or CSR, for a function."""
    options = {"accept_sparse": "csr", "dtype": np.float64, "y_numeric": True}
    X, y = check_X_y(admit(X), check_numbers(y, "y"), **options)
    y = y.astype(np.float64, copy=False)  # integers are left as they are
    check_squares(X)
    check_squares(y, "y")
    return X, y


def validate_array(X: Any, name: str = "X", **options: Any) -> Any:
    """Return X as scikit-learn's ``check_array`` does, and refuse more: :func:`admit`."""
    return check_array(admit(X, name), **options)


def check_rows(
    X: ArrayLike | sp.sparray | sp.spmatrix,
    n_features: int,
    name: str = "X",
    *,
    dense_may_be_infinite: bool = False,
) -> Any:
    """Return X as a finite real 2-D array or CSR array without duplicates, for a sketch.

    With `dense_may_be_infinite`, the entries of an array are not read, because what sums them up
    sees whether one of them was NaN or infinite.

    Raises
    ------
    ValueError
        With what was given, what is needed and what to do.
    """
    X = admit(X, name)
    if not sp.issparse(X):
        X = admit(np.asarray(X), name)
        check_two_axes(X, name)
    if X.shape[1] != n_features:
        raise ValueError(
            f"{name} has {X.shape[1]} features, but this sketch was made for {n_features}."
        )
    if X.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be real and numeric, got dtype {X.dtype}. Convert it by "
            f"{name}.astype(float)."
        )
    X = canonical(X) if sp.issparse(X) else X
    if sp.issparse(X) or not dense_may_be_infinite:
        check_finite_rows(X, name)
    return X


def check_finite_rows(X: Any, name: str = "X") -> None:
    """Raise ValueError, with advice, if an array or sparse matrix is not finite."""
    check_finite(X, name, "impute or remove them first (SimpleImputer)")
