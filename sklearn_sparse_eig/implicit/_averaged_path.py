"""The lasso path from one run of gradient flow: the average of its iterates over time.

At time t the dual variable is s = A^T nu, nu the integral of y - A x. So the average satisfies

    A^T (y - A xbar) = s / t,

which is the optimality condition of the lasso at lambda = level / t, but for the difference between
s / level and the signs of xbar; it vanishes with the initialisation where coefficients keep their
sign and do not fall back to zero. Implicit steps keep the identity exact.
"""

import numpy as np

from .._base.progress import tell
from ._design import independent_equations
from ._mirror import implicit_flow

# Accuracy of x as a function of s; the identity does not depend on it.
_LINK = 1e-5
# Time at which the average begins, relative to that of the first penalty: before, coefficients have
# the size of the initialisation. At depth 2 they grow slowly from then on.
_BEGINNING, _BEGINNING_SHALLOW = 0.5, 0.1


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
    design, y = independent_equations(design, y)
    N, times = design.shape[1], _steps(ends, growth, potential.is_barrier)
    averages, duals = np.empty((N, len(ends))), np.empty((N, len(ends)))
    total, before, last, k = np.zeros(N), np.zeros(N), 0.0, 0
    for t, state in implicit_flow(design, y, potential, times, tol=tol, link=_LINK):
        x = (potential.signs * state.z).sum(axis=0)
        # Within a step x is constant and s linear: the identity holds at every time.
        while k < len(ends) and ends[k] <= t:
            share = (ends[k] - last) / (t - last)
            averages[:, k] = (total + (ends[k] - last) * x) / ends[k]
            duals[:, k] = before + share * (state.s - before)
            k += 1
        total += (t - last) * x
        before, last = state.s, t
        tell("gradient flow", "alphas", k, len(ends))
    return averages, duals


def _steps(ends, growth, is_barrier):
    """Return times that grow by at most a factor, from before the first end to the last."""
    beginning = _BEGINNING if is_barrier else _BEGINNING_SHALLOW
    span = np.log(ends[-1] / (beginning * ends[0]))
    n_steps = int(np.ceil(span / np.log(growth)))
    times = ends[-1] * np.exp(-span / n_steps * np.arange(n_steps)[::-1])
    times[-1] = ends[-1]
    return times
