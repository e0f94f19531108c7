"""The total variance of rows, feature by feature, where numbers can tell it from rounding."""

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from ..sketching import ROUNDING


def total_squares(
    X: np.ndarray | sp.csr_array, center: bool, batches: Callable[[], Iterator[tuple]]
) -> float:
    """Return the sum of the squares of all entries, less the means of the features if centred.

    A feature counts for nothing if what is left of it may be rounding.

    Parameters
    ----------
    X : ndarray, or csr_array without duplicates, of shape (n, n_features)
        Nothing of the length of a row is allocated where it is sparse.
    center : bool
    batches : callable
        Returns an iterator over pairs of rows of X and weights, which are not used.
    """
    if sp.issparse(X):
        squares, mean = _of_sparse(X, center)
    else:
        mean = X.mean(axis=0, dtype=np.float64) if center else np.zeros(X.shape[1])
        squares, drift = np.zeros(X.shape[1]), np.zeros(X.shape[1])
        for rows, _ in batches():
            rows = rows - mean
            squares += np.einsum("ij,ij->j", rows, rows)
            drift += rows.sum(axis=0)
        squares -= center * drift**2 / X.shape[0]  # what rounding of the mean has left
    return float(squares[squares > X.shape[0] * (ROUNDING * mean) ** 2].sum())


def _of_sparse(X, center):
    """Return the sum of squares about the mean, and the mean, of each feature that occurs."""
    n = X.shape[0]
    features, column = np.unique(X.indices, return_inverse=True)
    values, mean = X.data.astype(np.float64), np.zeros(len(features))
    zeros = n - np.bincount(column, minlength=len(features))
    if center:
        mean = np.bincount(column, values) / n
        values -= mean[column]
        drift = np.bincount(column, values) - zeros * mean
    squares = np.bincount(column, values**2) + zeros * mean**2
    return (squares - drift**2 / n if center else squares), mean
