"""Which rows take no part in training, so that they can give the threshold."""

import numpy as np

from .._base.messages import warn_user
from ._conformal import n_needed

# Share of the rows held out for the threshold where the classifier is trained here, and the
# largest share that a small rate of false alarms may take.
_HELD_OUT, _MOST_HELD_OUT = 0.15, 0.3


def choose_held_out(
    y: np.ndarray | None, contamination: float, rng: np.random.RandomState
) -> np.ndarray | None:
    """Return the rows to hold out for the threshold, or None if there should be none.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or None
    contamination : float
        The rate of false alarms that the threshold shall have.
    rng : RandomState

    Returns
    -------
    ndarray of int, increasing, or None

    Warns
    -----
    UserWarning
        If there are too few samples.
    """
    if y is None:
        return None
    n = len(y)
    size = max(int(np.ceil(_HELD_OUT * n)), n_needed(contamination))
    # At random and not by class: only then are held-out and new samples exchangeable.
    chosen = np.sort(rng.permutation(n)[:size])
    classes, labels = np.unique(y, return_inverse=True)
    kept = np.bincount(np.delete(labels, chosen), minlength=len(classes))
    whole = np.bincount(labels)
    if size > _MOST_HELD_OUT * n or (kept < np.minimum(whole, 2)).any():
        warn_user(
            f"Too few samples, {n} of {len(classes)} classes, to hold {size} out: the "
            "threshold is a quantile of the training scores and rejects more than "
            f"contamination={contamination} of new samples. Use calibrate."
        )
        return None
    return chosen
