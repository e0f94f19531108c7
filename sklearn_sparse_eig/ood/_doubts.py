"""What the outputs of a model say against its use here: probabilities, labels that do not fit."""

import numpy as np
from scipy.special import logsumexp

from .._base.messages import warn_user

# Rounding of probabilities in single precision.
_ROUNDING = 1e-4
# Rows below which outputs and labels say little.
_FEW_ROWS = 10


class Doubts:
    """Outputs of a model, batch by batch, and whether they look like logits of its labels.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    """

    def __init__(self, classes: np.ndarray) -> None:
        self._classes = classes
        self._n_rows = self._n_labelled = self._n_right = 0
        self._kinds = {"probabilities", "log-probabilities", "the probability of one class"}

    def see(self, logits: np.ndarray, labels: np.ndarray | None) -> None:
        """Take notice of a batch, with the indices of its classes if these were given."""
        self._n_rows += len(logits)
        self._kinds = {kind for kind in self._kinds if _LOOKS_LIKE[kind](logits)}
        if labels is not None and np.isfinite(logits).all():
            self._n_labelled += len(logits)
            self._n_right += int((logits.argmax(axis=1) == labels).sum())

    def tell(self) -> None:
        """Warn of outputs that are no logits, and of labels that most rows contradict."""
        if self._n_rows < _FEW_ROWS:
            return
        for kind in self._kinds:
            warn_user(
                f"The model returns {kind}, by all {self._n_rows} rows; logits are needed, for "
                "scores of what a softmax or sigmoid has squeezed rank badly. Leave out the "
                "last activation of the model."
            )
        if self._n_labelled >= _FEW_ROWS and 2 * self._n_right < self._n_labelled:
            warn_user(
                f"The model predicts the given label for {self._n_right / self._n_labelled:.0%} "
                f"of {self._n_labelled} rows only. If it is better than that, y does not belong "
                "to these rows, or its labels are not those of the model, whose outputs are, in "
                f"this order, {self._classes.tolist()[:20]}. labels='predicted' uses no y."
            )


def _are_probabilities(logits):
    return (logits >= 0.0).all() and (np.abs(logits.sum(axis=1) - 1.0) < _ROUNDING).all()


def _are_log_probabilities(logits):
    return (logits <= _ROUNDING).all() and (np.abs(logsumexp(logits, axis=1)) < _ROUNDING).all()


def _is_one_probability(logits):
    # A single output f stands for the logits -f/2 and f/2.
    if logits.shape[1] != 2 or not np.array_equal(logits[:, 0], -logits[:, 1]):
        return False
    return ((logits[:, 1] >= 0.0) & (logits[:, 1] <= 0.5)).all()


_LOOKS_LIKE = {
    "probabilities": _are_probabilities,
    "log-probabilities": _are_log_probabilities,
    "the probability of one class": _is_one_probability,
}
