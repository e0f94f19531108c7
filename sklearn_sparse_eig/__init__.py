"""Sparse and low-rank structure seen through a small linear sketch, as scikit-learn estimators."""

from ._base.version import __version__
from .fourier import WeightedFourierRegressor, trigonometric_risk
from .gradients import GradientFeatures
from .implicit import (
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    diagonal_network_path,
    learning_rate_path,
)
from .lowrank import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    LowRankRegressor,
    effective_rank,
    low_rank_intervals,
)
from .ood import GradPCADetector, ood_metrics
from .recovery import RecoveryWarning, SparseEigenpairs
from .seeds import SeedConfidenceFilter
from .sketching import EigenSketch, recommend_sketch
from .sparse_pca import (
    SketchedSparsePCA,
    SketchedSparsePCACV,
    SupportStability,
    sparse_eigsh,
    support_stability,
)

__all__ = [
    "DeepFactorizationCovariance",
    "DeepMatrixFactorization",
    "DiagonalNetworkRegressor",
    "DiagonalNetworkRegressorCV",
    "EigenSketch",
    "GradPCADetector",
    "GradientFeatures",
    "LowRankRegressor",
    "RecoveryWarning",
    "SeedConfidenceFilter",
    "SketchedSparsePCA",
    "SketchedSparsePCACV",
    "SparseEigenpairs",
    "SupportStability",
    "WeightedFourierRegressor",
    "__version__",
    "diagonal_network_path",
    "effective_rank",
    "learning_rate_path",
    "low_rank_intervals",
    "ood_metrics",
    "recommend_sketch",
    "sparse_eigsh",
    "support_stability",
    "trigonometric_risk",
]
