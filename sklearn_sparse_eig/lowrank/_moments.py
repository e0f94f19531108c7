"""The covariance that is factorised: of rows in batches, or of a sketch."""

from dataclasses import dataclass

import numpy as np

from ..recovery import restricted_least_squares


@dataclass(frozen=True)
class RunningCovariance:
    """Number, mean and scatter of the rows so far; batches are merged after Chan et al.

    Attributes
    ----------
    n_samples : int
    mean : ndarray of shape (p,)
    scatter : ndarray of shape (p, p)
        Sum of (x - mean)(x - mean)^T.
    """

    n_samples: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def empty(cls, n_features):
        """Return that of no rows."""
        return cls(0, np.zeros(n_features), np.zeros((n_features, n_features)))

    def add(self, X):
        """Return that of more rows."""
        total = self.n_samples + len(X)
        mean = X.mean(axis=0)
        centred, shift = X - mean, mean - self.mean
        return RunningCovariance(
            total,
            self.mean + shift * (len(X) / total),
            self.scatter
            + centred.T @ centred
            + np.outer(shift, shift) * (self.n_samples * len(X) / total),
        )

    def covariance(self, assume_centered=False):
        """Return the covariance, with the number of rows as divisor."""
        A = self.scatter / self.n_samples
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
