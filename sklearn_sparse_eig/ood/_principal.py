"""The leading sparse principal directions of gradients, instead of class means."""

import numpy as np
import scipy.sparse as sp

from ..sketching import EigenSketch, choose_size
from ._frozen_metric import FrozenMetricState
from ._sparse_means import n_largest
from ._sparse_rows import SparseRows
from ._subspace import JointSpan

# Parameters up to which whitened gradients are made as dense rows and their mean is kept.
LARGEST_DENSE_GRADIENT = 2**20
# Floats of a temporary array (16 MB).
_BLOCK = 2**21
# Nonzeros of a direction unless asked otherwise: as many as stand out take minutes to find.
_NONZEROS = 50


class PrincipalState(FrozenMetricState):
    """Counts, and the covariance sketch of whitened gradients in the eigenbasis of the metric.

    Parameters
    ----------
    n_classes, layer_shapes, metric, max_size
        As in FrozenMetricState.
    n_components : int
        Directions that the sketch is sized for.
    sparsity : float or None, default=None
        Share of the entries of a direction that are not zero; None for 50 entries.
    seed : int, default=0

    Attributes
    ----------
    sketch : EigenSketch

    Raises
    ------
    ValueError
        If there are more than 2**20 parameters.
    """

    def __init__(
        self, n_classes, layer_shapes, metric, max_size, n_components, sparsity=None, seed=0
    ):
        super().__init__(n_classes, layer_shapes, metric, max_size)
        n_parameters = sum(p * q for p, q in layer_shapes)
        if n_parameters > LARGEST_DENSE_GRADIENT:
            raise ValueError(
                "subspace='sparse_pca' makes every gradient as a dense row, and "
                f"{n_parameters} parameters are more than its limit of {LARGEST_DENSE_GRADIENT}. "
                "Choose fewer layers by params, or use subspace='sketched'."
            )
        self.layer_shapes, self.n_components, self.seed = tuple(layer_shapes), n_components, seed
        self.n_nonzero = min(_NONZEROS, n_parameters)
        if sparsity is not None:
            self.n_nonzero = n_largest(n_parameters, sparsity)
        size = choose_size(n_parameters, n_components, self.n_nonzero, feature_moments=True)
        self.sketch = EigenSketch(n_parameters, random_state=seed, **size.arguments())

    def spec(self):
        return self.sketch.settings()

    def _add(self, layers, labels):
        step = max(1, _BLOCK // self.sketch.measurement.n_features)
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            self.sketch.update(np.hstack([layer.take(rows).dense() for layer in layers]))

    def _add_state(self, other):
        self.sketch.merge(other.sketch)

    def subspace(self, n_components=None, sparsity=None):
        """Return the PrincipalSubspace of the samples so far."""
        return PrincipalSubspace(self, n_components or self.n_components)


class PrincipalSubspace(JointSpan):
    """Span of sparse leading eigenvectors of the covariance of whitened gradients.

    Parameters
    ----------
    state : PrincipalState
    n_components : int

    Attributes
    ----------
    components : csr_array of shape (n_components, n_parameters)
        Sparse unit vectors, whitened, layer after layer.
    eigenvalues : ndarray of shape (n_components,)
        Variances along them.

    Raises
    ------
    ValueError
        If there are fewer than two samples, or their gradients do not vary.
    """

    def __init__(self, state, n_components):
        if state.n_samples < 2:
            raise ValueError(
                f"A covariance needs at least two samples, got n_samples = {state.n_samples}."
            )
        pairs = state.sketch.recover(
            n_components, n_nonzero_coefs=state.n_nonzero, random_state=state.seed
        )
        self.components = sp.csr_array(pairs.eigenvectors.T)
        gram = (self.components @ self.components.T).toarray()
        values, mixing = np.linalg.eigh(gram)
        if values[0] < 1e-10:
            raise ValueError(
                f"The gradients vary in fewer than n_components={n_components} directions."
            )
        # Symmetric: orthonormal directions as near as can be to the sparse ones.
        self._combinations = (mixing / np.sqrt(values)) @ mixing.T
        centre = state.sketch.feature_mean()
        shift = self._combinations @ (self.components @ centre)
        super().__init__(state.metric, pairs.eigenvalues, np.append(shift, centre @ centre))
        self._rows = SparseRows(self.components, state.layer_shapes)
        starts = np.cumsum([0, *(p * q for p, q in state.layer_shapes)])
        self._centre = [
            centre[start:stop].reshape(p, 1, q)
            for start, stop, (p, q) in zip(starts[:-1], starts[1:], state.layer_shapes, strict=True)
        ]

    def _products(self, layers):
        along = self._rows.dot(layers) @ self._combinations.T
        at_centre = sum(
            layer.dot(centre) for layer, centre in zip(layers, self._centre, strict=True)
        )
        return np.hstack([along, at_centre])
