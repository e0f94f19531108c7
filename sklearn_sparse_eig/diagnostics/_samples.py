"""Samples and labels for a diagnostic: checked, encoded, and drawn in equal numbers."""

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from ..gradients import Network, make_network
from ..gradients._make import is_torch, unwrap
from ..gradients._model import takes_any_input


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
    X = check_rows(estimator, X)
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    labels = _encode(y, network.classes)
    counts = np.bincount(labels, minlength=len(network.classes))
    if (counts > 0).sum() < 2:
        raise ValueError(f"At least two classes are needed, got {(counts > 0).sum()} class.")
    single = network.classes[counts == 1]
    if len(single):
        raise ValueError(
            "At least two samples of each class are needed; there is only one of "
            f"{', '.join(map(str, single[:5]))}."
        )
    return network, X, labels


def check_rows(estimator, X):
    """Return X, untouched where the first step of a pipeline knows what it takes."""
    if takes_any_input(estimator):
        return X
    inner = unwrap(estimator)
    return check_array(
        X,
        accept_sparse="csr",
        allow_nd=is_torch(inner) or isinstance(inner, Network),
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


def _encode(y, classes):
    known = np.isin(y, classes)
    if not known.all():
        raise ValueError(
            f"y has labels that the classifier does not know: {np.unique(y[~known]).tolist()[:5]}; "
            f"it knows {classes.tolist()[:20]}."
        )
    # Networks of one's own may list classes in any order.
    order = np.argsort(classes)
    return order[np.searchsorted(classes, y, sorter=order)]
