"""What all plots share: one palette, strokes, widths, and names that fit."""

from types import ModuleType
from typing import Any

import numpy as np

# Okabe and Ito (2008), told apart under the common colour blindnesses; the dark ones first, which
# differ in grey too. Yellow is left out: it is not seen on white.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, ORANGE, BLACK, GREY = "#56B4E9", "#E69F00", "#000000", "0.45"
PALETTE = (BLUE, VERMILION, GREEN, BLACK, PURPLE, SKY, ORANGE)
POSITIVE, NEGATIVE = BLUE, VERMILION
# Curves beside one another differ in their strokes too, for readers and printers without colours.
STROKES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
# Shares of red, green and blue in how light a colour is.
_LUMINANCE = (0.2126, 0.7152, 0.0722)
# From dark to light, in grey too.
SEQUENTIAL = "cividis"
# Inches: a column of a journal, which a figure of one panel fills.
COLUMN_WIDTH = 3.4
# Sizes in points, for figures as wide as that.
SMALL, MEDIUM = 7.5, 8.5
# Inches that a letter of the small size takes, on average, in the fonts of matplotlib.
_LETTER = 0.062
_ELLIPSIS = "\u2026"


def import_pyplot() -> ModuleType:
    """Return matplotlib.pyplot, or say what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plotting needs matplotlib. Install it with the extra 'plot': "
            'pip install "sklearn_sparse_eig[plot]"'
        ) from error
    return plt


def own_axes(ax: Any, height: float = 2.6, width: float = COLUMN_WIDTH) -> Any:
    """Return the axes that were given, or those of a new figure of one panel."""
    if ax is not None:
        return ax
    return import_pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def grey(ax: Any, level: float) -> str:
    """Return a shade of grey between the ink of axes, 0, and their paper, 1.

    On dark backgrounds ink is light, as the labels are that the style of the axes gave them.
    """
    from matplotlib.colors import to_rgb

    is_dark = np.dot(_LUMINANCE, to_rgb(ax.xaxis.label.get_color())) > 0.5
    return f"{1.0 - level if is_dark else level:.3g}"


def stroke(ax: Any, i: int) -> dict[str, Any]:
    """Return colour and line style of curve i in axes."""
    color = PALETTE[i % len(PALETTE)]
    color = grey(ax, 0.0) if color == BLACK else color
    return {"color": color, "linestyle": STROKES[i % len(STROKES)]}


def finish(ax: Any, xlabel: str, ylabel: str, title: str | None = None) -> None:
    """Label axes in small letters and take away what says nothing."""
    ax.set_xlabel(xlabel, fontsize=MEDIUM)
    ax.set_ylabel(ylabel, fontsize=MEDIUM)
    if title:
        ax.set_title(title, loc="left", fontsize=MEDIUM)
    ax.tick_params(which="both", labelsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)


def legend(parent: Any, **options: Any) -> Any:
    """Add a legend to axes or a figure, without a frame, with strokes long enough to tell apart."""
    return parent.legend(**({"frameon": False, "fontsize": SMALL, "handlelength": 2.6} | options))


def veiled(ax: Any) -> dict[str, Any]:
    """Return the options of a legend that curves may pass behind: they fade there."""
    ground = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "borderpad": 0.2}
    return {"frameon": True, "framealpha": 0.85} | ground


def shortened(name: Any, most: int) -> str:
    """Return a name of at most so many letters: the middle of a longer one is left out.

    Both ends are kept, for names of features often differ at the end.
    """
    text = str(name)
    if len(text) <= most:
        return text
    most = max(most, 3)
    tail = (most - 1) // 3
    return text[: most - 1 - tail] + _ELLIPSIS + text[len(text) - tail :]


def letters_for(ax: Any, share: float) -> int:
    """Return how many letters fit into a share of the width that a panel has to itself."""
    width = ax.figure.get_figwidth()
    spec = ax.get_subplotspec()
    if spec is not None:
        columns = spec.get_gridspec().ncols
        width *= (spec.colspan.stop - spec.colspan.start) / columns
    return max(int(share * width / _LETTER), 3)


def fitting(ax: Any, *texts: str, share: float = 0.75) -> str:
    """Return the first of some texts, the longest one first, that fits into a share of a panel."""
    most = letters_for(ax, share)
    return next((text for text in texts if len(text) <= most), texts[-1])


def diverging() -> Any:
    """Return the colours of signed values: those of bars, around white."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", [NEGATIVE, "#ffffff", POSITIVE])


def names_of(features: Any, given: Any) -> list[Any]:
    """Return the names of features: by a sequence, by a mapping, or the ids themselves."""
    features = np.asarray(features).tolist()
    if given is None:
        return features
    if hasattr(given, "get"):
        return [given.get(j, j) for j in features]
    if features and max(features) >= len(given):
        raise ValueError(
            f"There are {len(given)} names, but feature {max(features)} is to be named. Give a "
            "name for each feature, or a mapping from indices to names."
        )
    return [given[j] for j in features]
