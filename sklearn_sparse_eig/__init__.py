"""Sparse and low-rank structure seen through a small linear sketch, as scikit-learn estimators."""

from ._sketched_sparse_pca import SketchedSparsePCA
from ._sparse_eigsh import sparse_eigsh
from .recovery import RecoveryWarning, SparseEigenpairs
from .sketching import EigenSketch, recommend_sketch

__version__ = "0.1.0"

__all__ = [
    "EigenSketch",
    "RecoveryWarning",
    "SketchedSparsePCA",
    "SparseEigenpairs",
    "__version__",
    "recommend_sketch",
    "sparse_eigsh",
]
