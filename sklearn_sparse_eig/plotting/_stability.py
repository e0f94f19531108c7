"""The display of how stable supports are: how often each feature is kept."""

from numbers import Real
from typing import Any, Self

import numpy as np

from ..sparse_pca import SupportStability, support_stability
from ._style import SMALL, finish, grey, import_pyplot, legend, own_axes, stroke, veiled

# Features beyond the last one that is kept by chance often enough to be seen.
_SHOWN_FREQUENCY = 0.02


class SupportStabilityDisplay:
    """Plot of how often features are kept over halves of the rows, the most frequent first.

    A stable component is a plateau near one that ends in a cliff; a slope is one whose features
    depend on the rows. Create it with :meth:`from_estimator` or :meth:`from_stability`.

    Parameters
    ----------
    frequencies : array-like of shape (n_components, n_features_kept)
        Share of the halves in which each component keeps each feature.
    threshold : float or None, default=0.75
        Level to be drawn, a share from 0 to 1. None draws no line.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    lines_ : list of matplotlib Line2D
        One for each component.

    Raises
    ------
    ValueError
        If the threshold is not a share.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> from sklearn_sparse_eig.plotting import SupportStabilityDisplay
    >>> X = make_sparse_spiked_covariance(500, 100, random_state=0).data
    >>> pca = SketchedSparsePCA(4, n_nonzero_coefs=10, random_state=0)
    >>> display = SupportStabilityDisplay.from_estimator(pca, X)  # doctest: +SKIP
    """

    figure_: Any
    ax_: Any
    lines_: list[Any]

    def __init__(self, frequencies: Any, *, threshold: float | None = 0.75) -> None:
        _check_threshold(threshold)
        self.frequencies = np.asarray(frequencies, dtype=float)
        self.threshold = threshold

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        threshold: float | None = 0.75,
        ax: Any = None,
        **stability_kw: Any,
    ) -> Self:
        """Find how stable the supports of an estimator are, and plot it.

        Parameters
        ----------
        estimator : SketchedSparsePCA
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or list of EigenSketch
            As in :func:`support_stability`.
        threshold : float or None, default=0.75
            Level to be drawn, a share from 0 to 1. None draws no line.
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **stability_kw : dict
            Passed on to :func:`support_stability`.

        Returns
        -------
        SupportStabilityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the threshold is not a share.
        """
        import_pyplot()  # before the work, as is the check
        _check_threshold(threshold)
        found = support_stability(estimator, X, **stability_kw)
        return cls.from_stability(found, threshold=threshold, ax=ax)

    @classmethod
    def from_stability(
        cls, stability: SupportStability, *, threshold: float | None = 0.75, ax: Any = None
    ) -> Self:
        """Plot what :func:`support_stability` has returned.

        Parameters
        ----------
        stability : SupportStability
        threshold : float or None, default=0.75
            Level to be drawn, a share from 0 to 1. None draws no line.
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.

        Returns
        -------
        SupportStabilityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the threshold is not a share.
        """
        return cls(stability.frequencies, threshold=threshold).plot(ax=ax)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Plot the frequencies.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **line_kw : dict
            Passed on to matplotlib's ``plot``.

        Returns
        -------
        self
        """
        self.ax_ = ax = own_axes(ax)
        self.figure_, self.lines_ = ax.figure, []
        ordered = -np.sort(-self.frequencies, axis=1)
        shown = max(int((ordered > _SHOWN_FREQUENCY).sum(axis=1).max(initial=1)), 1)
        places = np.arange(1, shown + 1)
        for j, row in enumerate(ordered):
            options = stroke(ax, j) | {"label": str(j), "linewidth": 1.3, "drawstyle": "steps-mid"}
            (line,) = ax.plot(places, row[:shown], **(options | line_kw))
            self.lines_.append(line)
        if self.threshold is not None:
            ax.axhline(self.threshold, color=grey(ax, 0.6), linewidth=0.8, zorder=0)
        ax.set_ylim(-0.02, 1.05)
        finish(ax, "feature of the component, by frequency", "share of the halves")
        ax.locator_params(axis="x", integer=True, nbins=8)
        columns = 1 if len(ordered) <= 6 else 2
        options = {"title": "component", "title_fontsize": SMALL, "ncols": columns}
        legend(ax, loc="upper right", **(veiled(ax) | options))
        return self


def _check_threshold(threshold):
    if threshold is None or (isinstance(threshold, Real) and 0.0 <= threshold <= 1.0):
        return
    raise ValueError(
        "threshold must be a share in [0, 1], or None to draw no line, got "
        f"{threshold!r}. Shares of the halves are not in per cent."
    )
