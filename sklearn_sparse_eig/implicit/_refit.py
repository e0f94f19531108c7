"""Which coefficients count, and their least squares fit.

Gradient descent leaves every coefficient at about the scale b of the initialisation, those near the
boundary of the dual domain somewhat above it. Between these and the large ones there is a gap where
a sparse solution exists, and its middle, on a logarithmic scale, is the geometric mean.
"""

import numpy as np
from scipy.optimize import nnls


def support_of(coef, b, most):
    """Return where |coef| is above the geometric mean of b and its largest.

    Parameters
    ----------
    coef : ndarray of shape (N, n_targets)
    b : float or ndarray of shape (n_targets,)
    most : int
        Largest number of entries for each target.
    """
    size = np.abs(coef)
    support = size > np.sqrt(size.max(axis=0) * b)
    for j in np.flatnonzero(support.sum(axis=0) > most):
        support[:, j] = False
        support[np.argpartition(-size[:, j], most - 1)[:most], j] = most > 0
    return support


def refit(design, Y, support, positive):
    """Return the least squares coefficients on the support of each target."""
    coef = np.zeros(support.shape)
    for j, y in enumerate(Y.T):
        ids = np.flatnonzero(support[:, j])
        if len(ids) == 0:
            continue
        columns = design.columns(ids)
        if positive:
            coef[ids, j] = nnls(columns, y)[0]
        else:
            coef[ids, j] = np.linalg.lstsq(columns, y, rcond=None)[0]
    return coef
