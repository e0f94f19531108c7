"""The display of a share over two quantities, such as problems solved by equations and nonzeros."""

from typing import Any, Self

import numpy as np

from .._base.typed import ArrayLike
from ._style import MEDIUM, SEQUENTIAL, SMALL, finish, own_axes


class PhaseDiagramDisplay:
    """Map of a share in [0, 1] over two quantities, with the line of one half.

    Parameters
    ----------
    shares : array-like of shape (n_y, n_x)
        Share for each pair of values.
    x, y : array-like of shape (n_x,) and (n_y,)
        Values of the quantities, increasing.
    xlabel, ylabel : str
        What they are, with their units.
    label : str, default="share"
        What the share is of.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    image_ : matplotlib AxesImage
        The map.
    boundary_ : matplotlib StepPatch
        For each x, where the share first falls below one half.
    colorbar_ : matplotlib Colorbar or None
        The scale.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig.plotting import PhaseDiagramDisplay
    >>> equations, nonzeros = np.arange(10, 70, 10), np.arange(1, 20, 3)
    >>> solved = 1.0 / (1.0 + np.exp(nonzeros[:, None] - equations / 4.0))
    >>> display = PhaseDiagramDisplay(
    ...     solved, equations, nonzeros, xlabel="equations", ylabel="nonzeros", label="share solved"
    ... )
    >>> display.plot().figure_.savefig("phases.png")  # doctest: +SKIP
    """

    figure_: Any
    ax_: Any
    image_: Any
    boundary_: Any
    colorbar_: Any

    def __init__(
        self,
        shares: ArrayLike,
        x: ArrayLike,
        y: ArrayLike,
        *,
        xlabel: str,
        ylabel: str,
        label: str = "share",
    ) -> None:
        self.shares = np.asarray(shares, dtype=float)
        self.x, self.y = np.asarray(x), np.asarray(y)
        if self.shares.shape != (len(self.y), len(self.x)):
            raise ValueError(
                f"shares must have shape (n_y, n_x) = {(len(self.y), len(self.x))}, got "
                f"{self.shares.shape}."
            )
        self.xlabel, self.ylabel, self.label = xlabel, ylabel, label

    def plot(self, ax: Any = None, *, colorbar: bool = True, **image_kw: Any) -> Self:
        """Plot the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to plot. None makes a new figure.
        colorbar : bool, default=True
            Whether to add the scale, which maps beside one another may share.
        **image_kw : dict
            Passed on to matplotlib's ``imshow``.

        Returns
        -------
        self
        """
        self.ax_ = ax = own_axes(ax)
        self.figure_ = ax.figure
        options = {"cmap": SEQUENTIAL, "vmin": 0.0, "vmax": 1.0, "aspect": "auto"}
        self.image_ = ax.imshow(self.shares, origin="lower", **(options | image_kw))
        edges = np.arange(len(self.x) + 1) - 0.5
        self.boundary_ = ax.stairs(self._boundary(), edges, baseline=None, color="w", linewidth=1.6)
        ax.set_xlim(-0.5, len(self.x) - 0.5)
        ax.set_ylim(-0.5, len(self.y) - 0.5)
        finish(ax, self.xlabel, self.ylabel)
        ax.set_xticks(*_ticks(self.x, 8))
        ax.set_yticks(*_ticks(self.y, 12))
        ax.tick_params(length=0)
        ax.spines[["left", "bottom"]].set_visible(False)
        self.colorbar_ = None
        if colorbar:
            self.colorbar_ = ax.figure.colorbar(self.image_, ax=ax, aspect=25, pad=0.02)
            self.colorbar_.set_label(self.label, fontsize=MEDIUM)
            self.colorbar_.ax.tick_params(labelsize=SMALL)
            self.colorbar_.outline.set_visible(False)
        return self

    def _boundary(self):
        """Return for each column the edge above its last row of one half or more, from below."""
        below = self.shares < 0.5
        first = np.where(below.any(axis=0), below.argmax(axis=0), len(self.y))
        return first - 0.5


def _ticks(values, most):
    """Return places and labels of some of the values."""
    places = np.arange(0, len(values), -(-len(values) // most))
    return places, [f"{value:g}" for value in values[places]]
