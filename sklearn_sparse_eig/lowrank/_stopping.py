"""When to stop: the rules that choose a rank and a time."""

from dataclasses import dataclass

import numpy as np

from .._base.messages import warn_user
from ._flow import EigenvalueFlow
from ._intervals import learning_order, low_rank_intervals

# Where a low-rank interval never ends, the run goes on to this many times its beginning: what is
# learned by then is so up to rounding, for it converges exponentially once it has been learned.
_BEYOND = 10.0


@dataclass(frozen=True)
class Stop:
    """Where a run is stopped.

    Attributes
    ----------
    time : float
    rank : int or None
        None where the rule does not choose one.
    intervals : ndarray of shape (n_ranks, 3)
        Rows (L, T0, T1); those that hold under noise where there is some.
    nonempty : bool or None
        Whether the interval of the rank is.
    """

    time: float
    rank: int | None
    intervals: np.ndarray
    nonempty: bool | None


def longest_plateau(spectrum, flow, tol, max_rank):
    """Return the rank after which the next one comes latest, relative to its own time.

    A next eigenvalue that is never learned counts by the ratio of the eigenvalues, which is what
    the ratio of the times tends to. Not considered are ranks of more than `max_rank`, and values
    below `tol` times the largest: those of noise come arbitrarily near to zero, where their ratios
    mean nothing. Nor is the full rank, which has no next one.
    """
    order, rises = learning_order(spectrum, **flow, tol=tol)
    values = spectrum[order]
    considered = np.abs(values) >= tol * np.abs(values).max()
    n_ranks = min(int(considered.sum()), max_rank, max(len(spectrum) - 1, 1))
    # The largest of what is never learned, as far as its sign would allow it.
    rest = np.delete(spectrum, order)
    rest = np.abs(rest) if flow["init_perturbation"] > 0 else np.maximum(rest, 0.0)
    rest = max(rest.max(initial=0.0), np.finfo(float).eps * np.abs(values).max())
    lengths = np.append(rises[1:] / rises[:-1], abs(values[-1]) / rest)
    return int(np.argmax(lengths[:n_ranks])) + 1


def choose_stop(spectrum, flow, rule, *, rank=None, time=None, noise_level=None, tol=0.05):
    """Return the :class:`Stop` of a run on a matrix of the given spectrum.

    Parameters
    ----------
    spectrum : ndarray of shape (k,)
        Eigenvalues or singular values.
    flow : dict
        ``depth``, ``init_scale`` and ``init_perturbation``.
    rule : {"plateau", "rank", "time", "discrepancy"}
    rank : int or None
        For "rank" that rank, for "plateau" the largest.
    """
    plain = low_rank_intervals(spectrum, tol=tol, **flow)
    if len(plain) == 0:
        start = flow["init_scale"] ** flow["depth"]
        raise ValueError(
            f"Nothing can be learned: the product of the factors starts at init_scale ** depth = "
            f"{start:.3g}, and the largest eigenvalue of X is {np.max(spectrum):.3g}. Choose a "
            "much smaller init_scale, or scale X."
        )
    intervals = plain
    if noise_level is not None:
        intervals = low_rank_intervals(spectrum, tol=tol, noise_level=noise_level, **flow)
    if rule == "time":
        return Stop(float(time), None, intervals, None)
    if rule == "discrepancy":
        return Stop(_discrepancy_time(spectrum, flow, noise_level), None, intervals, None)
    if rule == "plateau":
        rank = longest_plateau(spectrum, flow, tol, rank or len(spectrum))
    elif rank > len(plain):
        raise ValueError(
            f"rank={rank} is never reached: only {len(plain)} eigenvalues are above the "
            "start of the run."
        )
    start, end = _ends(intervals, rank)
    nonempty = start <= end
    if not nonempty:
        safe = "" if noise_level is None else f" that holds for noise_level={noise_level:g}"
        warn_user(
            f"There is no time{safe} at which the iterates are of rank {rank} up to tol={tol:g}: "
            f"the interval would begin at {start:.4g} and end at {end:.4g}. A smaller "
            "init_scale or a larger tol makes it longer; a small gap in the spectrum cannot be "
            "helped.",
            UserWarning,
        )
        start, end = _ends(plain, rank)
    if end < start:
        chosen = start
    else:
        chosen = np.sqrt(start * end) if np.isfinite(end) else _BEYOND * start
    return Stop(float(chosen), rank, intervals, bool(nonempty))


def _ends(intervals, rank):
    """Return T0 and T1 of a rank; where it is not reached at all, an interval that is empty."""
    found = intervals[intervals[:, 0] == rank, 1:]
    return tuple(map(float, found[0])) if len(found) else (np.inf, 0.0)


def _discrepancy_time(spectrum, flow, noise_level):
    """Return the first time at which the residual's spectral norm is down to the noise level."""
    run = EigenvalueFlow(spectrum, flow["depth"], flow["init_scale"], flow["init_perturbation"])
    outside = np.abs(spectrum - run.initial) > noise_level
    levels = spectrum - np.sign(spectrum - run.initial) * noise_level
    times = np.where(outside, run.hitting_times(levels), 0.0)
    if not np.isfinite(times).all():
        raise ValueError(
            f"The residual never falls to noise_level={noise_level:g}: X has the negative "
            f"eigenvalue {spectrum.min():.4g}, which is learned only with init_perturbation > 0."
        )
    return float(times.max())
