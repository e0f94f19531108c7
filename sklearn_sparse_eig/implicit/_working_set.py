"""Implicit steps of gradient flow on the columns that matter: those near the boundary.

A step to time t from nu_0 at time t_0 solves, with tau = t - t_0,

    nu = nu_0 + tau (y - A x),      x = x(s),      s = A^T nu.

At depth 3 and more x is of the size of the initialisation wherever |s| stays away from 1. For such
columns x is taken at an earlier guess of s, which an iteration corrects. For the others, S, the
step is a small system in s_S,

    s_S + tau G x_S = q,      G = A_S^T A_S,      q = A_S^T (nu_0 + tau (y - A_rest x_rest)),

and is solved as in interior point methods: unknowns are the large side z of each column and its
distance d = 1 - |s| from the boundary, bound by z^(1/e) d = b^(1/e), so that

    (diag(d / (e z)) + tau G~) dz = r + gap,      G~ = diag(sign) G diag(sign).

nu is then set to the right-hand side of the first equation, which makes it exact.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg.lapack import dposv

# |s| from which a column is in S, and from which it has to be; in between the nearest are taken, up
# to as many as there are equations. With this multiple the system of all columns, in M unknowns, is
# the better one.
_NEAR, _LEFT_OUT = 0.8, 0.93
_MOST_COLUMNS = 1.5
# Newton steps of the small system, and corrections of the other columns.
_NEWTON_STEPS, _CORRECTIONS = 40, 12
# Share of the way to the boundary that a step may go.
_TO_BOUNDARY = 0.99
# Share of the accuracy of x that the small system may use up.
_SHARE = 0.1
# Added to the diagonal, relative to its mean: columns may be copies of one another.
_JITTER = 1e-13
# A prediction of a side goes down to this share of it at most.
_FALL = 0.2
# Effect of the other columns on themselves in a step from which it is estimated in advance.
_NOTICED = 0.05


@dataclass
class Point:
    """A point of the flow at time t, and the rates at which it came there.

    Attributes
    ----------
    t : float
    nu : ndarray of shape (M,)
    s : ndarray of shape (N,)
    z : ndarray of shape (n_sides, N)
    nu_rate, s_rate, z_rate : ndarray
    """

    t: float
    nu: np.ndarray
    s: np.ndarray
    z: np.ndarray
    nu_rate: np.ndarray
    s_rate: np.ndarray
    z_rate: np.ndarray

    @classmethod
    def at_rest(cls, t: float, nu: np.ndarray, s: np.ndarray, z: np.ndarray) -> Self:
        """Return a point of which it is not known how it came there."""
        return cls(t, nu, s, z, np.zeros_like(nu), np.zeros_like(s), np.zeros_like(z))

    def moved_to(self, t: float, nu: np.ndarray, s: np.ndarray, z: np.ndarray) -> "Point":
        """Return another point, and the rates from this one to it."""
        tau = t - self.t
        return Point(t, nu, s, z, (nu - self.nu) / tau, (s - self.s) / tau, (z - self.z) / tau)


class WorkingSet:
    """Columns near the boundary and their Gram matrix, kept from one step to the next.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M,)
    potential : Potential
        Of depth 3 or more.
    link : float
        Accuracy of x as a function of s, relative to the largest.
    """

    def __init__(self, design, y, potential, link):
        self._design, self._y, self._potential, self._link = design, y, potential, link
        self._squares = design.column_squares()
        self._ids = np.empty(0, dtype=np.int64)
        self._columns = np.empty((design.shape[0], 0), order="F")
        self._gram = np.empty((0, 0))

    def step(self, point, t):
        """Return the point at time t, or None where the step is not made this way."""
        tau, potential = t - point.t, self._potential
        s = point.s + tau * point.s_rate
        nu = point.nu + tau * point.nu_rate
        near = self._nearest(np.maximum(self._size(s), self._size(point.s)))
        for _ in range(_CORRECTIONS):
            if not self._take(np.flatnonzero(near)):
                return None
            rest = ~near
            x = np.zeros(len(s))
            x[rest] = potential.primal(s[rest])
            known = self._y - self._design.matvec(x)
            center, length = self._damped(point.nu, nu, tau, s, rest)
            solved = self._solve(point, tau, length, s, self._columns.T @ (center + length * known))
            if solved is None:
                return None
            z, d, signs, x[near] = solved
            left = known - self._columns @ x[near]
            nu_new = center + length * left
            s_new = self._design.rmatvec(nu_new)
            missed = rest & (self._size(s_new) > _LEFT_OUT)
            largest = np.abs(x).max()
            if not missed.any():
                changed = np.abs(potential.primal(s_new[rest]) - x[rest]).max(initial=0.0)
                off = np.linalg.norm(nu_new - point.nu - tau * left)
                if changed <= self._link * largest and off <= 1e-11 * np.linalg.norm(nu_new):
                    sides = self._sides(s, z, d, signs)
                    return point.moved_to(t, nu_new, s_new, sides)
            near, s, nu = near | missed, s_new, nu_new
        return None

    def _nearest(self, size):
        """Return which columns to begin with."""
        near, most = size > _NEAR, self._design.shape[0]
        if np.count_nonzero(near) > most:
            near = size >= min(np.partition(size, -most)[-most], _LEFT_OUT)
        return near

    def _size(self, s):
        """Return how near s is to the boundary: 1 is on it."""
        return s if self._potential.positive else np.abs(s)

    def _take(self, ids):
        """Have these columns and their Gram matrix at hand; return whether they are few enough."""
        if len(ids) > _MOST_COLUMNS * self._design.shape[0]:
            return False
        if not np.array_equal(ids, self._ids):
            self._columns = np.asfortranarray(self._design.columns(ids))
            self._gram = self._columns.T @ self._columns
            self._ids = ids
        return True

    def _damped(self, start, nu, tau, s, rest):
        """Return center and length of a step that foresees what the other columns do to it.

        They act like a small multiple kappa of the identity, about the guess that x is taken at.
        """
        slopes = self._potential.exponent * self._potential.sides(s[rest]).sum(axis=0)
        slopes = slopes / (1.0 - self._size(s[rest]))
        kappa = (slopes @ self._squares[rest]) / self._design.shape[0]
        if tau * kappa < _NOTICED:
            return start, tau
        share = 1.0 / (1.0 + tau * kappa)
        return share * (start + tau * kappa * nu), share * tau

    def _solve(self, point, tau, length, s, q):
        """Return sides, distances, signs and coefficients of the columns at hand; None if none."""
        potential, ids = self._potential, self._ids
        e, b = potential.exponent, potential.b
        signs = np.ones(len(ids)) if potential.positive else np.where(s[ids] >= 0, 1.0, -1.0)
        z = self._first_sides(point, tau, s, signs)
        d = (b / z) ** (1.0 / e)
        gram = (length * signs)[:, None] * self._gram
        if (signs < 0).any():
            gram *= signs
        matrix, accuracy = np.empty_like(gram), _SHARE * self._link
        diagonal = matrix.reshape(-1)[:: len(ids) + 1]
        target = signs * q
        jitter = _JITTER * np.trace(gram) / max(len(ids), 1)
        with np.errstate(divide="ignore"):
            for _ in range(_NEWTON_STEPS):
                minor = 0.0 if potential.positive else b * (2.0 - d) ** -e
                r = target - gram @ (z - minor) - (1.0 - d)
                gap = (b / z) ** (1.0 / e) - d
                off = e * z / d * (np.abs(r) + np.abs(gap))
                if off.max(initial=0.0) <= accuracy * z.max(initial=0.0):
                    return z, d, signs, signs * (z - minor)
                slope = d / (e * z)
                matrix[:] = gram
                diagonal += slope + jitter
                # The transpose is the same matrix, in the order that LAPACK need not copy.
                _, dz, info = dposv(matrix.T, r + gap, lower=0, overwrite_a=1, overwrite_b=1)
                if info:
                    return None
                dd = gap - slope * dz
                step = min(_length(z, dz), _length(d, dd))
                before, z, d = z, z + step * dz, d + step * dd
                # After a full step z^(1/e) d is off to second order in dz / z, and that is all.
                if step == 1.0 and (dz * dz / before).max() <= accuracy * z.max():
                    minor = 0.0 if potential.positive else b * (2.0 - d) ** -e
                    return z, d, signs, signs * (z - minor)
        return None

    def _first_sides(self, point, tau, s, signs):
        """Return guesses at the large sides: along their rates, or by how far s would overshoot."""
        potential, ids = self._potential, self._ids
        side = np.where(signs > 0, 0, len(point.z) - 1)
        z = point.z[side, ids]
        moved = np.maximum(z + tau * point.z_rate[side, ids], _FALL * z)
        over = self._size(s[ids]) - 1.0
        entering = potential.sides_at(np.maximum(-over, 1.0 - _LEFT_OUT))
        entering = np.maximum(entering, over / (tau * self._squares[ids]))
        was_near = self._size(point.s[ids]) > _LEFT_OUT
        return np.where(was_near, moved, entering)

    def _sides(self, s, z, d, signs):
        """Return the sides that were used: of the columns at hand, and of the others at s."""
        inside = s.copy()
        inside[self._ids] = signs * (1.0 - d)
        sides = self._potential.sides(inside)
        sides[np.where(signs > 0, 0, len(sides) - 1), self._ids] = z
        return sides


def _length(value, move):
    """Return the longest step, at most 1, that leaves the value positive."""
    return min(1.0, _TO_BOUNDARY / max((-move / value).max(initial=0.0), 1e-300))
