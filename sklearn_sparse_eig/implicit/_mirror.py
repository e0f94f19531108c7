"""Mirror descent with the potential of a diagonal network: gradient flow, and steps in its place.

Gradient flow on the weights is, in the dual variable s = A^T nu, the differential equation

    nu' = y - A x(s),

in a time that is the network's up to a constant factor. Implicit Euler steps

    nu_k = nu_(k-1) + tau_k (y - A x_k),   x_k = x(A^T nu_k),

are stable for every length: time can grow geometrically, from the first coefficients to the limit,
in a hundred steps. Explicit ones are the multiplicative update u <- u exp(-2 eta g) of depth 2, for
any depth. Both give, for the average of x over time, A^T (y - A xbar) = s / t exactly.
"""

import numpy as np
from scipy.linalg import LinAlgError
from scipy.sparse.linalg import LinearOperator

from ._newton_system import NewtonSystem
from ._primal_dual import State, newton
from ._working_set import Point, WorkingSet

# Newton steps that an implicit step may take before it is halved, and how often that is done.
_NEWTON_STEPS, _HALVINGS = 30, 20
# Time, relative to the first, at which a flow that has not settled is given up.
_LONGEST = 1e15
# Growth of time from one step to the next.
_GROWTH = 1.15
# The loss of an explicit step that counts as divergence, relative to that of w = 0.
_DIVERGED = 1e3


class DivergedError(ArithmeticError):
    """Steps of one size that left the domain, or ended in a loss far larger than at the start."""


def implicit_flow(design, y, potential, times, *, tol=1e-12, link=1e-13):
    """Follow gradient flow by implicit steps from one time to the next.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M,)
    potential : Potential
    times : iterable of float
        Positive, increasing; of the equation above.
    tol : float
        Largest error of a step's equation, relative to ||y||.
    link : float
        Accuracy of x as a function of the dual variable.

    Yields
    ------
    t : float
        All of the times, and those in between that were needed to reach them.
    state : State
    """
    M, N = design.shape
    s = np.zeros(N)
    state = State(np.zeros(M), s, potential.sides(s), potential.signs)
    system, last, small = NewtonSystem(design), 0.0, None
    if potential.is_barrier and not isinstance(design.A, LinearOperator):
        small = _SmallSteps(design, y, potential, link)
    for t in times:
        while last < t:
            near = small and small.step(state, last, t)
            if near is not None:
                last, state = t, near
            else:
                last, state = _implicit_step(
                    design, y, potential, state, last, t, tol, link, system
                )
            yield last, state


class _SmallSteps:
    """Steps on the columns near the boundary, where there are few; see :mod:`._working_set`."""

    def __init__(self, design, y, potential, link):
        self._working_set, self._potential = WorkingSet(design, y, potential, link), potential
        self._point = None

    def step(self, state, last, t):
        """Return the state at time t, None where the step has to be made on all columns."""
        if self._point is None or self._point.t != last:
            self._point = Point.at_rest(last, state.nu, state.s, state.z)
        self._point = self._working_set.step(self._point, t)
        if self._point is None:
            return None
        found = State(self._point.nu, self._point.s, self._point.z, self._potential.signs)
        # From the sides: 1 -+ s has lost digits near the boundary.
        found.d = (self._potential.b / found.z) ** (1.0 / self._potential.exponent)
        return found


def _implicit_step(design, y, potential, state, last, t, tol, link, system):
    center = state.nu
    for _ in range(_HALVINGS):
        trial = State(center, state.s.copy(), state.z.copy(), potential.signs)
        trial.d = state.d.copy()
        n_iter, _ = newton(
            design,
            y,
            potential,
            trial,
            tol=tol,
            max_iter=_NEWTON_STEPS,
            rho=1.0 / (t - last),
            center=center,
            system=system,
            link=link,
        )
        if n_iter is not None:
            return t, trial
        t = 0.5 * (last + t)
    raise LinAlgError(f"No implicit step from time {last:.3g} converges.")


def flow_times(design, y, potential, max_iter):
    """Return times that grow from before the first coefficient does, at most max_iter of them."""
    largest = np.abs(design.rmatvec(y)).max() or 1.0
    n_times = min(max_iter, int(np.log(_LONGEST) / np.log(_GROWTH)))
    return 0.1 * potential.dual_level / largest * _GROWTH ** np.arange(n_times)


def solve_implicit(design, y, potential, stopping, max_iter, tol):
    """Follow the flow for one target until told to stop; return its last state."""
    times, state = flow_times(design, y, potential, max_iter), None
    for n_iter, (_, state) in enumerate(implicit_flow(design, y, potential, times, tol=0.1 * tol)):
        x = (potential.signs * state.z).sum(axis=0)
        residual = y - design.matvec(x)
        gradient = design.rmatvec(residual)
        if stopping.update(
            n_iter + 1, x[:, None], residual[:, None], gradient[:, None], state.z[..., None]
        ):
            break
    return state


def solve_explicit(design, y, potential, stopping, max_iter, learning_rate, n_samples):
    """Take steps of one size for all targets at once, two products with A each; return nu.

    Raises
    ------
    DivergedError
    """
    rate = learning_rate * potential.dual_rate() / n_samples
    nu, s = np.zeros(y.shape), np.zeros((design.shape[1], y.shape[1]))
    start = np.linalg.norm(y, axis=0)
    for n_iter in range(max_iter + 1):
        if not potential.contains(s).all():
            raise DivergedError
        z = potential.sides(s)
        x = z[0] if potential.positive else z[0] - z[1]
        residual = y - design.matvec(x)
        if (np.linalg.norm(residual, axis=0) > _DIVERGED * start + 1.0).any():
            raise DivergedError
        gradient = design.rmatvec(residual)
        if stopping.update(n_iter, x, residual, gradient, z):
            break
        nu = nu + rate * residual
        s = s + rate * gradient
    return nu
