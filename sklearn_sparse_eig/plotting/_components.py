"""The display of sparse components: one panel of horizontal bars for each."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._style import (
    MEDIUM,
    NEGATIVE,
    POSITIVE,
    SMALL,
    fitting,
    grey,
    import_pyplot,
    letters_for,
    shortened,
)

# Panels side by side, and their size in inches: wide enough for a word beside its bar.
_COLUMNS = 4
_PANEL_WIDTH = 3.0
# Inches that each letter of a name takes beyond the first ones, for which there is room, and
# letters beyond which the middle of a name is left out.
_LETTER_WIDTH, _SHORT_NAME, _LONG_NAME = 0.07, 14, 32
# Share of a panel that names may take.
_NAME_SHARE = 0.45
# And that which is left for the title above the bars.
_TITLE_SHARE = 0.5
# Numbers below the bars, so that they do not overprint in narrow panels.
_MOST_TICKS = 3
# Letters of a panel below which it has room for two of them: about half are for the bars, and a
# number takes up to six.
_NARROW = 36
_BAR_HEIGHT = 0.24
_TITLE_HEIGHT = 0.75


class ComponentsDisplay:
    """Plot of sparse components, with a bar for the loading of each feature.

    Create it with :meth:`from_estimator`. The constructor takes only the numbers to show.

    Parameters
    ----------
    components : list of list of (str or int, float)
        Features and loadings of each component in the order to be shown, as returned by
        :meth:`SketchedSparsePCA.describe`.
    explained_variance_ratio : array-like of shape (n_components,), default=None
        Shares of the variance, for the titles.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : ndarray of matplotlib Axes, shape (n_components,)
        The axes of each component.
    bars_ : list of matplotlib BarContainer
        The bars of each component.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> from sklearn_sparse_eig.plotting import ComponentsDisplay
    >>> X = make_sparse_spiked_covariance(500, 100, random_state=0).data
    >>> pca = SketchedSparsePCA(4, n_nonzero_coefs=10, random_state=0).fit(X)
    >>> display = ComponentsDisplay.from_estimator(pca)  # doctest: +SKIP
    >>> display.figure_.savefig("components.png")  # doctest: +SKIP
    """

    figure_: Any
    ax_: np.ndarray
    bars_: list[Any]

    def __init__(
        self,
        components: Sequence[Sequence[tuple[str | int, float]]],
        *,
        explained_variance_ratio: np.ndarray | Sequence[float] | None = None,
    ) -> None:
        self.components = components
        self.explained_variance_ratio = explained_variance_ratio

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        input_features: Sequence[str] | Mapping[int, str] | None = None,
        max_features: int | None = 12,
        ax: Any = None,
        **bar_kw: Any,
    ) -> Self:
        """Plot the components of a fitted estimator.

        Parameters
        ----------
        estimator : SketchedSparsePCA
            A fitted estimator, or any other one with the same method ``describe``.
        input_features : sequence of str or mapping, default=None
            Names of all features, or a mapping from the index of a feature to its name if there
            are too many to name them all. Features without a name show their index.
        max_features : int or None, default=12
            Number of largest loadings to show for each component. None shows all.
        ax : matplotlib Axes or sequence of them, default=None
            One for each component. None makes a new figure.
        **bar_kw : dict
            Passed on to matplotlib's ``barh``.

        Returns
        -------
        ComponentsDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there are fewer or more axes than components.
        """
        import_pyplot()  # before the work of a first look at the components
        check_is_fitted(estimator)
        if isinstance(input_features, Mapping):
            described = estimator.describe(max_features=max_features)
            described = [[(input_features.get(f, f), v) for f, v in one] for one in described]
        else:
            described = estimator.describe(input_features, max_features=max_features)
        display = cls(
            described,
            explained_variance_ratio=getattr(estimator, "explained_variance_ratio_", None),
        )
        return display.plot(ax=ax, **bar_kw)

    def plot(self, ax: Any = None, **bar_kw: Any) -> Self:
        """Plot the components.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            One for each component. None makes a new figure.
        **bar_kw : dict
            Passed on to matplotlib's ``barh``.

        Returns
        -------
        self
        """
        self.ax_ = self._make_axes() if ax is None else np.ravel(np.asarray(ax, dtype=object))
        if len(self.ax_) != len(self.components):
            raise ValueError(
                f"ax must hold one Axes for each component, got {len(self.ax_)} for "
                f"{len(self.components)} components."
            )
        self.figure_ = self.ax_[0].figure
        self.bars_ = [self._plot_one(j, bar_kw) for j in range(len(self.components))]
        return self

    def _make_axes(self) -> np.ndarray:
        plt = import_pyplot()
        n = len(self.components)
        columns = min(n, _COLUMNS)
        rows = -(-n // columns)
        height = _TITLE_HEIGHT + _BAR_HEIGHT * max(map(len, self.components))
        longest = max((len(str(name)) for one in self.components for name, _ in one), default=0)
        beyond = max(min(longest, _LONG_NAME) - _SHORT_NAME, 0)
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=((_PANEL_WIDTH + _LETTER_WIDTH * beyond) * columns, height * rows),
            squeeze=False,
            sharex=True,
            layout="constrained",
        )
        for unused in axes.flat[n:]:
            figure.delaxes(unused)
        return axes.ravel()[:n]

    def _plot_one(self, j, bar_kw):
        axes = self.ax_[j]
        # Panels shrink by what stands beside them, until nothing is left for the bars.
        most = min(letters_for(axes, _NAME_SHARE), _LONG_NAME)
        names = [shortened(name, most) for name, _ in self.components[j]]
        loadings = np.array([loading for _, loading in self.components[j]])
        colors = np.where(loadings < 0, NEGATIVE, POSITIVE)
        # At positions, not at names: two features may be called the same.
        bars = axes.barh(np.arange(len(names)), loadings, **({"color": colors} | bar_kw))
        axes.set_yticks(np.arange(len(names)), names, fontsize=SMALL)
        axes.invert_yaxis()  # the largest loading on top
        axes.axvline(0.0, color=grey(axes, 0.3), linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=SMALL)
        if letters_for(axes, 1.0) >= _NARROW:
            axes.locator_params(axis="x", nbins=_MOST_TICKS)
        else:
            axes.set_xticks(*_two_ticks(loadings))
        titles = [f"component {j}", f"{j}"]
        if self.explained_variance_ratio is not None:
            ratio = self.explained_variance_ratio[j]
            titles = [f"component {j}  ({ratio:.1%})", f"{j} ({ratio:.0%})"]
        title = fitting(axes, *titles, share=_TITLE_SHARE)
        axes.set_title(title, loc="left", fontsize=MEDIUM)
        if axes.get_subplotspec() is None or axes.get_subplotspec().is_last_row():
            axes.set_xlabel("loading", fontsize=SMALL)
        return bars


def _two_ticks(loadings):
    """Return zero and a round number below the largest loading, as places and labels."""
    largest = loadings[np.argmax(np.abs(loadings))] if len(loadings) else 0.0
    if largest == 0.0:
        return [0.0], ["0"]
    unit = 10.0 ** np.floor(np.log10(abs(largest)))
    place = np.sign(largest) * unit * np.floor(abs(largest) / unit + 1e-9)
    return [0.0, place], ["0", f"{place:g}"]
