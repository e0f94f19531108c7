"""Thresholds and p-values from held-out scores, with the guarantee of split conformal inference."""

import numpy as np


def conformal_threshold(scores: np.ndarray, contamination: float) -> float:
    r"""Return the threshold below which at most a share ``contamination`` of new scores falls.

    It is the k-th smallest score, :math:`k = \lfloor \alpha (n + 1) \rfloor`. A new score that is
    exchangeable with the n given ones has rank at most k among all n + 1 with probability at
    most :math:`k / (n + 1) \le \alpha`, and only then it can be below the k-th smallest of the n.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores of samples that neither the model nor the subspace has seen; higher is more typical.
    contamination : float
        Rate of false alarms that is allowed, in (0, 1).

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are too few scores, fewer than ``1 / contamination - 1``, or some are NaN.
    """
    check_scores(scores)
    # The small amount is for products such as 0.29 * 100, just below the integer they stand for.
    k = int(contamination * (len(scores) + 1) + 1e-9)
    if k < 1:
        raise ValueError(
            f"{len(scores)} samples cannot show a rate of false alarms of {contamination}: at "
            f"least {n_needed(contamination)} are needed."
        )
    return float(np.partition(scores, k - 1)[k - 1])


def conformal_p_values(scores: np.ndarray, new_scores: np.ndarray) -> np.ndarray:
    """Return (1 + the number of scores at most the new one) / (n + 1) for each new score.

    For a sample exchangeable with the given ones, P(p <= alpha) <= alpha for every alpha.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Held-out scores in increasing order; higher is more typical.
    new_scores : ndarray of shape (n_new,)
        Scores of new samples; higher is more typical.

    Returns
    -------
    ndarray of shape (n_new,)
        The p-values, which are NaN if the new score is NaN.
    """
    p_values = (1.0 + np.searchsorted(scores, new_scores, side="right")) / (len(scores) + 1.0)
    # Sorted behind all numbers a NaN would look like the most ordinary sample.
    return np.where(np.isnan(new_scores), np.nan, p_values)[()]


def check_scores(scores: np.ndarray) -> None:
    """Refuse scores that are NaN with a ValueError."""
    n_missing = int(np.isnan(scores).sum())
    if n_missing:
        raise ValueError(
            f"A threshold needs the scores of all samples: {n_missing} of {len(scores)} are NaN. "
            "Leave out samples for which the model gives no finite output or gradient."
        )


def n_needed(contamination: float) -> int:
    """Return the least number of held-out samples for a threshold at this rate."""
    return int(np.ceil(1.0 / contamination - 1e-9)) - 1
