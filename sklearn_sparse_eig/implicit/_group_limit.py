"""Gradient flow on groups with common gates: its limit, and implicit steps.

Both solve  A x(s) + rho (nu - center) = y,  s = A^T nu,  x_g(s) of length r(|s_g|) along s_g, for
nu of shape (M, n_targets): stationary points of a convex function, found by Newton's method. For
the limit (rho = 0) the scale b falls to its own in stages. In t = b^(1/e), log b at depth 2, the
path of nu is nearly straight, and followed by long steps along its tangent.
"""

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError, cho_factor, cho_solve, svd

from ._design import Design
from ._groups import Groups, radial
from ._limit import Limit, failure
from ._potential import Potential

# Share of the way to the boundary of the domain that a step may go.
_TO_BOUNDARY = 0.95
# A step is halved while the slope of the convex function behind it has grown to this share of what
# it was, with the other sign: it went too far.
_OVERSHOOT, _HALVINGS = 0.5, 40
# Accuracy of the stages, relative to ||y||. It says nothing of small groups: a step is made anyway.
_STAGE = 0.01
# Longest steps between stages, of log t, and of log b at depth 2: first, and where these failed.
_LONGEST = ((np.log(10.0), np.log(1e3)), (np.log(2.0), np.log(5.0)))
_LARGEST_EXPONENT = 300.0
# Smallest distance of sigma from the boundary that is aimed at: rounding of sigma, relative to it,
# is the accuracy of x. Scales are not smaller than what belongs to it.
_SMALLEST = 1e-6
# Directions of groups this much softer than the directions across are unknowns of their own.
_SOFT = 3.0
# Conjugate gradients: accuracy, and most steps.
_ACCURACY, _MOST_STEPS = 1e-6, 60
_JITTER = 1e-15
# Newton steps without progress after which the search ends.
_STUCK = 12
# Most Newton steps of an implicit step, before it is halved.
_STEPS_OF_A_STEP = 30
# Change of log b between stages below which there is no smaller scale.
_SHORTEST = 1e-12


class _Point:
    """nu, and all that follows from it."""

    def __init__(self, problem, nu, s):
        self.nu, self.s = nu, s
        groups, potential = problem.groups, problem.potential
        self.sigma = groups.norms(s)
        self.theta = groups.directions(s, self.sigma)
        self.r, self.ratio, self.slope = radial(potential, self.sigma)
        self.x = groups.spread(self.r) * self.theta
        self.residual = problem.y - problem.design.matvec(self.x)
        if problem.rho:
            self.residual = self.residual - problem.rho * (nu - problem.center)


class _Problem:
    """The equation for one scale; rho = 0 for the limit."""

    def __init__(self, design, y, groups, potential, rho=0.0, center=None):
        self.design, self.y, self.groups, self.potential = design, y, groups, potential
        self.rho, self.center = rho, center

    def at(self, potential):
        """Return the problem at another scale."""
        return _Problem(self.design, self.y, self.groups, potential, self.rho, self.center)

    def contains(self, s, before=None):
        """Whether s is inside the domain, and not much closer to its boundary than before."""
        sigma = self.groups.norms(s)
        if not self.potential.is_barrier:
            return bool((self.potential.log_scale + sigma < _LARGEST_EXPONENT).all())
        old = 0.0 if before is None else before
        return bool((1.0 - sigma > (1.0 - _TO_BOUNDARY) * (1.0 - old)).all())


def group_flow_limit(design, y, labels, potential, *, tol=1e-8, max_iter=200):
    """Return the limit of gradient flow on groups from equal gates.

    Parameters
    ----------
    design : Design
        Not of an operator.
    y : ndarray of shape (M, n_targets)
    labels : ndarray of shape (N,)
        The group of each feature, common to all targets.
    potential : Potential
    tol : float
        Largest ||A x - y|| / ||y||.
    max_iter : int
        Most Newton steps.

    Returns
    -------
    Limit
        x of shape (N, n_targets), nu of shape (M, n_targets), z of shape (2, n_groups).

    Raises
    ------
    InconsistentError
        If A x = y has no solution to accuracy tol.
    """
    M, N = design.shape
    groups = Groups(labels)
    if not y.any():
        z = np.full((2, groups.count), potential.b)
        return Limit(np.zeros((N, y.shape[1])), z, np.zeros(y.shape), 0, 0.0)
    if M <= N:
        found = _search(design, y, groups, potential, tol, max_iter)
        if found is not None:
            return found
    return _reduced(design, y, groups, potential, tol, max_iter)


def _search(design, y, groups, potential, tol, max_iter):
    """Return the limit, or None where it is not reached."""
    for longest in _LONGEST:
        try:
            return _descend_scale(design, y, groups, potential, tol, max_iter, longest)
        except LinAlgError:
            pass
    return None


def _descend_scale(design, y, groups, potential, tol, max_iter, longest):
    norm = np.linalg.norm(y)
    M, N = design.shape
    K = _factor(design, np.ones(N), 0.0)
    nu = cho_solve(K, y)
    x = design.rmatvec(nu)
    if np.linalg.norm(y - design.matvec(x)) > _STAGE * norm:
        raise LinAlgError("dependent equations")
    size = groups.norms(x).max()
    target = potential.log_scale
    if potential.is_barrier:
        target = max(target, np.log(size) + potential.exponent * np.log(_SMALLEST))
    log_b = max(target, np.log(size))
    problem = _Problem(design, y, groups, Potential(potential.depth, log_b))
    # x is 2 e b s for small s, 2 b s at depth 2.
    first = 2.0 * np.exp(log_b) * (potential.exponent if potential.is_barrier else 1.0)
    point, n_iter = _Point(problem, nu / first, x / first), 0
    while True:
        last = log_b <= target
        point, steps = _newton(problem, point, tol if last else _STAGE, max_iter - n_iter, 1)
        n_iter += steps
        if last:
            z = _sides(problem.potential, point.sigma)
            residual = float(np.linalg.norm(y - design.matvec(point.x)) / norm)
            return Limit(point.x, z, point.nu, n_iter, residual)
        point, problem = _predict(problem, point, log_b, target, longest)
        log_b = problem.potential.log_scale


def _sides(potential, sigma):
    """Return the powers of the gates, of shape (2, n_groups)."""
    signed = np.stack([sigma, -sigma])
    if potential.is_barrier:
        return np.exp(potential.log_scale - potential.exponent * np.log1p(-signed))
    return np.exp(potential.log_scale + signed)


def _predict(problem, point, log_b, target, longest):
    """Go along the tangent of the path to a smaller scale."""
    depth, barrier = problem.potential.depth, problem.potential.is_barrier
    # x is b times a function of s: at fixed x, d(A x(s)) = -A x d(log b).
    dnu = _solve(problem, point, problem.design.matvec(point.x))
    ds = problem.design.rmatvec(dnu)
    e = problem.potential.exponent if barrier else 1.0
    step = min(e * longest[0] if barrier else longest[1], log_b - target)
    while True:
        length = e * -np.expm1(-step / e) if barrier else step
        moved = problem.at(Potential(depth, log_b - step))
        if moved.contains(point.s + length * ds, point.sigma):
            return _Point(moved, point.nu + length * dnu, point.s + length * ds), moved
        step *= 0.5
        if step < _SHORTEST:
            raise LinAlgError("no smaller scale can be reached")


def _newton(problem, point, tol, max_iter, least=0):
    """Return the solution and the number of steps, at least as many as said.

    Raises
    ------
    LinAlgError
        If it is not reached.
    """
    level = tol * np.linalg.norm(problem.y)
    best, stuck = np.inf, 0
    for n_iter in range(max_iter + 1):
        size = np.linalg.norm(point.residual)
        if size <= level and n_iter >= least:
            return point, n_iter
        stuck = 0 if size < 0.9 * best else stuck + 1
        best = min(best, size)
        if not np.isfinite(size) or (stuck > _STUCK):
            break
        point = _step(problem, point)
    raise LinAlgError(f"no solution to {tol:.1g} in {max_iter} steps")


def _step(problem, point):
    dnu = _solve(problem, point, point.residual)
    ds = problem.design.rmatvec(dnu)
    descent, step = (point.residual * dnu).sum(), 1.0
    if not descent > 0:
        raise LinAlgError("not a direction of descent")
    for _ in range(_HALVINGS):
        s = point.s + step * ds
        if problem.contains(s, point.sigma):
            trial = _Point(problem, point.nu + step * dnu, s)
            if (trial.residual * dnu).sum() >= -_OVERSHOOT * descent:
                return trial
        step *= 0.5
    raise LinAlgError("no step along a direction of descent")


# ----------------------------------------------------------------------------------- the system


def _factor(design, h, ridge):
    K = design.normal_matrix(h)
    K[np.diag_indices(len(K))] += ridge + _JITTER * np.trace(K) / len(K)
    return cho_factor(K, lower=True, overwrite_a=True, check_finite=False)


def _solve(problem, point, right):
    """Return the solution dnu of  A H A^T dnu + rho dnu = right.

    H has the slope along the direction of each group and the ratio across. Across, it is one matrix
    for all targets, which is factored; soft directions are added by Woodbury's identity. The rest,
    less soft directions and other targets, is left to conjugate gradients.
    """
    design, groups, rho = problem.design, problem.groups, problem.rho
    excess = point.slope - point.ratio
    soft = np.flatnonzero(excess > _SOFT * point.ratio)
    across = point.ratio + 0.5 * excess
    across[soft] = point.ratio[soft]
    K = _factor(design, groups.spread(across)[:, 0], rho)
    C = _soft_columns(design, groups, point.theta, soft)
    half = cho_solve(K, C.reshape(len(right), -1), check_finite=False).reshape(C.shape)
    inner = np.tensordot(C, half, ([0, 1], [0, 1])) + np.diag(1.0 / excess[soft])
    inner = cho_factor(0.5 * (inner + inner.T), check_finite=False) if len(soft) else None
    excess_rows, ratio_rows = groups.spread(excess), groups.spread(point.ratio)

    def precondition(r):
        base = cho_solve(K, r, check_finite=False)
        if inner is not None:
            w = cho_solve(inner, np.tensordot(half, r, ([0, 1], [0, 1])), check_finite=False)
            base = base - half @ w
        return base

    def apply(p):
        t = design.rmatvec(p)
        along = groups.spread(groups.inner(point.theta, t))
        return design.matvec(ratio_rows * t + excess_rows * along * point.theta) + rho * p

    dnu, r = np.zeros_like(right), right.copy()
    g = precondition(r)
    p, energy = g, (r * g).sum()
    first = energy
    for _ in range(_MOST_STEPS):
        if not energy > _ACCURACY**2 * first:
            break
        q = apply(p)
        curvature = (p * q).sum()
        if not curvature > 0:
            break
        dnu += energy / curvature * p
        r -= energy / curvature * q
        g = precondition(r)
        last, energy = energy, (r * g).sum()
        p = g + energy / last * p
    return dnu


def _soft_columns(design, groups, theta, soft):
    """Return sum_(j in g) a_j theta_j^T for each soft group g, of shape (M, n_targets, n_soft)."""
    place = np.full(groups.count, -1)
    place[soft] = np.arange(len(soft))
    rows = np.flatnonzero(place[groups.ids] >= 0)
    columns, where = design.columns(rows), (np.arange(len(rows)), place[groups.ids[rows]])
    parts = [
        columns @ sp.csr_array((direction, where), shape=(len(rows), len(soft)))
        for direction in theta[rows].T
    ]
    return np.stack(parts, axis=1)


def _reduced(design, y, groups, potential, tol, max_iter):
    """Solve with independent equations in the place of dependent ones: O(M N min(M, N))."""
    A = design.A.toarray() if sp.issparse(design.A) else design.A
    U, values, Vt = svd(A, full_matrices=False)
    rank = int((values > values[0] * max(A.shape) * np.finfo(float).eps).sum())
    U, values, Vt = U[:, :rank], values[:rank, None], Vt[:rank]
    norm, projected = np.linalg.norm(y), U.T @ y
    lost = np.linalg.norm(y - U @ projected) / norm
    if lost > tol:
        raise failure(potential, lost, tol)
    # Whitened: all equations at one scale, with the same solutions.
    found = _search(Design(Vt), projected / values, groups, potential, tol, max_iter)
    if found is None:
        raise failure(potential, lost, tol)
    residual = float(np.linalg.norm(A @ found.x - y) / norm)
    return Limit(found.x, found.z, U @ (found.nu / values), found.n_iter, residual)


# ----------------------------------------------------------------------------------- with noise


def group_flow(design, y, labels, potential, times, *, tol=1e-9):
    """Follow gradient flow on groups by implicit Euler steps, yielding (t, x, gates, nu).

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M, n_targets)
    labels : ndarray of shape (N,)
    potential : Potential
    times : iterable of float
        Positive, increasing; of nu' = y - A x.
    tol : float
        Largest error of a step's equation, relative to ||y||.
    """
    groups = Groups(labels)
    nu, s, last = np.zeros(y.shape), np.zeros((design.shape[1], y.shape[1])), 0.0
    for t in times:
        while last < t:
            nu, s, last = _implicit_step(design, y, groups, potential, nu, s, last, t, tol)
            point = _Point(_Problem(design, y, groups, potential), nu, s)
            yield last, point.x, _sides(potential, point.sigma), nu


def _implicit_step(design, y, groups, potential, nu, s, last, t, tol):
    for _ in range(_HALVINGS):
        problem = _Problem(design, y, groups, potential, 1.0 / (t - last), nu)
        try:
            point, _ = _newton(problem, _Point(problem, nu, s), tol, _STEPS_OF_A_STEP)
            return point.nu, point.s, t
        except LinAlgError:
            t = 0.5 * (last + t)
    raise LinAlgError(f"No implicit step from time {last:.3g} converges.")
