"""The frequencies of a basis, and how much each of them costs."""

import numpy as np

# Where the number of frequencies is left open: this many for each point, for their weights decay.
FREQUENCIES_PER_POINT = 8


def basis_frequencies(basis: str, n_frequencies: int) -> np.ndarray:
    """Return the integer frequencies: 0, 1, ... or symmetric about 0, as many as are pairs."""
    if basis == "complex":
        return np.arange(n_frequencies)
    highest = (n_frequencies - 1) // 2
    return np.arange(-highest, highest + 1)


def prior_variances(frequencies: np.ndarray, exponent: float) -> np.ndarray:
    """Return t_k = (1 + |k|)^(-2 q): the fit minimises sum_k |theta_k|^2 / t_k."""
    return (1.0 + np.abs(frequencies)) ** (-2.0 * exponent)
