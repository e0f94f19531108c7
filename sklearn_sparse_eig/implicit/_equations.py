"""The equations that are fitted: rows less those held out, without their mean, and groups."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator
from sklearn.utils import check_random_state

from ._centering import shifted, without_mean
from ._design import Design
from ._folds import ranks_of_rows
from ._options import NetworkOptions
from ._row_weights import scaled_rows

# Of a share of rows: 0.1 of 60 is 6.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Equations:
    """What is fitted.

    Attributes
    ----------
    design : Design
    Y : ndarray of shape (M, n_targets)
    n_samples : float
        Rows, or the sum of their weights, before any were held out or reflected away: what the loss
        is divided by.
    validation : (Design, ndarray) or None
        Rows held out.
    labels : ndarray of shape (N,) or None
        Groups of features.
    means : (ndarray of shape (N,), ndarray of shape (n_targets,)) or None
        What was taken from features and targets.
    """

    design: Design
    Y: np.ndarray
    n_samples: float
    validation: tuple[Design, np.ndarray] | None = None
    labels: np.ndarray | None = None
    means: tuple[np.ndarray, np.ndarray] | None = None

    def intercept(self, coef: np.ndarray) -> np.ndarray:
        """Return the intercepts that belong to coefficients of shape (N, n_targets)."""
        if self.means is None:
            return np.zeros(coef.shape[1])
        return self.means[1] - self.means[0] @ coef


def make_equations(
    options: NetworkOptions,
    X: Any,
    Y: np.ndarray,
    weights: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    random_state: Any = None,
) -> Equations:
    """Hold out rows where the training is to be stopped by them, and take the means off."""
    n_samples = len(Y) if weights is None else float(weights.sum())
    root, validation, means = None if weights is None else np.sqrt(weights), None, None
    if options.stopping == "validation":
        kept, held = _kept_and_held(options.validation_fraction, X, Y, weights, random_state)
        held_root = None if root is None else root[held]
        validation = (Design(scaled_rows(X[held], held_root)), scaled_rows(Y[held], held_root))
        X, Y, root = X[kept], Y[kept], None if root is None else root[kept]
    if options.fit_intercept:
        X, Y, means = without_mean(X, Y, root)
        if validation is not None:
            validation = (
                shifted(validation[0], means[0], held_root),
                validation[1] - (means[1] if held_root is None else np.outer(held_root, means[1])),
            )
    else:
        X, Y = scaled_rows(X, root), scaled_rows(Y, root)
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


def _kept_and_held(fraction, X, Y, weights, random_state):
    """Draw distinct rows until they have the share of the weight; copies go together."""
    ranks = ranks_of_rows(X, Y)
    counts = np.bincount(ranks, weights=weights).astype(np.float64)
    order = check_random_state(random_state).permutation(len(counts))
    drawn = np.cumsum(counts[order])
    n_held = 1 + int(np.searchsorted(drawn, (fraction - _ROUNDING) * drawn[-1]))
    if n_held >= len(counts):
        raise ValueError(
            f"stopping='validation' holds out {n_held} of n_samples = {len(counts)} distinct rows, "
            "and leaves none to fit."
        )
    is_held = np.isin(ranks, order[:n_held])
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
