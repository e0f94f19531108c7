"""How well the labels that are given fit the predictions of a model."""

import numpy as np

from .._base.messages import warn_user

# Rows below which predictions and labels say little of one another.
_FEW_ROWS = 10


class LabelAgreement:
    """How often a model predicts the labels that are given, batch by batch.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    """

    def __init__(self, classes: np.ndarray) -> None:
        self._classes = classes
        self._n_labelled = self._n_right = 0

    def add(self, logits: np.ndarray, labels: np.ndarray | None) -> None:
        """Count a batch, given the indices of its classes if there are any."""
        if labels is not None and np.isfinite(logits).all():
            self._n_labelled += len(logits)
            self._n_right += int((logits.argmax(axis=1) == labels).sum())

    def warn(self) -> None:
        """Warn if the model predicts the given label for fewer than half of the rows."""
        if self._n_labelled >= _FEW_ROWS and 2 * self._n_right < self._n_labelled:
            warn_user(
                f"The model predicts the given label for {self._n_right / self._n_labelled:.0%} "
                f"of {self._n_labelled} rows only. If it is better than that, y does not belong "
                "to these rows, or its labels are not those of the model, whose outputs are, in "
                f"this order, {self._classes.tolist()[:20]}. labels='predicted' uses no y."
            )
