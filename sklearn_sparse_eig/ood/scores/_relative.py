"""A score of three terms: logits, distances of features, and the norm of the gradient."""

from typing import cast

import numpy as np

from .._evidence import Evidence
from ._place import Place
from ._registry import register_score

# Spreads beyond the mean from where on confidence is no more evidence than at that point.
_CAP = 2.0
# Distances vary about twice as much as if classes were Gaussian; chosen as doc/gradpca.md tells.
_DISTANCE_WEIGHT = 0.4
# Of the logarithm of 1 + |g|^2 / E|g|^2.
_NORM_WEIGHT = 2.0


@register_score("relative", uses_features=True)
def _relative(f: np.ndarray, place: Place) -> np.ndarray:
    evidence = cast(Evidence, place.evidence)
    known = evidence.known
    # As a logarithm of squares: norms may be beyond what squares can be.
    excess = 2.0 * np.log(place.norm) - np.log(evidence.mean_square(place.span))
    score = -_NORM_WEIGHT * np.logaddexp(0.0, excess)
    # In units of what they vary by among known samples; what does not vary tells nothing.
    score += np.minimum(evidence.confidence, _CAP)
    if known.distance.spread > 0.0:
        score += _DISTANCE_WEIGHT * evidence.relative_distance / known.distance.spread
    return score
