"""Input checks of the sketching layer, which does not depend on scikit-learn."""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator


def check_seed(random_state):
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


def is_linear_operator(A):
    """Whether A is to be used through products alone."""
    return isinstance(A, LinearOperator)


def check_rows(X, n_features):
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


def check_weights(sample_weight, n_samples):
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
