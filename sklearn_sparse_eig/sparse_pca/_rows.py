"""Rows, dense or CSR, without anything of the length of a row where they are sparse."""

import numpy as np
import scipy.sparse as sp


def canonical(X):
    """Return X, if sparse as a csr_array without duplicates."""
    if not sp.issparse(X):
        return X
    X = sp.csr_array(X)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def columns_of(X, ids: np.ndarray):
    """Return X[:, ids] as float64, dense or CSR; nothing of the length of a row is allocated."""
    if not sp.issparse(X):
        return np.asarray(X[:, ids], dtype=np.float64)
    position = np.searchsorted(ids, X.indices)
    position[position == len(ids)] = 0
    kept = ids[position] == X.indices
    indptr = np.concatenate([[0], np.cumsum(kept)])[X.indptr]
    data = X.data[kept].astype(np.float64)
    return sp.csr_array((data, position[kept], indptr), shape=(X.shape[0], len(ids)))
