"""Sums over the classes that have come; those that have not take nothing."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ...gradients import LayerOutline
from .. import _costs
from .._costs import Expected
from .._metric import Metric
from ._base import Plan
from ._means import LowRankMeans, Means, WholeMeans
from ._sums_by_key import SumsByKey


class LayerSums(ABC):
    """Sums over classes of the gradients of one layer, in some form.

    Parameters
    ----------
    shape : tuple of (int, int)
        Of a gradient.
    sums : SumsByKey, default=None

    Attributes
    ----------
    has_diagonal_outputs : bool
        Whether the second moment of the derivatives at the outputs is a diagonal matrix.
    is_whitened : bool
        Whether the gradients that are added have to be whitened before.
    can_change : bool
        Whether the sums can be brought to another form.
    """

    has_diagonal_outputs: ClassVar[bool] = False
    is_whitened: ClassVar[bool] = False
    can_change: ClassVar[bool] = False

    def __init__(self, shape: tuple[int, int], sums: SumsByKey | None = None) -> None:
        self.shape = shape
        self.sums = SumsByKey() if sums is None else sums

    def writable(self) -> Self:
        """Return what may be changed in the place of this, which stays as it is."""
        return type(self)(self.shape, self.sums.writable())

    def merge(self, other: Self, sign: float) -> None:
        """Add `sign` times other sums of the same form."""
        self.sums.merge(other.sums, sign)

    @property
    def n_floats(self) -> int:
        """How many numbers are kept."""
        return sum(values.size for values in self.sums.sums.values())

    def labels(self) -> list[int]:
        """Return the classes that have come, in order."""
        return sorted(self.sums.sums)

    @abstractmethod
    def takes(self, layer: Any) -> bool:
        """Whether gradients can be added in this form."""

    @abstractmethod
    def add(self, layer: Any, labels: np.ndarray) -> None:
        """Add gradients in float64 to the sums of their classes."""

    @abstractmethod
    def matrices(self, labels: Sequence[int]) -> np.ndarray:
        """Return the sums of some classes as matrices, (k, p, q)."""

    @abstractmethod
    def spread(self) -> "MatrixSums":
        """Return the same sums as matrices."""

    @abstractmethod
    def means(
        self, labels: np.ndarray, counts: np.ndarray, metric: Metric, i: int, rank: int | None
    ) -> Means:
        """Return the whitened means of classes, of at most a rank.

        Parameters
        ----------
        labels, counts : ndarray of int
        metric : Metric
        i : int
            Index of the layer in the metric.
        rank : int or None
        """


class MatrixSums(LayerSums):
    """A matrix for each class."""

    def takes(self, layer: Any) -> bool:
        """Whether gradients can be added: always."""
        return True

    def add(self, layer: Any, labels: np.ndarray) -> None:
        """Add gradients in float64 to the sums of their classes."""
        for label, rows in rows_by_label(labels):
            self.sums.add(label, layer.sum(rows))

    def add_matrix(self, label: int, matrix: np.ndarray) -> None:
        """Add a sum of gradients to the sum of a class."""
        self.sums.add(label, matrix)

    def matrices(self, labels: Sequence[int]) -> np.ndarray:
        """Return the sums of some classes, (k, p, q)."""
        return self.sums.stacked([int(label) for label in labels], self.shape)

    def spread(self) -> "MatrixSums":
        """Return itself."""
        return self

    def means(
        self, labels: np.ndarray, counts: np.ndarray, metric: Metric, i: int, rank: int | None
    ) -> Means:
        """Return the whitened means of classes, of at most a rank."""
        means = metric.whiten_matrices(i, self.matrices(labels.tolist()) / counts[:, None, None])
        if rank is None or rank >= min(self.shape):
            return WholeMeans(means)
        return LowRankMeans.nearest(means, rank)


def expected_of_sums(
    plan: Plan, layer: LayerOutline, is_one_hot: bool, rank: int | None
) -> Expected:
    """Return what sums of classes take as matrices, or as pairs of a model that is mostly right."""
    (p, q), n = layer.shape, plan.n_expected
    if is_one_hot:
        return Expected(n * p, 2 * p, _costs.products(layer, n, plan.n_directions, 1))
    score = _costs.products(layer, n, plan.n_directions, rank)
    return Expected(n * p * q, _costs.summing(layer), score)


def rows_by_label(labels: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each label with the indices of its rows, in order."""
    for label in np.unique(labels):
        yield int(label), np.flatnonzero(labels == label)
