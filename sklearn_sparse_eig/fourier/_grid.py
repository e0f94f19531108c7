"""Equidistant points: one Fourier transform."""

import numpy as np

# Relative distance of points from a grid that is rounding.
_ROUNDING = 1e-9


def find_grid(x, period):
    """Return the order in which points are a whole period of a grid, or None where they are not."""
    order = np.argsort(x, kind="stable")
    n = len(x)
    offset = x[order] - x[order[0]]
    if np.abs(offset - np.arange(n) * (period / n)).max() > _ROUNDING * period / n:
        return None
    return order


def fit_on_grid(values, frequencies, variances, alpha):
    """Return the coefficients on the grid j / n, of shape (p, n_targets).

    Frequencies that agree modulo n are one on the grid. The coefficient of a class, by the Fourier
    transform, is split among them in proportion to their variances t_k:
    n t_k c / (n sum_class t + alpha).
    """
    n = len(values)
    classes = frequencies % n
    total = np.bincount(classes, variances, n)
    share = n * variances / (n * total[classes] + alpha)
    return share[:, None] * (np.fft.fft(values, axis=0) / n)[classes]


def values_on_grid(coefficients, frequencies, n):
    """Return the values at j / n of the sums with given coefficients, shape (n, n_targets)."""
    classes = np.zeros((n, coefficients.shape[1]), dtype=np.complex128)
    np.add.at(classes, frequencies % n, coefficients)
    return np.fft.ifft(classes, axis=0) * n
