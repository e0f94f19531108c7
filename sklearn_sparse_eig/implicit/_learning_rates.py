"""What gradient descent with larger and larger steps ends in."""

from dataclasses import dataclass

import numpy as np

from .._base.progress import tell
from ._descent import Descent, sharpness, solution_sharpness
from ._mirror import implicit_flow

# Growth of time between the points at which the sharpness along the flow is looked at.
_GROWTH = 1.1
_MOST_TIMES = 1000
# Where the gradient is this share of that of w = 0, the flow has ended: least squares that leave a
# residual are never solved up to a loss.
_FLAT = 1e-8
# A loss beyond that of w = 0 by this factor does not come back.
_DIVERGED = 1e6


@dataclass(frozen=True)
class LearningRatePath:
    """The points at which gradient descent ends, for several step sizes.

    Attributes
    ----------
    learning_rates : ndarray of shape (K,)
        The step sizes.
    coefs : ndarray of shape (n_features, K)
        Coefficients at the end. These and all numbers below are NaN if descent diverged.
    sharpness : ndarray of shape (K,)
        Largest eigenvalue of the Hessian of the loss at the end, without its part proportional to
        the residual.
    l1_norm : ndarray of shape (K,)
        The l1 norm of the coefficients.
    squared_weight_norm : ndarray of shape (K,)
        Sum of the squares of all weights.
    loss : ndarray of shape (K,)
        The loss ||X w - y||^2 / (2 n).
    n_iter : ndarray of int, shape (K,)
        Number of steps.
    converged : ndarray of bool, shape (K,)
        Whether the loss fell below the tolerance.
    flow_sharpness : float
        Largest spectral norm of the Hessian along gradient flow.
    critical_learning_rate : float
        2 / flow_sharpness, beyond which descent cannot follow the flow.
    """

    learning_rates: np.ndarray
    coefs: np.ndarray
    sharpness: np.ndarray
    l1_norm: np.ndarray
    squared_weight_norm: np.ndarray
    loss: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray
    flow_sharpness: float
    critical_learning_rate: float


def flow_sharpness(design, y, potential, tol):
    """Return the largest spectral norm of the Hessian along gradient flow up to a loss of tol."""
    n, L = design.shape[0], potential.depth
    steepest = np.abs(design.rmatvec(y)).max() / n
    if steepest == 0.0:  # the flow begins where it ends
        weights = potential.sides(np.zeros(design.shape[1])) ** (1.0 / L)
        return solution_sharpness(design, weights, L)
    first = 0.1 * potential.dual_level / (n * steepest)
    times = (first * _GROWTH**k for k in range(_MOST_TIMES))
    largest = 0.0
    for _, state in implicit_flow(design, y, potential, times, tol=1e-8):
        residual = y - design.matvec((potential.signs * state.z).sum(axis=0))
        gradient = -design.rmatvec(residual) / n
        largest = max(largest, sharpness(design, state.z ** (1.0 / L), gradient, L))
        if residual @ residual / (2 * n) <= tol or np.abs(gradient).max() <= _FLAT * steepest:
            break
    return largest


def descend_all(design, y, potential, learning_rates, tol, max_iter):
    """Return the ends of gradient descent as (weights, losses, n_iter), for one step size each.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M,)
    potential : Potential
    learning_rates : ndarray of shape (K,)
    tol : float
        Loss at which descent ends.
    max_iter : int

    Returns
    -------
    weights : ndarray of shape (n_sides, N, K)
    losses : ndarray of shape (K,)
    n_iter : ndarray of int, shape (K,)
    """
    n, N = design.shape
    K = len(learning_rates)
    alpha = np.exp(potential.log_scale / potential.depth)
    weights = np.full((len(potential.signs), N, K), alpha)
    losses, n_iters = np.full(K, np.inf), np.full(K, max_iter)
    running = np.arange(K)
    descent = Descent(potential.depth, weights.copy(), len(y))
    start = y @ y / (2 * n)
    for n_iter in range(max_iter + 1):
        tell("gradient descent", "steps", n_iter, max_iter)
        # All step sizes are one target each: the same y.
        residual = y[:, None] - design.matvec(descent.coef())
        with np.errstate(over="ignore", invalid="ignore"):
            loss = (residual**2).sum(axis=0) / (2 * n)
        losses[running] = loss
        weights[..., running] = descent.weights
        ended = ~(loss <= _DIVERGED * start + 1.0) | (loss <= tol)
        if ended.any():
            n_iters[running[ended]] = n_iter
            running, residual = running[~ended], residual[:, ~ended]
            descent = Descent(potential.depth, descent.weights[..., ~ended], len(y))
        if len(running) == 0:
            break
        descent.step(design, -design.rmatvec(residual) / n, learning_rates[running])
    return weights, losses, n_iters


def learning_rates_end(design, y, potential, learning_rates, critical, tol, max_iter):
    """Return a LearningRatePath; `critical` is the sharpness of the flow."""
    L = potential.depth
    weights, losses, n_iter = descend_all(design, y, potential, learning_rates, tol, max_iter)
    signs = potential.signs[..., None]
    bounded = np.isfinite(losses) & (losses <= _DIVERGED * (y @ y) / (2 * len(y)) + 1.0)
    weights[..., ~bounded] = np.nan
    coefs = (signs * weights**L).sum(axis=0)
    ends = [
        solution_sharpness(design, weights[..., k], L) if bounded[k] else np.nan
        for k in range(len(learning_rates))
    ]
    return LearningRatePath(
        learning_rates=learning_rates,
        coefs=coefs,
        sharpness=np.array(ends),
        l1_norm=np.abs(coefs).sum(axis=0),
        squared_weight_norm=(weights**2).sum(axis=(0, 1)),
        loss=np.where(bounded, losses, np.nan),
        n_iter=n_iter,
        converged=losses <= tol,
        flow_sharpness=critical,
        critical_learning_rate=2.0 / critical,
    )
