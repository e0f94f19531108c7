"""Samples of confident seeds that are chosen before anything is generated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from ._confidence import predicted_labels
from ._labels import examine
from ._options import SeedOptions

# Seeds that are kept of one draw: memory stays bounded, and draws do not depend on batches.
_AT_ONCE = 1024


@dataclass(frozen=True)
class SampleRequest:
    """What samples are wanted.

    Attributes
    ----------
    n_samples, n_candidates, max_calls : int
    target_class : label or None
    draw : callable
        From a number to as many new seeds.
    rate : callable
        From seeds to a number for each, high for good.
    threshold : float
        Least confidence.
    """

    n_samples: int
    n_candidates: int
    max_calls: int
    target_class: Any
    draw: Callable
    rate: Callable
    threshold: float


def confident_samples(options: SeedOptions, classes: np.ndarray, request: SampleRequest) -> Bunch:
    """Return the samples wanted, with seeds, labels, confidence and the cost.

    Raises
    ------
    RuntimeError
        If there are not enough after `max_calls`.
    """

    def choose(n):
        return choose_seeds(request.draw, request.rate, n, request.n_candidates)

    def accept(Z):
        samples, labels, confidence = examine(options, Z, classes)
        mask = confidence >= request.threshold
        if request.target_class is not None:
            mask &= labels == request.target_class
        return (samples, labels, confidence), mask

    n_samples = request.n_samples
    parts, calls = accept_until(n_samples, choose, accept, request.max_calls)
    if len(parts[0]) < n_samples:
        target = request.target_class
        wanted = "" if target is None else f" of class {target!r}"
        raise RuntimeError(
            f"{len(parts[0])} of {n_samples} samples{wanted} were found in {calls} generator "
            f"calls, with a confidence of at least {request.threshold:.4g}. Raise max_calls or "
            "n_candidates, or fit with a lower threshold or quantile. If the seeds of fit "
            "were not standard normal, pass draw."
        )
    names = ("seeds", "samples", "labels", "confidence")
    bunch = Bunch(**dict(zip(names, parts, strict=True)))
    bunch.n_generator_calls, bunch.calls_per_sample = calls, calls / n_samples
    if options.evaluator is not None:
        judged = predicted_labels(options.evaluator, bunch.samples, classes)
        bunch.agreement = float(np.mean(judged == bunch.labels))
    return bunch


def choose_seeds(draw: Callable, rate: Callable, n_wanted: int, n_candidates: int) -> np.ndarray:
    """Return the seeds that are rated best among `n_candidates` for each one wanted.

    Parameters
    ----------
    draw : callable
        From a number to as many new seeds.
    rate : callable
        From seeds to a number for each, high for good.
    n_wanted, n_candidates : int

    Returns
    -------
    ndarray of shape (n, d)
        As many as are wanted, but not more than are chosen at once.
    """
    n_wanted = min(n_wanted, _AT_ONCE)
    candidates = draw(n_wanted * n_candidates)
    ratings = rate(candidates)
    return candidates[np.argsort(-ratings, kind="stable")[:n_wanted]]


def accept_until(
    n_samples: int, choose: Callable, examine: Callable, max_calls: int
) -> tuple[tuple, int]:
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
