"""Seeds chosen before their samples are made."""

import numpy as np


def choose_seeds(draw, rate, n_wanted, n_candidates, batch_size):
    """Return the seeds that are rated best among `n_candidates` for each one wanted.

    Candidates come in batches of at most `batch_size` seeds that are kept, so memory stays bounded.

    Parameters
    ----------
    draw : callable
        From a number to as many new seeds.
    rate : callable
        From seeds to a number for each, high for good.
    n_wanted, n_candidates, batch_size : int

    Returns
    -------
    ndarray of shape (min(n_wanted, batch_size), d)
    """
    n_wanted = min(n_wanted, batch_size)
    candidates = draw(n_wanted * n_candidates)
    ratings = rate(candidates)
    return candidates[np.argsort(-ratings, kind="stable")[:n_wanted]]


def accept_until(n_samples, choose, examine, max_calls):
    """Generate from chosen seeds until enough samples are accepted.

    Parameters
    ----------
    n_samples : int
    choose : callable
        From a number of seeds wanted to at most as many, at least one.
    examine : callable
        From seeds to (tuple of arrays with a row for each, mask of those accepted).
    max_calls : int
        Largest number of seeds that are generated from.

    Returns
    -------
    parts : tuple of ndarray
        Seeds, then the arrays of `examine`, of the accepted rows; fewer than `n_samples` where
        `max_calls` did not suffice.
    n_calls : int
    """
    parts, accepted, calls = [], 0, 0
    while accepted < n_samples and calls < max_calls:
        Z = choose(min(n_samples - accepted, max_calls - calls))
        arrays, mask = examine(Z)
        calls += len(Z)
        accepted += int(mask.sum())
        parts.append([array[mask] for array in (Z, *arrays)])
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True)), calls
