"""The display of the spectrum, with the level of the noise and the one above which it is signal."""

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._base.counts import check_most
from .._base.typed import ArrayLike
from ..recovery import scree
from ._style import BLUE, VERMILION, finish, grey, import_pyplot, legend, own_axes

# Ratio of the largest to the smallest number shown from which the axis is logarithmic.
_WIDE = 50.0
# Shade of the noise.
_NOISE = 0.45


class ScreeDisplay:
    """Plot of leading eigenvalues, of the noise, and of the level that noise alone may reach.

    Create it with :meth:`from_estimator`. The constructor takes only the numbers to show.

    Parameters
    ----------
    eigenvalues : array-like of shape (n,)
        Leading eigenvalues, in descending order.
    noise_variance : array-like of shape (n,)
        Variance of the noise in a feature, as estimated beside 0, 1, 2 ... components.
    detection_level : array-like of shape (n,)
        Level that the next eigenvalue of noise stays below, in 99 of 100 data sets.
    n_components : int or None, default=None
        Number of components in use, which is marked.
    unit : str, default="variance"
        What is on the vertical axis.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    line_, noise_line_, level_line_ : matplotlib Line2D
        Eigenvalues, noise, and detection level.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> from sklearn_sparse_eig.plotting import ScreeDisplay
    >>> X = make_sparse_spiked_covariance(500, 100, random_state=0).data
    >>> pca = SketchedSparsePCA("auto", n_nonzero_coefs=10, random_state=0).fit(X)
    >>> display = ScreeDisplay.from_estimator(pca)  # doctest: +SKIP
    """

    figure_: Any
    ax_: Any
    line_: Any
    noise_line_: Any
    level_line_: Any

    def __init__(
        self,
        eigenvalues: ArrayLike,
        noise_variance: ArrayLike,
        detection_level: ArrayLike,
        *,
        n_components: int | None = None,
        unit: str = "variance",
    ) -> None:
        self.eigenvalues = np.asarray(eigenvalues, dtype=float)
        self.noise_variance = np.asarray(noise_variance, dtype=float)
        self.detection_level = np.asarray(detection_level, dtype=float)
        self.n_components = n_components
        self.unit = unit

    @classmethod
    def from_estimator(
        cls, estimator: Any, n_values: int = 15, ax: Any = None, **line_kw: Any
    ) -> Self:
        """Plot the spectrum of the rows that an estimator has seen.

        Parameters
        ----------
        estimator : SketchedSparsePCA or SketchedSparsePCACV
            A fitted estimator.
        n_values : int, default=15
            Number of eigenvalues to show at most.
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **line_kw : dict
            Passed on to matplotlib's ``plot`` for the eigenvalues.

        Returns
        -------
        ScreeDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.

        Notes
        -----
        Eigenvalues are those of the covariance if it is kept. Otherwise they are singular values of
        the sketch less its noise, to which the noise in one feature is added, and the level is that
        of the noise of the sketch, which is higher. With ``noise="diagonal"`` features are in units
        of their standard deviation. ``n_components="auto"`` counts what is above the level.
        """
        check_most(n_values, "n_values", 1)
        import_pyplot()
        check_is_fitted(estimator)
        estimator = getattr(estimator, "best_estimator_", estimator)
        values, noise, level = scree(estimator.sketch_, n_values, estimator.noise)
        return cls(
            values,
            noise,
            level,
            n_components=estimator.n_components_,
            unit="variance (features of unit variance)"
            if estimator.noise == "diagonal"
            else "variance (units of X, squared)",
        ).plot(ax=ax, **line_kw)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Plot the spectrum.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **line_kw : dict
            Passed on to matplotlib's ``plot`` for the eigenvalues.

        Returns
        -------
        self
        """
        self.ax_ = ax = own_axes(ax)
        self.figure_ = ax.figure
        places = np.arange(1, len(self.eigenvalues) + 1)
        options = {"color": BLUE, "marker": "o", "markersize": 4, "linewidth": 1.2}
        (self.line_,) = ax.plot(places, self.eigenvalues, **(options | {"label": "data"} | line_kw))
        (self.level_line_,) = ax.plot(
            places, self.detection_level, color=VERMILION, linestyle="--", label="detection level"
        )
        (self.noise_line_,) = ax.plot(
            places,
            self.noise_variance,
            color=grey(ax, _NOISE),
            linestyle=":",
            label="noise in a feature",
        )
        if self.n_components is not None and self.n_components < len(places):
            ax.axvline(self.n_components + 0.5, color=grey(ax, 0.7), linewidth=0.8)
        shown = np.concatenate([self.eigenvalues, self.detection_level, self.noise_variance])
        if shown.max() > _WIDE * shown.min() > 0.0:
            ax.set_yscale("log")
        else:
            ax.set_ylim(0.0, None)
        finish(ax, "component", self.unit)
        ax.locator_params(axis="x", integer=True, nbins=8)
        legend(ax)
        return self
