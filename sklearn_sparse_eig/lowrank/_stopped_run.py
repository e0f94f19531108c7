"""What the estimators of deep factorisations share: the parameters of the run, and its report."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.messages import warn_user
from .._base.typed import ArrayLike
from ._effective_rank import effective_rank
from ._fit import Run

StoppingRule = Literal["plateau", "rank", "time", "discrepancy"]

RUN_CONSTRAINTS: dict = {
    "depth": [Interval(Integral, 2, None, closed="left")],
    "init_scale": [Interval(Real, 0, None, closed="neither")],
    "init_perturbation": [Interval(Real, 0, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "stopping": [StrOptions({"plateau", "rank", "time", "discrepancy"})],
    "rank": [Interval(Integral, 1, None, closed="left"), None],
    "time": [Interval(Real, 0, None, closed="left"), None],
    "noise_level": [Interval(Real, 0, None, closed="left"), None],
    "tol": [Interval(Real, 0, 1, closed="neither")],
}


def run_of(estimator: Any, max_iter: int) -> Run:
    return Run(
        depth=estimator.depth,
        init_scale=estimator.init_scale,
        init_perturbation=estimator.init_perturbation,
        learning_rate=estimator.learning_rate,
        stopping=estimator.stopping,
        rank=estimator.rank,
        time=estimator.time,
        noise_level=estimator.noise_level,
        tol=estimator.tol,
        max_iter=max_iter,
    )


class StoppedRun:
    """What both estimators tell of the run."""

    eigenvalues_: np.ndarray
    spectrum_: np.ndarray
    filter_: np.ndarray
    effective_rank_: float
    n_components_: int
    components_: np.ndarray
    low_rank_intervals_: np.ndarray
    interval_is_nonempty_: bool | None
    stopping_time_: float
    learning_rate_: float
    n_iter_: int

    def _set_run(self, fit):
        self.eigenvalues_ = fit.values
        self.spectrum_ = fit.spectrum
        self.filter_ = fit.filter
        self.effective_rank_ = effective_rank(fit.values)
        self.n_components_ = fit.n_components
        self.components_ = fit.vectors[:, : fit.n_components].T
        self.low_rank_intervals_ = fit.stop.intervals
        self.interval_is_nonempty_ = fit.stop.nonempty
        self.stopping_time_ = fit.stop.time
        self.learning_rate_ = fit.step
        self.n_iter_ = fit.n_iter
        if fit.shortfall:
            warn_user(fit.shortfall, ConvergenceWarning)

    def path(self, times: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return the state of the gradient flow at other times.

        Parameters
        ----------
        times : array-like of shape (n_times,)
            Times of the flow, which are numbers of steps times ``learning_rate_``.

        Returns
        -------
        eigenvalues : ndarray of shape (n_times, k)
            Eigenvalues at each time, in the order of ``spectrum_``.
        effective_ranks : ndarray of shape (n_times,)
            Effective rank at each time.

        Raises
        ------
        ValueError
            If a time is negative, or if X had missing entries, for which there is no closed form.
        """
        check_is_fitted(self)
        if not getattr(self, "_has_flow", True):
            raise ValueError(
                "This run has no closed form that could be evaluated at any time: path needs a "
                'matrix without missing entries and solver="spectral" or "gd", and so does '
                "EffectiveRankDisplay, which draws the path. Fit a complete matrix, or with "
                'solver="gd" and stopping="time" for single times.'
            )
        times = np.asarray(times, dtype=np.float64)
        if times.ndim != 1 or not (times >= 0).all():
            raise ValueError(
                f"times must be a vector of non-negative numbers, got shape {times.shape} from "
                f"{times.min(initial=np.inf):g} on."
            )
        values = run_of(self, 1).make_flow(self.spectrum_).values_at(times)
        return values, np.array([effective_rank(row) for row in values])
