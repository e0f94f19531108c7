"""The threshold of a detector: calibration, decisions and p-values."""

from collections.abc import Callable
from typing import Any, Literal, Self

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .._base.atomic import all_or_nothing
from .._base.messages import warn_user
from .._base.typed import ArrayLike, InputLike
from ..gradients import check_rows
from ._conformal import check_scores, conformal_p_values, conformal_threshold
from ._seen_rows import RowHashes
from .subspaces import KnownGradients


class ThresholdMixin:
    """What follows from ``score_samples``, which the detector has, and ``contamination``."""

    contamination: float
    offset_: float
    calibration_: Literal["held out", "training"]
    calibration_scores_: np.ndarray
    # Whether fit has warned of a threshold from training scores; detectors saved before have not.
    _threshold_is_told: bool = False
    score_samples: Callable[[InputLike], np.ndarray]
    _scores: Callable[..., np.ndarray]
    _state: KnownGradients
    fit: Callable[..., Any]

    @all_or_nothing
    def calibrate(self, X: InputLike) -> Self:
        r"""Set the threshold from samples that are in distribution and were not seen in training.

        ``offset_`` becomes the k-th smallest of their n scores, where
        :math:`k = \lfloor \alpha (n + 1) \rfloor` and :math:`\alpha` is the ``contamination``. Over
        the draw of these samples and of one more, exchangeable with them, the probability that the
        latter is rejected is at most :math:`\alpha`. For a single draw of these samples the rate
        differs from this by about :math:`\sqrt{\alpha / n}`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`

        Returns
        -------
        self : object
            The detector with its threshold.

        Raises
        ------
        ValueError
            If there are fewer than ``1 / contamination - 1`` samples, or if scores are NaN.

        Warns
        -----
        UserWarning
            If many of the samples were passed to :meth:`fit` or :meth:`partial_fit` before, of
            which a sample of hashes is kept. Samples on which the model was trained elsewhere
            are not recognised.
        """
        check_is_fitted(self)
        hashes = RowHashes(check_rows(self, X, reset=False))
        scores = self._scores(hashes.rows)
        known = self._state.seen_rows.known_share(hashes.found())
        if known:
            warn_user(
                f"{known:.0%} of these samples are among those that the detector was fitted to. "
                "Their scores are higher than those of new samples, of which more than "
                f"contamination={self.contamination} will be rejected, and whose p-values will "
                "be too small. Pass samples that neither the model nor the detector has seen."
            )
        self._set_threshold(scores)
        return self

    def decision_function(self, X: InputLike) -> np.ndarray:
        """Return the scores of :meth:`score_samples` less the threshold, negative for outliers.

        Higher is more typical.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`

        Returns
        -------
        ndarray of shape (n_samples,)

        Raises
        ------
        NotFittedError
            If there is no threshold, as after :meth:`partial_fit` or :meth:`merge`.
        """
        scores = self.score_samples(X)
        # Read once: another thread may drop it in partial_fit.
        offset = getattr(self, "offset_", None)
        if offset is None:
            raise NotFittedError(
                "There is no threshold, for partial_fit and merge change the scores. Call "
                "calibrate with samples that are in distribution."
            )
        return scores - offset

    def predict(self, X: InputLike) -> np.ndarray:
        """Return -1 for samples judged to be out of distribution, and 1 for the others.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`

        Returns
        -------
        ndarray of int, shape (n_samples,)

        Warns
        -----
        UserWarning
            If the threshold is a quantile of training scores, unless :meth:`fit` has said so. Where
            the training rows themselves are to be judged, :meth:`fit_predict` does not warn.
        """
        decisions = self._decisions(X)
        if getattr(self, "calibration_", None) == "training" and not self._threshold_is_told:
            warn_user(
                "The threshold is a quantile of the training scores, which are higher than those "
                f"of new samples: more than contamination={self.contamination} of these may be "
                "rejected. Call calibrate with samples that are in distribution and that neither "
                "the model nor the detector has seen."
            )
        return decisions

    def fit_predict(self, X: InputLike, y: ArrayLike | None = None) -> np.ndarray:
        """Fit to X and y, and return the result of :meth:`predict` for X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`
        y : array-like of shape (n_samples,), default=None
            Classes. They are used, in contrast to other outlier detectors.

        Returns
        -------
        ndarray of int, shape (n_samples,)
        """
        # The mixin's own method drops y. The share of X itself is what was asked for.
        return self.fit(X, y)._decisions(X)

    def p_values(self, X: InputLike) -> np.ndarray:
        """Return the p-value of each sample for the hypothesis that it is in distribution.

        Higher is more typical, as of scores. The p-value is (1 + c) / (n + 1), where c of the n
        held-out scores are at most that of the sample. For a new sample that is exchangeable with
        the held-out ones, the probability of a p-value of at most alpha is at most alpha.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`

        Returns
        -------
        ndarray of shape (n_samples,)
            NaN where the score is NaN.

        Raises
        ------
        NotFittedError
            If there are no held-out scores.
        """
        scores = self.score_samples(X)
        held_out = getattr(self, "calibration_scores_", None)
        if held_out is None:
            raise NotFittedError(
                "p-values need scores of samples that were not trained on. Call calibrate."
            )
        return conformal_p_values(held_out, scores)

    def _decisions(self, X: InputLike) -> np.ndarray:
        return np.where(self.decision_function(X) >= 0.0, 1, -1)

    def _set_threshold(self, scores: np.ndarray) -> None:
        """Take the threshold from scores of held-out samples."""
        self.offset_ = conformal_threshold(scores, self.contamination)
        self.calibration_scores_ = np.sort(scores)
        self.calibration_ = "held out"

    def _set_training_threshold(self, scores: np.ndarray, told: bool) -> None:
        """Take the threshold from scores of training; `told` is whether a warning has said so."""
        self._forget_threshold()
        check_scores(scores)
        self.offset_ = float(np.percentile(scores, 100.0 * self.contamination))
        self.calibration_, self._threshold_is_told = "training", told

    def _forget_threshold(self) -> None:
        for name in ("offset_", "calibration_", "calibration_scores_", "_threshold_is_told"):
            vars(self).pop(name, None)
