"""The parameters of a weighted trigonometric fit, as they are handed inward."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FourierOptions:
    """The parameters of :class:`WeightedFourierRegressor`, read once.

    Attributes
    ----------
    n_frequencies : int
    exponent : float
    period : ndarray of shape (d,)
    basis : {"real", "complex"}
    alpha : float
    solver : {"auto", "fft", "least_squares", "kernel", "nufft"}
    """

    n_frequencies: int
    exponent: float
    period: np.ndarray
    basis: str
    alpha: float
    solver: str
