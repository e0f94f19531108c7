"""The law of sparse PCA against the plainest competitor: PCA with small loadings set to zero."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from ._compare import as_dense

# Singular values below this share of the largest are rounding.
_RANK = 1e-9
# What rounding may take of a share.
_SLACK = 1e-9


def check_at_least_thresholded_pca(estimator: Any, X: Any = None, *, random_state: int = 0) -> None:
    """Check that components hold no less variance than thresholded PCA of as many nonzeros.

    Parameters
    ----------
    estimator : estimator
        Unfitted, with an int ``n_nonzero_coefs`` and an int ``n_components``. Not changed.
        Fitted as it is and, where it has a parameter ``refine``, with ``refine="sketch"`` too.
    X : ndarray or CSR array of shape (n, n_features), default=None
        None for 40 dense rows of 500 features whose leading directions touch all features.
    random_state : int, default=0

    Notes
    -----
    Compared is the share of the variance of X on the span of the components, with that on the
    span of the leading right singular vectors, each with all but its ``n_nonzero_coefs`` largest
    entries set to zero. Singular vectors of no variance, which may be any, are left out. A sketch
    that compresses features cannot be held to it: run this where the sketch keeps the exact
    covariance, or all features and a range of more columns than there are strong directions. Nor
    can components that may not be negative.
    """
    size, r = estimator.n_nonzero_coefs, estimator.n_components
    if isinstance(size, str) or np.ndim(size) or isinstance(r, str):
        raise ValueError(
            f"The check needs an int n_nonzero_coefs and n_components, got {size!r} and {r!r}."
        )
    X = dense_direction_rows(random_state) if X is None else X
    given: Any = X
    rows = given.toarray() if sp.issparse(given) else np.asarray(given)
    rows = rows - rows.mean(axis=0) if getattr(estimator, "center", True) else rows
    expected = variance_share(thresholded_pca(rows, r, size), rows)
    trials = [clone(estimator)]
    if hasattr(estimator, "refine"):
        trials.append(clone(estimator).set_params(refine="sketch"))
    for trial in trials:
        components = as_dense(trial.fit(X).components_)
        found = variance_share(components, rows)
        if not found >= expected * (1.0 - _SLACK):
            raise AssertionError(
                f"{trial!r}: a share of {found:.6f} of the variance against {expected:.6f} of "
                f"thresholded PCA with {size} nonzeros in each of {r} vectors."
            )
        longest = int(np.count_nonzero(components, axis=1).max())
        if longest > size:
            raise AssertionError(f"{trial!r}: {longest} nonzeros against {size} asked for.")


def dense_direction_rows(random_state: int) -> np.ndarray:
    """Draw rows of twelve dense factors of heavy-tailed loadings in noise, as genes have them."""
    rng = np.random.default_rng(random_state)
    n_samples, n_features, n_factors = 40, 500, 12
    loadings = rng.standard_t(4, size=(n_factors, n_features))
    scores = rng.standard_normal((n_samples, n_factors)) * 0.7 ** np.arange(n_factors)
    X = scores @ loadings + 2.0 * rng.standard_normal((n_samples, n_features))
    return X / X.std(axis=0)


def thresholded_pca(rows: np.ndarray, n_components: int, size: int) -> np.ndarray:
    """Return leading right singular vectors, all but the largest entries of each set to zero."""
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > _RANK * values[0]).sum())
    vectors = vectors[: min(n_components, rank)].copy()
    small = np.argsort(-np.abs(vectors), axis=1, kind="stable")[:, size:]
    np.put_along_axis(vectors, small, 0.0, axis=1)
    return vectors


def variance_share(components: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of the squares of the rows that lies in the span of the components."""
    total = np.square(rows).sum()
    if not len(components) or total == 0.0:
        return 0.0
    _, values, basis = np.linalg.svd(components, full_matrices=False)
    basis = basis[values > _RANK * values[0]]
    return float(np.square(rows @ basis.T).sum() / total)
