"""The limit of gradient flow on a diagonal network.

It is the solution of A x = y whose dual variable is s = A^T nu for some nu, and is computed by
Newton's method in (nu, x). Where a sparse solution can be guessed, most of the way is skipped: with
x from the guess and nu the least one that belongs to it, what is left to be balanced are
contributions of size b. The result does not depend on the guess.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError, svd
from scipy.sparse.linalg import LinearOperator, lsmr

from ._design import Design
from ._mirror import implicit_flow
from ._newton_system import NewtonSystem
from ._potential import Potential
from ._primal_dual import State, newton
from ._start import greedy_guess

# Steps after which a guess is given up: a good one needs three to eight.
_STEPS_FROM_GUESS = 15
# The least dual variable of a guess may leave the domain by this factor. Sides start inside, at
# this distance at least from its boundary, or at this share of the way to the level of the support.
_FAR_OUTSIDE, _DISTANCE, _SHARE = 1.5, 0.1, 0.7
# Accuracy of the least squares solution that gives the first scale.
_ROUGH = 1e-3
# Growth of time where the limit is not attained, and number of times.
_FOLLOWED, _FOLLOWED_TIMES = 10.0, 22
# Smallest scale of the initialisation relative to that of x, for a barrier and for depth 2: below,
# the limit is hardly another one, and Newton's method has no digits to work with.
_SMALLEST, _SMALLEST_SHALLOW = 1e-17, 1e-35
_ALTERNATIVES = (
    "Use solver='mirror', with stopping='discrepancy' or 'validation' where the equations are "
    "noisy, or solver='gd'."
)


class InconsistentError(ValueError):
    """A x = y has no solution of the kind asked for."""


@dataclass(frozen=True)
class Limit:
    """The limit of gradient flow.

    Attributes
    ----------
    x : ndarray of shape (N,)
    z : ndarray of shape (n_sides, N)
        Powers of the weights, x = z[0] - z[1].
    nu : ndarray of shape (M,)
        Dual variable: A^T nu is that of x.
    n_iter : int
        Newton steps.
    residual : float
        ||A x - y|| / ||y||.
    log_scale : float
        Of the initialisation that it belongs to, which is larger than asked for where that is far
        below rounding.
    """

    x: np.ndarray
    z: np.ndarray
    nu: np.ndarray
    n_iter: int
    residual: float
    log_scale: float = -np.inf


def flow_limit(A, y, potential, *, tol=1e-8, max_iter=200, start=None):
    """Return the limit of gradient flow from equal weights on ||A x - y||^2.

    Parameters
    ----------
    A : array, sparse matrix or LinearOperator of shape (M, N)
    y : ndarray of shape (M,)
    potential : Potential
    tol : float
        Largest ||A x - y|| / ||y||.
    max_iter : int
        Most Newton steps from one start.
    start : Limit or None
        A limit of a near problem with the same A.

    Returns
    -------
    Limit

    Raises
    ------
    InconsistentError
        If A x = y has no solution, or no positive one where that is asked for, to accuracy tol.
    """
    return limit_of_design(Design(A), y, potential, tol=tol, max_iter=max_iter, start=start)


def limit_of_design(design, y, potential, *, tol=1e-8, max_iter=200, start=None):
    """Return the limit as :func:`flow_limit` does, for a matrix that is a design already."""
    M, N = design.shape
    if not y.any():
        # The flow stands still or, where positive, decays.
        z = np.full((len(potential.signs), N), 0.0 if potential.positive else potential.b)
        return Limit(np.zeros(N), z, np.zeros(M), 0, 0.0)
    potential, _ = resolvable(design, y, potential)
    is_operator = isinstance(design.A, LinearOperator)
    if M <= N or is_operator:
        found = _search(design, y, potential, tol, max_iter, start)
        if found is not None:
            return found
        found = _follow(design, y, potential, tol) if potential.positive else None
        if found is not None:
            return found
    if is_operator:
        residual = lsmr(design.A, y, atol=0.1 * tol, btol=0.1 * tol, maxiter=1000)[3]
        raise failure(potential, residual / np.linalg.norm(y), tol)
    return _reduced(design, y, potential, tol, max_iter)


def resolvable(design, y, potential):
    """Return the potential with a scale that is not far below rounding, and the smallest log b.

    It is relative to that of x.
    """
    energy = design.squared_norm() / design.shape[1]
    if energy == 0.0:
        return potential, -np.inf
    smallest = np.log(_SMALLEST if potential.is_barrier else _SMALLEST_SHALLOW)
    smallest += np.log(np.linalg.norm(y)) - 0.5 * np.log(energy)
    if potential.log_scale >= smallest:
        return potential, smallest
    return Potential(potential.depth, smallest, potential.positive), smallest


def _search(design, y, potential, tol, max_iter, start):
    """Return the limit, or None where no start leads to it."""
    for make, most in ((_from_limit, 200), (_from_guess, _STEPS_FROM_GUESS), (_from_far, max_iter)):
        try:
            state = make(design, y, potential, start)
            if state is None:
                continue
            n_iter, residual = newton(
                design, y, potential, state, tol=tol, max_iter=min(most, max_iter)
            )
        except LinAlgError:
            continue
        if n_iter is not None:
            x = (potential.signs * state.z).sum(axis=0)
            return Limit(x, state.z, _refined_dual(design, potential, state), n_iter, residual)
    return None


def _follow(design, y, potential, tol):
    """Follow the flow of non-negative coefficients to a solution, else return None.

    Where all solutions have zeros in common, s falls to minus infinity there: no nu is that of the
    limit, but those of the flow lead to it, with an error like the inverse of time.
    """
    first = potential.dual_level / np.abs(design.rmatvec(y)).max()
    times = first * _FOLLOWED ** np.arange(_FOLLOWED_TIMES)
    try:
        for n_iter, (_, state) in enumerate(
            implicit_flow(design, y, potential, times, tol=0.1 * tol)
        ):
            x = state.z[0]
            residual = np.linalg.norm(y - design.matvec(x)) / np.linalg.norm(y)
            if residual <= tol:
                return Limit(x, state.z, state.nu, n_iter + 1, float(residual))
    except LinAlgError:
        pass
    return None


def _refined_dual(design, potential, state):
    """Return nu with A_S^T nu = s_S to rounding, S the columns of large coefficients."""
    size = state.z.max(axis=0)
    large = np.flatnonzero(size > np.sqrt(size.max() * potential.b))
    if len(large) > design.shape[0]:
        large = np.argpartition(-size, design.shape[0] - 1)[: design.shape[0]]
    columns = design.columns(large)
    sign = np.where(state.z[0] >= state.z[-1], 1.0, -1.0)[large]
    if potential.positive:
        sign = np.ones(len(large))
    s = sign * potential.dual_of_side(size[large])
    return state.nu + np.linalg.lstsq(columns.T, s - columns.T @ state.nu, rcond=None)[0]


def _reduced(design, y, potential, tol, max_iter):
    """Solve with independent equations in the place of dependent ones: O(M N min(M, N))."""
    A = design.A.toarray() if sp.issparse(design.A) else design.A
    U, values, Vt = svd(A, full_matrices=False)
    rank = int((values > values[0] * max(A.shape) * np.finfo(float).eps).sum())
    U, values, Vt = U[:, :rank], values[:rank], Vt[:rank]
    norm, projected = np.linalg.norm(y), U.T @ y
    lost = np.linalg.norm(y - U @ projected) / norm
    found = None
    if lost <= tol and rank < len(y):
        # Whitened: all equations at one scale, with the same solutions.
        found = _search(Design(Vt), projected / values, potential, tol, max_iter, None)
    if found is None:
        raise failure(potential, lost, tol)
    residual = float(np.linalg.norm(A @ found.x - y) / norm)
    return Limit(found.x, found.z, U @ (found.nu / values), found.n_iter, residual)


def failure(potential, least, tol):
    """Return the error that says why there is no limit."""
    if least > tol:
        return InconsistentError(
            f"The equations have no solution: the least ||X w - y|| / ||y|| is {least:.2g}, above "
            f"tol={tol:g}. {_ALTERNATIVES}"
        )
    kind = "non-negative " if potential.positive else ""
    return InconsistentError(
        f"No {kind}solution of the equations was found to tol={tol:g}. Raise tol, max_iter or "
        f"init_scale if there is one. {_ALTERNATIVES}"
    )


# ------------------------------------------------------------------------------------- starts


def _from_limit(design, y, potential, start):
    if start is None or start.z.min() <= 0:
        return None
    s = design.rmatvec(start.nu)
    if not potential.contains(s):
        return None
    return State(start.nu, s, start.z.copy(), potential.signs)


def _from_guess(design, y, potential, start):
    guess = greedy_guess(design, y, potential.positive)
    if guess is None:
        return None
    support, sign, size = guess.support, np.sign(guess.values), np.abs(guess.values)
    target = potential.dual_of_side(np.maximum(size, 2 * potential.b))
    nu = guess.least_norm_dual(sign * target)
    s = design.rmatvec(nu)
    s[support] = sign * target
    level = potential.dual_level
    if np.abs(np.delete(s, support)).max(initial=0.0) >= _FAR_OUTSIDE * level:
        return None  # far from a certificate: another solution has a smaller norm
    state = State(nu, s, None, potential.signs)
    large = np.where(sign > 0, 0, len(potential.signs) - 1)
    if potential.is_barrier:
        state.d = np.maximum(state.d, _DISTANCE)
        state.z = potential.sides_at(state.d)
        state.d[large, support] = 1.0 - target
    else:
        state.z = potential.sides(np.clip(s, -_SHARE * level, _SHARE * level))
    state.z[large, support] = size
    return state


def _from_far(design, y, potential, start):
    # Every side at the size of the least squares solution, and nothing said of the signs.
    M, N = design.shape
    x = NewtonSystem(design).solve(np.ones(N), y, _ROUGH)[1]
    z = np.maximum(potential.signs * x, 0.0) + max(np.abs(x).max(), potential.b)
    return State(np.zeros(M), np.zeros(N), z, potential.signs)
