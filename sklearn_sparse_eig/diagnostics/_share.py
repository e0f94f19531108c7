"""The share of gradient energy that class means explain, from the sums a detector keeps."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..ood import GradPCADetector


def class_mean_share(detector: GradPCADetector, *, center: bool = True) -> float:
    r"""Return the share of the energy of the gradients that the means of their classes explain.

    With :math:`\pi_c` the class frequencies, G_c the class means and :math:`\mu = E g`, it is

    .. math:: \frac{\sum_c \pi_c \|G_c - \mu\|^2}{E\|g\|^2 - \|\mu\|^2} \in [0, 1],

    and without centring :math:`\sum_c \pi_c \|G_c\|^2 / E\|g\|^2`. It is 1 if all gradients of a
    class are the same, and 1 minus the share is that of the residual. It costs nothing, because no
    sample is looked at again.

    Parameters
    ----------
    detector : GradPCADetector
        A fitted detector, which may have been streamed and merged. Its metric has no influence,
        because the norm is the Euclidean one.
    center : bool, default=True
        Whether to subtract the mean gradient. If it is not subtracted, a gradient that all samples
        share counts as class structure.

    Returns
    -------
    float

    Raises
    ------
    NotFittedError
        If the detector is not fitted.
    ValueError
        If all gradients are the same, or if the detector does not keep their sums.

    Notes
    -----
    Without any structure, n independent gradients of C classes give about (C - 1) / (n - 1). The
    time is O(C P) for P parameters. The share is that of a one-way analysis of variance of the
    gradients, and derived here.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_sparse_eig import GradPCADetector
    >>> from sklearn_sparse_eig.diagnostics import class_mean_share
    >>> X, y = load_iris(return_X_y=True)
    >>> detector = GradPCADetector(LogisticRegression(max_iter=1000).fit(X, y)).fit(X, y)
    >>> 0.5 < class_mean_share(detector) < 1.0
    True
    """
    check_is_fitted(detector)
    state: Any = getattr(detector, "_state", None)
    if not hasattr(state, "energy") or not hasattr(state, "sums_of"):
        raise ValueError(f"This {type(detector).__name__} does not keep sums of its gradients.")
    n, seen = state.n_samples, np.flatnonzero(state.counts)
    total, explained = state.energy, 0.0
    for i in range(len(state.plan.layer_shapes)):
        sums = state.sums_of(i, seen)
        squares = np.einsum("cpq,cpq->c", sums, sums)
        explained += float((squares / state.counts[seen]).sum())
        if center:
            overall = float((sums.sum(axis=0) ** 2).sum()) / n
            explained, total = explained - overall, total - overall
    # What centring leaves of equal gradients is rounding.
    if not total > 1e-12 * state.energy:
        raise ValueError(
            "The gradients of all samples are the same, so there is no energy to explain. Give "
            "samples that differ, from at least two classes."
        )
    return float(np.clip(explained / total, 0.0, 1.0))
