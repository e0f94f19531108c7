"""What is told of a training: coefficients, their support, norms and certificates."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._base.messages import warn_user
from ._design import Design
from ._groups import Groups
from ._options import NetworkOptions
from ._refit import refit, support_of
from ._training import Trained


@dataclass(frozen=True)
class Results:
    """Fitted attributes by their names, without the underscore; targets are along the last axis.

    Attributes
    ----------
    coef : ndarray of shape (N, n_targets)
    weights : ndarray of shape (n_sides, N or n_groups, n_targets)
    support : ndarray of bool, shape (N, n_targets)
    dual_coef : ndarray of shape (M, n_targets) or None
    n_iter : int or ndarray of shape (n_targets,)
    l1_norm, l1_gap : ndarray of shape (n_targets,), or (1,) of all targets; or None
    interpolation_residual, init_scale, effective_init_scale, magnification : ndarray
        Of shape (n_targets,).
    """

    coef: np.ndarray
    weights: np.ndarray
    support: np.ndarray
    dual_coef: np.ndarray | None
    n_iter: int | np.ndarray
    l1_norm: np.ndarray
    l1_gap: np.ndarray | None
    interpolation_residual: np.ndarray
    init_scale: np.ndarray
    effective_init_scale: np.ndarray
    magnification: np.ndarray


def results_of(
    options: NetworkOptions,
    end: Trained,
    design: Design,
    Y: np.ndarray,
    labels: np.ndarray | None = None,
) -> Results:
    """Return what is told of the end of a training."""
    coef, groups = end.coef, None if labels is None else Groups(labels)
    effective = options.init_scale if end.scales is None else end.scales
    support = support_of_coefficients(options, coef, effective, len(Y), groups)
    gap = None
    if end.nu is not None and options.solver == "limit":
        gap = _l1_gap(options, coef, end.nu, design, Y, groups)
    if options.refit_support:
        coef = refit(design, Y, support, options.positive)
    return Results(
        coef=coef,
        weights=end.weights,
        support=support,
        dual_coef=end.nu,
        n_iter=end.n_iter,
        l1_norm=np.maximum(_sizes(options, coef, groups), 0).sum(axis=0),
        l1_gap=gap,
        interpolation_residual=relative_residual(design, coef, Y),
        init_scale=options.init_scale,
        effective_init_scale=effective,
        magnification=_magnification(options, effective),
    )


def relative_residual(design: Design, coef: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Return ||A x - y|| / ||y|| of each target, ||A x|| where y = 0."""
    norms = np.linalg.norm(Y, axis=0)
    norms[norms == 0] = 1.0
    return np.linalg.norm(Y - design.matvec(coef), axis=0) / norms


def support_of_coefficients(
    options: NetworkOptions,
    coef: np.ndarray,
    scales: np.ndarray,
    n_samples: int,
    groups: Groups | None,
) -> np.ndarray:
    """Return which coefficients count as nonzero, those of a group together."""
    b = scales**options.depth
    if groups is None:
        return support_of(coef, b, n_samples)
    most = max(1, n_samples // int(np.bincount(groups.ids).max()))
    support = support_of(_sizes(options, coef, groups), b[:1] if options.joint else b, most)
    return np.repeat(support[groups.ids], coef.shape[1] // support.shape[1], axis=1)


def warn_of_large_scale(options: NetworkOptions, found: Results, n_features: int) -> None:
    """Warn where the weights at the start alone are as large as the solution."""
    n_sides, b = len(found.weights), found.effective_init_scale**options.depth
    if options.is_grouped:
        n_features = found.weights.shape[1]
    solved = found.l1_norm > 0
    if options.joint:
        b = b[:1]
    if (solved & (found.l1_norm <= n_sides * n_features * b)).any():
        warn_user(
            f"init_scale={found.init_scale.max():.3g} is too large for this y: all coefficients at "
            f"the start, init_scale ** depth = {b.max():.3g} each, add up to more than the l1 norm "
            "of the solution, which is then hardly sparser than that of least squares. "
            "init_scale='auto' follows the scale of y."
        )


def _l1_gap(options, coef, nu, design, Y, groups):
    """Return how far the l1 norm may be above the least of a solution, by duality."""
    dual = design.rmatvec(nu)
    largest = np.maximum(_sizes(options, dual, groups), 1e-300).max(axis=0)
    products = (Y * nu).sum(axis=0)
    if options.joint:
        products = products.sum(keepdims=True)
    return np.maximum(_sizes(options, coef, groups).sum(axis=0) - products / largest, 0.0)


def _sizes(options: NetworkOptions, values: np.ndarray, groups: Groups | None) -> Any:
    """Return what the l1 norm adds up: the norms of groups, of all targets where joint."""
    if groups is None:
        return values if options.positive else np.abs(values)
    if options.joint:
        return groups.norms(values)[:, None]
    return np.column_stack([groups.norms(column[:, None]) for column in values.T])


def _magnification(options, effective):
    with np.errstate(divide="ignore", over="ignore"):
        return (options.init_scale / effective) ** options.depth
