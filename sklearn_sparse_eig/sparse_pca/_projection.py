"""The projection of rows onto the span of sparse components."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..recovery import SparseEigenpairs


@dataclass(frozen=True)
class Projection:
    """All that projecting rows takes, of one recovery: what other threads do cannot mix two.

    Attributes
    ----------
    support : ndarray of int64, shape (n_support,)
        The features that occur in any component.
    loadings : ndarray of shape (n_support, r)
        The components, restricted to the support.
    mean : ndarray of shape (n_support,)
        The means of these features, zero where rows are not centred.
    inverse_gram : ndarray of shape (r, r)
        The inverse of the inner products of the components.
    """

    support: np.ndarray
    loadings: np.ndarray
    mean: np.ndarray
    inverse_gram: np.ndarray

    @classmethod
    def of(cls, pairs: SparseEigenpairs, mean: np.ndarray) -> "Projection":
        """Return the projection onto recovered eigenvectors."""
        vectors = pairs.eigenvectors
        rows = np.searchsorted(pairs.support, vectors.indices)
        shape = (len(pairs.support), vectors.shape[1])
        loadings = sp.csc_array((vectors.data, rows, vectors.indptr), shape=shape).toarray()
        return cls(pairs.support, loadings, mean, np.linalg.pinv(loadings.T @ loadings))

    def products(self, columns: Any, mean: np.ndarray) -> np.ndarray:
        """Return (X - mean) components_^T from the columns of the support, dense or CSR."""
        if sp.issparse(columns):
            return columns @ self.loadings - mean @ self.loadings
        return (columns - mean) @ self.loadings
