"""The covariance that is factorised: of rows in batches, or of a sketch."""

from typing import Any, Self

import numpy as np

from .._base.atomic import all_or_nothing
from .._base.linear import LinearState
from ..recovery import restricted_least_squares


class RunningCovariance(LinearState):
    """Number, mean and scatter of the rows so far; parts are merged after Chan et al.

    Arrays are set anew and never written into, so that a change is easily taken back.

    Attributes
    ----------
    n_samples : int
        Rows of positive weight.
    weight : float
        Sum of their weights.
    mean : ndarray of shape (p,)
    scatter : ndarray of shape (p, p)
        Weighted sum of (x - mean)(x - mean)^T.
    """

    n_samples: int

    def __init__(self, n_features: int) -> None:
        self.n_samples = 0
        self.weight = 0.0
        self.mean: np.ndarray = np.zeros(n_features)
        self.scatter: np.ndarray = np.zeros((n_features, n_features))

    def settings(self) -> dict[str, Any]:
        return {"n_features": len(self.mean)}

    def empty(self) -> Self:
        return type(self)(len(self.mean))

    @all_or_nothing
    def update(self, X: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Add rows, with positive weights that count them; 1 each if not given."""
        rows = self.empty()
        rows.n_samples = len(X)
        if weights is None:
            rows.weight, rows.mean = float(len(X)), X.mean(axis=0)
            centred = X - rows.mean
            rows.scatter = centred.T @ centred
        else:
            rows.weight = float(weights.sum())
            rows.mean = weights @ X / rows.weight
            centred = X - rows.mean
            rows.scatter = (weights[:, None] * centred).T @ centred
        self._add(rows, 1.0)
        return self

    def _add(self, other: Self, sign: float) -> None:
        added = int(sign) * other.n_samples
        total = self.n_samples + added
        if total < 0:
            raise ValueError(
                f"Cannot subtract {other.n_samples} rows from {self.n_samples}: subtract only what "
                "was added before."
            )
        if total == 0:
            vars(self).update(vars(type(self)(len(self.mean))))
            return
        shift, share = other.mean - self.mean, sign * other.weight
        weight = self.weight + share
        self.scatter = (
            self.scatter
            + sign * other.scatter
            + np.outer(shift, shift) * (self.weight * share / weight)
        )
        self.mean = self.mean + shift * (share / weight)
        self.n_samples, self.weight = total, weight

    @property
    def n_informed(self) -> int:
        """How many directions rows can have: their number, or weight where that is more."""
        return max(self.n_samples, int(round(self.weight)))

    def covariance(self, assume_centered: bool = False) -> np.ndarray:
        """Return the covariance, with the number of rows, by weights, as divisor."""
        A = self.scatter / self.weight
        return A + np.outer(self.mean, self.mean) if assume_centered else A


def covariance_of_sketch(sketch, n_components, options):
    """Return the covariance on a support, the mean there, the support and the noise beside.

    For an exact sketch the support is None, for all features, and the noise is part of the
    covariance. From a compressed one, S = M A Omega^T, the noise is subtracted and A is solved for
    on the support of the recovered vectors: A_TT = M_T^+ (S - noise M Omega^T) Omega_T^{+T}.
    """
    if sketch.is_exact:
        A = sketch.matrix()
        mean = sketch.measured_mean()
        return A, mean if sketch.center else np.zeros_like(mean), None, 0.0
    if n_components is None:
        raise ValueError("A compressed sketch is recovered first: give n_components.")
    pairs = sketch.recover(n_components, **options)
    ids = pairs.support
    if 2 * len(ids) > min(sketch.shape):
        raise ValueError(
            f"The recovered vectors have {len(ids)} features, too many for a sketch of shape "
            f"{sketch.shape}: their covariance needs twice as many rows and columns. Ask for "
            "fewer n_nonzero_coefs, or make a larger sketch."
        )
    S = sketch.matrix()
    if pairs.noise_variance > 0:
        S = S - pairs.noise_variance * sketch.measurement.cross_gram(sketch.test)
    left = restricted_least_squares(sketch.measurement, ids, S)
    A = restricted_least_squares(sketch.test, ids, np.ascontiguousarray(left.T))
    mean = np.zeros(len(ids))
    if sketch.center:
        measured = sketch.measured_mean()[:, None]
        mean = restricted_least_squares(sketch.measurement, ids, measured)[:, 0]
    return (A + A.T) / 2, mean, ids, pairs.noise_variance
