"""The display of sparse components: one panel of horizontal bars for each."""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

# Panels side by side, and their size in inches: wide enough for a word beside its bar.
_COLUMNS = 4
_PANEL_WIDTH = 3.0
# Inches that each letter of a name takes beyond the first ones, for which there is room.
_LETTER_WIDTH, _SHORT_NAME = 0.09, 10
# Numbers below the bars, so that they do not overprint in narrow panels.
_MOST_TICKS = 3
_BAR_HEIGHT = 0.24
_TITLE_HEIGHT = 0.75
# Blue and red are told apart under the common colour blindnesses, and in grey.
_POSITIVE, _NEGATIVE = "#2a6fbb", "#d1495b"


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
        _import_pyplot()  # before the work of a first look at the components
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
        plt = _import_pyplot()
        n = len(self.components)
        columns = min(n, _COLUMNS)
        rows = -(-n // columns)
        height = _TITLE_HEIGHT + _BAR_HEIGHT * max(map(len, self.components))
        longest = max((len(str(name)) for one in self.components for name, _ in one), default=0)
        beyond = max(longest - _SHORT_NAME, 0)
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=((_PANEL_WIDTH + _LETTER_WIDTH * beyond) * columns, height * rows),
            squeeze=False,
            sharex=True,
            layout="constrained",
        )
        axes[0, 0].locator_params(axis="x", nbins=_MOST_TICKS)  # shared by all
        for unused in axes.flat[n:]:
            figure.delaxes(unused)
        return axes.ravel()[:n]

    def _plot_one(self, j, bar_kw):
        axes = self.ax_[j]
        names = [str(name) for name, _ in self.components[j]]
        loadings = np.array([loading for _, loading in self.components[j]])
        colors = np.where(loadings < 0, _NEGATIVE, _POSITIVE)
        # At positions, not at names: two features may be called the same.
        bars = axes.barh(np.arange(len(names)), loadings, **({"color": colors} | bar_kw))
        axes.set_yticks(np.arange(len(names)), names)
        axes.invert_yaxis()  # the largest loading on top
        axes.axvline(0.0, color="0.3", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        title = f"component {j}"
        if self.explained_variance_ratio is not None:
            title += f"  ({self.explained_variance_ratio[j]:.1%})"
        axes.set_title(title, loc="left", fontsize="medium")
        return bars


def _import_pyplot() -> ModuleType:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plotting needs matplotlib. Install it with the extra 'plot': "
            'pip install "sklearn_sparse_eig[plot]"'
        ) from error
    return plt
