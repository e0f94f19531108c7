"""The display of which features the components are made of, as a map."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._base.typed import ArrayLike
from ._style import (
    SMALL,
    diverging,
    finish,
    import_pyplot,
    letters_for,
    names_of,
    own_axes,
    shortened,
)

_ROW_HEIGHT, _LEAST_HEIGHT = 0.145, 1.6
_NAME_SHARE, _LONG_NAME = 0.4, 32
# Rows beyond which not each of them has a name.
_NAMED_ROWS = 60


class SupportMapDisplay:
    """Map of the loadings of features in components: a row for each feature.

    Create it with :meth:`from_estimator`. The constructor takes only the numbers to show.

    Parameters
    ----------
    loadings : array-like of shape (n_features_shown, n_components)
        Loadings, zero where a component leaves a feature out.
    names : sequence, default=None
        Names of these features. None shows their row numbers.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes of the map.
    image_ : matplotlib AxesImage
        The map.
    colorbar_ : matplotlib Colorbar
        The scale of the loadings.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> from sklearn_sparse_eig.plotting import SupportMapDisplay
    >>> X = make_sparse_spiked_covariance(500, 100, random_state=0).data
    >>> pca = SketchedSparsePCA(4, n_nonzero_coefs=10, random_state=0).fit(X)
    >>> display = SupportMapDisplay.from_estimator(pca)  # doctest: +SKIP
    """

    figure_: Any
    ax_: Any
    image_: Any
    colorbar_: Any

    def __init__(self, loadings: ArrayLike, *, names: Sequence[Any] | None = None) -> None:
        self.loadings = np.asarray(loadings, dtype=float)
        self.names = list(range(len(self.loadings))) if names is None else list(names)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        input_features: Sequence[str] | Mapping[int, str] | None = None,
        max_features: int | None = 40,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Plot the supports of a fitted estimator.

        Features stand in the order of the component in which they weigh most.

        Parameters
        ----------
        estimator : SketchedSparsePCA or SketchedSparsePCACV
            A fitted estimator.
        input_features : sequence of str or mapping, default=None
            Names of all features, or a mapping from the index of a feature to its name. None means
            ``feature_names_in_``, or indices.
        max_features : int or None, default=40
            Number of features of largest loadings to show. None shows all.
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **image_kw : dict
            Passed on to matplotlib's ``imshow``.

        Returns
        -------
        SupportMapDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()  # before the work of a first look at the components
        check_is_fitted(estimator)
        described = estimator.describe(range(estimator.n_features_in_))
        features = np.unique([j for one in described for j, _ in one]).astype(np.int64)
        loadings = np.zeros((len(features), len(described)))
        for k, one in enumerate(described):
            rows = np.searchsorted(features, [j for j, _ in one])
            loadings[rows, k] = [value for _, value in one]
        size = np.abs(loadings)
        kept = np.argsort(-size.max(axis=1), kind="stable")[:max_features]
        home = size[kept].argmax(axis=1)
        kept = kept[np.lexsort((-size[kept, home], home))]
        given = input_features
        if given is None:
            given = getattr(estimator, "feature_names_in_", None)
        return cls(loadings[kept], names=names_of(features[kept], given)).plot(ax=ax, **image_kw)

    def plot(self, ax: Any = None, **image_kw: Any) -> Self:
        """Plot the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **image_kw : dict
            Passed on to matplotlib's ``imshow``.

        Returns
        -------
        self
        """
        n, r = self.loadings.shape
        self.ax_ = ax = own_axes(ax, max(_LEAST_HEIGHT, 0.75 + _ROW_HEIGHT * min(n, _NAMED_ROWS)))
        self.figure_ = ax.figure
        largest = np.abs(self.loadings).max(initial=0.0) or 1.0
        options = {"cmap": diverging(), "vmin": -largest, "vmax": largest, "aspect": "auto"}
        self.image_ = ax.imshow(self.loadings, interpolation="nearest", **(options | image_kw))
        finish(ax, "component", "")
        step = -(-n // _NAMED_ROWS)
        most = min(letters_for(ax, _NAME_SHARE), _LONG_NAME)
        ax.set_yticks(range(0, n, step), [shortened(x, most) for x in self.names[::step]])
        columns = range(0, r, -(-r // 12))
        ax.set_xticks(columns, columns)
        ax.tick_params(length=0, labelsize=SMALL)
        ax.spines[["left", "bottom"]].set_visible(False)
        # Lines between the fields, for a loading of zero has no colour.
        ax.set_xticks(np.arange(r - 1) + 0.5, minor=True)
        ax.tick_params(which="minor", length=0)
        ax.grid(axis="x", which="minor", color="0.85", linewidth=0.6)
        self.colorbar_ = ax.figure.colorbar(self.image_, ax=ax, aspect=30, pad=0.02)
        self.colorbar_.set_label("loading", fontsize=SMALL)
        self.colorbar_.ax.tick_params(labelsize=SMALL)
        self.colorbar_.locator = _few_ticks(5)
        self.colorbar_.outline.set_visible(False)
        return self


def _few_ticks(n):
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n)
