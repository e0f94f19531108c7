"""A primal-dual Newton method for the dual variable of a diagonal network.

Solves  A x + rho (nu - center) = y,  x = z+ - z-,  z+- the sides of s = A^T nu  (see _potential):
with rho = 0 for the limit of gradient flow, with rho = 1 / (time step) for an implicit step of it.
Unknowns are nu and the sides z, kept inside their domains as in interior point methods, whose
central path is the case of infinite depth. The relation between z and s is linearised in the form
z^(1/e) (1 -+ s) = b^(1/e), in which long steps are good. From a point of another scale, b falls to
its own step by step.
"""

import numpy as np

from ._newton_system import NewtonSystem

# Share of the way to the boundary of the domain that a step may go.
_TO_BOUNDARY = 0.99
# Accuracy, relative to the largest, of the sides given the dual variable, unless told otherwise.
_LINK_TOLERANCE = 1e-13
# Accuracy of s + d = 1, which rounding limits.
_DUAL_TOLERANCE = 1e-13
# Within this, in logarithms, of its own scale a point goes straight to it.
_NEAR = 0.5
# The scale falls by a factor between these in a step, fast after a long step.
_FASTEST, _SLOWEST, _FIRST = 0.01, 0.5, 0.1
# Relative accuracy of a Newton step far from the solution, and near it.
_FAR_ACCURACY, _NEAR_ACCURACY = 0.1, 1e-3
# 1 - |s| and d that differ by so much are far from a solution too; and the share of the tolerance
# that the last steps aim at.
_APART, _MARGIN = 1e-2, 1e-2
# Accuracies are made finer, down to a limit, when the residual is larger than it should be by this
# share, or steps are short.
_SLACK, _MOST_CAUTION = 0.2, 1e-10
# Near the solution, sides below this share of the largest follow s. The others do better alone:
# close to the boundary s has fewer digits than they.
_FOLLOWS = 1e-2
_VANISHED = 1e-200
# A step shorter than this was too inaccurate, or began too close to the boundary.
_SHORT = 0.15
# Shortest step, and number of such in a row, after which the search ends.
_STUCK, _STUCK_STEPS = 1e-3, 8


class State:
    """A point in the interior of the domains.

    Attributes
    ----------
    nu : ndarray of shape (M,)
    s : ndarray of shape (N,)
        A^T nu.
    z, d : ndarray of shape (n_sides, N)
        Sides, and distances 1 -+ s from the boundary. d is kept apart from s, since close to the
        boundary 1 -+ s has lost its digits; it may start elsewhere, and agrees after a full step.
    """

    def __init__(self, nu, s, z, signs):
        self.nu, self.s, self.z = nu, s, z
        self.d = 1.0 - signs * s


def newton(
    design,
    y,
    potential,
    state,
    *,
    tol,
    max_iter,
    rho=0.0,
    center=None,
    system=None,
    link=_LINK_TOLERANCE,
):
    """Move the state to the solution.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M,)
    potential : Potential
    state : State
        Where to start; changed.
    tol : float
        Largest ||A x + rho (nu - center) - y|| / ||y||.
    max_iter : int
        Most steps.
    rho : float
    center : ndarray of shape (M,) or None
    system : NewtonSystem or None
        One used before for the same design, which may know a good preconditioner.
    link : float
        Accuracy of the sides given the dual variable, relative to the largest.

    Returns
    -------
    n_iter : int or None
        Steps; None where the solution was not reached.
    residual : float
        ||A x + rho (nu - center) - y|| / ||y||.
    """
    signs, norm = potential.signs, np.linalg.norm(y)
    system = system or NewtonSystem(design)
    step, stuck, last, caution = 0.0, 0, np.inf, 1.0
    for n_iter in range(max_iter + 1):
        residual = y - design.matvec((signs * state.z).sum(axis=0))
        if rho:
            residual -= rho * (state.nu - center)
        size = np.linalg.norm(residual) / norm
        # Sides that have vanished, as can happen without a negative side, are no longer followed.
        state.z = np.maximum(state.z, _VANISHED)
        distance = _log_scales(potential, state) - potential.log_scale
        vanished = state.z <= 10 * _VANISHED
        distance[vanished] = 0.0
        apart = 1.0 - signs * state.s - state.d if potential.is_barrier else np.zeros(1)
        off = np.abs(distance).max()
        if not np.isfinite(size + off):
            return None, size
        linked = np.abs(distance * state.z).max() <= link * state.z.max()
        if size <= tol and linked and np.abs(apart).max() <= _DUAL_TOLERANCE:
            return n_iter, float(size)
        if n_iter == max_iter or stuck >= _STUCK_STEPS or system.is_degenerate(state.nu, state.s):
            return None, size

        # A step of length t multiplies the residual by 1 - t, if the system is solved well.
        too_large = size > max((1.0 - step + _SLACK) * last, tol)
        if too_large or (n_iter and step < _SHORT):
            caution = max(0.01 * caution, _MOST_CAUTION)
        last = size
        log_target = potential.log_scale
        if off > _NEAR:
            fall = np.clip((1.0 - step) ** 2, _FASTEST, _SLOWEST) if n_iter else _FIRST
            if n_iter and step < _SHORT:
                fall = 1.0  # close to the boundary: towards the middle first
            log_target += max(0.0, distance.mean() + np.log(fall))
        slopes = potential.slopes(state.z, state.d)
        correction = _correction(potential, state, slopes, log_target, apart)
        right = residual - design.matvec((signs * correction).sum(axis=0))
        is_far = off > _NEAR or np.abs(apart).max() > _APART
        # No finer than the equations are asked to be solved in the end.
        enough = min(_FAR_ACCURACY, _MARGIN * tol / max(size, tol * _MARGIN))
        accuracy = caution * (_FAR_ACCURACY if is_far else max(_NEAR_ACCURACY, enough))
        dnu, ds = system.solve(slopes.sum(axis=0), right, accuracy, rho)
        dz = slopes * signs * ds + correction
        dz[vanished] = 0.0
        dd = apart - signs * ds
        step = _length(state.z, dz)
        if potential.is_barrier:
            step = min(step, _length(state.d, dd))
        stuck = stuck + 1 if step < _STUCK else 0
        state.nu = state.nu + step * dnu
        state.s = state.s + step * ds
        state.d = state.d + step * dd
        state.z = state.z + step * dz
        if step == 1.0 and off <= _NEAR:
            exact = (
                potential.sides_at(state.d) if potential.is_barrier else potential.sides(state.s)
            )
            state.z = np.where(state.z < _FOLLOWS * state.z.max(), exact, state.z)
    return None, size


def _log_scales(potential, state):
    """Return log b of each side, were its relation to s exact."""
    if potential.is_barrier:
        return np.log(state.z) + potential.exponent * np.log(state.d)
    return np.log(state.z) - potential.signs * state.s


def _correction(potential, state, slopes, log_scale, apart):
    """Return the change of the sides, besides that with s, which restores their relation to s."""
    if potential.is_barrier:
        wanted = np.exp((log_scale - np.log(state.z)) / potential.exponent)
        return slopes * (wanted - state.d - apart)
    return state.z * (log_scale + potential.signs * state.s - np.log(state.z))


def _length(value, move):
    """Return the longest step, at most 1, that leaves the value positive."""
    falling = move < 0
    if not falling.any():
        return 1.0
    return min(1.0, _TO_BOUNDARY * float((value[falling] / -move[falling]).min()))
