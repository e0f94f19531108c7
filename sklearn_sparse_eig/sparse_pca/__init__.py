"""Sparse principal components, of a stream of rows or of a matrix at hand."""

from ._cross_validated import SketchedSparsePCACV
from ._estimator import SketchedSparsePCA
from ._sparse_eigsh import sparse_eigsh
from ._stability import SupportStability, support_stability

__all__ = [
    "SketchedSparsePCA",
    "SketchedSparsePCACV",
    "SupportStability",
    "sparse_eigsh",
    "support_stability",
]
