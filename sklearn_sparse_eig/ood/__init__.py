"""How far a gradient is from those of known classes: metric, subspaces, scores, thresholds."""

from ._build import KnownRequest, build, choose_sparsity, choose_subspace
from ._classes import check_counts, encode
from ._conformal import conformal_p_values, conformal_threshold
from ._detector import GradPCADetector
from ._evaluation import ood_metrics
from ._held_out import choose_held_out
from ._metric import Metric
from ._plan import DetectorPlan, LayerPlan
from .scores import SCORES, Place, Score, ScoreName, register_score, score
from .subspaces import (
    KINDS,
    SUBSPACES,
    ClassMeanSubspace,
    Coordinates,
    FrozenMetricState,
    GradientState,
    JointSpan,
    KnownGradients,
    LowRankState,
    Plan,
    PrincipalState,
    PrincipalSubspace,
    SketchedMeanSubspace,
    SketchedState,
    Span,
    SpanRequest,
    SparseMeanSubspace,
    SubspaceName,
    TensorSketch,
    make_known,
    register,
)

__all__ = [
    "ClassMeanSubspace",
    "Coordinates",
    "DetectorPlan",
    "FrozenMetricState",
    "GradientState",
    "JointSpan",
    "KINDS",
    "KnownGradients",
    "KnownRequest",
    "LayerPlan",
    "LowRankState",
    "Metric",
    "Place",
    "Plan",
    "PrincipalState",
    "PrincipalSubspace",
    "SCORES",
    "SUBSPACES",
    "Score",
    "SketchedMeanSubspace",
    "SketchedState",
    "Span",
    "SpanRequest",
    "SparseMeanSubspace",
    "TensorSketch",
    "build",
    "check_counts",
    "choose_held_out",
    "choose_sparsity",
    "choose_subspace",
    "conformal_p_values",
    "conformal_threshold",
    "encode",
    "make_known",
    "ood_metrics",
    "register",
    "register_score",
    "score",
]
