"""Known gradients and the subspace that follows from them, one kind per file, by name.

To add one here: a file with a subclass of :class:`KnownGradients` that is decorated with
:func:`register`. Its ``span`` returns a :class:`Span`.
"""

from ..._base.folders import import_files
from ._base import KnownGradients, Plan, SpanRequest
from ._class_means import ClassMeanSubspace
from ._exact import GradientState
from ._feature_sums import FeatureSums, KnownFeatures
from ._frozen_metric import FrozenMetricState, LookAheadState, warn_if_few
from ._low_rank import LowRankState, class_floats
from ._pair_sums import is_one_hot
from ._principal import PrincipalState, PrincipalSubspace
from ._registry import KINDS, SUBSPACES, SubspaceName, make_known, register
from ._sketched_means import SWEEP_RATE, SketchedMeanSubspace, SketchedState
from ._span import Coordinates, JointSpan, Span
from ._sparse_means import SparseMeanSubspace
from ._tensor_sketch import TensorSketch

__all__ = [
    "KINDS",
    "SUBSPACES",
    "ClassMeanSubspace",
    "Coordinates",
    "FeatureSums",
    "FrozenMetricState",
    "GradientState",
    "JointSpan",
    "KnownFeatures",
    "KnownGradients",
    "LookAheadState",
    "LowRankState",
    "Plan",
    "PrincipalState",
    "PrincipalSubspace",
    "SketchedMeanSubspace",
    "SketchedState",
    "Span",
    "SpanRequest",
    "SparseMeanSubspace",
    "SubspaceName",
    "TensorSketch",
    "class_floats",
    "is_one_hot",
    "make_known",
    "register",
    "warn_if_few",
]

import_files(__name__)
