"""The inverse root of a covariance of measurements, by which forms are brought to unit variance."""

import numpy as np
from scipy.linalg.lapack import dpocon, dpotrf, dtrtri

# Eigenvalues below this share of the largest are rounding.
_RESOLUTION = 1e-9
# Condition number, as LAPACK estimates it within a small factor, up to which there are none.
_WELL_CONDITIONED = 1e7


def inverse_root(core: np.ndarray) -> np.ndarray:
    """Return P with C^-1 = P P^T for a positive C, or its pseudo-inverse where C is singular."""
    C = 0.5 * (core + core.T)
    triangle, info = dpotrf(C, lower=1, clean=1)
    if info == 0:
        share, info = dpocon(triangle, np.abs(C).sum(axis=0).max(), uplo="L")
        if info == 0 and share * _WELL_CONDITIONED > 1.0:
            return dtrtri(triangle, lower=1)[0].T
    values, vectors = np.linalg.eigh(C)
    keep = values > _RESOLUTION * values.max()
    return vectors[:, keep] / np.sqrt(values[keep])
