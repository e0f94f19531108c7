"""The entrance of weights of rows."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .compat import n_rows
from .entries import check_values
from .typed import RegressorMixin

# Beyond this, or below its inverse, squares of weights, and products with forgetting, would be
# infinite or zero.
_LARGEST = 1e100


def check_weights(sample_weight: ArrayLike | None, n_samples: int) -> float | np.ndarray:
    """Return weights of either sign as a float, or as a float64 vector of length n_samples.

    Raises
    ------
    ValueError
        If there are not as many weights as rows, or they are not finite or out of scale.
    """
    if sample_weight is None:
        return 1.0
    weights = check_values(sample_weight, "sample_weight")
    if weights.ndim > 1 or (weights.ndim == 1 and len(weights) != n_samples):
        raise ValueError(
            f"sample_weight must be a number or have one entry for each of the {n_samples} rows, "
            f"got shape {weights.shape}."
        )
    largest = np.abs(weights).max(initial=0.0)
    if largest and not 1.0 / _LARGEST <= largest <= _LARGEST:
        raise ValueError(
            f"sample_weight must count rows, got up to {largest:.3g}, whose square cannot be told "
            "in floating point. Multiply all weights by one constant: 1 is a row as it is."
        )
    return float(weights) if weights.ndim == 0 else weights


def check_counts_of_rows(sample_weight: ArrayLike | None, n_samples: int) -> np.ndarray | None:
    """Return weights of an estimator: None, or one for each row, not negative and not all zero.

    Raises
    ------
    ValueError
        Else, and as :func:`check_weights`.
    """
    if sample_weight is None:
        return None
    weights = np.broadcast_to(check_weights(sample_weight, n_samples), (n_samples,))
    if n_samples and weights.min() < 0.0:
        raise ValueError(
            f"Negative values in sample_weight, down to {weights.min():.3g}: weights count rows. "
            "Rows are deleted by a negative weight from an EigenSketch only."
        )
    if n_samples and not weights.any():
        raise ValueError("All entries of sample_weight are zero; give at least one row a weight.")
    return weights


class WeightedScoreMixin(RegressorMixin):
    """Regressors whose ``score`` takes the weights that every estimator here takes."""

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination of ``predict(X)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows, which are not all zero.

        Returns
        -------
        float
            At most 1; higher is better.
        """
        weights = check_counts_of_rows(sample_weight, n_rows(X))
        return float(super().score(X, y, weights))
