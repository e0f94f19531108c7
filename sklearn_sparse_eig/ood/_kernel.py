"""Class means of gradients of which only the kernel is known."""

import numpy as np

from ._metric import Metric
from ._subspace import JointSpan, classes_with_means, combine


class KernelState:
    """Sums of kernel rows over classes, and the classes of the rows.

    The rows of the training kernel come in the order of its columns, in any batches.

    Parameters
    ----------
    n_classes, n_train : int

    Attributes
    ----------
    counts : ndarray of int64, shape (n_classes,)
    class_sums : ndarray of shape (n_classes, n_train)
    labels : ndarray of int, shape (n_seen,)
    """

    def __init__(self, n_classes, n_train):
        self.counts = np.zeros(n_classes, dtype=np.int64)
        self.class_sums = np.zeros((n_classes, n_train))
        self.labels = np.zeros(0, dtype=np.intp)

    @property
    def n_samples(self):
        """Number of rows seen."""
        return len(self.labels)

    def update(self, layers, labels):
        """Add rows, a tuple of one KernelRows, with the indices of their classes."""
        n_train = self.class_sums.shape[1]
        if self.n_samples + len(labels) > n_train:
            raise ValueError(
                f"The kernel has {n_train} training samples, its columns but the last; got "
                f"{self.n_samples + len(labels)} rows to fit."
            )
        np.add.at(self.class_sums, labels, layers[0].products)
        self.counts += np.bincount(labels, minlength=len(self.counts))
        self.labels = np.concatenate([self.labels, labels])

    def merge(self, other):
        """Refuse: the order of rows is that of columns."""
        raise ValueError(
            "Detectors with backend='kernel' cannot be merged, for a kernel is between all "
            "training samples. Pass its rows to one detector, in their order."
        )


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

    def __init__(self, state, n_components=None):
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
