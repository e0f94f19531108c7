"""Neural collapse and kernel alignment along training: three panels of curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import BLUE, GREEN, GREY, VERMILION, import_pyplot

if TYPE_CHECKING:
    from ..diagnostics import CollapseMonitor

# What each panel shows: title, whether its axis is logarithmic, and (name, label) of its curves.
_PANELS = [
    ("Within over between classes", True, [("nc1", "NC1")]),
    (
        "Distance from the simplex",
        False,
        [
            ("nc2", "NC2: class means"),
            ("nc3", "NC3: head against means"),
            ("nc4", "NC4: not the nearest mean"),
            ("nc5", "NC5: cosine to new classes"),
        ],
    ),
    (
        "Centred alignment with the classes",
        False,
        [
            ("tangent_centered_alignment", "tangent kernel"),
            ("features_centered_alignment", "features"),
            ("feature_tangent_centered_alignment", "tangent kernel of features"),
        ],
    ),
]
_STYLES = [(BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (GREY, ":")]


def plot_collapse(monitor: CollapseMonitor | dict[str, np.ndarray], ax: Any = None) -> np.ndarray:
    """Plot the values that a CollapseMonitor has recorded against the step.

    Parameters
    ----------
    monitor : CollapseMonitor or dict
        The monitor, or the result of its ``to_dict``.
    ax : sequence of 3 matplotlib Axes, default=None
        Axes for NC1, for NC2 to NC5, and for the alignments. None makes a new figure.

    Returns
    -------
    ndarray of 3 matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If nothing has been recorded, or if there are not three axes.

    Examples
    --------
    >>> from sklearn_sparse_eig.plotting import plot_collapse
    >>> panels = plot_collapse(monitor)  # doctest: +SKIP
    >>> panels[0].figure.savefig("collapse.png")  # doctest: +SKIP
    """
    columns = monitor if isinstance(monitor, dict) else monitor.to_dict()
    if len(columns["step"]) == 0:
        raise ValueError("The monitor has recorded nothing yet.")
    if ax is None:
        _, ax = import_pyplot().subplots(1, len(_PANELS), figsize=(12, 3.6), layout="constrained")
    panels = np.ravel(np.asarray(ax, dtype=object))
    if len(panels) != len(_PANELS):
        raise ValueError(f"ax must hold {len(_PANELS)} Axes, got {len(panels)}.")
    for panel, (title, logarithmic, curves) in zip(panels, _PANELS, strict=True):
        shown = [(n, label) for n, label in curves if not np.isnan(columns.get(n, np.nan)).all()]
        for (name, label), (color, dashes) in zip(shown, _STYLES, strict=False):
            panel.plot(columns["step"], columns[name], dashes, color=color, label=label)
        panel.set_yscale("log" if logarithmic else "linear")
        panel.set_xlabel("step")
        panel.set_title(title, loc="left", fontsize="medium")
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize="small")
    return panels
