"""Class means of gradients that keep only their largest entries."""

import numpy as np
import scipy.sparse as sp

from ._sparse_rows import SparseRows
from ._subspace import Span, classes_with_means, combine


class SparseMeanSubspace(Span):
    """Span of class means of which each keeps its largest entries in the coordinates of a metric.

    The norms of gradients stay exact, over all parameters: evidence against a sample lies where
    the class means have nothing.

    Parameters
    ----------
    state : GradientState
        Classes of fewer than two samples are left out.
    metric : Metric
        The coordinates are those of whitened gradients: use one in its eigenbasis, where class
        means are compressible (``Metric.from_moments(..., eigenbasis=True)``).
    sparsity : float
        Share of the entries of each class mean that is kept, at least one.
    n_components : int, float or None
        As in ClassMeanSubspace.

    Attributes
    ----------
    means : csr_array of shape (n_classes, n_parameters)
        Sparse class means, whitened, layer after layer.
    eigenvalues : ndarray of shape (n_components,)
    gram : ndarray of shape (n_classes, n_classes)
        Of the sparse means.
    """

    def __init__(self, state, metric, sparsity, n_components=None):
        kept = classes_with_means(state.counts)
        shapes = [sums.shape[1:] for sums in state.class_sums]
        # One class at a time: only its own whitened mean is ever dense.
        self.means = sp.vstack(
            [_largest(_whitened_mean(state, metric, c), sparsity) for c in kept], format="csr"
        )
        self.gram = (self.means @ self.means.T).toarray()
        eigenvalues, self._combinations, shift = combine(self.gram, n_components)
        super().__init__(metric, eigenvalues, shift)
        self._rows = SparseRows(self.means, shapes)

    def _products(self, layers):
        return self._rows.dot(layers) @ self._combinations.T


def _whitened_mean(state, metric, label):
    return np.concatenate(
        [
            metric.whiten_matrices(i, sums[label : label + 1] / state.counts[label]).ravel()
            for i, sums in enumerate(state.class_sums)
        ]
    )


def _largest(vector, share):
    n_kept = max(1, int(np.ceil(share * len(vector) - 1e-9)))
    kept = np.sort(np.argpartition(-np.abs(vector), n_kept - 1)[:n_kept])
    kept = kept[vector[kept] != 0.0]
    return sp.csr_array((vector[kept], (np.zeros(len(kept), int), kept)), shape=(1, len(vector)))
