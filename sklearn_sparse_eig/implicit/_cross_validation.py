"""Gradient flow stopped where it predicts best: time by cross-validation.

The path is that of :mod:`._flow_path`. The average over time is the better predictor where columns
are much alike; the flow itself is, where they are not. The same rows held out choose between them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from .._base.progress import tell
from ._equations import Equations
from ._flow_path import Rows, comparable, end_at, follow, path_times, sparse_coefficients
from ._folds import fold_numbers
from ._options import NetworkOptions
from ._results import Results, results_of
from ._training import Trained, targets_together

# The path ends after so many times without improvement if the error has risen by this factor.
_PATIENCE, _RISEN = 16, 1.02
# The average is the safe choice: the flow has to predict better by this factor of squared errors.
_CLEARLY = 0.9
# Squared errors that are rounding, relative to those without any coefficient.
_ROUNDING = 1e-9
# Sparse matrices of up to this many entries are made dense where they must be centred.
_DENSE = 2**23


def fit_on_comparable_columns(
    options: NetworkOptions,
    X: Any,
    Y: np.ndarray,
    labels: np.ndarray | None,
    weights: np.ndarray | None = None,
) -> tuple[Results, np.ndarray, np.ndarray]:
    """Follow the flow to a time: that given, or that which predicts rows held out best.

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
    X = dense_where_centred(options, X)
    rows = comparable(X, Y, weights, options.fit_intercept)
    folds = [] if options.stops_at_time else list(own_folds(options, X, Y, weights))
    options = options.for_equations(rows.design, rows.Y)
    parts, taus = [], np.empty(Y.shape[1])
    for part in targets_together(options, Equations(rows.design, rows.Y, len(Y))):
        if options.stops_at_time:
            tau, average = float(cast(float, options.stopping)), bool(options.average)
        else:
            tau, average = _best_point(options.average, folds, labels, part)
        trained, taus[part] = end_at(options, rows, labels, part, tau, average)
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


def dense_where_centred(options: NetworkOptions, X: Any) -> Any:
    """Return a sparse matrix as an array if it has to be centred and is small enough."""
    if sp.issparse(X) and options.fit_intercept and np.prod(X.shape) <= _DENSE:
        return X.toarray()
    return X


def is_applicable(X: Any) -> bool:
    """Whether rows can be held out and columns be compared."""
    return not isinstance(X, LinearOperator)


@dataclass(frozen=True)
class Fold:
    """Rows to fit, and those held out.

    Attributes
    ----------
    rows : Rows
    X_held : ndarray or sparse array
    Y_held : ndarray of shape (n_held, n_targets)
    weights : ndarray of shape (n_held,) or None
    """

    rows: Rows
    X_held: Any
    Y_held: np.ndarray
    weights: np.ndarray | None

    def squares(self, coef: np.ndarray, part: list) -> np.ndarray:
        """Return the sums of squared errors of coefficients on the rows held out, by target."""
        coef = coef * self.rows.inverse[:, None]
        shift = self.rows.means[1][part] - self.rows.means[0] @ coef
        squares = (self.Y_held[:, part] - self.X_held @ coef - shift) ** 2
        return squares.sum(axis=0) if self.weights is None else self.weights @ squares

    def errors(
        self,
        options: NetworkOptions,
        labels: np.ndarray | None,
        part: list,
        candidates: Iterable[np.ndarray],
    ) -> list[float]:
        """Return these sums over all targets, for coefficients of comparable columns."""
        return [
            self.squares(sparse_coefficients(options, x, self.rows, labels, part), part).sum()
            for x in candidates
        ]


def make_folds(
    options: NetworkOptions,
    X: Any,
    Y: np.ndarray,
    weights: np.ndarray | None,
    splits: Iterable[tuple[np.ndarray, np.ndarray]],
) -> Iterator[Fold]:
    """Yield the fold of each pair of rows to fit and rows to hold out."""
    for kept, out in splits:
        of_kept, of_out = (None if weights is None else weights[ids] for ids in (kept, out))
        yield Fold(
            comparable(X[kept], Y[kept], of_kept, options.fit_intercept), X[out], Y[out], of_out
        )


def own_splits(X: Any, Y: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows to fit and rows to hold out, which depend on the rows alone; see _folds."""
    number = fold_numbers(X, Y)
    for held in range(number.max() + 1 if number.max() > 0 else 0):
        yield np.flatnonzero(number != held), np.flatnonzero(number == held)


def own_folds(
    options: NetworkOptions, X: Any, Y: np.ndarray, weights: np.ndarray | None
) -> Iterator[tuple[NetworkOptions, Fold]]:
    """Yield the folds, and options for each, since the size of the solution is the fold's own."""
    for fold in make_folds(options, X, Y, weights, own_splits(X, Y)):
        yield options.for_equations(fold.rows.design, fold.rows.Y), fold


def _best_point(average, folds, labels, part):
    """Return the time with the least error on rows held out, and whether the average is taken.

    Time 0 is no coefficients. The folds go on together, so that it can end once the error has only
    risen for long.
    """
    taus = path_times()
    nothing = np.zeros((len(folds[0][1].rows.inverse), len(part))) if folds else None
    first = sum(fold.squares(nothing, part).sum() for _, fold in folds)
    least, best, errors, k = np.full(2, first), np.zeros(2, dtype=int), np.full(2, first), 0
    paths = [follow(options, fold.rows, labels, part, taus) for options, fold in folds]
    for k, points in enumerate(zip(*paths, strict=False), start=1):
        tell("cross-validation", "times", k, len(taus))
        errors = sum(
            np.array(fold.errors(options, labels, part, (point.average, point.flow)))
            for (options, fold), point in zip(folds, points, strict=True)
        )
        better = errors < least
        best[better], least[better] = k, errors[better]
        if k - best.max() > _PATIENCE and (errors > _RISEN * least).all():
            break
    averaged = is_averaged(average, least, errors[1], first)
    if not averaged and is_exact(least, errors[1], first):
        k_best = k  # errors that are rounding do not tell times apart
    else:
        k_best = best[0 if averaged else 1]
    if k_best == len(taus) and not averaged:
        return np.inf, False
    return (float(taus[k_best - 1]) if k_best else 0.0), averaged


def is_averaged(average: bool | str, least: np.ndarray, last: float, first: float) -> bool:
    """Return whether the average is taken rather than the flow.

    Parameters
    ----------
    average : bool or "auto"
    least : ndarray of shape (2,)
        Least errors of the average and of the flow.
    last, first : float
        Errors of the flow at the last time, and of no coefficients.
    """
    if not isinstance(average, str):
        return bool(average)
    return bool(least[1] >= _CLEARLY * least[0]) and not is_exact(least, last, first)


def is_exact(least: np.ndarray, last: float, first: float) -> bool:
    """Return whether the last error is the least but for rounding; see :func:`is_averaged`."""
    return bool(least.min() < first and last <= least.min() + _ROUNDING * first)
