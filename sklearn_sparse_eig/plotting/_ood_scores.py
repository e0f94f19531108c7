"""Scores of known and of new inputs: a histogram, and the curve of all thresholds."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from .._base.typed import ArrayLike
from ._style import (
    BLUE,
    COLUMN_WIDTH,
    VERMILION,
    finish,
    fitting,
    grey,
    import_pyplot,
    legend,
    letters_for,
    shortened,
    stroke,
    veiled,
)

_KNOWN, _NEW = BLUE, VERMILION
_N_BINS = 40
# Share of a panel that the names of detectors may take, with the letters of the areas.
_NAME_SHARE, _BESIDE = 0.62, 8
# Letters of a panel from which the legend of the histogram is one line.
_ONE_LINE = 44
# Curves from which the names stand below them, and inches that each name takes there.
_MANY, _LINE_HEIGHT = 4, 0.16


class OODScoresDisplay:
    """Plot of how well detectors tell new inputs from known ones: a histogram and ROC curves.

    Create it with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    scores : dict of str to (array-like of shape (n_known,), array-like of shape (n_new,))
        Scores of known and of new inputs by the name of the detector, higher for known ones. The
        histogram shows the first detector.
    threshold : float, default=None
        Threshold of the first detector, ``offset_``, to be drawn into the histogram.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : ndarray of 2 matplotlib Axes
        The axes of the histogram and of the curves.
    lines_ : list of matplotlib Line2D
        The curve of each detector.
    threshold_line_ : matplotlib Line2D or None
        The threshold in the histogram.

    Raises
    ------
    TypeError
        If the scores are not a dict, or those of a detector not a pair.
    ValueError
        If there are no scores.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig.plotting import OODScoresDisplay
    >>> rng = np.random.default_rng(0)
    >>> scores = {"detector": (rng.lognormal(2.0, size=300), rng.lognormal(size=100))}
    >>> display = OODScoresDisplay.from_predictions(scores, threshold=2.5)  # doctest: +SKIP
    """

    figure_: Any
    ax_: np.ndarray
    lines_: list[Any]
    threshold_line_: Any

    def __init__(
        self,
        scores: Mapping[str, tuple[ArrayLike, ArrayLike]],
        *,
        threshold: float | None = None,
    ) -> None:
        _check_scores(scores)
        self.scores = {
            name: (np.asarray(known, dtype=float), np.asarray(new, dtype=float))
            for name, (known, new) in scores.items()
        }
        for name, both in self.scores.items():
            for which, values in zip(("known", "new"), both, strict=True):
                _check_vector(values, f"Scores of {which} inputs of {name!r}")
        self.threshold = threshold

    @classmethod
    def from_estimator(
        cls, estimator: Any, X_known: Any, X_new: Any, *, name: str | None = None, ax: Any = None
    ) -> Self:
        """Plot the scores that a detector gives.

        Parameters
        ----------
        estimator : GradPCADetector
            A fitted detector, or any other with ``score_samples``.
        X_known, X_new : array-like
            Inputs like those of training that were not used in it, and inputs that are not like
            them.
        name : str, default=None
            Name of the detector; None for that of its class.
        ax : sequence of 2 matplotlib Axes, default=None
            Axes for the histogram and for the curve. None makes a new figure.

        Returns
        -------
        OODScoresDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        import_pyplot()  # before the work
        name = type(estimator).__name__ if name is None else name
        scores = estimator.score_samples(X_known), estimator.score_samples(X_new)
        threshold = getattr(estimator, "offset_", None)
        return cls({name: scores}, threshold=threshold).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        scores: Mapping[str, tuple[ArrayLike, ArrayLike]],
        *,
        threshold: float | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot scores of one or several detectors.

        Parameters
        ----------
        scores : dict of str to (array-like of shape (n_known,), array-like of shape (n_new,))
            Scores by the name of the detector, higher for known inputs.
        threshold : float, default=None
            Threshold of the first detector.
        ax : sequence of 2 matplotlib Axes, default=None
            Axes for the histogram and for the curves. None makes a new figure.

        Returns
        -------
        OODScoresDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        return cls(scores, threshold=threshold).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Plot the histogram and the curves.

        Parameters
        ----------
        ax : sequence of 2 matplotlib Axes, default=None
            Axes for the histogram and for the curves. None makes a new figure.

        Returns
        -------
        self
        """
        is_below = ax is None and len(self.scores) >= _MANY
        if ax is None:
            size = (COLUMN_WIDTH, 4.6 + is_below * _LINE_HEIGHT * len(self.scores))
            _, ax = import_pyplot().subplots(2, 1, figsize=size, layout="constrained")
        self.ax_ = np.ravel(np.asarray(ax, dtype=object))
        if len(self.ax_) != 2:
            raise ValueError(f"ax must hold 2 Axes, got {len(self.ax_)}.")
        self.figure_ = self.ax_[0].figure
        known, new = next(iter(self.scores.values()))
        self.threshold_line_ = _histogram(self.ax_[0], known, new, self.threshold)
        self.lines_ = [
            self._curve(i, name, *sides) for i, (name, sides) in enumerate(self.scores.items())
        ]
        right = self.ax_[1]
        title = fitting(right, "All thresholds (area under the curve)", "Thresholds (area)")
        new = fitting(right, "share of new inputs let in", "new let in")
        finish(right, new, "share of known inputs let in", title)
        if is_below:
            legend(self.figure_, handles=self.lines_, loc="outside lower right")
        else:
            stroke_length = 2.6 if letters_for(right, 1.0) >= _ONE_LINE else 1.6
            legend(right, loc="lower right", handlelength=stroke_length, **veiled(right))
        return self

    def _curve(self, i, name, known, new):
        truth = np.repeat([1, 0], [len(known), len(new)])
        both = np.concatenate([known, new])
        passed, kept, _ = roc_curve(truth, both)
        short = shortened(name, letters_for(self.ax_[1], _NAME_SHARE) - _BESIDE)
        label = f"{short} ({roc_auc_score(truth, both):.3f})"
        return self.ax_[1].plot(passed, kept, label=label, **stroke(self.ax_[1], i))[0]


def plot_ood_scores(
    scores: Mapping[str, tuple[ArrayLike, ArrayLike]],
    threshold: float | None = None,
    ax: Any = None,
) -> np.ndarray:
    """Plot how well detectors tell new inputs from known ones, side by side.

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

    See Also
    --------
    OODScoresDisplay : The same as an object, with the curves as attributes.

    Examples
    --------
    >>> from sklearn_sparse_eig.plotting import plot_ood_scores
    >>> known, new = detector.score_samples(X), detector.score_samples(Z)  # doctest: +SKIP
    >>> plot_ood_scores({"GradPCA": (known, new)}, detector.offset_)  # doctest: +SKIP
    """
    display = OODScoresDisplay(scores, threshold=threshold)
    if ax is None:
        _, ax = import_pyplot().subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    return display.plot(ax=ax).ax_


def _check_scores(scores):
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


def _histogram(panel, known, new, threshold):
    # The lowest hundredth of each side is drawn at the edge: few negative scores say no more.
    low, high = min(np.quantile(side, 0.01) for side in (known, new)), max(known.max(), new.max())
    if low > 0.0:
        # Scores of most detectors are ratios.
        bins = np.geomspace(low, high, _N_BINS)
        panel.set_xscale("log")
    else:
        bins = np.linspace(low, high, _N_BINS)
    is_wide = letters_for(panel, 1.0) >= _ONE_LINE
    room = 1.2 if is_wide else 1.6
    line = None
    if threshold is not None:
        options = {"color": grey(panel, 0.15), "linestyle": ":", "label": "threshold"}
        line = panel.axvline(threshold, ymax=1.0 / room, **options)
    sides = [(known, _KNOWN, "known", "-"), (new, _NEW, "new", "--")]
    for values, color, label, edge in sides:
        # As shares, so that sides of different size can be compared.
        shares = np.full(len(values), 1.0 / len(values))
        options = {"weights": shares, "color": color, "alpha": 0.55, "label": label}
        heights, *_ = panel.hist(values.clip(low, None), bins, **options)
        # An outline each, told apart where they overlap and in grey.
        heights = np.append(heights, heights[-1])
        panel.step(bins, heights, where="post", color=color, linestyle=edge, linewidth=1.1)
    label = fitting(panel, "score: higher is more like known inputs", "score (high: known)")
    finish(panel, label, "", fitting(panel, "Scores (share of each side)", "Scores"))
    panel.set_yticks([])
    # Above the bars, in one line if there is room.
    panel.set_ylim(0.0, panel.get_ylim()[1] * room)
    legend(panel, loc="upper left", ncols=3 if is_wide else 1)
    panel.spines["left"].set_visible(False)
    return line


def _check_vector(values: np.ndarray, what: str) -> None:
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{what} must be a vector of at least one number, got {values.shape}.")
    if not np.isfinite(values).all():
        lost = np.count_nonzero(~np.isfinite(values))
        raise ValueError(f"{what}: {lost} of {len(values)} are not finite. Leave these out.")
