"""Low-rank factors that fit linear measurements, by damped Gauss-Newton steps."""

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, lsmr

from .._base.progress import tell
from ._measurements import Measurements

# Damping at the start, relative to the squared norm of what is linearised; by how much it falls
# and rises; and where there is no point in more of it.
_DAMPING, _EASE, _TIGHTEN, _MOST_DAMPING = 1e-2, 0.1, 8.0, 1e8
# Inner iterations, and their least accuracy: where a rough fit will do, rough steps will.
_INNER_STEPS, _ROUGHEST = 300, 0.1
# Share of the squared measurements that is rounding.
_EXACT = 1e-26
# Gain of a step, relative to the objective, that ends the steps on the way to a rank.
_ROUGH = 1e-3

Factors = tuple[np.ndarray, np.ndarray]


def fit_factors(
    A: Measurements,
    y: np.ndarray,
    factors: Factors,
    *,
    ridge: float = 0.0,
    max_iter: int = 100,
    tol: float = 1e-10,
) -> tuple[Factors, int, bool]:
    """Minimise |A(U V^T) - y|^2 + ridge (|U|^2 + |V|^2) from given factors.

    Returns
    -------
    factors, n_iter, converged
    """
    U, V = balanced(*factors)
    residual = y - A.forward(U @ V.T)
    value = _objective(residual, U, V, ridge)
    size = A.largest_square()
    damping, inner = _DAMPING, min(np.sqrt(tol), _ROUGHEST)
    for step in range(1, max_iter + 1):
        scale = size * max(np.linalg.norm(U, 2), np.linalg.norm(V, 2)) ** 2
        while True:
            dU, dV = _step(A, residual, U, V, ridge, damping * scale, inner)
            trial = balanced(U + dU, V + dV)
            left = y - A.forward(trial[0] @ trial[1].T)
            found = _objective(left, *trial, ridge)
            if found < value or damping > _MOST_DAMPING:
                break
            damping *= _TIGHTEN
        if not found < value:
            return (U, V), step, True
        gain, value, residual, (U, V) = value - found, found, left, trial
        damping = max(_EASE * damping, 1e-14)
        if value <= _EXACT * float(y @ y) or gain <= tol * value:
            return (U, V), step, True
    return (U, V), max_iter, False


def _objective(residual, U, V, ridge):
    return float(residual @ residual + ridge * (np.vdot(U, U) + np.vdot(V, V)))


def _step(A, residual, U, V, ridge, damping, accuracy):
    """Return the step that is best for the linearised measurements, with a damping on it."""
    n, root = U.size, np.sqrt(ridge)

    def split(d):
        return d[:n].reshape(U.shape), d[n:].reshape(V.shape)

    def forward(d):
        dU, dV = split(d)
        return np.concatenate([A.forward(dU @ V.T + U @ dV.T), root * d])

    def adjoint(z):
        G = A.adjoint(z[: len(residual)])
        return np.concatenate([(G @ V).ravel(), (G.T @ U).ravel()]) + root * z[len(residual) :]

    x = np.concatenate([U.ravel(), V.ravel()])
    shape = (len(residual) + len(x), len(x))
    jacobian = LinearOperator(shape, matvec=forward, rmatvec=adjoint, dtype=np.float64)
    target = np.concatenate([residual, -root * x])
    found = lsmr(
        jacobian, target, damp=np.sqrt(damping), atol=accuracy, btol=accuracy, maxiter=_INNER_STEPS
    )
    return split(found[0])


def balanced(U: np.ndarray, V: np.ndarray) -> Factors:
    """Return the factors of U V^T of the least norms together."""
    left, right = np.linalg.qr(U), np.linalg.qr(V)
    u, values, vt = np.linalg.svd(left[1] @ right[1].T)
    root = np.sqrt(values)
    return left[0] @ u * root, right[0] @ vt.T * root


def factors_by_rank(
    A: Measurements,
    y: np.ndarray,
    max_rank: int,
    *,
    ridge: float = 0.0,
    max_iter: int = 100,
    tol: float = _ROUGH,
    go_on: Callable[[Factors], bool] | None = None,
) -> tuple[list[Factors], int]:
    """Fit rank after rank, each from the one before and the leading direction of its residual.

    Returns
    -------
    factors of rank 1, 2, ..., n_iter
    """
    U, V = np.zeros((A.shape[0], 0)), np.zeros((A.shape[1], 0))
    found: list[Factors] = []
    n_iter = 0
    while len(found) < max_rank:
        tell("Gauss-Newton steps", "ranks", len(found), max_rank)
        residual = y - A.forward(U @ V.T)
        if float(residual @ residual) <= _EXACT * float(y @ y):
            break
        left, _, right = np.linalg.svd(A.adjoint(residual), full_matrices=False)
        direction = A.forward(np.outer(left[:, 0], right[0]))
        length = max(float(direction @ residual) / max(float(direction @ direction), 1e-300), 0.0)
        root = np.sqrt(length)
        U, V = np.column_stack([U, root * left[:, 0]]), np.column_stack([V, root * right[0]])
        (U, V), steps, _ = fit_factors(A, y, (U, V), ridge=ridge, max_iter=max_iter, tol=tol)
        found.append((U, V))
        n_iter += steps
        if go_on is not None and not go_on((U, V)):
            break
    return found, n_iter
