"""The blocks of rows of what dask users hold, and what goes with each of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._shards import refuse_column_chunk


def import_dask() -> Any:
    """Return the module dask, or say how to install it."""
    try:
        import dask  # an extra, and slow to import
        import dask.array
    except ImportError as error:
        raise ImportError("This needs dask: pip install 'sklearn_sparse_eig[dask]'.") from error
    return dask


def rows_of(X: Any) -> list[Any]:
    """Return the blocks of rows of a collection, delayed, in their order.

    Raises
    ------
    TypeError, ValueError
        If X is no collection of dask, or has no rows and columns.
    """
    if isinstance(X, list | tuple):
        for block in X:
            refuse_column_chunk(block)
        return list(X)
    if hasattr(X, "numblocks"):
        return list(columns_together(X).to_delayed().ravel())
    if hasattr(X, "to_delayed"):
        if not hasattr(X, "columns"):
            raise TypeError(
                f"X is a {type(X).__name__}, which has no columns. Give a dask array or data "
                "frame, or a list of delayed matrices."
            )
        return list(X.to_delayed())
    raise TypeError(
        f"X is a {type(X).__name__}; a dask array, a dask data frame or a list of delayed blocks "
        "is needed. For rows in memory use fit, and for files or generators fit_partitions."
    )


def columns_together(X: Any) -> Any:
    """Return a dask array whose blocks hold all columns of their rows."""
    if X.ndim != 2:
        raise ValueError(
            f"X has shape {X.shape}: rows and columns are needed. Reshape it, for example by "
            "X.reshape(len(X), -1)."
        )
    return X.rechunk({1: -1}) if X.numblocks[1] > 1 else X


def values_beside(values: Any, name: str, X: Any, n_blocks: int) -> Sequence[Any]:
    """Return the blocks of labels or weights, one for each block of rows.

    Raises
    ------
    ValueError
        If they do not go with the blocks of X.
    """
    chunks: Any = X.chunks[0] if hasattr(X, "numblocks") else np.nan
    known = not np.isnan(chunks).any()
    if hasattr(values, "numblocks"):
        values = _as_column(values, name)
        if known and not np.isnan(values.shape[0]):
            _check_length(values.shape[0], name, X)
            values = values.rechunk((chunks,))
        blocks = list(values.to_delayed().ravel())
    elif hasattr(values, "to_delayed"):
        blocks = list(values.to_delayed())
    elif _are_blocks(values):
        blocks = list(values)
    elif known:
        values = np.asarray(values)
        _check_length(len(values), name, X)
        blocks = np.split(values, np.cumsum(chunks)[:-1])
    else:
        raise ValueError(
            f"{name} is a {type(values).__name__} and cannot be cut into the {n_blocks} blocks of "
            "X, whose lengths are not known here. Give a dask array, a series or a list of "
            "delayed with the same blocks."
        )
    if len(blocks) != n_blocks:
        raise ValueError(
            f"{name} has {len(blocks)} blocks, but X has {n_blocks} blocks of rows. Give both the "
            "same partitions."
        )
    return blocks


def _are_blocks(values: Any) -> bool:
    """Whether a list has a block for an item (delayed, future or array), not the value of a row."""
    return isinstance(values, list | tuple) and all(
        hasattr(item, "compute") or hasattr(item, "result") or np.ndim(item) for item in values
    )


def _as_column(values: Any, name: str) -> Any:
    if values.ndim == 2 and values.shape[1] == 1:
        return values.rechunk({1: -1})[:, 0]
    if values.ndim != 1:
        raise ValueError(f"{name} has shape {values.shape}: one value a row is needed.")
    return values


def _check_length(length: int, name: str, X: Any) -> None:
    if length != X.shape[0]:
        raise ValueError(f"{name} has {length} values, but X has shape {X.shape}.")
