"""Rows that count more or less than once: multiplied by the roots of their weights."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from .._base.weights import check_counts_of_rows


def rows_that_count(
    X: Any, Y: np.ndarray, sample_weight: ArrayLike | None
) -> tuple[Any, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Return the rows of positive weight, their targets and weights, and which they are.

    Both of the last are None without weights, and the last also for an operator, whose rows cannot
    be left out.
    """
    weights = check_counts_of_rows(sample_weight, len(Y))
    if weights is None:
        return X, Y, None, None
    if isinstance(X, LinearOperator):
        return X, Y, weights, None
    kept = np.flatnonzero(weights)
    return X[kept], Y[kept], weights[kept], kept


def scaled_rows(X: Any, root: np.ndarray | None) -> Any:
    """Return X with each row multiplied by the root of its weight, None for 1."""
    if root is None:
        return X
    if isinstance(X, LinearOperator):
        return _scaled_operator(X, root)
    if sp.issparse(X):
        return (sp.diags_array(root) @ X).tocsr()
    return X * root.reshape(-1, *[1] * (X.ndim - 1))


def of_all_rows(
    nu: np.ndarray, weights: np.ndarray | None, kept: np.ndarray | None, n: int
) -> np.ndarray:
    """Return the dual variable of all n rows, by which X^T nu is that of the weighted rows."""
    if weights is None or len(nu) != len(weights):
        return nu
    nu = scaled_rows(nu, np.sqrt(weights))
    if kept is None:
        return nu
    whole = np.zeros((n, *nu.shape[1:]))
    whole[kept] = nu
    return whole


def _scaled_operator(A, root):
    def rows(values):
        return root.reshape(-1, *[1] * (values.ndim - 1)) * values

    return LinearOperator(
        A.shape,
        matvec=lambda w: rows(np.asarray(A @ w)),
        matmat=lambda w: rows(np.asarray(A @ w)),
        rmatvec=lambda nu: A.T @ rows(nu),
        rmatmat=lambda nu: A.T @ rows(nu),
        dtype=np.float64,
    )
