"""Samples and labels for a diagnostic: checked, encoded, and drawn in equal numbers."""

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from .._base.compat import take_rows
from .._base.rows import validate_array
from ..gradients import make_network, takes_any_input, unwrap
from ..ood import check_counts, encode


def check_samples(estimator, X, y):
    """Return the network of a classifier, X, and y as indices of its classes.

    Raises
    ------
    TypeError
        If it is no classifier whose gradients are known.
    ValueError
        If there are labels that it does not know, fewer than two classes, or one sample of one.
    """
    network = make_network(estimator)
    if network.classes is None:
        raise TypeError(
            f"A classifier is needed, got {type(unwrap(estimator)).__name__}, which has no classes."
        )
    X = check_rows(estimator, network, X)
    network.look_at(take_rows(X, slice(0, 2)))
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    labels = encode(y, network.classes)
    counts = np.bincount(labels, minlength=len(network.classes))
    check_counts(counts, network.classes)
    return network, X, labels


def check_rows(estimator, network, X):
    """Return X, untouched where the first step of a pipeline knows what it takes."""
    if takes_any_input(estimator):
        return X
    return validate_array(
        X,
        accept_sparse="csr",
        allow_nd=network.takes_any_shape,
        dtype=["float64", "float32"],
    )


def balanced_rows(labels, n_per_class, rng):
    """Return increasing indices of n_per_class samples of each class that there is."""
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        whole = len(rows) == n_per_class
        chosen.append(rows if whole else rng.choice(rows, n_per_class, replace=False))
    return np.sort(np.concatenate(chosen))
