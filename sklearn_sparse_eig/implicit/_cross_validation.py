"""Gradient flow stopped where it predicts best: time by cross-validation, on comparable columns.

Features are centred where an intercept is fitted, and divided by their deviation. Time is counted
from when the first coefficient grows, so that it means the same on all rows and on those of a
fold, and in every unit of the data: t = tau level / max |A^T y|, and level / t is the penalty of
the lasso. The average over time nearly solves that lasso, and is the better predictor where columns
are much alike; the flow itself is, where they are not. The same rows held out choose between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError
from scipy.sparse.linalg import LinearOperator

from .._base.progress import tell
from ._centering import without_mean
from ._design import Design, independent_equations
from ._equations import Equations
from ._folds import fold_numbers
from ._group_limit import group_flow
from ._groups import Groups
from ._limit import InconsistentError
from ._mirror import implicit_flow
from ._options import NetworkOptions
from ._refit import refit
from ._results import Results, relative_residual, results_of, support_of_coefficients
from ._row_weights import scaled_rows
from ._training import Trained, targets_together, train

# Times: from the first coefficient to a ten-thousandth of the penalty that it belongs to.
_GROWTH, _LONGEST = 1.15, 1e4
# Accuracy of a step of the flow, and of x as a function of s.
_TOL, _LINK = 1e-6, 1e-6
# The path ends after so many times without improvement if the error has risen by this factor.
_PATIENCE, _RISEN = 16, 1.02
# The average is the safe choice: the flow has to predict better by this factor of squared errors.
_CLEARLY = 0.9
# Squared errors that are rounding, relative to those without any coefficient.
_ROUNDING = 1e-9
# Columns with a deviation below this share of their size are constant.
_CONSTANT = 1e-10
# Sparse matrices of up to this many entries are made dense where they must be centred.
_DENSE = 2**23


@dataclass(frozen=True)
class _Rows:
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


def fit_by_cross_validation(
    options: NetworkOptions,
    X: Any,
    Y: np.ndarray,
    labels: np.ndarray | None,
    weights: np.ndarray | None = None,
) -> tuple[Results, np.ndarray, np.ndarray]:
    """Follow the flow to the time that predicts rows held out best, for each target.

    Parameters
    ----------
    options : NetworkOptions
    X : ndarray or sparse array of shape (n, N)
    Y : ndarray of shape (n, n_targets)
    labels : ndarray of shape (N,) or None
    weights : ndarray of shape (n,) or None
        Positive weights of the rows, None for 1.

    Returns
    -------
    results : Results
        Coefficients of the features; others than those of the support are zero, unless the
        equations are solved by no such few.
    intercept : ndarray of shape (n_targets,)
    taus : ndarray of shape (n_targets,)
        Times, relative to that of the first coefficient: 0 where nothing predicts better, infinite
        where the limit was taken.
    """
    if sp.issparse(X) and options.fit_intercept and np.prod(X.shape) <= _DENSE:
        X = X.toarray()
    rows = _comparable(X, Y, weights, options.fit_intercept)
    folds = list(_folds(options, X, Y, weights))
    options = options.for_equations(rows.design, rows.Y)
    parts, taus = [], np.empty(Y.shape[1])
    for part in targets_together(options, Equations(rows.design, rows.Y, len(Y))):
        best, which = _best_point(folds, labels, part)
        trained, taus[part] = _end(options, rows, labels, part, best, which)
        parts.append(trained)
    coef = np.hstack([end.coef for end in parts])
    end = Trained(
        coef,
        np.concatenate([end.weights for end in parts], axis=-1),
        np.repeat([end.n_iter for end in parts], [end.coef.shape[1] for end in parts]),
    )
    refitted = replace(options, refit_support=False)
    found = results_of(refitted, end, rows.whole, rows.whole_Y, labels)
    unit = rows.inverse[:, None]
    coef = coef * unit
    weights = end.weights
    if labels is None:
        weights = weights * unit ** (1.0 / options.depth)
    support = found.support & (coef != 0)
    norms = results_of(refitted, replace(end, coef=coef), rows.whole, rows.whole_Y, labels).l1_norm
    found = replace(found, coef=coef, weights=weights, support=support, l1_norm=norms)
    return found, rows.intercept(coef), taus


def _comparable(X, Y, weights, fit_intercept):
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
    return _Rows(design, reduced, whole, Y, inverse, means)


def _times():
    """Return tau of each point of the path but the first, which is zero coefficients."""
    return _GROWTH ** np.arange(int(np.ceil(np.log(_LONGEST) / np.log(_GROWTH))) + 1)


def _follow(
    options: NetworkOptions, rows: _Rows, labels: np.ndarray | None, part: list
) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """Yield (average until then, coefficients) and sides at each time, for targets of one training.

    It ends early where no further step can be computed.
    """
    design, y, potential = rows.design, rows.Y[:, part], options.potential(part)
    products = design.rmatvec(y)
    sizes = np.abs(products) if labels is None else Groups(labels).norms(products)
    if options.positive:
        sizes = np.maximum(products, 0.0)
    largest = sizes.max(initial=0.0)
    if not largest > 0:
        return
    times = _times() * potential.dual_level / largest
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
        for t, x, z in points:
            total = total + (t - last) * x  # x is constant within an implicit step
            last = t
            if t >= times[k]:  # and not one in between
                k += 1
                yield (total / t, x), z
    except LinAlgError:
        return


def _sparse(options, coef, rows, labels, part):
    """Return the coefficients of the support, as they are or fitted to the rows anew."""
    groups = None if labels is None else Groups(labels)
    scales = options.init_scale[part]
    n_samples = len(rows.whole_Y)
    support = support_of_coefficients(options, coef, scales, n_samples, groups)
    if options.refit_support:
        return refit(rows.design, rows.Y[:, part], support, options.positive)
    return np.where(support, coef, 0.0)


@dataclass(frozen=True)
class _Fold:
    """Rows to fit, and those held out; the size of the solution is the fold's own."""

    options: NetworkOptions
    rows: _Rows
    X_held: Any
    Y_held: np.ndarray
    weights: np.ndarray | None

    def error(self, coef: np.ndarray, part: list) -> np.ndarray:
        """Return the squared errors of coefficients on the rows held out, for each target."""
        coef = coef * self.rows.inverse[:, None]
        shift = self.rows.means[1][part] - self.rows.means[0] @ coef
        squares = (self.Y_held[:, part] - self.X_held @ coef - shift) ** 2
        return squares.sum(axis=0) if self.weights is None else self.weights @ squares


def _folds(options, X, Y, weights):
    number = fold_numbers(X, Y)
    for held in range(number.max() + 1 if number.max() > 0 else 0):
        kept, out = np.flatnonzero(number != held), np.flatnonzero(number == held)
        kept_weights, out_weights = (
            None if weights is None else weights[part] for part in (kept, out)
        )
        rows = _comparable(X[kept], Y[kept], kept_weights, options.fit_intercept)
        options_of_fold = options.for_equations(rows.design, rows.Y)
        yield _Fold(options_of_fold, rows, X[out], Y[out], out_weights)


def _best_point(folds, labels, part):
    """Return the number of the time with the least error on rows held out, and of its candidate.

    Number 0 is no coefficients. Candidates are the average until then, and the flow itself. The
    folds go on together, so that it can end once the error has only risen for long.
    """
    nothing = np.zeros((len(folds[0].rows.inverse), len(part))) if folds else None
    first = sum(fold.error(nothing, part).sum() for fold in folds)
    least, best, errors, k = np.full(2, first), np.zeros(2, dtype=int), np.full(2, first), 0
    paths = [_follow(fold.options, fold.rows, labels, part) for fold in folds]
    for k, points in enumerate(zip(*paths, strict=False), start=1):
        tell("cross-validation", "times", k, len(_times()))
        errors = np.zeros(2)
        for fold, (candidates, _) in zip(folds, points, strict=True):
            for which, x in enumerate(candidates):
                coef = _sparse(fold.options, x, fold.rows, labels, part)
                errors[which] += fold.error(coef, part).sum()
        better = errors < least
        best[better], least[better] = k, errors[better]
        if k - best.max() > _PATIENCE and (errors > _RISEN * least).all():
            break
    # Errors that are rounding do not tell times apart.
    if errors[1] <= least.min() + _ROUNDING * first:
        return k, 1
    which = int(least[1] < _CLEARLY * least[0])
    return int(best[which]), which


def _end(options, rows, labels, part, best, which):
    """Return what the flow on all rows has at a point of its path, and tau."""
    n_sides = 1 if options.positive else 2
    N = rows.design.shape[1] if labels is None else Groups(labels).count
    start = np.broadcast_to(options.init_scale[part], (n_sides, N, len(part))).copy()
    if best == 0:
        coef = np.zeros((rows.design.shape[1], len(part)))
        return Trained(coef, start, 0), 0.0
    if best == len(_times()) and which == 1:
        solved = _limit(options, rows, labels, part)
        if solved is not None:
            return solved, np.inf
    n_iter, x, z = 0, np.zeros((rows.design.shape[1], len(part))), start**options.depth
    for point in islice(_follow(options, rows, labels, part), best):
        n_iter, (candidates, z) = n_iter + 1, point
        x = candidates[which]
    coef = _sparse(options, x, rows, labels, part)
    tau = _times()[n_iter - 1] if n_iter else 0.0
    return Trained(coef, z ** (1.0 / options.depth), n_iter), tau


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
    coef = _sparse(refitting, end.coef, rows, labels, part)
    if (relative_residual(rows.whole, coef, y) <= options.tol).all():
        return replace(end, coef=coef, n_iter=int(np.max(end.n_iter)))
    return replace(end, n_iter=int(np.max(end.n_iter)))


def is_applicable(X: Any) -> bool:
    """Whether rows can be held out and columns be compared."""
    return not isinstance(X, LinearOperator)
