"""The span of the class-mean gradients, kept layer by layer."""

from typing import Any

import numpy as np

from .._metric import Metric
from ._span import Span, classes_with_means, combine


class ClassMeanSubspace(Span):
    """Span of G_c - centre over classes c, where the centre is the unweighted mean of the G_c.

    It is computed from the Gram matrix of the class means (n_classes x n_classes). The directions
    are combinations of class means.

    Parameters
    ----------
    state : GradientState
        Class sums. Classes with fewer than two samples are left out.
    metric : Metric
        Inner product of gradients.
    n_components : int, float or None
        Number of directions. None takes all, one less than there are classes. A float in (0, 1)
        takes the fewest whose eigenvalues have this share of the total.
    mean_rank : int or None
        Largest rank of the mean of a class in a layer. None keeps the mean as it is.

    Attributes
    ----------
    eigenvalues : ndarray of shape (n_components,)
        Eigenvalues of the centred Gram matrix, in decreasing order.
    gram : ndarray of shape (n_classes, n_classes)
        Inner products of the class means.

    Raises
    ------
    ValueError
        If there are fewer than two classes, or their mean gradients coincide.
    """

    def __init__(
        self,
        state: Any,
        metric: Metric,
        n_components: int | float | None = None,
        mean_rank: int | None = None,
    ) -> None:
        kept = classes_with_means(state.counts)
        # Whitened once here, and the factors of each new sample likewise.
        means = [
            sums.means(kept, state.counts[kept], metric, i, mean_rank)
            for i, sums in enumerate(state.layer_sums)
        ]
        self.gram = sum(layer.gram() for layer in means)
        eigenvalues, combinations, shift = combine(self.gram, n_components)
        super().__init__(metric, eigenvalues, shift)
        self._combinations = combinations
        # The means of a layer are given up for its directions, for both may be large.
        self._directions = [means.pop(0).combined(combinations) for _ in range(len(means))]

    def _measure(self, layers):
        squared_norm = products = of_means = 0.0
        # Each layer once, for it may be large and made only now.
        for layer, directions in zip(layers, self._directions, strict=True):
            # First what may have to make matrices, which then serve the norms.
            found = directions.of_means(layer)
            if found is None:
                products = products + directions.products(layer)
            else:
                of_means = of_means + found
            squared_norm = squared_norm + layer.squared_norms()
        if np.ndim(of_means):
            products = products + of_means @ self._combinations.T
        return squared_norm, products
