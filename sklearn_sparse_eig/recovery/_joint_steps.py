"""Truncated power steps for several sparse vectors at once, by the variance of their span."""

from collections.abc import Callable, Sequence

import numpy as np

from ._lifting import orthonormal_range

# Steps at most, and those without a gain after which they end: few where that is enough.
_STEPS, _IDLE_STEPS, _FEW_IDLE_STEPS = 30, 3, 2
# A relative gain in variance that is worth another step.
WORTHWHILE = 1e-3

Products = Callable[[np.ndarray], np.ndarray]


def captured_variance(multiply: Products, V: np.ndarray) -> float:
    """Return the trace of A on the span of V."""
    Q = orthonormal_range(V)
    return float(np.vdot(Q, multiply(Q)))


def joint_power_steps(
    multiply: Products,
    V: np.ndarray,
    sizes: Sequence[int] | np.ndarray,
    *,
    positive: bool = False,
    brief: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best sparse V that block power steps lead to, and A Q for a basis Q of it.

    Each step multiplies by A what a vector adds to those before it and keeps the largest entries
    of what they leave: sequential deflation, for all vectors at once. Where they are to be
    positive, only what is positive of the images is kept.
    """
    best, idle = (-np.inf, V, V), 0
    for _ in range(_STEPS):
        used = np.flatnonzero(V.any(axis=1))
        if len(used) < V.shape[1]:  # fewer rows than vectors have no basis for them all
            used = np.arange(len(V))
        Q = np.zeros_like(V)
        Q[used], R = np.linalg.qr(V[used])
        if positive:  # the basis points where the vectors do, or signs would mean nothing
            Q *= np.where(np.diagonal(R) < 0.0, -1.0, 1.0)
        images = multiply(Q)
        captured = np.vdot(Q, images)
        idle = 0 if captured > (1.0 + WORTHWHILE) * best[0] else idle + 1
        if captured > best[0]:
            best = captured, V, images
        if idle == (_FEW_IDLE_STEPS if brief else _IDLE_STEPS):
            break
        previous, V = V, _truncated(V, Q, used, images, sizes, positive)
        if np.abs(V - previous).max() < WORTHWHILE:
            break
    return best[1:]


def _truncated(V, Q, used, images, sizes, positive):
    """Return the largest entries of what earlier vectors leave of each image, as unit columns.

    Outside the rows `used` V and Q are zero.
    """
    new = np.zeros_like(V)
    some, shares = Q[used], np.triu(Q[used].T @ images[used], 1)
    for j, size in enumerate(sizes):
        left = images[:, j].copy()
        left[used] -= some @ shares[:, j]
        left = np.maximum(left, 0.0) if positive else left
        top = np.argpartition(-np.abs(left), size - 1)[:size]
        norm = np.linalg.norm(left[top])
        if norm > 0.0:
            new[top, j] = left[top] / norm
        else:  # A has no rank for this vector: it stays as it is
            new[:, j] = V[:, j]
    return new
