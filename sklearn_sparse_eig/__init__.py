"""Sparse and low-rank structure seen through a small linear sketch, as scikit-learn estimators."""

from ._deep_factorization_covariance import DeepFactorizationCovariance
from ._deep_matrix_factorization import DeepMatrixFactorization
from ._diagonal_network import DiagonalNetworkRegressor
from ._diagonal_network_paths import diagonal_network_path, learning_rate_path
from ._grad_pca_detector import GradPCADetector
from ._gradient_features import GradientFeatures
from ._seed_confidence_filter import SeedConfidenceFilter
from ._sketched_sparse_pca import SketchedSparsePCA
from ._sparse_eigsh import sparse_eigsh
from ._weighted_fourier import WeightedFourierRegressor
from .fourier import trigonometric_risk
from .lowrank import effective_rank, low_rank_intervals
from .recovery import RecoveryWarning, SparseEigenpairs
from .sketching import EigenSketch, recommend_sketch

__version__ = "0.1.0"

__all__ = [
    "DeepFactorizationCovariance",
    "DeepMatrixFactorization",
    "DiagonalNetworkRegressor",
    "EigenSketch",
    "GradPCADetector",
    "GradientFeatures",
    "RecoveryWarning",
    "SeedConfidenceFilter",
    "SketchedSparsePCA",
    "SparseEigenpairs",
    "WeightedFourierRegressor",
    "__version__",
    "diagonal_network_path",
    "effective_rank",
    "learning_rate_path",
    "low_rank_intervals",
    "recommend_sketch",
    "sparse_eigsh",
    "trigonometric_risk",
]
