"""The null distribution of feature scores, read off ids that never occur in data."""

import numpy as np
from scipy.stats import gamma

# Ghost ids scored to learn the null: enough for its first two moments to 2 %.
_N_GHOSTS = 1 << 13
# Expected number of idle entries in a final support, over all N features and all components.
FALSE_ALARMS = 0.05
# Share of idle features tolerated in a support that is still to be refined.
FALSE_DISCOVERIES = 0.2


def ghost_rows(measurement, R):
    """Return rows of M^T R at ids that carry no signal, shape (n, r).

    Ids beyond N have columns in a hashed ensemble but occur in no data: what is seen there is
    exactly the null. Ensembles without such columns are sampled at random features instead, of
    which nearly all are idle; the few that are not raise the threshold.
    """
    if measurement.has_ghosts:
        ids = measurement.n_features + np.arange(_N_GHOSTS)
    else:
        rng = np.random.default_rng(0)
        ids = rng.integers(0, measurement.n_features, _N_GHOSTS)
    return measurement.adjoint(np.ascontiguousarray(R, dtype=np.float64), ids)


def discoveries(energies, tail, n_features):
    """Return which of the largest energies are discoveries, as a boolean mask.

    The rule of Benjamini and Hochberg: the t largest are kept for the largest t at which at most
    a share of them is expected to be idle. It adapts to how many features there are to find, where
    a fixed false-alarm rate over all N would miss weak components.

    Parameters
    ----------
    energies : ndarray of shape (t,)
        The largest energies among all features.
    tail : callable
        ``tail(p)`` is the energy an idle feature exceeds with probability p (vectorised).
    n_features : int
    """
    order = np.argsort(-energies, kind="stable")
    allowed = FALSE_DISCOVERIES * np.arange(1, len(energies) + 1) / n_features
    passes = np.flatnonzero(energies[order] > tail(allowed))
    mask = np.zeros(len(energies), dtype=bool)
    if len(passes):
        mask[order[: passes[-1] + 1]] = True
    return mask


def energy_tail(measurement, R):
    """Return ``tail(p)``: the energy that an idle feature exceeds with probability p.

    Energy is the squared norm of a row of M^T R. Those of ghosts are fitted by a gamma
    distribution with their mean and variance: a weighted sum of chi-squares, after Satterthwaite.
    """
    energy = np.square(ghost_rows(measurement, R)).sum(axis=1)
    mean, variance = energy.mean(), energy.var()
    if mean <= 0.0 or variance <= 0.0:
        return lambda p: np.full(np.shape(p), mean)
    return lambda p: gamma.isf(p, mean**2 / variance, scale=variance / mean)
