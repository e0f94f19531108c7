"""How separability changes from bin to bin of the confidence, beside a control without meaning."""

from dataclasses import dataclass

import numpy as np

from .._base.messages import warn_user
from ._bins import confidence_bins
from ._labels import SeedLabels
from ._options import SeedOptions
from ._separability import LEAST_PER_CLASS, compare_bins


@dataclass(frozen=True)
class BinReport:
    """What is measured in each bin; the control has labels permuted within bins.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
    separability, separability_shuffled, majority : ndarray of shape (n_bins,)
    transfer : ndarray of shape (n_bins, n_bins)
    scores_shuffled : ndarray of shape (n_bins,)
    agreement : ndarray of shape (n_bins,) or None
    """

    edges: np.ndarray
    separability: np.ndarray
    separability_shuffled: np.ndarray
    majority: np.ndarray
    transfer: np.ndarray
    scores_shuffled: np.ndarray
    agreement: np.ndarray | None


def report_bins(
    options: SeedOptions, F: np.ndarray, found: SeedLabels, rng: np.random.RandomState
) -> BinReport:
    """Measure separability in bins of confidence; warn of bins with too few seeds for it."""
    edges, bins = confidence_bins(found.confidence, options.n_bins)
    n_bins, labels = len(edges) - 1, found.labels
    fisher, transfer, majority = compare_bins(F, labels, bins, n_bins, options.probe, rng)
    shuffled = labels.copy()
    for number in range(n_bins):
        rows = np.flatnonzero(bins == number)
        shuffled[rows] = shuffled[rng.permutation(rows)]
    control = compare_bins(F, shuffled, bins, n_bins, options.probe, rng, transfer=False)
    agreement = None
    if found.agrees is not None:
        agreement = np.array([found.agrees[bins == i].mean() for i in range(n_bins)])
    _warn_of_small_bins(fisher, bins, F.shape[1])
    return BinReport(
        edges, fisher, control[0], majority, transfer, control[1].diagonal().copy(), agreement
    )


def _warn_of_small_bins(fisher, bins, n_features):
    few, n_bins = np.flatnonzero(np.isnan(fisher)), len(fisher)
    if len(few):
        warn_user(
            f"Too few seeds in bins {few.tolist()} of {n_bins} to measure separability, which "
            f"is NaN there: they have {np.bincount(bins, minlength=n_bins)[few].tolist()}, "
            f"and half of a bin needs {n_features + 2} more than it has classes, of which "
            f"those with fewer than {LEAST_PER_CLASS} seeds do not count. Give more seeds, "
            "fewer n_bins, or a state of fewer features.",
        )
