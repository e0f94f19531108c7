"""Sparse principal components, of a stream of rows or of a matrix at hand."""

from ._estimator import SketchedSparsePCA
from ._sparse_eigsh import sparse_eigsh

__all__ = ["SketchedSparsePCA", "sparse_eigsh"]
