"""Class means of gradients of which only the kernel is known."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from .._metric import Metric
from ._base import KnownGradients, Plan, SpanRequest
from ._registry import register
from ._span import JointSpan, Span, classes_with_means, combine


@register
class KernelState(KnownGradients):
    """Sums of kernel rows over classes, and the classes of the rows.

    The rows of the training kernel come in the order of its columns, in any batches.

    Parameters
    ----------
    plan : Plan
        Its only layer has as many inputs as there are training samples.

    Attributes
    ----------
    class_sums : ndarray of shape (n_classes, n_train)
    labels : ndarray of int, shape (n_seen,)
    """

    name = "kernel"
    can_be_chosen = False

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.class_sums = np.zeros((plan.n_classes, plan.layer_shapes[0][0]))
        self.labels = np.zeros(0, dtype=np.intp)

    def span(self, request: SpanRequest) -> Span:
        """Return the span of the class means."""
        return KernelSubspace(self, request.n_components)

    def _prepare_to_write(self) -> None:
        self.journal.keep(self.class_sums)

    def _update(self, layers: Sequence, labels: np.ndarray) -> None:
        n_train = self.class_sums.shape[1]
        n_rows = len(self.labels) + len(labels)
        if n_rows > n_train:
            raise ValueError(
                f"The kernel has {n_train} training samples, its columns but the last; got "
                f"{n_rows} rows to fit."
            )
        np.add.at(self.class_sums, labels, layers[0].products)
        self.labels = np.concatenate([self.labels, labels])

    def _add_sums(self, other: Self, sign: float) -> None:
        # The order of rows is that of columns, which only an empty state can take over.
        if self.n_samples or sign < 0.0:
            raise ValueError(
                "Detectors with backend='kernel' cannot be merged, for a kernel is between all "
                "training samples. Pass its rows to one detector, in their order."
            )
        self.class_sums += other.class_sums
        self.labels = other.labels


class KernelSubspace(JointSpan):
    """Span of the class means in the inner product of the kernel.

    The mean of a class has the inner product with x that its samples have on average.

    Parameters
    ----------
    state : KernelState
        With all rows of the training kernel.
    n_components : int, float or None
        As for ClassMeanSubspace.

    Attributes
    ----------
    gram : ndarray of shape (n_classes, n_classes)
        Inner products of the class means.

    Raises
    ------
    ValueError
        If rows are missing, or the class means span no subspace.
    """

    def __init__(self, state: KernelState, n_components: int | float | None = None) -> None:
        n_train = state.class_sums.shape[1]
        if state.n_samples < n_train:
            raise ValueError(
                f"The kernel has {n_train} training samples, its columns but the last; only "
                f"{state.n_samples} of their rows have come yet."
            )
        kept = classes_with_means(state.counts)
        weights = (state.labels[:, None] == kept) / state.counts[kept]
        gram = (state.class_sums[kept] / state.counts[kept, None]) @ weights
        # Symmetric but for rounding, if the rows are in the order of the columns.
        if not np.allclose(gram, gram.T, rtol=1e-6, atol=1e-6 * np.abs(gram).max()):
            raise ValueError(
                "The kernel between the training samples is not symmetric. Row i of X has to be "
                "the kernel of sample i with all of them, in the same order, then with itself."
            )
        self.gram = (gram + gram.T) / 2.0
        eigenvalues, combinations, shift = combine(self.gram, n_components)
        super().__init__(Metric(None), eigenvalues, shift)
        self._weights = weights @ combinations.T

    def _products(self, layers):
        return layers[0].products @ self._weights
