"""The lasso path from one run of gradient flow: the average of its iterates over time.

At time t the dual variable is s = A^T nu, nu the integral of y - A x. So the average satisfies

    A^T (y - A xbar) = s / t,

which is the optimality condition of the lasso at lambda = level / t, but for the difference between
s / level and the signs of xbar; it vanishes with the initialisation where coefficients keep their
sign and do not fall back to zero. Implicit steps keep the identity exact.
"""

import numpy as np

from ._mirror import implicit_flow

# Time at which the average begins, relative to that of the first penalty.
_BEGINNING = 0.1


def averaged_path(design, y, potential, penalties, growth, tol):
    """Return the averages of the flow at the times that belong to the penalties.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M,)
    potential : Potential
    penalties : ndarray of shape (K,)
        lambda of ||A x - y||^2 / 2 + lambda ||x||_1, decreasing.
    growth : float
        Largest growth of time in a step.
    tol : float
        Accuracy of a step, relative to ||y||.

    Returns
    -------
    averages : ndarray of shape (N, K)
    duals : ndarray of shape (N, K)
        s at the same times.
    """
    ends = potential.dual_level / penalties
    N = design.shape[1]
    averages, duals = np.empty((N, len(ends))), np.empty((N, len(ends)))
    total, last, k = np.zeros(N), 0.0, 0
    for t, state in implicit_flow(design, y, potential, _steps(ends, growth), tol=tol):
        total += (t - last) * (potential.signs * state.z).sum(axis=0)
        last = t
        while k < len(ends) and t == ends[k]:
            averages[:, k], duals[:, k] = total / t, state.s
            k += 1
    return averages, duals


def _steps(ends, growth):
    """Return times that grow by at most a factor, all ends among them."""
    times, last = [], _BEGINNING * ends[0]
    for end in ends:
        n_steps = max(1, int(np.ceil(np.log(end / last) / np.log(growth) - 1e-9)))
        times += [*(last * (end / last) ** (np.arange(1, n_steps) / n_steps)), end]
        last = end
    return times
