"""The entrance of entries in coordinate form: ids of rows and features, and values."""

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from .dtypes import check_finite, check_numbers


def check_values(values: ArrayLike, name: str = "values") -> np.ndarray:
    """Return real and finite values as an array of float64, of whatever shape."""
    array: np.ndarray = check_numbers(np.asarray(values), name)
    if array.dtype.kind not in "biufO":
        raise ValueError(f"{name} must be real and numeric, got dtype {array.dtype}.")
    array = array.astype(np.float64, copy=False)
    check_finite(array, name)
    return array


def check_ids(ids: ArrayLike, name: str, n_features: int | None = None) -> np.ndarray:
    """Return ids as a vector of integers, in [0, n_features) if that is given."""
    ids = np.atleast_1d(np.asarray(ids))
    if ids.ndim != 1:
        raise ValueError(f"{name} must be a vector, got shape {ids.shape}.")
    if not ids.size:
        return ids.astype(np.int64)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, got dtype {ids.dtype}.")
    if n_features is not None:
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= n_features:
            raise ValueError(
                f"{name} must lie in [0, n_features={n_features}), got {low} to {high}. "
                "Bring 64-bit hashes into range by ids & (2**62 - 1), with n_features=2**62."
            )
        return ids.astype(np.int64, copy=False)
    return ids


def rows_from_entries(
    row_ids: ArrayLike,
    feature_ids: ArrayLike,
    values: ArrayLike,
    n_features: int,
    n_rows: Any = None,
) -> sp.csr_array:
    """Return the CSR rows made of entries in coordinate form.

    Parameters
    ----------
    row_ids : array-like of int, shape (n,)
        Any integers; entries with the same one belong to the same row.
    feature_ids : array-like of int, shape (n,)
        In [0, n_features).
    values : array-like of float, shape (n,)
        Duplicates add, in double precision.
    n_features : int
    n_rows : int or None
        Number of rows, those without entries included; None for the distinct row_ids.

    Returns
    -------
    csr_array of float64, shape (n_rows, n_features), canonical

    Raises
    ------
    ValueError
        With what was given, what is needed and what to do.

    Notes
    -----
    O(n log n) time and O(n) memory, whatever the ids.
    """
    for name, count in (("n_features", n_features), ("n_rows", n_rows)):
        if count is not None and (not isinstance(count, Integral) or isinstance(count, bool)):
            raise ValueError(f"{name} must be an integer, got {count!r}.")
    rows, ids, amounts = np.atleast_1d(row_ids), np.atleast_1d(feature_ids), check_values(values)
    amounts = np.atleast_1d(amounts)
    if not (rows.shape == ids.shape == amounts.shape and amounts.ndim == 1):
        raise ValueError(
            "row_ids, feature_ids and values must be vectors of one length, got shapes "
            f"{rows.shape}, {ids.shape} and {amounts.shape}."
        )
    rows, ids = check_ids(rows, "row_ids"), check_ids(ids, "feature_ids", n_features)
    distinct, rows = np.unique(rows, return_inverse=True)
    n_rows = len(distinct) if n_rows is None else n_rows
    if n_rows < len(distinct):
        raise ValueError(f"n_rows={n_rows}, but row_ids holds {len(distinct)} distinct rows.")
    # Sorted here: SciPy's conversion would do it through arrays of the length of a column index.
    order = np.lexsort((ids, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
    X = sp.csr_array((amounts[order], ids[order], indptr), shape=(n_rows, n_features))
    X.sum_duplicates()
    return X
