"""The equations that are fitted: rows less those held out, without their mean, and groups."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator
from sklearn.utils import check_random_state

from ._centering import shifted, without_mean
from ._design import Design
from ._options import NetworkOptions


@dataclass(frozen=True)
class Equations:
    """What is fitted.

    Attributes
    ----------
    design : Design
    Y : ndarray of shape (M, n_targets)
    n_samples : int
        Rows before any were held out or reflected away: what the loss is divided by.
    validation : (Design, ndarray) or None
        Rows held out.
    labels : ndarray of shape (N,) or None
        Groups of features.
    means : (ndarray of shape (N,), ndarray of shape (n_targets,)) or None
        What was taken from features and targets.
    """

    design: Design
    Y: np.ndarray
    n_samples: int
    validation: tuple[Design, np.ndarray] | None = None
    labels: np.ndarray | None = None
    means: tuple[np.ndarray, np.ndarray] | None = None

    def intercept(self, coef: np.ndarray) -> np.ndarray:
        """Return the intercepts that belong to coefficients of shape (N, n_targets)."""
        if self.means is None:
            return np.zeros(coef.shape[1])
        return self.means[1] - self.means[0] @ coef


def make_equations(
    options: NetworkOptions, X: Any, Y: np.ndarray, labels: np.ndarray | None, random_state: Any
) -> Equations:
    """Hold out rows where the training is to be stopped by them, and take the means off."""
    n_samples, validation, means = len(Y), None, None
    if options.stopping == "validation":
        X, Y, validation = _hold_out(options.validation_fraction, X, Y, random_state)
    if options.fit_intercept:
        X, Y, means = without_mean(X, Y)
        if validation is not None:
            validation = (shifted(validation[0], means[0]), validation[1] - means[1])
    return Equations(Design(X), Y, n_samples, validation, labels, means)


def labels_of_groups(options: NetworkOptions, X: Any) -> np.ndarray | None:
    """Return the group of each feature, None where each is one of its own, for each target."""
    if not options.is_grouped:
        return None
    if isinstance(X, LinearOperator) or (sp.issparse(X) and options.fit_intercept):
        raise ValueError(
            "joint=True and groups need X as an array, or sparse with fit_intercept=False."
        )
    if options.groups is None:
        return np.arange(X.shape[1])
    labels = np.asarray(options.groups)
    if labels.shape != (X.shape[1],):
        raise ValueError(
            f"groups must hold one label for each of {X.shape[1]} features, got an array of "
            f"shape {labels.shape}."
        )
    return labels


def _hold_out(fraction, X, Y, random_state):
    n_held = max(1, round(fraction * len(Y)))
    if n_held >= len(Y):
        raise ValueError(
            f"stopping='validation' holds out {n_held} of n_samples = {len(Y)} rows, and "
            "leaves none to fit."
        )
    order = check_random_state(random_state).permutation(len(Y))
    held, kept = np.sort(order[:n_held]), np.sort(order[n_held:])
    return X[kept], Y[kept], (Design(X[held]), Y[held])
