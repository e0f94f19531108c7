"""Class means of gradients as short sketches, for networks with very many parameters."""

import numpy as np
import scipy.sparse as sp

from ._frozen_metric import FrozenMetricState
from ._sparse_means import SparseMeanSubspace, n_largest
from ._subspace import JointSpan, classes_with_means, combine
from ._tensor_sketch import TensorSketch

# Floats of a temporary array (16 MB).
_BLOCK = 2**21


class SketchedState(FrozenMetricState):
    """Counts and sketched class sums of whitened gradients: n_classes x n_measurements floats.

    Parameters
    ----------
    n_classes, layer_shapes, metric, max_size
        As in FrozenMetricState.
    n_measurements : int
    seed : int

    Attributes
    ----------
    sketch : TensorSketch
    class_sums : ndarray of shape (n_classes, n_measurements)
    """

    def __init__(self, n_classes, layer_shapes, metric, max_size, n_measurements, seed):
        super().__init__(n_classes, layer_shapes, metric, max_size)
        self.sketch = TensorSketch(layer_shapes, n_measurements, seed)
        self.class_sums = np.zeros((n_classes, self.sketch.n_measurements))

    def spec(self):
        return self.sketch.spec()

    def _add(self, layers, labels):
        self.sketch.add_sums(self.class_sums, layers, labels)

    def _add_state(self, other):
        self.class_sums += other.class_sums

    def subspace(self, n_components=None, sparsity=None):
        """Return the SketchedMeanSubspace of the samples so far, or with sparsity a sparse one."""
        if sparsity is None:
            return SketchedMeanSubspace(self, n_components)
        return SparseMeanSubspace(
            self.metric, self._recovered_means(sparsity), self.sketch.layer_shapes, n_components
        )

    def _recovered_means(self, sparsity):
        """Return the largest entries of each class mean, as estimated from its sketch."""
        n_parameters = sum(p * q for p, q in self.sketch.layer_shapes)
        n_kept = n_largest(n_parameters, sparsity)
        rows = []
        for label in classes_with_means(self.counts):
            mean = self.class_sums[label] / self.counts[label]
            ids, values = self.sketch.largest(mean, n_kept)
            rows.append(sp.csr_array((values, ids, [0, len(ids)]), shape=(1, n_parameters)))
        return sp.vstack(rows, format="csr")


class SketchedMeanSubspace(JointSpan):
    r"""Span of the class means, by inner products of sketches.

    Norms of gradients are exact. Sketches add noise to the coordinates: with k directions and m
    measurements, what lies outside, of squared norm q^2, adds about :math:`k q^2 / m` to the
    squared length inside. That share is taken off again.

    Parameters
    ----------
    state : SketchedState
        Classes of fewer than two samples are left out.
    n_components : int, float or None
        As in ClassMeanSubspace.

    Attributes
    ----------
    eigenvalues : ndarray of shape (n_components,)
    gram : ndarray of shape (n_classes, n_classes)
        Inner products of sketches of the class means, an unbiased estimate.
    """

    def __init__(self, state, n_components=None):
        kept = classes_with_means(state.counts)
        means = state.class_sums[kept] / state.counts[kept, None]
        self.gram = means @ means.T
        eigenvalues, combinations, shift = combine(self.gram, n_components)
        super().__init__(state.metric, eigenvalues, shift)
        self.sketch = state.sketch
        self._directions = self.sketch.dual(combinations @ means)

    def _products(self, layers):
        n, step = len(layers[0]), max(1, _BLOCK // self.sketch.n_measurements)
        out = np.empty((n, self._directions.shape[1]))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            spectra = self.sketch.spectra([layer.take(rows) for layer in layers])
            out[rows] = spectra @ self._directions
        return out

    def _outside(self, squared_distance, squared_length):
        share = self.n_components / self.sketch.n_measurements
        outside = (squared_distance - squared_length) / max(1.0 - share, 0.5)
        return np.minimum(outside, squared_distance)
