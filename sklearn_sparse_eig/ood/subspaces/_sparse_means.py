"""Class means of gradients that keep only their largest entries."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._metric import Metric
from ._span import JointSpan, classes_with_means, combine
from ._sparse_rows import SparseRows


class SparseMeanSubspace(JointSpan):
    """Span of class means that keep only their largest entries in the coordinates of a metric.

    The norms of gradients remain exact, over all parameters, because evidence against a sample lies
    where the class means have nothing.

    Parameters
    ----------
    metric : Metric
    means : csr_array of shape (n_classes, n_parameters)
        Sparse class means, whitened, layer after layer.
    layer_shapes : sequence of (int, int)
    n_components : int, float or None
        Number of directions, as in ClassMeanSubspace.

    Attributes
    ----------
    means : csr_array of shape (n_classes, n_parameters)
    eigenvalues : ndarray of shape (n_components,)
    gram : ndarray of shape (n_classes, n_classes)
        Inner products of the sparse means.
    """

    def __init__(
        self,
        metric: Metric,
        means: sp.csr_array,
        layer_shapes: Sequence[tuple[int, int]],
        n_components: int | float | None = None,
    ) -> None:
        self.means = means
        self.gram = (means @ means.T).toarray()
        eigenvalues, self._combinations, shift = combine(self.gram, n_components)
        super().__init__(metric, eigenvalues, shift)
        self._rows = SparseRows(means, layer_shapes)

    @property
    def sparse_means(self) -> sp.csr_array:
        """The class means themselves."""
        return self.means

    def _products(self, layers):
        return self._rows.dot(layers) @ self._combinations.T


def sparse_means(state: Any, metric: Metric, sparsity: float) -> sp.csr_array:
    """Return the largest entries of each whitened class mean.

    Parameters
    ----------
    state : GradientState
        Classes of fewer than two samples are left out.
    metric : Metric
        In its eigenbasis class means are compressible (``Metric.from_moments(...,
        eigenbasis=True)``).
    sparsity : float
        Share of the entries of each class mean that is kept, at least one.

    Returns
    -------
    csr_array of shape (n_classes, n_parameters)
    """
    # One class at a time: only its own whitened mean is ever dense.
    return sp.vstack(
        [
            _largest(_whitened_mean(state, metric, label), sparsity)
            for label in classes_with_means(state.counts)
        ],
        format="csr",
    )


def n_largest(n_parameters: int, sparsity: float) -> int:
    """Return how many entries are a share of all, rounded up."""
    return max(1, int(np.ceil(sparsity * n_parameters - 1e-9)))


def _whitened_mean(state, metric, label):
    return np.concatenate(
        [
            metric.whiten_matrices(i, state.sums_of(i, [label]) / state.counts[label]).ravel()
            for i in range(len(state.layer_sums))
        ]
    )


def _largest(vector, share):
    n_kept = n_largest(len(vector), share)
    kept = np.sort(np.argpartition(-np.abs(vector), n_kept - 1)[:n_kept])
    kept = kept[vector[kept] != 0.0]
    return sp.csr_array((vector[kept], (np.zeros(len(kept), int), kept)), shape=(1, len(vector)))
