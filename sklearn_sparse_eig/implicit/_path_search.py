"""Errors on rows held out along the paths of several networks, and the best point of them all.

A path is followed once for each depth, scale and fold, and shows all times, and both the average
and the flow, where a search over estimators would follow it anew for each. What is done to the
rows of a fold, once for all paths, is what a fit to these rows does: the errors are those that the
search would find.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from .._base.progress import tell
from .._base.threads import limit_blas
from ._cross_validation import Fold, is_averaged, is_exact
from ._flow_path import follow
from ._options import NetworkOptions


@dataclass(frozen=True)
class Choice:
    """The point of all paths with the least error.

    Attributes
    ----------
    network : tuple of int
        Its place in the array of networks.
    time : int
        Place of its time.
    average : bool
    """

    network: tuple[int, ...]
    time: int
    average: bool


def held_out_errors(
    networks: np.ndarray,
    folds: list[Fold],
    labels: np.ndarray | None,
    taus: np.ndarray,
    n_jobs: Any,
) -> np.ndarray:
    """Return mean squared errors on the rows held out.

    Parameters
    ----------
    networks : ndarray of NetworkOptions
        With a number as ``init_scale``.
    folds : list of Fold
    labels : ndarray of shape (N,) or None
    taus : ndarray of shape (n_times,)
        Increasing; 0 is no coefficients.
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (*networks.shape, 2, n_times, n_folds)
        Of the average and of the flow.
    """
    n_paths = networks.size * len(folds)

    tasks = (
        delayed(_errors_of_path)(options, fold, labels, taus)
        for options, fold in product(networks.ravel(), folds)
    )
    errors = np.empty((n_paths, 2, len(taus)))
    tell("cross-validation", "paths", 0, n_paths)
    # One by one as they come, here: other threads and processes have nobody to tell.
    for i, found in enumerate(Parallel(n_jobs=n_jobs, return_as="generator")(tasks)):
        errors[i] = found
        tell("cross-validation", "paths", i + 1, n_paths)
    return np.moveaxis(errors.reshape(*networks.shape, len(folds), 2, len(taus)), -3, -1)


def _errors_of_path(options: NetworkOptions, fold: Fold, labels: Any, taus: np.ndarray) -> Any:
    part, rows, later = [0], fold.rows, np.flatnonzero(taus > 0)
    errors = np.empty((2, len(taus)))
    with limit_blas(1):
        options = options.for_equations(rows.design, rows.Y)
        errors[:] = fold.squares(np.zeros((len(rows.inverse), 1)), part).sum()
        points = follow(options, rows, labels, part, taus[later]) if len(later) else ()
        for k, point in zip(later, points, strict=False):
            # Where a path ends early, a fit stays there.
            found = fold.errors(options, labels, part, (point.average, point.flow))
            errors[:, k:] = np.array(found)[:, None]
    return errors / (len(fold.Y_held) if fold.weights is None else fold.weights.sum())


def best_point(errors: np.ndarray, average: bool | str) -> Choice:
    """Return the choice of the least mean error over folds.

    Parameters
    ----------
    errors : ndarray of shape (*networks.shape, 2, n_times, n_folds)
    average : bool or "auto"
        "auto" takes the flow only where it is clearly better than the average, or exact.
    """
    means = errors.mean(axis=-1)
    least = means.min(axis=(*range(means.ndim - 2), -1))
    last, first = means[..., 1, -1].min(), means[..., 0].max()
    averaged = is_averaged(average, least, last, first)
    chosen = means[..., 0 if averaged else 1, :]
    if not averaged and is_exact(least, last, first):
        # Errors that are rounding do not tell times apart.
        chosen = np.where(np.arange(chosen.shape[-1]) < chosen.shape[-1] - 1, np.inf, chosen)
    *network, time = np.unravel_index(int(np.argmin(chosen)), chosen.shape)
    return Choice(tuple(int(i) for i in network), int(time), averaged)
