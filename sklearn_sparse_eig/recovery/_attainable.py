"""The variances of components: in descending order, and no more than their features have.

What a sketch says of a component is an estimate. The variance of features, where it is tracked, is
exact, and bounds that along any vector on them.
"""

import numpy as np

from .._base.messages import warn_user
from ._pairs import RecoveryWarning

# Below this share of the largest a variance is rounding.
_ROUNDING = 1e-10
# Estimates beyond their bound by no more than this are capped without a word.
_TOLERATED = 1.1


def descending_order(vectors, variances):
    """Return the order in which each vector adds most to the span of those before it.

    Parameters
    ----------
    vectors : ndarray of shape (t, r)
        Unit columns.
    variances : callable
        Columns in the span of the vectors to the variances along them.
    """
    left, order = vectors.copy(), []
    for _ in range(vectors.shape[1]):
        norms = np.linalg.norm(left, axis=0)
        independent = norms > 1e-7
        added = variances(left / np.where(independent, norms, 1.0))
        added = np.where(independent, added, -np.inf)
        added[order] = -np.inf
        remaining = np.setdiff1d(np.arange(len(added)), order)
        best = remaining[np.argmax(added[remaining])]
        order.append(best)
        if independent[best]:
            q = left[:, best] / norms[best]
            for _ in range(2):  # the second pass removes what rounding left
                left = left - np.outer(q, q @ left)
    return np.array(order, dtype=np.intp)


def without_rounding(values):
    """Return variances, zero where they are rounding beside the largest."""
    return np.where(np.abs(values) > _ROUNDING * np.max(np.abs(values), initial=0.0), values, 0.0)


def capped(values, added, vectors, variances):
    """Return variances that features can have, with a warning where estimates were far beyond.

    The variance of v'x is at most (sum of |v_i| sigma_i)^2, by Cauchy and Schwarz, and that of all
    components together at most that of the features they are made of.

    Parameters
    ----------
    values, added : ndarray of shape (r,)
        Estimates of the variance along each vector, and of what it adds to those before it.
    vectors : ndarray of shape (t, r)
        Rows at the features.
    variances : ndarray of shape (t,)
        Of the features, exact.

    Returns
    -------
    values, added : ndarray of shape (r,)
    """
    deviations = np.sqrt(variances)
    bounds = np.square(np.abs(vectors).T @ deviations)
    turned = np.square(np.abs(np.linalg.qr(vectors)[0]).T @ deviations)
    used = np.logical_or.accumulate(vectors != 0, axis=1)
    together = variances @ used
    limited = np.empty_like(added)
    for j in range(len(added)):
        room = max(together[j] - limited[:j].sum(), 0.0)
        limited[j] = min(added[j], turned[j], room)
    if np.any(values > _TOLERATED * bounds) or np.any(added > _TOLERATED * turned):
        warn_user(
            "The sketch says of some components that they have more variance than their features, "
            "and they are reported with as much as these allow: it is too small for components so "
            "weak. Allow a larger sketch (memory_budget, n_measurements, range_size), give more "
            "rows, or use fit with refine='data'.",
            RecoveryWarning,
        )
    return np.minimum(values, bounds), limited
