"""Sparse and low-rank structure seen through a small linear sketch, as scikit-learn estimators."""

from ._diagonal_network import DiagonalNetworkRegressor
from ._diagonal_network_paths import diagonal_network_path, learning_rate_path
from ._sketched_sparse_pca import SketchedSparsePCA
from ._sparse_eigsh import sparse_eigsh
from .recovery import RecoveryWarning, SparseEigenpairs
from .sketching import EigenSketch, recommend_sketch

__version__ = "0.1.0"

__all__ = [
    "DiagonalNetworkRegressor",
    "EigenSketch",
    "RecoveryWarning",
    "SketchedSparsePCA",
    "SparseEigenpairs",
    "__version__",
    "diagonal_network_path",
    "learning_rate_path",
    "recommend_sketch",
    "sparse_eigsh",
]
