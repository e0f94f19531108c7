"""Which model the gradients are of: the given one, a fitted copy of it, or a default."""

import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from ._make import is_network, is_torch, unwrap

# Groups that stand in for classes where there are no labels.
_N_GROUPS = 8
_LEAST_GROUP = 4


def is_ready(estimator):
    """Whether the estimator is fitted, or needs no fitting, so that it is used as it is."""
    if estimator is None:
        return False
    inner = unwrap(estimator)
    if is_network(inner) or is_torch(inner) or not hasattr(inner, "fit"):
        return True
    try:
        check_is_fitted(inner[-1] if isinstance(inner, Pipeline) else inner)
    except NotFittedError:
        return False
    return True


def takes_any_input(estimator):
    """Whether X goes through steps of a pipeline first, so that it may be text or a frame."""
    return isinstance(unwrap(estimator), Pipeline)


def fit_model(estimator, X, y, random_state):
    """Return a copy of the estimator, or the default classifier, fitted to X and y.

    The default standardises features and trains a network with one hidden layer of 100 units.
    Without labels a classifier learns to tell apart the groups that k-means finds.

    Raises
    ------
    ValueError
        If there is no y and no way to do without, or too few samples.
    """
    if y is None:
        if estimator is not None and (takes_any_input(estimator) or not is_classifier(estimator)):
            raise ValueError(
                f"{type(unwrap(estimator)).__name__} is not fitted, and there is no y to fit it "
                "to. Pass y, or fit it first."
            )
        y = _groups(X, random_state)
    if estimator is not None:
        return clone(estimator).fit(X, y)
    with warnings.catch_warnings():
        # Nobody asked for this network, and it need not converge to have telling gradients.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return default_model(sp.issparse(X), random_state).fit(X, y)


def default_model(sparse, random_state):
    """Return the unfitted default classifier."""
    scaler = MaxAbsScaler() if sparse else StandardScaler()
    return make_pipeline(scaler, MLPClassifier((100,), random_state=random_state))


def _groups(X, random_state):
    n_groups = min(_N_GROUPS, X.shape[0] // _LEAST_GROUP)
    if n_groups < 2:
        raise ValueError(
            f"Without labels at least {2 * _LEAST_GROUP} samples are needed, to find groups that "
            f"stand in for classes; got n_samples = {X.shape[0]}."
        )
    scaled = default_model(sp.issparse(X), None)[:-1].fit_transform(X)
    groups = KMeans(n_groups, n_init=1, random_state=random_state).fit_predict(scaled)
    if np.ptp(groups) == 0:
        raise ValueError("All samples are the same: without labels there are no groups to tell.")
    return groups
