"""Gradient descent on the weights of a diagonal network, step by step.

The loss is ||X (u^L - v^L) - y||^2 / (2 n). Weights are stacked along the first axis, u then v, and
targets along the last.
"""

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from .._base.progress import tell
from ._mirror import DivergedError

# Of the largest step that is stable by the estimates below: they may be low.
_SAFETY = 0.5
# Steps of the power method for them, the vector kept from one gradient step to the next.
_POWER_STEPS = 2
# A loss larger than that of w = 0 by this factor counts as divergence.
_DIVERGED = 1e6
# Hessians up to this size are made and decomposed.
_SMALL = 400


class Descent:
    """The state of gradient descent.

    Parameters
    ----------
    depth : int
    weights : ndarray of shape (n_sides, N, n_targets)
        Changed by :meth:`step`.
    n_samples : float
        What the loss is divided by.
    """

    def __init__(self, depth, weights, n_samples):
        self.depth = depth
        self.n_samples = n_samples
        self.weights = weights
        self._signs = np.array([1.0, -1.0])[: len(weights), None, None]
        self._vector = None

    def coef(self):
        """Return x of shape (N, n_targets)."""
        return (self._signs * self.weights**self.depth).sum(axis=0)

    def step(self, design, gradient, learning_rate):
        """Go down the gradient with respect to x, of shape (N, n_targets).

        A `learning_rate` "auto" is half of the inverse of a bound on the Hessian, for each target.
        """
        L, w = self.depth, self.weights
        if isinstance(learning_rate, str):
            learning_rate = self._safe_rate(design, gradient)
        self.weights = w - learning_rate * L * self._signs * w ** (L - 1) * gradient

    def _safe_rate(self, design, gradient):
        L, w, n = self.depth, self.weights, design.shape[0]
        # (L / n_samples) A diag(w^(2L-2)) A^T L, of which the largest eigenvalue is wanted.
        h = L**2 / self.n_samples * (w ** (2 * L - 2)).sum(axis=0)
        if self._vector is None or self._vector.shape[0] != n:
            # In the range of X, so that it does not depend on how often rows occur.
            self._vector = design.matvec(np.random.default_rng(0).standard_normal(h.shape))
        for _ in range(_POWER_STEPS):
            size = np.linalg.norm(self._vector, axis=0)
            unit = self._vector / np.where(size > 0, size, 1.0)
            self._vector = design.matvec(h * design.rmatvec(unit))
        largest = np.linalg.norm(self._vector, axis=0)
        bend = L * (L - 1) * (np.abs(w) ** (L - 2) * np.abs(gradient)).max(axis=(0, 1))
        return _SAFETY / np.maximum(largest + bend, np.finfo(float).tiny)


def solve_descent(design, y, descent, stopping, max_iter, learning_rate):
    """Descend until told to stop.

    Raises
    ------
    DivergedError
        If the loss diverges.
    """
    start = np.linalg.norm(y, axis=0)
    for n_iter in range(max_iter + 1):
        tell("gradient descent", "steps", n_iter, max_iter)
        x = descent.coef()
        residual = y - design.matvec(x)
        size = np.linalg.norm(residual, axis=0)
        if not (np.isfinite(size).all() and (size <= _DIVERGED * start + 1.0).all()):
            raise DivergedError
        gradient = design.rmatvec(residual)
        if stopping.update(n_iter, x, residual, gradient, descent.weights):
            break
        descent.step(design, -gradient / descent.n_samples, learning_rate)


def solution_sharpness(design, weights, depth):
    """Return the largest eigenvalue of the Hessian of the loss where its gradient vanishes.

    Parameters
    ----------
    design : Design
    weights : ndarray of shape (n_sides, N)
    depth : int
    """
    h = depth**2 / design.shape[0] * (weights ** (2 * depth - 2)).sum(axis=0)
    return design.largest_eigenvalue(h)


def sharpness(design, weights, gradient, depth):
    """Return the spectral norm of the Hessian of the loss.

    Parameters
    ----------
    design : Design
    weights : ndarray of shape (n_sides, N)
    gradient : ndarray of shape (N,)
        Of the loss with respect to x.
    depth : int
    """
    L, n = depth, design.shape[0]
    signs = np.array([1.0, -1.0])[: len(weights), None]
    slopes = L * signs * weights ** (L - 1)
    bend = L * (L - 1) * signs * weights ** (L - 2) * gradient

    def product(v):
        v = v.reshape(weights.shape)
        change = design.rmatvec(design.matvec((slopes * v).sum(axis=0))) / n
        return (slopes * change + bend * v).ravel()

    if weights.size <= _SMALL:
        return float(
            np.abs(np.linalg.eigvalsh(np.array([product(e) for e in np.eye(weights.size)]))).max()
        )
    operator = LinearOperator((weights.size,) * 2, matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(weights.size)
    return float(abs(eigsh(operator, 1, which="LM", v0=start, return_eigenvectors=False)[0]))
