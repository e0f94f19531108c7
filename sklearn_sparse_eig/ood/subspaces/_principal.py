"""The leading sparse principal directions of gradients, instead of class means."""

from dataclasses import replace
from typing import Any, Self, cast

import numpy as np
import scipy.sparse as sp

from ...gradients import LayerOutline
from ...sketching import EigenSketch, choose_size
from .._costs import Expected, forming
from ._base import Plan, SpanRequest
from ._frozen_metric import FrozenMetricState
from ._registry import register
from ._span import JointSpan, Span
from ._sparse_means import n_largest
from ._sparse_rows import SparseRows

# Parameters up to which whitened gradients are made as dense rows and their mean is kept.
LARGEST_DENSE_GRADIENT = 2**20
# Floats of a temporary array (16 MB).
_BLOCK = 2**21
# Nonzeros of a direction unless asked otherwise: as many as stand out take minutes to find.
_NONZEROS = 50


@register
class PrincipalState(FrozenMetricState):
    """Counts, and the covariance sketch of whitened gradients in the eigenbasis of the metric.

    Parameters
    ----------
    plan : Plan
        The sketch is sized for its ``n_components``; ``sparsity`` is the share of the entries of
        a direction that are not zero, and None stands for 50 entries.

    Attributes
    ----------
    sketch : EigenSketch
    """

    name = "sparse_pca"
    is_hashed = True

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        n = plan.n_parameters
        self.n_nonzero = min(_NONZEROS, n)
        if plan.sparsity is not None:
            self.n_nonzero = n_largest(n, plan.sparsity)
        size = choose_size(n, cast(int, plan.n_components), self.n_nonzero, feature_moments=True)
        self.sketch = EigenSketch(n, random_state=plan.seed, **size.arguments())

    @classmethod
    def complete(cls, plan: Plan) -> Plan:
        """Return the plan with a number of directions.

        Raises
        ------
        ValueError
            If a share of the trace is asked for, or there are more than 2**20 parameters.
        """
        if isinstance(plan.n_components, float):
            raise ValueError(
                f"n_components={plan.n_components}, a share of the trace, is not known for "
                "subspace='sparse_pca', which recovers a given number of directions. Use an int."
            )
        if plan.n_parameters > LARGEST_DENSE_GRADIENT:
            raise ValueError(
                "subspace='sparse_pca' makes every gradient as a dense row, and "
                f"{plan.n_parameters} parameters are more than its limit of "
                f"{LARGEST_DENSE_GRADIENT}. Choose fewer layers by params, or use "
                "subspace='sketched'."
            )
        n_components = min(plan.n_components or max(plan.n_expected - 1, 1), plan.n_parameters)
        return replace(plan, n_components=n_components)

    def expected(self, i: int, layer: LayerOutline, is_one_hot: bool, rank: int | None) -> Expected:
        """Return what making layer i as dense rows takes."""
        return Expected(0.0, forming(layer), forming(layer))

    def expected_in_common(self) -> Expected:
        """Return what the sketch takes, and what a row adds to it."""
        floats = self.sketch.nbytes / 8.0
        nonzeros = float(self.n_nonzero * self.plan.n_directions)
        # Each parameter is read, and products of what was measured are added.
        return Expected(floats, self.plan.n_parameters + floats, nonzeros)

    def settings(self) -> dict[str, Any]:
        """Return all that must agree between states that are merged."""
        return super().settings() | {"sketch": self.sketch.settings()}

    def span(self, request: SpanRequest) -> Span:
        """Return the span of sparse principal directions."""
        return PrincipalSubspace(self, int(request.n_components or self.plan.n_components or 1))

    def _prepare_to_write(self) -> None:
        # What is written is a copy, so that the old sketch need not be put back.
        self.sketch = self.sketch.copy()

    def _update_whitened(self, layers: tuple, labels: np.ndarray) -> None:
        step = max(1, _BLOCK // self.sketch.measurement.n_features)
        for start in range(0, len(labels), step):
            rows = slice(start, start + step)
            self.sketch.update(np.hstack([layer.take(rows).dense() for layer in layers]))

    def _add_sums(self, other: Self, sign: float) -> None:
        (self.sketch.merge if sign > 0.0 else self.sketch.subtract)(other.sketch)


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

    def __init__(self, state: PrincipalState, n_components: int) -> None:
        if state.n_samples < 2:
            raise ValueError(
                f"A covariance needs at least two samples, got n_samples = {state.n_samples}."
            )
        pairs = state.sketch.recover(
            n_components, n_nonzero_coefs=state.n_nonzero, random_state=state.plan.seed
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
        centre = cast(np.ndarray, state.sketch.feature_mean())  # it keeps the moments
        shift = self._combinations @ (self.components @ centre)
        super().__init__(state.known_metric, pairs.eigenvalues, np.append(shift, centre @ centre))
        self._rows = SparseRows(self.components, state.plan.layer_shapes)
        starts = np.cumsum([0, *(p * q for p, q in state.plan.layer_shapes)])
        self._centre = [
            centre[start:stop].reshape(p, 1, q)
            for start, stop, (p, q) in zip(
                starts[:-1], starts[1:], state.plan.layer_shapes, strict=True
            )
        ]

    def _products(self, layers):
        along = self._rows.dot(layers) @ self._combinations.T
        at_centre = sum(
            layer.dot(centre) for layer, centre in zip(layers, self._centre, strict=True)
        )
        return np.hstack([along, at_centre])
