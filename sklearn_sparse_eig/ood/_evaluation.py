"""How well scores tell new inputs from known ones, in the numbers that papers report."""

import numpy as np
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score, roc_curve

from .._base.dtypes import check_numbers
from .._base.typed import ArrayLike

# Share of the positives that have to be found.
_FOUND = 0.95


def ood_metrics(known: ArrayLike, new: ArrayLike) -> dict[str, float]:
    """Return measures of how well scores tell new inputs from known ones.

    Scores are higher for known inputs, as those of ``score_samples``; for scores that are higher
    for new inputs, such as ``ood_score``, pass both with a minus sign.

    Parameters
    ----------
    known : array-like of shape (n_known,)
        Scores of inputs like those of training, not seen in training.
    new : array-like of shape (n_new,)
        Scores of inputs that are out of distribution.

    Returns
    -------
    dict of str to float
        ``"AUROC"``, the probability that a known input scores higher than a new one, ties counting
        half; ``"AUPR-IN"`` and ``"AUPR-OUT"``, areas under the curve of precision and recall (by
        trapezia) with the known or with the new inputs as positives; ``"FPR95TPR"``, the share of
        known inputs that are rejected where at least 95 % of the new ones are; and
        ``"FPR95TPR-IN"``, the share of new inputs that are accepted where at least 95 % of the
        known ones are. The last two are 0 at best.

    Raises
    ------
    ValueError
        If there are no scores of one kind, or some are NaN.

    Notes
    -----
    The first four have names and definitions of ``OODMetrics`` of pytorch-ood, whose scores are
    ``-score``. Papers often call ``"FPR95TPR-IN"`` the FPR at 95 % TPR, as ours in
    ``benchmarks`` do.

    Examples
    --------
    >>> from sklearn_sparse_eig import ood_metrics
    >>> found = ood_metrics(known=[3.0, 2.0, 4.0, 1.0], new=[0.5, 1.5])
    >>> found["AUROC"], found["FPR95TPR"]
    (0.875, 0.25)
    """
    sides = [_checked(known, "known"), _checked(new, "new")]
    scores = np.concatenate(sides)
    is_known = np.repeat([1, 0], [len(side) for side in sides])
    return {
        "AUROC": float(roc_auc_score(is_known, scores)),
        "AUPR-IN": _area(is_known, scores),
        "AUPR-OUT": _area(1 - is_known, -scores),
        "FPR95TPR": _false_positives(1 - is_known, -scores),
        "FPR95TPR-IN": _false_positives(is_known, scores),
    }


def _checked(scores, name):
    scores = check_numbers(np.asarray(scores), name).astype(np.float64)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise ValueError(
            f"{name} must be the scores of one or more inputs, without NaN; got shape "
            f"{scores.shape} with {int(np.isnan(scores).sum())} NaN."
        )
    # Infinite scores have a rank, but not for scikit-learn.
    return np.nan_to_num(scores)


def _area(is_positive, scores):
    precision, recall, _ = precision_recall_curve(is_positive, scores)
    return float(auc(recall, precision))


def _false_positives(is_positive, scores):
    passed, found, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    # Shares of counts: rounding must not ask for one more.
    return float(passed[np.argmax(found >= _FOUND - 1e-12)])
