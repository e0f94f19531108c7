"""Input checks of the sketching layer, which does not depend on scikit-learn."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from .._base.typed import ArrayLike, MatrixLike, RandomSeed


def check_seed(random_state: RandomSeed | np.random.Generator) -> list[int]:
    """Return three 64-bit seeds from an int, a NumPy generator or None.

    An int always gives the same seeds; a generator is advanced; None draws fresh entropy.
    """
    if random_state is None or isinstance(random_state, (int, np.integer)):
        if random_state is not None and random_state < 0:
            raise ValueError(f"random_state must be at least 0, got {random_state}.")
        sequence = np.random.SeedSequence(random_state)
    elif isinstance(random_state, np.random.Generator):
        sequence = np.random.SeedSequence(int(random_state.integers(2**63)))
    elif isinstance(random_state, np.random.RandomState):
        sequence = np.random.SeedSequence(int(random_state.randint(2**31 - 1)))
    else:
        raise ValueError(
            "random_state must be an int, a numpy Generator or RandomState, or None, got "
            f"{random_state!r}."
        )
    return [int(word) for word in sequence.generate_state(3, np.uint64)]


def is_linear_operator(A: Any) -> bool:
    """Whether A is to be used through products alone."""
    return isinstance(A, LinearOperator)


def check_rows(X: MatrixLike, n_features: int) -> Any:
    """Return X as a finite real 2-D array or CSR array without duplicates.

    Raises
    ------
    ValueError
        With what was given, what is needed and what to do.
    """
    if sp.issparse(X):
        X = sp.csr_array(X)
        if not X.has_canonical_format:
            X = X.copy()
            X.sum_duplicates()
        values = X.data
    else:
        X = values = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(
            f"X must have two dimensions (rows, features), got shape {X.shape}; a single row is "
            "X.reshape(1, -1)."
        )
    if X.shape[1] != n_features:
        raise ValueError(f"X has {X.shape[1]} features, but this sketch was made for {n_features}.")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"X must be real and numeric, got dtype {values.dtype}.")
    # The sum of finite values may overflow; only then is the slower test of each value needed.
    if values.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            total = values.sum(dtype=np.float64)
        if not np.isfinite(total) and not np.isfinite(values).all():
            raise ValueError(
                "X contains NaN or infinity; impute or remove them first (SimpleImputer)."
            )
    return X


def rows_from_entries(
    row_ids: ArrayLike,
    feature_ids: ArrayLike,
    values: ArrayLike,
    n_features: int,
    n_rows: int | None = None,
) -> sp.csr_array:
    """Return the CSR rows made of entries in coordinate form.

    Parameters
    ----------
    row_ids : array-like of int, shape (n,)
        Any integers; entries with the same one belong to the same row.
    feature_ids : array-like of int, shape (n,)
        In [0, n_features).
    values : array-like of float, shape (n,)
        Duplicates add.
    n_features : int
    n_rows : int or None
        Number of rows, those without entries included; None for the distinct row_ids.

    Returns
    -------
    csr_array of shape (n_rows, n_features), canonical

    Raises
    ------
    ValueError
        With what was given, what is needed and what to do.

    Notes
    -----
    O(n log n) time and O(n) memory, whatever the ids.
    """
    row_ids, feature_ids, values = (
        np.atleast_1d(np.asarray(a)) for a in (row_ids, feature_ids, values)
    )
    if not (row_ids.shape == feature_ids.shape == values.shape and values.ndim == 1):
        raise ValueError(
            "row_ids, feature_ids and values must be vectors of one length, got shapes "
            f"{row_ids.shape}, {feature_ids.shape} and {values.shape}."
        )
    for name, ids in (("row_ids", row_ids), ("feature_ids", feature_ids)):
        if ids.size and ids.dtype.kind not in "iu":
            raise ValueError(f"{name} must hold integers, got dtype {ids.dtype}.")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"values must be real and numeric, got dtype {values.dtype}.")
    if feature_ids.size:
        low, high = int(feature_ids.min()), int(feature_ids.max())
        if low < 0 or high >= n_features:
            raise ValueError(
                f"feature_ids must lie in [0, n_features={n_features}), got {low} to {high}. "
                "Bring 64-bit hashes into range by ids & (2**62 - 1), with n_features=2**62."
            )
    distinct, rows = np.unique(row_ids, return_inverse=True)
    n_rows = len(distinct) if n_rows is None else n_rows
    if n_rows < len(distinct):
        raise ValueError(f"n_rows={n_rows}, but row_ids holds {len(distinct)} distinct rows.")
    feature_ids = feature_ids.astype(np.int64, copy=False)
    # Sorted here: SciPy's conversion would do it through arrays of the length of a column index.
    order = np.lexsort((feature_ids, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n_rows))])
    X = sp.csr_array((values[order], feature_ids[order], indptr), shape=(n_rows, n_features))
    X.sum_duplicates()
    return X


def check_weights(sample_weight: ArrayLike | None, n_samples: int) -> float | np.ndarray:
    """Return weights as a float or a float64 vector of length n_samples."""
    if sample_weight is None:
        return 1.0
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.ndim > 1 or (weights.ndim == 1 and len(weights) != n_samples):
        raise ValueError(
            f"sample_weight must be a number or have one entry for each of the {n_samples} rows, "
            f"got shape {weights.shape}."
        )
    if not np.isfinite(weights).all():
        raise ValueError("sample_weight contains NaN or infinity.")
    return float(weights) if weights.ndim == 0 else weights
