"""A rank that does not jump."""

import numpy as np

from .._base.entries import check_values
from .._base.typed import ArrayLike


def effective_rank(X: ArrayLike) -> float:
    """Return the effective rank: the nuclear norm divided by the spectral norm.

    Parameters
    ----------
    X : array-like of shape (n, m) or (k,)
        A matrix, or its singular values or eigenvalues.

    Returns
    -------
    float
        The effective rank lies between 1 and the rank. It equals the rank if all nonzero singular
        values agree, and is 0 for a zero matrix.

    Raises
    ------
    ValueError
        If X is not finite, or has neither one nor two dimensions.

    Notes
    -----
    The effective rank changes continuously, so that it shows the plateaus of a run. Many small
    singular values count as much as a large one: for a matrix in noise it says more about the noise
    than about the signal. It takes O(n m min(n, m)) time for a matrix.

    Examples
    --------
    >>> from sklearn_sparse_eig import effective_rank
    >>> effective_rank([10.0, 5.0, 5.0])
    2.0
    """
    X = check_values(X, "X")
    if X.ndim not in (1, 2):
        raise ValueError(f"X must be a matrix or a vector of its spectrum, got {X.ndim} axes.")
    values = np.abs(X) if X.ndim == 1 else np.linalg.svd(X, compute_uv=False)
    largest = values.max(initial=0.0)
    return float((values / largest).sum()) if largest > 0 else 0.0
