"""Rows, dense or CSR, without anything of the length of a row where they are sparse."""

from typing import Any

import numpy as np
import scipy.sparse as sp


def columns_of(X: Any, ids: np.ndarray) -> Any:
    """Return X[:, ids] as float64, dense or CSR; nothing of the length of a row is allocated."""
    if not sp.issparse(X):
        return np.asarray(X[:, ids], dtype=np.float64)
    position = np.searchsorted(ids, X.indices)
    position[position == len(ids)] = 0
    kept = ids[position] == X.indices
    indptr = np.concatenate([[0], np.cumsum(kept)])[X.indptr]
    data = X.data[kept].astype(np.float64)
    return sp.csr_array((data, position[kept], indptr), shape=(X.shape[0], len(ids)))


def row_sums(X: sp.csr_array, values: np.ndarray) -> np.ndarray:
    """Return the sum of values[e] over the entries e of each CSR row."""
    row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    return np.bincount(row, values, minlength=X.shape[0])
