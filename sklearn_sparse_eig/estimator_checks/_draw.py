"""Rows that suit what is checked, and their batches."""

import numpy as np
import scipy.sparse as sp

# Up to this many features a matrix of all columns is at hand, and rows are drawn dense.
EXPLICIT = 4096


def begin(make_sketch, X, random_state):
    """Return an empty sketch, rows for it, and a generator."""
    sketch, rng = make_sketch(), np.random.default_rng(random_state)
    if X is None:
        X = sketch_rows(sketch.n_features, rng)
    if X.shape[0] < 10:
        raise ValueError(f"The checks need at least 10 rows, got {X.shape[0]}.")
    return sketch, X, rng


def sketch_rows(n_features, rng, n_samples=30):
    """Draw rows with a mean: dense, or CSR where there are many features."""
    if n_features <= EXPLICIT:
        return rng.standard_normal((n_samples, n_features)) + rng.standard_normal(n_features)
    ids = some_ids(n_features, rng, 60)
    values = 1.0 + rng.standard_normal((n_samples, len(ids)))
    return csr_rows(values * (rng.random(values.shape) < 0.3), ids, n_features)


def estimator_rows(X, random_state):
    """Return X, or 240 rows of 60 features with three strong sparse directions and a mean."""
    if X is not None:
        return X
    rng = np.random.default_rng(random_state)
    loadings = np.zeros((3, 60))
    for j, size in enumerate((6.0, 5.0, 4.0)):
        loadings[j, 7 * j : 7 * j + 4] = size * np.array([1.0, -0.9, 0.8, 1.1])
    rows = rng.standard_normal((240, 3)) @ loadings + 0.3 * rng.standard_normal((240, 60))
    return rows + rng.standard_normal(60)


def some_ids(n_features, rng, count):
    """Return distinct ids, increasing, the first and the last one among them."""
    if n_features <= count:
        return np.arange(n_features)
    drawn = rng.integers(0, n_features, count - 2)
    return np.unique(np.concatenate([[0], drawn, [n_features - 1]]))


def csr_rows(values, ids, n_features):
    """Return CSR rows with the nonzeros of `values` at the increasing `ids`."""
    local = sp.csr_array(values)
    return sp.csr_array(
        (local.data, ids[local.indices], local.indptr), shape=(len(values), n_features)
    )


def compress(X, ids):
    parts = (X.data.astype(np.float64), np.searchsorted(ids, X.indices), X.indptr)
    return sp.csr_array(parts, shape=(X.shape[0], len(ids)))


def cut(X, ends):
    """Cut the rows at the given increasing positions."""
    bounds = [0, *ends, X.shape[0]]
    return [X[low:high] for low, high in zip(bounds[:-1], bounds[1:], strict=True)]
