"""The probe of a filter: what it sees of seeds, and which of them it learns from."""

from typing import Any

import numpy as np

from .._base.batches import in_batches
from .._base.messages import warn_user
from ._generate import as_array
from ._labels import SeedLabels
from ._options import SeedOptions
from ._probe import fit_probe

# A covariance within classes needs two rows of each.
LEAST_IN_CLASS = 2


def features_of_seeds(options: SeedOptions, Z: np.ndarray) -> np.ndarray:
    """Return what the probe sees of seeds: themselves, or what `state` makes of them.

    Raises
    ------
    ValueError
        If `state` does not return a row of finite numbers for each seed.
    """
    state = options.state
    if state is None:
        return Z.astype(np.float64, copy=False)
    parts = in_batches(
        lambda rows: as_array(state(rows)), Z, options.batch_size, options.floats_per_sample
    )
    F = np.concatenate([part for _, part in parts])
    if len(F) != len(Z):
        raise ValueError(f"state returned {len(F)} rows for {len(Z)} seeds; one each is needed.")
    F = F.reshape(len(F), -1).astype(np.float64, copy=False)
    if not np.isfinite(F).all():
        n_lost = np.count_nonzero(~np.isfinite(F).all(axis=1))
        raise ValueError(
            f"state returned values that are not finite for {n_lost} of {len(F)} seeds. Leave "
            "such seeds out, or have it return finite values."
        )
    return F


def fit_probe_to_seeds(
    options: SeedOptions, F: np.ndarray, found: SeedLabels, kept: np.ndarray, threshold: float
) -> Any:
    """Return the probe, fitted to seeds that are kept or, if so wanted, to all.

    Raises
    ------
    ValueError
        If these are of fewer than two classes.
    """
    everything = options.train_on == "all"
    rows = kept | everything
    labels, counts = np.unique(found.labels[rows], return_counts=True)
    enough = counts >= LEAST_IN_CLASS
    which = "" if everything else f" with a confidence of at least {threshold:.4g}"
    if enough.sum() < 2:
        seeds = dict(zip(labels.tolist(), counts.tolist(), strict=True))
        raise ValueError(
            f"Seeds{which} are needed of two classes, {LEAST_IN_CLASS} of each, to learn to "
            f"tell them apart; of {len(rows)} seeds there are {seeds} (class: seeds), and "
            f"confidences go up to {found.confidence.max():.4g}. Give more seeds, or lower "
            "threshold or quantile."
        )
    missing = np.setdiff1d(found.classes, labels[enough])
    if len(missing):
        warn_user(
            f"Too few seeds{which}: classes {missing.tolist()} have fewer than "
            f"{LEAST_IN_CLASS}, and will not be predicted. Give more seeds, or lower "
            "threshold or quantile.",
        )
    rows = rows & np.isin(found.labels, labels[enough])
    return fit_probe(options.probe, F[rows], found.labels[rows])
