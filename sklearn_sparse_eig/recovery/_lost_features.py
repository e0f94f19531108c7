"""Where a decoder that is quick may have lost features, a slower one has a second look.

Bit tests read a feature from one bucket, so it must stand out from what else fell into it. On
sketches that are good for both, they found all that sweeps found as long as every feature was at
least `SPELLED_FROM` times the noise of a bucket.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..sketching import SPELLED_FROM
from ._lifting import fit_on_support, orthonormal_range
from ._power_steps import PowerSteps, PowerStepsResult
from ._request import RecoveryRequest
from ._settling import captured_trace
from .decoders._base import largest_rows

Solution = tuple[PowerSteps, PowerStepsResult]


def solve_with_decoders(
    sketch: Any,
    request: RecoveryRequest,
    solve: Callable[[PowerSteps], PowerStepsResult] = PowerSteps.solve,
) -> Solution:
    """Return the steps and what they found, by a second decoder if the first may lose features."""
    steps = PowerSteps(sketch, request)
    solution = steps, solve(steps)
    second = request.second_decoder
    if second is None or steps.by_index or not may_have_lost_features(solution):
        return solution
    other = PowerSteps(sketch, replace(request, decoder=second))
    return better_of(solution, (other, solve(other)))


def may_have_lost_features(solution: Solution) -> bool:
    """Whether features like the weakest of those found are often missed by their decoder."""
    steps, found = solution
    if found.model is None or not found.model.basis.size:
        return True
    Q = orthonormal_range(found.S @ found.model.directions())
    fit = fit_on_support(steps.sketch.measurement, Q, found.model.ids)
    return bool(steps.decoder.clarity(fit)[_wanted(solution)].min() < SPELLED_FROM)


def better_of(first: Solution, second: Solution) -> Solution:
    """Return the solution in which more vectors stand out from noise, or which captures more."""
    return max(first, second, key=_merit)


def _wanted(solution):
    """Return where the model has features of the vectors, or as many as are asked for."""
    steps, found = solution
    if found.vectors.size:
        return np.any(found.vectors != 0.0, axis=1)
    return largest_rows(found.model.basis[:, : steps.r], int(steps.sizes.sum()))


def _merit(solution):
    steps, found = solution
    if found.model is None:
        return 0, 0.0
    if found.vectors.size:
        vectors, strength = found.vectors, steps.strength(found)
    else:
        vectors = found.model.basis[:, : steps.r]
        strength = steps.detection.model_strength(found.S, found.model)[: steps.r]
    return int((strength > 1.0).sum()), captured_trace(found.model, vectors)
