"""Thresholds and p-values from held-out scores, with the guarantee of split conformal inference."""

import numpy as np


def conformal_threshold(scores, contamination):
    r"""Return the threshold below which at most a share ``contamination`` of new scores falls.

    It is the k-th smallest score, :math:`k = \lfloor \alpha (n + 1) \rfloor`. A new score that is
    exchangeable with the n given ones has rank at most k among all n + 1 with probability at
    most :math:`k / (n + 1) \le \alpha`, and only then it can be below the k-th smallest of the n.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Of samples that neither the model nor the subspace has seen.
    contamination : float
        The rate of false alarms allowed, in (0, 1).

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are too few scores: fewer than ``1 / contamination - 1``.
    """
    # The small amount is for products such as 0.29 * 100, just below the integer they stand for.
    k = int(contamination * (len(scores) + 1) + 1e-9)
    if k < 1:
        raise ValueError(
            f"{len(scores)} samples cannot show a rate of false alarms of {contamination}: at "
            f"least {n_needed(contamination)} are needed."
        )
    return float(np.partition(scores, k - 1)[k - 1])


def conformal_p_values(scores, new_scores):
    """Return (1 + the number of scores at most the new one) / (n + 1) for each new score.

    For a sample exchangeable with the given ones, P(p <= alpha) <= alpha for every alpha.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Increasing.
    new_scores : ndarray of shape (n_new,)

    Returns
    -------
    ndarray of shape (n_new,)
    """
    return (1.0 + np.searchsorted(scores, new_scores, side="right")) / (len(scores) + 1.0)


def n_needed(contamination):
    """Return the least number of held-out samples for a threshold at this rate."""
    return int(np.ceil(1.0 / contamination - 1e-9)) - 1
