"""The display of how the rank of a deep factorisation grows in time."""

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._base.typed import ArrayLike
from ._style import BLUE, VERMILION, finish, grey, import_pyplot, legend, own_axes

# Times before the first rise, and after the last, as factors; and the number of them.
_BEFORE, _AFTER, _N_TIMES = 0.1, 10.0, 300
# Room above the curve for the legend, as a factor.
_ROOM = 1.7
# Shades of the intervals, in turn.
_SHADES = (0.88, 0.94)


class EffectiveRankDisplay:
    """Plot of the effective rank along gradient flow, with the intervals of low rank shaded.

    Create it with :meth:`from_estimator`. The constructor takes only the numbers to show.

    Parameters
    ----------
    times : array-like of shape (n_times,)
        Times of the flow, all positive.
    effective_ranks : array-like of shape (n_times,)
        Effective rank of the product at each time.
    intervals : array-like of shape (n_ranks, 3), default=None
        Rows (rank, start, end), as those of :func:`low_rank_intervals`.
    stopping_time, stopping_rank : float, default=None
        Where the run stopped, to be marked.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    line_ : matplotlib Line2D
        The effective rank.
    spans_ : list of matplotlib patches
        The intervals that are not empty.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import DeepMatrixFactorization
    >>> from sklearn_sparse_eig.plotting import EffectiveRankDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40))
    >>> model = DeepMatrixFactorization().fit(X)
    >>> display = EffectiveRankDisplay.from_estimator(model)  # doctest: +SKIP
    """

    figure_: Any
    ax_: Any
    line_: Any
    spans_: list[Any]

    def __init__(
        self,
        times: ArrayLike,
        effective_ranks: ArrayLike,
        *,
        intervals: ArrayLike | None = None,
        stopping_time: float | None = None,
        stopping_rank: float | None = None,
    ) -> None:
        self.times = np.asarray(times, dtype=float)
        self.effective_ranks = np.asarray(effective_ranks, dtype=float)
        self.intervals = np.zeros((0, 3)) if intervals is None else np.asarray(intervals, float)
        self.stopping_time = stopping_time
        self.stopping_rank = stopping_rank

    @classmethod
    def from_estimator(
        cls, estimator: Any, times: ArrayLike | None = None, ax: Any = None, **line_kw: Any
    ) -> Self:
        """Plot the path of a fitted factorisation.

        Parameters
        ----------
        estimator : DeepMatrixFactorization or DeepFactorizationCovariance
            Fitted without missing entries, so that the path has a closed form.
        times : array-like of shape (n_times,), default=None
            Times of the flow. None takes them from the intervals of low rank.
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **line_kw : dict
            Passed on to matplotlib's ``plot`` for the effective rank.

        Returns
        -------
        EffectiveRankDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the path has no closed form.
        """
        import_pyplot()
        check_is_fitted(estimator)
        if not hasattr(estimator, "path"):
            raise TypeError(
                "estimator must be a DeepMatrixFactorization or DeepFactorizationCovariance, got "
                f"{type(estimator).__name__}."
            )
        if times is not None and not (np.size(times) and np.isfinite(times).all()):
            raise ValueError(f"times must be finite numbers, at least one of them, got {times!r}.")
        if times is None:
            times = _times(estimator.low_rank_intervals_, estimator.stopping_time_)
        return cls(
            times,
            estimator.path(times)[1],
            intervals=estimator.low_rank_intervals_,
            stopping_time=estimator.stopping_time_,
            stopping_rank=estimator.effective_rank_,
        ).plot(ax=ax, **line_kw)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Plot the effective rank and the intervals.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **line_kw : dict
            Passed on to matplotlib's ``plot`` for the effective rank.

        Returns
        -------
        self
        """
        self.ax_ = ax = own_axes(ax)
        self.figure_, self.spans_ = ax.figure, []
        options = {"color": BLUE, "linewidth": 1.4, "label": "effective rank"}
        (self.line_,) = ax.plot(self.times, self.effective_ranks, **(options | line_kw))
        ax.set_xscale("log")
        ax.set_xlim(self.times.min(), self.times.max())
        for i, (rank, start, end) in enumerate(self.intervals):
            end = min(end, self.times.max())
            if start < end and start < self.times.max():
                label = "interval of a rank" if not self.spans_ else None
                shade = grey(ax, _SHADES[i % len(_SHADES)])
                span = ax.axvspan(start, end, color=shade, zorder=0, linewidth=0, label=label)
                self.spans_.append(span)
                middle = np.sqrt(max(start, self.times.min()) * end)
                ax.annotate(
                    f"{rank:.0f}",
                    (middle, 0.02),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    fontsize=7,
                    color=grey(ax, 0.35),
                )
        if self.stopping_time and self.stopping_rank is not None:
            ax.plot(
                self.stopping_time,
                self.stopping_rank,
                "o",
                color=VERMILION,
                markersize=5,
                label="stopped",
                linestyle="none",
            )
        # At the start all directions are alike, and their number is no rank to speak of.
        begun = self.times >= self.intervals[:, 1].min(initial=self.times.max())
        ax.set_ylim(0.0, _ROOM * self.effective_ranks[begun].max())
        finish(ax, "time (steps times step size)", "effective rank")
        # Not on the left, where the curve comes from above.
        legend(ax, loc="upper right")
        return self


def _times(intervals, stop):
    known = np.concatenate([intervals[:, 1:].ravel(), [stop]])
    known = known[np.isfinite(known) & (known > 0.0)]
    if not len(known):
        known = np.ones(1)
    return np.geomspace(_BEFORE * known.min(), _AFTER * known.max(), _N_TIMES)
