"""The display of coefficients along a path of penalties."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from .._base.typed import ArrayLike, MatrixLike
from ..implicit import diagonal_network_path
from ._style import (
    finish,
    grey,
    import_pyplot,
    legend,
    letters_for,
    names_of,
    own_axes,
    shortened,
    stroke,
)

# Coefficients that have a stroke and a name of their own, and those that are drawn at all.
_NAMED, _DRAWN = 6, 200
_NAME_SHARE = 0.28
# Room above the curves for their names, as a share of the range.
_ROOM = 0.4


class RegularizationPathDisplay:
    """Plot of coefficients against the penalty, the largest ones by name.

    Create it with :meth:`from_estimator`, or from what :func:`diagonal_network_path` or
    :func:`sklearn.linear_model.lasso_path` returns.

    Parameters
    ----------
    alphas : array-like of shape (n_alphas,)
        Penalties, all positive.
    coefs : array-like of shape (n_features, n_alphas)
        Coefficients for each of them.
    names : sequence or mapping, default=None
        Names of the features. None shows their indices.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    lines_ : list of matplotlib Line2D
        The coefficients that are drawn, the largest first.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import diagonal_network_path
    >>> from sklearn_sparse_eig.plotting import RegularizationPathDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 20))
    >>> alphas, coefs, _ = diagonal_network_path(X, X[:, 0] - X[:, 1])
    >>> display = RegularizationPathDisplay(alphas, coefs).plot()  # doctest: +SKIP
    """

    figure_: Any
    ax_: Any
    lines_: list[Any]

    def __init__(
        self,
        alphas: ArrayLike,
        coefs: ArrayLike,
        *,
        names: Sequence[Any] | Mapping[int, Any] | None = None,
    ) -> None:
        self.alphas = np.asarray(alphas, dtype=float)
        self.coefs = np.asarray(coefs, dtype=float)
        self.names = names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: ArrayLike,
        *,
        names: Sequence[Any] | Mapping[int, Any] | None = None,
        ax: Any = None,
        **path_kw: Any,
    ) -> Self:
        """Compute the path of a diagonal network, and plot it.

        Parameters
        ----------
        estimator : DiagonalNetworkRegressor or DiagonalNetworkRegressorCV
            ``depth`` and ``positive`` are those of the path; with ``fit_intercept`` the means of X
            and y are subtracted first, for which a sparse X is made dense. One chosen by
            cross-validation must be fitted.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        names : sequence or mapping, default=None
            Names of the features. None means the columns of X, if they have names.
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        **path_kw : dict
            Passed on to :func:`diagonal_network_path`.

        Returns
        -------
        RegularizationPathDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()
        # One chosen by cross-validation has a depth once it is fitted.
        estimator = getattr(estimator, "best_estimator_", estimator)
        if not hasattr(estimator, "depth"):
            raise TypeError(
                "estimator must be a DiagonalNetworkRegressor, or a fitted "
                f"DiagonalNetworkRegressorCV, got {type(estimator).__name__}."
            )
        if names is None:
            names = getattr(X, "columns", None)
        if estimator.fit_intercept:
            rows: Any = X
            dense = rows.toarray() if sp.issparse(rows) else np.asarray(rows, dtype=float)
            target = np.asarray(y, dtype=float)
            X, y = dense - dense.mean(axis=0), target - target.mean()
        options = {"depth": estimator.depth, "positive": estimator.positive}
        alphas, coefs, _ = diagonal_network_path(X, y, **(options | path_kw))
        return cls(alphas, coefs, names=names).plot(ax=ax)

    def plot(self, ax: Any = None, **line_kw: Any) -> Self:
        """Plot the path.

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
        size = np.abs(self.coefs).max(axis=1)
        order = np.argsort(-size, kind="stable")[:_DRAWN]
        order = order[size[order] > 0.0]
        most = letters_for(ax, _NAME_SHARE)
        for i, j in enumerate(order):
            options: dict[str, Any] = {"color": grey(ax, 0.75), "linewidth": 0.7, "zorder": 1}
            if i < _NAMED:
                label = shortened(names_of([j], self.names)[0], most)
                options = stroke(ax, i) | {"linewidth": 1.3, "zorder": 2, "label": label}
            (line,) = ax.plot(self.alphas, self.coefs[j], **(options | line_kw))
            self.lines_.append(line)
        ax.set_xscale("log")
        ax.invert_xaxis()
        ax.axhline(0.0, color=grey(ax, 0.3), linewidth=0.6)
        finish(ax, "penalty alpha (decreasing)", "coefficient (y per unit of X)")
        if len(order):
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + _ROOM * (high - low))
            legend(ax, loc="upper left", ncols=2, columnspacing=1.0)
        return self
