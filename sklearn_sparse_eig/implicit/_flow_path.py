"""Gradient flow on comparable columns, at times that mean the same whatever the data.

Features are centred where an intercept is fitted, and divided by their deviation. Time is counted
from when the first coefficient grows, so that it means the same on all rows and on those of a
fold, and in every unit of the data: t = tau level / max |A^T y|, and level / t is the penalty of
the lasso. At each time there are two candidates: the average of the flow until then, which nearly
solves that lasso, and the flow itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError

from ._centering import without_mean
from ._design import Design, independent_equations
from ._equations import Equations
from ._group_limit import group_flow
from ._groups import Groups
from ._limit import InconsistentError
from ._mirror import implicit_flow
from ._options import NetworkOptions
from ._refit import refit
from ._results import relative_residual, support_of_coefficients
from ._row_weights import scaled_rows
from ._training import Trained, train

# Times: from the first coefficient to a ten-thousandth of the penalty that it belongs to.
_GROWTH, _LONGEST = 1.15, 1e4
# Accuracy of a step of the flow, and of x as a function of s.
_TOL, _LINK = 1e-6, 1e-6
# Columns with a deviation below this share of their size are constant.
_CONSTANT = 1e-10
# Times that differ by this share are one.
_SAME = 1e-9


@dataclass(frozen=True)
class Rows:
    """Equations of comparable columns.

    Attributes
    ----------
    design, Y : Design, ndarray of shape (M, n_targets)
        As many as unknowns at most, with the same normal equations.
    whole, whole_Y : Design, ndarray
        One for each row.
    inverse : ndarray of shape (N,)
        1 / deviation, 0 for constant columns: coefficients times it are those of the features.
    means : (ndarray of shape (N,), ndarray of shape (n_targets,))
    """

    design: Design
    Y: np.ndarray
    whole: Design
    whole_Y: np.ndarray
    inverse: np.ndarray
    means: tuple[np.ndarray, np.ndarray]

    def intercept(self, coef: np.ndarray) -> np.ndarray:
        """Return the intercept that belongs to coefficients of the features."""
        return self.means[1] - self.means[0] @ coef


def comparable(X: Any, Y: np.ndarray, weights: np.ndarray | None, fit_intercept: bool) -> Rows:
    """Return rows of weights, None for 1, centred where asked for, with columns of deviation 1."""
    n = len(Y)
    shares = np.full(n, 1.0 / n) if weights is None else weights / weights.sum()
    root = None if weights is None else np.sqrt(weights)
    square = X.multiply(X) if sp.issparse(X) else X**2
    squares, mean = np.asarray(square.T @ shares), np.asarray(X.T @ shares)
    if fit_intercept and not sp.issparse(X):
        variances = shares @ (X - mean) ** 2
    else:
        variances = squares - mean**2 if fit_intercept else squares
    kept = variances > _CONSTANT**2 * squares
    inverse = np.zeros(len(squares))
    inverse[kept] = 1.0 / np.sqrt(variances[kept])
    # Centred after they are scaled, and the means are those of the features.
    scaled = X @ sp.diags_array(inverse, format="csr") if sp.issparse(X) else X * inverse
    if not fit_intercept:
        means = np.zeros(X.shape[1]), np.zeros(Y.shape[1])
        scaled, Y = scaled_rows(scaled, root), scaled_rows(Y, root)
    else:
        scaled, Y, means = without_mean(scaled, Y, root)
        means = mean, means[1]
    whole = Design(scaled)
    design, reduced = independent_equations(whole, Y)
    return Rows(design, reduced, whole, Y, inverse, means)


class PathPoint(NamedTuple):
    """A point of a path.

    Attributes
    ----------
    tau : float
        Its time.
    average, flow : ndarray of shape (N, n_targets)
        Coefficients: the average until then, and those of the flow itself.
    sides : ndarray of shape (n_sides, N or n_groups, n_targets)
        Of the flow.
    n_iter : int
        Steps until then.
    """

    tau: float
    average: np.ndarray
    flow: np.ndarray
    sides: np.ndarray
    n_iter: int


def path_times(longest: float = _LONGEST) -> np.ndarray:
    """Return the ends of the steps of a path, the last of them not before the longest time."""
    return _GROWTH ** np.arange(max(0, int(np.ceil(np.log(longest) / np.log(_GROWTH) - _SAME))) + 1)


def follow(
    options: NetworkOptions, rows: Rows, labels: np.ndarray | None, part: list, taus: np.ndarray
) -> Iterator[PathPoint]:
    """Yield the points at given times, increasing, for targets of one training.

    Whatever the times, the steps are the same: coefficients are constant within a step, and their
    average is known at every time. It ends early where no further step can be computed.
    """
    design, y, potential = rows.design, rows.Y[:, part], options.potential(part)
    products = design.rmatvec(y)
    sizes = np.abs(products) if labels is None else Groups(labels).norms(products)
    if options.positive:
        sizes = np.maximum(products, 0.0)
    largest = sizes.max(initial=0.0)
    if not largest > 0:
        return
    unit = potential.dual_level / largest
    times, wanted = unit * path_times(taus[-1]), unit * taus
    try:
        if labels is None:
            y = np.ascontiguousarray(y[:, 0])
            points = (
                (t, (potential.signs * state.z).sum(axis=0)[:, None], state.z[..., None])
                for t, state in implicit_flow(design, y, potential, times, tol=_TOL, link=_LINK)
            )
        else:
            points = (
                (t, x, np.repeat(z[..., None], len(part), axis=-1))
                for t, x, z, _ in group_flow(design, y, labels, potential, times, tol=_TOL)
            )
        k, last, total = 0, 0.0, np.zeros((design.shape[1], len(part)))
        for n_iter, (t, x, z) in enumerate(points, start=1):
            while k < len(wanted) and wanted[k] <= (1.0 + _SAME) * t:
                length = min(wanted[k], t)
                yield PathPoint(taus[k], (total + (length - last) * x) / length, x, z, n_iter)
                k += 1
            total = total + (t - last) * x
            last = t
    except LinAlgError:
        return


def sparse_coefficients(
    options: NetworkOptions, coef: np.ndarray, rows: Rows, labels: np.ndarray | None, part: list
) -> np.ndarray:
    """Return the coefficients of the support, as they are or fitted to the rows anew."""
    groups = None if labels is None else Groups(labels)
    scales = options.init_scale[part]
    n_samples = len(rows.whole_Y)
    support = support_of_coefficients(options, coef, scales, n_samples, groups)
    if options.refit_support:
        return refit(rows.design, rows.Y[:, part], support, options.positive)
    return np.where(support, coef, 0.0)


def end_at(
    options: NetworkOptions,
    rows: Rows,
    labels: np.ndarray | None,
    part: list,
    tau: float,
    average: bool,
) -> tuple[Trained, float]:
    """Return what the flow, or its average, has at a time, and that time.

    Infinity is the limit where the equations have a solution, and the last time of a path else.
    """
    n_sides = 1 if options.positive else 2
    N = rows.design.shape[1] if labels is None else Groups(labels).count
    start = np.broadcast_to(options.init_scale[part], (n_sides, N, len(part))).copy()
    if tau == 0:
        coef = np.zeros((rows.design.shape[1], len(part)))
        return Trained(coef, start, 0), 0.0
    if np.isinf(tau):
        solved = _limit(options, rows, labels, part)
        if solved is not None:
            return solved, np.inf
        tau = path_times()[-1]
    taus = path_times()
    taus = np.append(taus[taus < (1.0 - _SAME) * tau], tau)
    nothing = np.zeros((rows.design.shape[1], len(part)))
    end = PathPoint(0.0, nothing, nothing, start**options.depth, 0)
    for point in follow(options, rows, labels, part, taus):
        end = point
    coef = end.average if average else end.flow
    coef = sparse_coefficients(options, coef, rows, labels, part)
    return Trained(coef, end.sides ** (1.0 / options.depth), end.n_iter), float(end.tau)


def _limit(options, rows, labels, part):
    """Return the end of the flow where the equations have a solution, else None."""
    chosen = replace(options, solver="limit", init_scale=options.init_scale[part])
    y = rows.whole_Y[:, part]
    try:
        end = train(chosen, Equations(rows.whole, y, len(y), labels=labels))
    except InconsistentError:
        return None
    # Few features solve the equations as well: then these are the solution.
    refitting = replace(options, refit_support=True)
    coef = sparse_coefficients(refitting, end.coef, rows, labels, part)
    if (relative_residual(rows.whole, coef, y) <= options.tol).all():
        return replace(end, coef=coef, n_iter=int(np.max(end.n_iter)))
    return replace(end, n_iter=int(np.max(end.n_iter)))
