"""Gradient flow in polar coordinates: weight normalisation.

With w = r theta, |theta| = 1, r moved with rate eta_r and the direction with eta_u, the limit is
that of plain flow from the smaller initialisation b / rho,

    rho = [ (r_0 / r) exp((r^2 - r_0^2) / (2 kappa)) ]^L,    kappa = eta_r / eta_u,

r the norm of all weights at the limit. Derived in doc/implicit_regularisation.md. r decides the
scale, the scale decides r: a root in one variable, with the limit solved inside.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq

from ._limit import resolvable
from ._potential import Potential
from ._single_target import single_limit

# Steps of log b in search of a change of sign: first one, and growth.
_FIRST, _GROWTH, _MOST = 0.25, 1.5, 60
# Accuracy of log b.
_ACCURACY = 1e-12


def normalised_flow_limit(design, y, potential, lr_ratio, *, tol, max_iter):
    """Return the limit of weight-normalised gradient flow, and its effective log b.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M,)
    potential : Potential
        Of the actual initialisation.
    lr_ratio : float
        kappa.
    tol, max_iter
        As for :func:`single_limit`.

    Returns
    -------
    Limit
    Potential
        Of the effective initialisation.

    Notes
    -----
    There may be several roots. Flow starts at r_0, so the first is taken in the direction in which
    r moves.
    """
    L, log_b = potential.depth, potential.log_scale
    n_weights = len(potential.signs) * design.shape[1]
    log_r0 = 0.5 * np.log(n_weights) + log_b / L
    smallest = resolvable(design, y, potential)[1]
    last, floor = None, smallest

    def solve(beta):
        nonlocal last, floor
        # Below the floor the limit is hardly another one: it is found once.
        if last is not None and max(beta, last.log_scale) <= floor:
            return last
        scale = Potential(L, max(beta, floor), potential.positive)
        last = single_limit(design, y, scale, tol=tol, max_iter=max_iter, start=last)
        floor = max(floor, last.log_scale) if last.log_scale > scale.log_scale else floor
        last = replace(last, log_scale=max(last.log_scale, scale.log_scale))
        return last

    def excess(beta):
        r2 = float((solve(beta).z ** (2.0 / L)).sum())
        return (
            beta
            - log_b
            - L * (0.5 * np.log(r2) - log_r0 - (r2 - np.exp(2 * log_r0)) / (2 * lr_ratio))
        )

    value = excess(log_b)
    beta, step = log_b, -np.sign(value) * _FIRST
    for _ in range(_MOST):
        if value == 0.0:
            break
        low, high = beta, beta + step
        next_value = excess(high)
        if np.sign(next_value) != np.sign(value):
            beta = brentq(excess, low, high, xtol=_ACCURACY, rtol=4 * np.finfo(float).eps)
            break
        beta, value, step = high, next_value, _GROWTH * step
    else:
        raise RuntimeError("No effective initialisation of the weight-normalised flow was found.")
    limit = solve(beta)
    if floor > smallest:  # the solver had to stay above it
        beta = max(beta, floor)
    return limit, Potential(L, beta, potential.positive)
