"""Sparse matrices whose indices point where they should: SciPy does not look, its kernels trust."""

from typing import Any

import numpy as np
import scipy.sparse as sp


def check_two_axes(X: Any, name: str = "X") -> None:
    """Raise ValueError unless X has rows and features."""
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D input: {name} must have two dimensions (rows, features), got shape "
            f"{X.shape}; a single row is {name}.reshape(1, -1)."
        )


def check_structure(X: Any, name: str = "X") -> None:
    """Raise ValueError unless the indices of a sparse matrix fit its shape.

    Parameters
    ----------
    X : sparse matrix or array
        In any format of SciPy.
    name : str, default="X"
        What the message calls it.

    Notes
    -----
    O(nnz), one pass over the indices. Indices out of range make compiled code read and write
    outside of arrays.
    """
    check_two_axes(X, name)
    check = _CHECKS.get(X.format)
    if check is not None:
        check(X, f"{name} is a damaged {X.format.upper()} matrix of shape {X.shape}")


def canonical(X: sp.sparray | sp.spmatrix) -> sp.csr_array:
    """Return X as a csr_array without duplicates, which are added in double precision.

    X itself, or its arrays, where it is so already. Its structure must have been checked.
    """
    X = sp.csr_array(X)
    if X.has_canonical_format:
        return X
    single = X.dtype == np.float32
    X = X.astype(np.float64)  # a copy; small integers and booleans would overflow
    X.sum_duplicates()
    return X.astype(np.float32) if single else X


def with_room_for_sums(X: Any) -> Any:
    """Return a sparse matrix whose duplicates SciPy can add as it converts it to rows.

    It does so for coordinates, in their own type, where small integers and booleans overflow and
    float32 rounds each sum.
    """
    if X.format != "coo" or X.has_canonical_format:
        return X
    if X.dtype.kind in "biu":
        return X.astype(np.float64)
    return sp.csr_array(X.astype(np.float64)).astype(np.float32) if X.dtype == np.float32 else X


def _check_compressed(X, what):
    n_major, n_minor = (X.shape[1], X.shape[0]) if X.format == "csc" else X.shape
    if X.format == "bsr":
        rows, columns = X.data.shape[1:] if X.data.ndim == 3 else (0, 0)
        if not (rows and columns) or n_major % rows or n_minor % columns:
            _refuse(what, f"blocks of shape {(rows, columns)} must divide its shape")
        n_major, n_minor = n_major // rows, n_minor // columns
    indptr, indices = X.indptr, X.indices
    _check_integers(indptr, "indptr", what)
    _check_integers(indices, "indices", what)
    if len(indptr) != n_major + 1:
        _refuse(what, f"indptr must have length {n_major + 1}, got {len(indptr)}")
    n = int(indptr[-1])
    if indptr[0] != 0 or not n <= len(indices) == len(X.data):
        _refuse(
            what,
            f"indptr must begin with 0 and end within the {len(indices)} indices and "
            f"{len(X.data)} values, which must be as many, got {indptr[0]} and {n}",
        )
    if (indptr[1:] < indptr[:-1]).any():
        _refuse(what, "indptr must not decrease")
    if X.format != "bsr" and X.data.ndim != 1:
        _refuse(what, f"data must be a vector, got shape {X.data.shape}")
    _check_range(indices[:n], n_minor, "indices", what)


def _check_coordinates(X, what):
    for name, ids, size in (("row", X.row, X.shape[0]), ("col", X.col, X.shape[1])):
        _check_integers(ids, name, what)
        if len(ids) != len(X.data):
            _refuse(what, f"{name} has {len(ids)} entries and data {len(X.data)}")
        _check_range(ids, size, name, what)


def _check_diagonals(X, what):
    _check_integers(X.offsets, "offsets", what)
    if X.data.ndim != 2 or len(X.data) != len(X.offsets):
        _refuse(what, f"data of shape {X.data.shape} must have a row for each of the offsets")
    # Diagonals beside the matrix are empty, but SciPy converts offsets to the type of an index.
    largest = max(*X.shape, 2**31 - 1)
    if len(X.offsets) and not -largest <= int(X.offsets.min()) <= int(X.offsets.max()) <= largest:
        _refuse(what, f"offsets reach from {X.offsets.min()} to {X.offsets.max()}")


def _check_lists(X, what):
    if not len(X.rows) == len(X.data) == X.shape[0]:
        _refuse(what, f"it has {len(X.rows)} lists of columns and {len(X.data)} of values")
    if any(len(ids) != len(values) for ids, values in zip(X.rows, X.data, strict=True)):
        _refuse(what, "a row has more columns than values, or fewer")
    filled = [ids for ids in X.rows if len(ids)]
    if filled:
        ends = np.array([min(map(min, filled)), max(map(max, filled))])
        _check_range(ends, X.shape[1], "columns", what)


def _check_integers(ids, name, what):
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        _refuse(what, f"{name} must be a vector of integers, got {ids.dtype}, shape {ids.shape}")


def _check_range(ids, size, name, what):
    if not len(ids):
        return
    # A negative number is a huge one without its sign, so that one pass tells both ends.
    if int(ids.view(ids.dtype.str.replace("i", "u")).max()) >= size:
        _refuse(what, f"{name} must lie in [0, {size}), got {ids.min()} to {ids.max()}")


def _refuse(what, why):
    raise ValueError(
        f"{what}: {why}. Build it anew from its entries: scipy.sparse.coo_array((data, (row, col)),"
        " shape=shape), which looks at them."
    )


_CHECKS = {
    "csr": _check_compressed,
    "csc": _check_compressed,
    "bsr": _check_compressed,
    "coo": _check_coordinates,
    "dia": _check_diagonals,
    "lil": _check_lists,
}


def rows_between(X: Any, low: int, high: int) -> Any:
    """Return rows low to high of an array or a canonical CSR matrix, as a view of it."""
    if not sp.issparse(X):
        return X[low:high]
    first, last = int(X.indptr[low]), int(X.indptr[high])
    rows = type(X)((high - low, X.shape[1]), dtype=X.dtype)
    # Given to the constructor, the indices would be read, and copied to a smaller type if they fit.
    rows.data, rows.indices = X.data[first:last], X.indices[first:last]
    rows.indptr = X.indptr[low : high + 1] - X.indptr[low]
    rows.has_canonical_format = True  # which also says that indices are sorted
    return rows
