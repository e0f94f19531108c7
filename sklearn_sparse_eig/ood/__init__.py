"""How far a gradient is from those of known classes: metric, class-mean subspace, scores."""

from ._conformal import conformal_p_values, conformal_threshold
from ._metric import Metric
from ._scores import SCORES, score
from ._state import GradientState
from ._subspace import ClassMeanSubspace, Coordinates

__all__ = [
    "SCORES",
    "ClassMeanSubspace",
    "Coordinates",
    "GradientState",
    "Metric",
    "conformal_p_values",
    "conformal_threshold",
    "score",
]
