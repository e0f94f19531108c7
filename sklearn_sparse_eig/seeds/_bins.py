"""Bins of seeds with about the same confidence."""

import numpy as np


def confidence_bins(confidence, n_bins):
    """Return the edges of quantile bins, and the bin of each seed.

    Where confidences are tied, as those of a classifier that is certain of most samples, quantiles
    fall together and there are fewer bins: ties are never split.

    Parameters
    ----------
    confidence : ndarray of shape (n,)
    n_bins : int

    Returns
    -------
    edges : ndarray of shape (at most n_bins + 1,)
        The last bin includes its upper edge.
    bins : ndarray of int, shape (n,)
    """
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, n_bins + 1)))
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    inner = edges[1:-1]
    return edges, np.searchsorted(inner, confidence, side="right")
