"""How far a gradient is from those of known classes: metric, subspaces, scores, thresholds."""

from ._build import SUBSPACES, choose_sparsity, choose_subspace, make_known
from ._classes import check_counts, encode
from ._conformal import conformal_p_values, conformal_threshold
from ._detector import GradPCADetector
from ._exact import GradientState
from ._frozen_metric import FrozenMetricState
from ._held_out import choose_held_out
from ._known import KINDS, KnownGradients, Plan, SpanRequest, register
from ._metric import Metric
from ._names import ScoreName, SubspaceName
from ._principal import PrincipalState, PrincipalSubspace
from ._scores import SCORES, score
from ._sketched_means import SketchedMeanSubspace, SketchedState
from ._sparse_means import SparseMeanSubspace
from ._subspace import ClassMeanSubspace, Coordinates, Span
from ._tensor_sketch import TensorSketch

__all__ = [
    "ClassMeanSubspace",
    "Coordinates",
    "FrozenMetricState",
    "GradientState",
    "KINDS",
    "KnownGradients",
    "Metric",
    "Plan",
    "PrincipalState",
    "PrincipalSubspace",
    "SCORES",
    "SUBSPACES",
    "SketchedMeanSubspace",
    "SketchedState",
    "Span",
    "SpanRequest",
    "SparseMeanSubspace",
    "TensorSketch",
    "check_counts",
    "choose_held_out",
    "choose_sparsity",
    "choose_subspace",
    "conformal_p_values",
    "conformal_threshold",
    "encode",
    "make_known",
    "register",
    "score",
]
