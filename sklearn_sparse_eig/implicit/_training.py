"""The training rules of a diagonal network, for several targets: each returns what it ends in."""

from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._base.messages import warn_user
from .._base.progress import tell
from ._descent import Descent, solve_descent
from ._equations import Equations
from ._group_limit import group_flow, group_flow_limit
from ._mirror import DivergedError, flow_times, solve_explicit, solve_implicit
from ._normalised import normalised_flow_limit
from ._options import NetworkOptions
from ._single_target import single_limit
from ._step_sizes import too_large
from ._stopping import Stopping

# Newton steps from one start beyond which there is no solution to be found.
_NEWTON_STEPS = 200
# Steps of the descent without improvement on held-out rows, as a multiple of those to the best.
_PATIENCE = 2.0


@dataclass(frozen=True)
class Trained:
    """The end of a training.

    Attributes
    ----------
    coef : ndarray of shape (N, n_targets)
    weights : ndarray of shape (n_sides, N or n_groups, n_targets)
    n_iter : int or ndarray of shape (n_targets,)
    nu : ndarray of shape (M, n_targets) or None
    scales : ndarray of shape (n_targets,) or None
        Initialisations of the plain flow with the same end, where they are others.
    """

    coef: np.ndarray
    weights: np.ndarray
    n_iter: int | np.ndarray
    nu: np.ndarray | None = None
    scales: np.ndarray | None = None


def train(options: NetworkOptions, equations: Equations) -> Trained:
    """Train by the rule that the options say."""
    if equations.labels is not None:
        return {"limit": _group_limit, "mirror": _group_mirror}[options.solver](options, equations)
    rule = {"limit": _limit, "mirror": _mirror, "gd": _descend}[options.solver]
    try:
        return rule(options, equations)
    except DivergedError:
        raise too_large(equations, options) from None


def _columns(Y):
    return [np.ascontiguousarray(y) for y in Y.T]


def _limit(options, equations):
    limits, scales = [], options.init_scale.copy()
    accuracy = {"tol": options.tol, "max_iter": min(options.max_iter, _NEWTON_STEPS)}
    for j, y in enumerate(_columns(equations.Y)):
        tell("limit of the flow", "targets", j, equations.Y.shape[1])
        potential = options.potential(j)
        if options.weight_normalization and y.any():
            limit, effective = normalised_flow_limit(
                equations.design, y, potential, options.lr_ratio, **accuracy
            )
            scales[j] = np.exp(effective.log_scale / options.depth)
        else:
            limit = single_limit(equations.design, y, potential, **accuracy)
        limits.append(limit)
    return Trained(
        np.column_stack([limit.x for limit in limits]),
        np.stack([limit.z for limit in limits], axis=-1) ** (1.0 / options.depth),
        np.array([limit.n_iter for limit in limits]),
        np.column_stack([limit.nu for limit in limits]),
        scales,
    )


def _mirror(options, equations):
    design, Y = equations.design, equations.Y
    if options.learning_rate != "auto":
        stopping = _stopping(options, equations, patience=_PATIENCE)
        nu = solve_explicit(
            design,
            Y,
            options.potential(slice(None)),
            stopping,
            options.max_iter,
            options.learning_rate,
            equations.n_samples,
        )
        return _merged(options, [stopping], nu)
    parts, nus = [], []
    for j, y in enumerate(_columns(Y)):
        stopping, potential = _stopping(options, equations, [j]), options.potential(j)
        parts.append(stopping)
        if not y.any():
            start = np.full((len(potential.signs), design.shape[1], 1), potential.b)
            stopping.weights = np.zeros_like(start) if options.positive else start
            stopping.reached[:] = True
            nus.append(np.zeros(len(y)))
            continue
        nus.append(solve_implicit(design, y, potential, stopping, options.max_iter, options.tol).nu)
    return _merged(options, parts, np.column_stack(nus))


def _descend(options, equations):
    shape = (1 if options.positive else 2, equations.design.shape[1], equations.Y.shape[1])
    weights = np.broadcast_to(options.init_scale, shape).copy()
    descent = Descent(options.depth, weights, equations.n_samples)
    stopping = _stopping(options, equations, patience=_PATIENCE)
    solve_descent(
        equations.design, equations.Y, descent, stopping, options.max_iter, options.learning_rate
    )
    _warn(options, stopping.reached)
    return Trained(stopping.coef, stopping.weights, stopping.n_iter)


# --------------------------------------------------------------------------------------- groups


def targets_together(options, equations):
    """Return the targets that are trained together."""
    n_targets = equations.Y.shape[1]
    return [list(range(n_targets))] if options.joint else [[j] for j in range(n_targets)]


def _group_limit(options, equations):
    accuracy = {"tol": options.tol, "max_iter": min(options.max_iter, _NEWTON_STEPS)}
    Y, parts = equations.Y, targets_together(options, equations)
    limits = [
        group_flow_limit(
            equations.design, Y[:, part], equations.labels, options.potential(part), **accuracy
        )
        for part in parts
    ]
    z = [
        np.repeat(x.z[..., None], len(part), axis=-1) for x, part in zip(limits, parts, strict=True)
    ]
    return Trained(
        np.hstack([limit.x for limit in limits]),
        np.concatenate(z, axis=-1) ** (1.0 / options.depth),
        np.repeat([limit.n_iter for limit in limits], [len(part) for part in parts]),
        np.hstack([limit.nu for limit in limits]),
    )


def _group_mirror(options, equations):
    design, watched, nus = equations.design, [], []
    for part in targets_together(options, equations):
        y, stopping, nu = equations.Y[:, part], _stopping(options, equations, part), None
        watched.append(stopping)
        potential = options.potential(part)
        times = flow_times(design, y, potential, options.max_iter)
        steps = group_flow(design, y, equations.labels, potential, times, tol=0.1 * options.tol)
        for n_iter, place in enumerate(steps):
            _, x, z, nu = place
            residual = y - design.matvec(x)
            gates = np.repeat(z[..., None], len(part), axis=-1)
            if stopping.update(n_iter + 1, x, residual, design.rmatvec(residual), gates):
                break
        nus.append(nu)
    return _merged(options, watched, np.hstack(nus))


# ------------------------------------------------------------------------------------- stopping


def _stopping(options, equations, targets=slice(None), patience=1.0):
    level, held = None, equations.validation
    if options.stopping == "discrepancy":
        level = options.noise_level * np.sqrt(equations.n_samples)
    return Stopping(
        equations.design,
        equations.Y[:, targets],
        options.tol,
        positive=options.positive,
        discrepancy=level,
        validation=None if held is None else (held[0], held[1][:, targets]),
        patience=patience,
    )


def _merged(options, parts, nu):
    """Return the ends of trainings of some targets each, which are sides rather than weights."""
    _warn(options, np.concatenate([part.reached for part in parts]))
    return Trained(
        np.hstack([part.coef for part in parts]),
        np.concatenate([part.weights for part in parts], axis=-1) ** (1.0 / options.depth),
        np.concatenate([part.n_iter for part in parts]),
        nu,
    )


def _warn(options, reached):
    if not reached.all():
        warn_user(
            f"After max_iter={options.max_iter} steps the residual was not at its level for "
            f"{int((~reached).sum())} of {len(reached)} targets. Raise max_iter, tol or, with "
            "solver='gd', init_scale.",
            ConvergenceWarning,
        )
