"""Scores of known and of new inputs: a histogram, and the curve of all thresholds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from .._base.typed import ArrayLike
from ._components import _import_pyplot

_KNOWN, _NEW = "#2a6fbb", "#d1495b"
_CURVES = ("#2a6fbb", "#8aa6c1", "0.6", "0.8")
# Of curves beside one another the strokes differ too, for readers and printers without colours.
_STROKES = ("-", "--", "-.", ":")
_N_BINS = 40


def plot_ood_scores(
    scores: Mapping[str, tuple[ArrayLike, ArrayLike]],
    threshold: float | None = None,
    ax: Any = None,
) -> np.ndarray:
    """Plot how well detectors tell new inputs from known ones.

    Parameters
    ----------
    scores : dict of str to (array-like of shape (n_known,), array-like of shape (n_new,))
        Scores of known and of new inputs by the name of the detector, higher for known ones. The
        histogram shows the first detector.
    threshold : float, default=None
        Threshold of the first detector, ``offset_``, to be drawn into the histogram.
    ax : sequence of 2 matplotlib Axes, default=None
        Axes for the histogram and for the curves. None makes a new figure.

    Returns
    -------
    ndarray of 2 matplotlib Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If the scores are not a dict, or those of a detector not a pair.
    ValueError
        If there are no scores, or if there are not two axes.

    Examples
    --------
    >>> from sklearn_sparse_eig.plotting import plot_ood_scores
    >>> known, new = detector.score_samples(X), detector.score_samples(Z)  # doctest: +SKIP
    >>> plot_ood_scores({"GradPCA": (known, new)}, detector.offset_)  # doctest: +SKIP
    """
    if not isinstance(scores, Mapping):
        raise TypeError(
            f"scores must be a dict of name to (known, new), got {type(scores).__name__}. For one "
            'detector give {"GradPCA": (scores of known inputs, scores of new inputs)}.'
        )
    if not scores:
        raise ValueError("There are no scores to plot.")
    for name, sides in scores.items():
        if len(sides) != 2:
            raise TypeError(
                f"scores[{name!r}] must be a pair (scores of known inputs, scores of new inputs), "
                f"got {type(sides).__name__} of length {len(sides)}."
            )
    if ax is None:
        _, ax = _import_pyplot().subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    panels = np.ravel(np.asarray(ax, dtype=object))
    if len(panels) != 2:
        raise ValueError(f"ax must hold 2 Axes, got {len(panels)}.")
    left, right = panels
    known, new = map(np.asarray, next(iter(scores.values())))
    _histogram(left, known, new, threshold)
    for i, (name, both_sides) in enumerate(scores.items()):
        known, new = map(np.asarray, both_sides)
        truth = np.repeat([1, 0], [len(known), len(new)])
        both = np.concatenate([known, new])
        passed, kept, _ = roc_curve(truth, both)
        label = f"{name} ({roc_auc_score(truth, both):.3f})"
        color, stroke = _CURVES[i % len(_CURVES)], _STROKES[i % len(_STROKES)]
        right.plot(passed, kept, color=color, linestyle=stroke, label=label)
    right.set_xlabel("new inputs taken for known")
    right.set_ylabel("known inputs taken for known")
    right.legend(frameon=False, loc="lower right")
    right.set_title("All thresholds (area under the curve)", loc="left")
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    return panels


def _histogram(panel, known, new, threshold):
    # The lowest hundredth of each side is drawn at the edge: few negative scores say no more.
    low, high = min(np.quantile(side, 0.01) for side in (known, new)), max(known.max(), new.max())
    if low > 0.0:
        # Scores of most detectors are ratios.
        bins = np.geomspace(low, high, _N_BINS)
        panel.set_xscale("log")
    else:
        bins = np.linspace(low, high, _N_BINS)
    for values, color, label in [(known, _KNOWN, "known"), (new, _NEW, "new")]:
        # As shares, so that sides of different size can be compared.
        shares = np.full(len(values), 1.0 / len(values))
        panel.hist(
            values.clip(low, None), bins, weights=shares, color=color, alpha=0.7, label=label
        )
    if threshold is not None:
        panel.axvline(threshold, color="0.2", linestyle="--", label="threshold")
    panel.set_xlabel("score: higher is more like known inputs")
    panel.set_yticks([])
    panel.legend(frameon=False, loc="upper left")
    panel.set_title("Scores", loc="left")
    panel.spines["left"].set_visible(False)
