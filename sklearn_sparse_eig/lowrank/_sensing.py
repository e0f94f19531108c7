"""From linear measurements to a low-rank matrix: by steps over factors, or literal descent."""

from dataclasses import dataclass

import numpy as np

from .._base.progress import tell
from ._descent import descend_by, monotone_step, product, random_factors
from ._effective_rank import effective_rank
from ._gauss_newton import factors_by_rank, fit_factors
from ._greedy import most_ranks
from ._held_out import PATIENCE, held_out_parts
from ._measurements import Measurements

# Ridges that are tried, in units of what noise of the measurements' own size would ask for.
_RIDGES = (0.0, 0.03, 0.1, 0.3)
# Held-out measurements in all where there are few.
_WANTED = 200
# Steps at a rank while ranks are compared.
_MOST_STEPS = 20
# Looks at a run, the first after so many steps, then ever later by this factor.
_FIRST_LOOK, _LATER = 10, 1.05


@dataclass(frozen=True)
class Sensed:
    """The matrix that was found.

    Attributes
    ----------
    coef : ndarray of shape (n, m)
    intercept : float
    rank : int or None
        None where no rank was asked for.
    n_iter : int
    converged : bool
    run : ndarray of shape (n_looks, 2) or None
        Steps and effective rank, of literal descent.
    """

    coef: np.ndarray
    intercept: float
    rank: int | None
    n_iter: int
    converged: bool
    run: np.ndarray | None = None


def sense(A, y, *, rank, share, max_iter, tol, rng):
    """Return the matrix of a rank, or of the rank and ridge that predict held-out measurements."""
    ridge = 0.0
    if rank is None:
        ridge, rank = _choose(A, y, share, rng)
    y, intercept = A.centred(y)
    ridge = ridge and ridge * noise_ridge(A, y)
    found, n_iter = factors_by_rank(A, y, rank, ridge=ridge, max_iter=max_iter)
    if not found:
        return Sensed(np.zeros(A.shape), intercept, 0, n_iter, True)
    (U, V), steps, converged = fit_factors(A, y, found[-1], ridge=ridge, max_iter=max_iter, tol=tol)
    return Sensed(U @ V.T, intercept, len(found), n_iter + steps, converged)


def noise_ridge(A: Measurements, y: np.ndarray) -> float:
    """Return the spectral norm of A^*(noise) for noise of the mean square of y."""
    n, m = A.shape
    sigma = np.linalg.norm(y) / np.sqrt(max(len(A), 1))
    return float(sigma * np.sqrt(A.mean_square()) * (np.sqrt(n) + np.sqrt(m)))


def _choose(A, y, share, rng):
    """Return the ridge and the rank with the least squared error at held-out measurements."""
    splits = held_out_parts(len(y), share, _WANTED, rng)
    found = []
    for i, ridge in enumerate(_RIDGES):
        tell("measurements held out", "settings", i, len(_RIDGES))
        parts = [_errors_by_rank(A, y, hidden, ridge) for hidden in splits]
        length = min(map(len, parts))
        errors = np.sum([part[:length] for part in parts], axis=0)
        found += [(error, ridge, rank) for rank, error in enumerate(errors)]
    return min(found)[1:]


def _errors_by_rank(A, y, hidden, ridge):
    shown = A.among(np.isin(np.arange(len(y)), hidden, invert=True))
    target, mean = shown.centred(y)

    def error(X):
        # As they are given: with the mean of those that are shown.
        values = np.asarray(A.A @ X.ravel()).ravel()
        if shown.mean is not None:
            values = values - np.vdot(shown.mean, X)
        return float(((y - mean - values)[hidden] ** 2).sum())

    errors = [error(np.zeros(A.shape))]

    def go_on(factors):
        errors.append(error(factors[0] @ factors[1].T))
        return len(errors) - 1 - int(np.argmin(errors)) < PATIENCE

    most = most_ranks(A.shape, len(shown))
    ridge *= noise_ridge(shown, target)
    factors_by_rank(shown, target, most, ridge=ridge, max_iter=_MOST_STEPS, go_on=go_on)
    return errors


def sense_by_descent(A, y, *, depth, init_scale, learning_rate, max_iter, tol, rng):
    """Run gradient descent on half the squared error over the factors, from a random start."""
    y, intercept = A.centred(y)
    factors = random_factors(A.shape, depth, init_scale, rng)
    length = max(np.linalg.norm(y), np.finfo(float).tiny)
    if learning_rate == "auto":
        largest = np.linalg.norm(A.adjoint(y), 2) / max(A.mean_square(), np.finfo(float).tiny)
        step = monotone_step(largest, depth, init_scale) / max(A.largest_square(), 1e-300)
    else:
        step = float(learning_rate)

    def gradient(X):
        return A.adjoint(A.forward(X) - y)

    looks, done, following = [(0, effective_rank(product(factors)))], 0, _FIRST_LOOK
    converged = False
    while done < max_iter and not converged:
        block = min(following, max_iter) - done
        with np.errstate(over="ignore", invalid="ignore"):
            factors = descend_by(gradient, factors, block, step)
            X = product(factors)
            left = np.linalg.norm(y - A.forward(X))
        if not np.isfinite(left):
            raise ValueError(
                f"learning_rate={step:g} is not stable: the factors have left the floating point "
                f"numbers after at most {done + block} steps. Choose a smaller one, or 'auto'."
            )
        done += block
        following = max(done + _FIRST_LOOK, int(done * _LATER))
        looks.append((done, effective_rank(X)))
        converged = bool(left <= tol * length)
    return Sensed(product(factors), intercept, None, done, converged, np.array(looks))
