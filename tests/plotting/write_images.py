"""Draw the pictures that displays are compared with: ``python tests/plotting/write_images.py``.

Numbers are written here, so that no fit moves a picture. Texts and legends are left out, and axes
have fixed places: letters differ between machines, and so does whatever finds its place by them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sklearn_sparse_eig.plotting import (
    ComponentsDisplay,
    EffectiveRankDisplay,
    OODScoresDisplay,
    PhaseDiagramDisplay,
    ScreeDisplay,
    SupportMapDisplay,
)

IMAGES = Path(__file__).parent / "images"
# A figure is 272 pixels wide.
COLUMN, DPI = 3.4, 80
# Fields of maps end at whole pixels, where versions of matplotlib do not differ in rounding: left,
# bottom, width and height of a map and of its scale, in pixels.
MAP, SCALE = (32, 8, 180, 180), (218, 8, 6, 180)
MARGINS = {"left": 0.15, "right": 0.95, "bottom": 0.15, "top": 0.93, "hspace": 0.4}

COMPONENTS = [
    [
        ("interferon induced gene 15", 0.64),
        ("interferon induced gene 44", -0.55),
        ("ubiquitin like modifier 3", 0.41),
        ("major histocompatibility B", 0.29),
        ("signal transducer of type 1", -0.18),
    ],
    [
        ("ribosomal protein large 13", -0.72),
        ("ribosomal protein small 27", -0.51),
        ("elongation factor alpha 1", 0.38),
        ("nucleophosmin, exon 7 to 9", 0.26),
    ],
]
LOADINGS = [
    [0.7, 0.0, 0.0],
    [-0.5, 0.2, 0.0],
    [0.4, 0.0, 0.0],
    [0.3, 0.0, -0.3],
    [0.0, -0.8, 0.0],
    [0.0, -0.5, 0.0],
    [0.0, 0.2, 0.6],
    [0.0, 0.0, -0.6],
    [0.0, 0.0, 0.4],
]
EIGENVALUES = [6.1, 4.4, 2.3, 1.4, 1.3, 1.2, 1.1, 1.0, 0.9]
NOISE = [1.6, 1.2, 1.05, 1.0, 0.98, 0.96, 0.94, 0.92, 0.9]
LEVEL = [2.6, 2.1, 1.9, 1.8, 1.75, 1.7, 1.65, 1.6, 1.55]
# Quantiles of logistic distributions.
EVEN = (np.arange(120) + 0.5) / 120
SPREAD = np.log(EVEN / (1.0 - EVEN))
SCORES = {
    "tangent": (np.exp(2.0 + 0.3 * SPREAD), np.exp(0.6 + 0.4 * SPREAD[::2])),
    "confidence": (1.3 + 0.7 * SPREAD, 0.7 * SPREAD[::3]),
}
TIMES = np.geomspace(0.1, 1000.0, 80)
# From the equal directions of the start to one, then a second and a third.
RANKS = 1.0 + sum(1.0 / (1.0 + (TIMES / rise) ** power) for rise, power in [(0.3, 3)] * 3)
RANKS += sum(1.0 / (1.0 + (rise / TIMES) ** 4) for rise in (9.0, 130.0))
INTERVALS = [[1, 0.8, 6.0], [2, 13.0, 90.0], [3, 180.0, np.inf]]
EQUATIONS, NONZEROS = np.arange(10, 110, 10), np.array([1, 2, 4, 6, 9, 12, 16, 20, 25, 30])
SOLVED = 1.0 / (1.0 + np.exp(0.4 * (NONZEROS[:, None] - 0.3 - EQUATIONS / 4.0)))


def components(axes):
    return ComponentsDisplay(COMPONENTS, explained_variance_ratio=[0.41, 0.17]).plot(axes)


def support_map(axes):
    return SupportMapDisplay(LOADINGS).plot(axes)


def scree(axes):
    return ScreeDisplay(EIGENVALUES, NOISE, LEVEL, n_components=3).plot(axes)


def scores(axes):
    return OODScoresDisplay(SCORES, threshold=3.0).plot(axes)


def effective_rank(axes):
    stop = {"stopping_time": 40.0, "stopping_rank": 2.0}
    return EffectiveRankDisplay(TIMES, RANKS, intervals=INTERVALS, **stop).plot(axes)


def phase_diagram(axes):
    labels = {"xlabel": "equations", "ylabel": "nonzeros", "label": "share solved"}
    return PhaseDiagramDisplay(SOLVED, EQUATIONS, NONZEROS, **labels).plot(axes)


class Picture(NamedTuple):
    """A function that draws into axes, the height of the figure in inches, and its panels."""

    draw: Callable[[Any], Any]
    height: float = 2.6
    n_panels: int = 1


PICTURES = {
    "components": Picture(components, 3.2, 2),
    "support_map": Picture(support_map),
    "scree": Picture(scree),
    "scores": Picture(scores, 4.6, 2),
    "effective_rank": Picture(effective_rank),
    "phase_diagram": Picture(phase_diagram),
}


def save(name, path, spoil=None):
    """Store a picture; a function that spoils the display may change it before."""
    from matplotlib import style
    from matplotlib.figure import Figure

    picture = PICTURES[name]
    with style.context("default", after_reset=True):
        figure = Figure(figsize=(COLUMN, picture.height), dpi=DPI)
        axes = figure.subplots(picture.n_panels, 1, gridspec_kw=MARGINS)
        display = picture.draw(axes)
        if spoil is not None:
            spoil(display)
        leave_out_texts(figure)
        place_on_pixels(display)
        figure.savefig(path, metadata={"Software": None})


def leave_out_texts(figure):
    """Hide all letters of a figure, and legends, whose places go by their letters."""
    sides = ("left", "right", "bottom", "top")
    for axes in figure.axes:
        axes.tick_params(which="both", **{f"label{side}": False for side in sides})
        for place in ("left", "center", "right"):
            axes.set_title("", loc=place)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_label_text("")
            axis.get_offset_text().set_visible(False)
        legends = [axes.get_legend()] if axes.get_legend() else []
        for artist in [*axes.texts, *legends]:
            artist.set_visible(False)


def place_on_pixels(display):
    """Place a map and its scale."""
    if hasattr(display, "image_"):
        for axes, place in [(display.ax_, MAP), (display.colorbar_.ax, SCALE)]:
            size = np.round(display.figure_.get_size_inches() * DPI)
            axes.set_position(np.array(place) / [*size, *size])


def main():
    IMAGES.mkdir(exist_ok=True)
    for name in PICTURES:
        save(name, IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
