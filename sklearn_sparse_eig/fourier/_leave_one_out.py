"""The ridge by leave-one-out: each point predicted from the others, for all ridges at once.

With K = U diag(w) U^* the kernel of the points, the fit for alpha leaves the residuals
r = U f U^* y, f = alpha / (w + alpha), and with 1 - h = diag(U f U^*) the fit to the others misses
point i by r_i / (1 - h_i), exactly (Golub, Heath, Wahba, *Generalized cross-validation as a method
for choosing a good ridge parameter*, Technometrics 21, 1979). One decomposition serves all ridges.
Generalised cross-validation, which takes one leverage for all points, failed on scattered ones.
"""

from dataclasses import replace

import numpy as np

from .._base.progress import tell
from ._frequencies import FREQUENCIES_PER_POINT, basis_frequencies, prior_variances
from ._grid import find_grid
from ._options import FourierOptions
from ._scattered import kernel

# Ridges that are tried, relative to the largest eigenvalue of the kernel.
_RIDGES = 10.0 ** np.arange(-12.0, 3.01, 0.25)
# More points are thinned out to this number: a ridge is the variance of the noise relative to that
# of the function, whatever the number of points. O(n^3).
_MOST = 500
# A longer period has to predict better by this factor of squared errors.
_LONGER = 0.9


def choose_ridge(
    X: np.ndarray, Y: np.ndarray, options: FourierOptions, *, longer: bool
) -> tuple[FourierOptions, float]:
    """Return the options with the ridge, and period, that predict points left out best.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, n_targets)
    options : FourierOptions
    longer : bool
        Whether twice the period may be taken instead, as for functions that are not periodic.

    Returns
    -------
    options : FourierOptions
        With alpha = 0 where the smallest predicts best, as for exact targets.
    smallest : float
        The smallest ridge that is tried.
    """
    if not Y.any() or len(X) < 2:
        return replace(options, alpha=0.0), 0.0
    X, Y = _thinned(X, Y)
    best, least, smallest = options, np.inf, 0.0
    for factor in (1.0, 2.0) if longer else (1.0,):
        candidate = replace(options, period=factor * options.period)
        alpha, error, lowest = _best_ridge(X, Y, candidate)
        if error < (_LONGER if factor > 1.0 else 1.0) * least:
            least, smallest = error, lowest
            best = replace(candidate, alpha=alpha if alpha > lowest else 0.0)
    return best, smallest


def _thinned(X, Y):
    n = len(X)
    if n <= _MOST:
        return X, Y
    # A grid stays one where it is thinned evenly; others are drawn, always in the same way.
    if X.shape[1] == 1 and find_grid(X[:, 0] - X[:, 0].min(), _range(X[:, 0])) is not None:
        rows = np.argsort(X[:, 0], kind="stable")[:: -(-n // _MOST)]
    else:
        rows = np.sort(np.random.default_rng(0).permutation(n)[:_MOST])
    return X[rows], Y[rows]


def _range(x):
    return (x.max() - x.min()) * len(x) / (len(x) - 1) or 1.0


def _best_ridge(X, Y, options):
    """Return the ridge of the least mean squared error of points left out, that error, and the
    smallest ridge."""
    n_frequencies = min(options.n_frequencies, FREQUENCIES_PER_POINT * len(X))
    frequencies = basis_frequencies(options.basis, n_frequencies)
    variances = prior_variances(frequencies, options.exponent)
    phases = (X - X.min(axis=0)) / options.period
    values, vectors = np.linalg.eigh(kernel(phases, phases, frequencies, variances))
    values = np.maximum(values, 0.0)
    coordinates, squares = vectors.conj().T @ Y, np.abs(vectors) ** 2
    ridges = values.max() * _RIDGES
    left = ridges / (values[:, None] + ridges)
    unexplained = np.maximum(squares @ left, np.finfo(float).tiny)
    errors = np.zeros(len(ridges))
    for j, target in enumerate(coordinates.T):
        tell("leave one out", "targets", j, coordinates.shape[1])
        residuals = vectors @ (left * target[:, None])
        errors += np.mean(np.abs(residuals / unexplained) ** 2, axis=0) / len(coordinates.T)
    best = int(np.argmin(errors))
    return float(ridges[best]), float(errors[best]), float(ridges[0])
