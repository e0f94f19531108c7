"""The training rules of a diagonal network, for several targets: each returns what it ends in."""

from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .._base.messages import warn_user
from ._descent import Descent, solve_descent
from ._group_limit import group_flow, group_flow_limit
from ._limit import InconsistentError, Limit, limit_of_design
from ._mirror import DivergedError, flow_times, solve_explicit, solve_implicit
from ._normalised import normalised_flow_limit
from ._potential import Potential
from ._step_sizes import too_large
from ._stopping import Stopping

# Newton steps from one start beyond which there is no solution to be found.
_NEWTON_STEPS = 200
# Steps of the descent without improvement on held-out rows, as a multiple of those to the best.
_PATIENCE = 2.0


@dataclass(frozen=True)
class Equations:
    """What is fitted.

    Attributes
    ----------
    design : Design
    Y : ndarray of shape (M, n_targets)
    n_samples : int
        Rows before any were held out or reflected away: what the loss is divided by.
    validation : (Design, ndarray) or None
        Rows held out.
    labels : ndarray of shape (N,) or None
        Groups of features.
    """

    design: object
    Y: np.ndarray
    n_samples: int
    validation: tuple | None = None
    labels: np.ndarray | None = None


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
    n_iter: object
    nu: np.ndarray | None = None
    scales: np.ndarray | None = None


def train(model, equations):
    """Train by the rule that the parameters of the model say; the model is not changed."""
    if equations.labels is not None:
        return {"limit": _group_limit, "mirror": _group_mirror}[model.solver](model, equations)
    rule = {"limit": _limit, "mirror": _mirror, "gd": _descend}[model.solver]
    try:
        return rule(model, equations)
    except DivergedError:
        raise too_large(
            equations.design, equations.Y, _potential(model), model.learning_rate
        ) from None


def _potential(model):
    return Potential.from_init(model.depth, model.init_scale, model.positive)


def _columns(Y):
    return [np.ascontiguousarray(y) for y in Y.T]


def _limit(model, equations):
    potential, limits = _potential(model), []
    scales = np.full(equations.Y.shape[1], float(model.init_scale))
    options = {"tol": model.tol, "max_iter": min(model.max_iter, _NEWTON_STEPS)}
    for j, y in enumerate(_columns(equations.Y)):
        if model.weight_normalization and y.any():
            limit, effective = normalised_flow_limit(
                equations.design, y, potential, model.lr_ratio, **options
            )
            scales[j] = np.exp(effective.log_scale / model.depth)
        else:
            limit = _one_limit(equations.design, y, potential, options)
        limits.append(limit)
    return Trained(
        np.column_stack([limit.x for limit in limits]),
        np.stack([limit.z for limit in limits], axis=-1) ** (1.0 / model.depth),
        np.array([limit.n_iter for limit in limits]),
        np.column_stack([limit.nu for limit in limits]),
        scales,
    )


def _one_limit(design, y, potential, options):
    """Return the limit for one target; at depth 2 the solver of groups takes fewer steps."""
    if potential.is_barrier or potential.positive or not design.forms_normal_matrix:
        return limit_of_design(design, y, potential, **options)
    try:
        limit = group_flow_limit(
            design, y[:, None], np.arange(design.shape[1]), potential, **options
        )
    except InconsistentError:
        return limit_of_design(design, y, potential, **options)
    return Limit(
        limit.x[:, 0],
        np.where(limit.x[:, 0] >= 0, limit.z, limit.z[::-1]),
        limit.nu[:, 0],
        limit.n_iter,
        limit.residual,
    )


def _mirror(model, equations):
    potential, design, Y = _potential(model), equations.design, equations.Y
    if model.learning_rate != "auto":
        stopping = _stopping(model, equations, patience=_PATIENCE)
        nu = solve_explicit(
            design,
            Y,
            potential,
            stopping,
            model.max_iter,
            model.learning_rate,
            equations.n_samples,
        )
        return _merged(model, [stopping], nu)
    parts, nus = [], []
    for j, y in enumerate(_columns(Y)):
        stopping = _stopping(model, equations, [j])
        parts.append(stopping)
        if not y.any():
            start = np.full((len(potential.signs), design.shape[1], 1), potential.b)
            stopping.weights = np.zeros_like(start) if model.positive else start
            stopping.reached[:] = True
            nus.append(np.zeros(len(y)))
            continue
        nus.append(solve_implicit(design, y, potential, stopping, model.max_iter, model.tol).nu)
    return _merged(model, parts, np.column_stack(nus))


def _descend(model, equations):
    shape = (1 if model.positive else 2, equations.design.shape[1], equations.Y.shape[1])
    descent = Descent(model.depth, np.full(shape, float(model.init_scale)))
    stopping = _stopping(model, equations, patience=_PATIENCE)
    solve_descent(
        equations.design, equations.Y, descent, stopping, model.max_iter, model.learning_rate
    )
    _warn(model, stopping.reached)
    return Trained(stopping.coef, stopping.weights, stopping.n_iter)


# --------------------------------------------------------------------------------------- groups


def _parts(model, equations):
    """Return the targets that are trained together."""
    n_targets = equations.Y.shape[1]
    return [list(range(n_targets))] if model.joint else [[j] for j in range(n_targets)]


def _group_limit(model, equations):
    options = {"tol": model.tol, "max_iter": min(model.max_iter, _NEWTON_STEPS)}
    Y, potential = equations.Y, _potential(model)
    parts = _parts(model, equations)
    limits = [
        group_flow_limit(equations.design, Y[:, part], equations.labels, potential, **options)
        for part in parts
    ]
    z = [
        np.repeat(x.z[..., None], len(part), axis=-1) for x, part in zip(limits, parts, strict=True)
    ]
    return Trained(
        np.hstack([limit.x for limit in limits]),
        np.concatenate(z, axis=-1) ** (1.0 / model.depth),
        np.repeat([limit.n_iter for limit in limits], [len(part) for part in parts]),
        np.hstack([limit.nu for limit in limits]),
    )


def _group_mirror(model, equations):
    potential, design, watched, nus = _potential(model), equations.design, [], []
    for part in _parts(model, equations):
        y, stopping, nu = equations.Y[:, part], _stopping(model, equations, part), None
        watched.append(stopping)
        times = flow_times(design, y, potential, model.max_iter)
        steps = group_flow(design, y, equations.labels, potential, times, tol=0.1 * model.tol)
        for n_iter, (_, x, z, nu) in enumerate(steps):  # noqa: B007 - the last nu is kept
            residual = y - design.matvec(x)
            gates = np.repeat(z[..., None], len(part), axis=-1)
            if stopping.update(n_iter + 1, x, residual, design.rmatvec(residual), gates):
                break
        nus.append(nu)
    return _merged(model, watched, np.hstack(nus))


# ------------------------------------------------------------------------------------- stopping


def _stopping(model, equations, targets=slice(None), patience=1.0):
    level, held = None, equations.validation
    if model.stopping == "discrepancy":
        level = model.noise_level * np.sqrt(equations.n_samples)
    return Stopping(
        equations.design,
        equations.Y[:, targets],
        model.tol,
        positive=model.positive,
        discrepancy=level,
        validation=None if held is None else (held[0], held[1][:, targets]),
        patience=patience,
    )


def _merged(model, parts, nu):
    """Return the ends of trainings of some targets each, which are sides rather than weights."""
    _warn(model, np.concatenate([part.reached for part in parts]))
    return Trained(
        np.hstack([part.coef for part in parts]),
        np.concatenate([part.weights for part in parts], axis=-1) ** (1.0 / model.depth),
        np.concatenate([part.n_iter for part in parts]),
        nu,
    )


def _warn(model, reached):
    if not reached.all():
        warn_user(
            f"After max_iter={model.max_iter} steps the residual was not at its level for "
            f"{int((~reached).sum())} of {len(reached)} targets. Raise max_iter, tol or, with "
            "solver='gd', init_scale.",
            ConvergenceWarning,
        )
