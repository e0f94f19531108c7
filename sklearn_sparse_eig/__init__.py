"""Sparse and low-rank structure seen through a small linear sketch, as scikit-learn estimators."""

from ._grad_pca_detector import GradPCADetector
from ._gradient_features import GradientFeatures
from ._sketched_sparse_pca import SketchedSparsePCA
from ._sparse_eigsh import sparse_eigsh
from .recovery import RecoveryWarning, SparseEigenpairs
from .sketching import EigenSketch, recommend_sketch

__version__ = "0.1.0"

__all__ = [
    "EigenSketch",
    "GradPCADetector",
    "GradientFeatures",
    "RecoveryWarning",
    "SketchedSparsePCA",
    "SparseEigenpairs",
    "__version__",
    "recommend_sketch",
    "sparse_eigsh",
]
