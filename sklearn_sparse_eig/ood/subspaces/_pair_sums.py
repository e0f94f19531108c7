"""Class sums where the derivative at the outputs is one-hot, as at the head under ``"max"``."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._metric import Metric
from ._class_sums import LayerSums, MatrixSums
from ._means import Means
from ._pair_means import PairMeans
from ._sums_by_key import SumsByKey


class PairSums(LayerSums):
    r"""The sum of what enters a layer for each pair of a class and an output that occurs.

    Where the derivative is the unit vector :math:`e_j` of output j, the gradient
    :math:`a e_j^T` has one column. The sum over class c is
    :math:`\sum_j s_{cj} e_j^T`, where :math:`s_{cj}` is the sum of a over the samples of class c
    whose largest output is j. A model that is mostly right has little more than one such j for
    each class: about C p floats in the place of C p q. Derived here.
    """

    has_diagonal_outputs = can_change = True

    def takes(self, layer: Any) -> bool:
        """Whether each derivative is a unit vector that the codes tell."""
        return is_one_hot(layer)

    def labels(self) -> list[int]:
        """Return the classes that have come, in order."""
        return sorted({label for label, _ in self.sums.sums})

    def add(self, layer: Any, labels: np.ndarray) -> None:
        """Add gradients in float64 to the sums of their classes."""
        q = self.shape[1]
        pairs, place = np.unique(labels.astype(np.int64) * q + layer.codes, return_inverse=True)
        n = len(place)
        gather = sp.csr_array((np.ones(n), (place, np.arange(n))), shape=(len(pairs), n))
        sums = gather @ layer.inputs
        sums = sums.toarray() if sp.issparse(sums) else sums
        for pair, values in zip(pairs, sums, strict=True):
            self.sums.add((int(pair // q), int(pair % q)), values)

    def matrices(self, labels: Sequence[int]) -> np.ndarray:
        """Return the sums of some classes as matrices, (k, p, q)."""
        out = np.zeros((len(labels), *self.shape))
        place = {int(label): k for k, label in enumerate(labels)}
        for (label, code), values in self.sums.sums.items():
            if label in place:
                out[place[label], :, code] = values
        return out

    def spread(self) -> MatrixSums:
        """Return the same sums as matrices."""
        rows = {label: self.matrices([label])[0] for label in self.labels()}
        return MatrixSums(self.shape, SumsByKey(rows))

    def means(
        self, labels: np.ndarray, counts: np.ndarray, metric: Metric, i: int, rank: int | None
    ) -> Means:
        """Return the whitened means of classes, of at most a rank."""
        place = {int(label): k for k, label in enumerate(labels)}
        pairs = sorted((place[c], code) for c, code in self.sums.sums if c in place)
        owners, codes = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
        lefts = np.stack([self.sums.sums[int(labels[c]), code] for c, code in pairs])
        lefts /= counts[owners, None]
        present, codes = np.unique(codes, return_inverse=True)
        rights = np.zeros((len(present), self.shape[1]))
        rights[np.arange(len(present)), present] = 1.0
        if metric.roots is not None:
            left, right = metric.roots[i]
            lefts, rights = left.of(lefts), right.of(rights)
        means = PairMeans(lefts, rights, owners, codes, len(labels))
        return means if rank is None or rank >= min(self.shape) else means.nearest(rank)


def is_one_hot(layer: Any) -> bool:
    """Whether gradients are factors whose derivative is the unit vector of the code of a row."""
    codes = getattr(layer, "codes", None)
    if codes is None or layer.is_explicit or layer.deltas.shape[1] < 2:
        return False
    deltas = layer.deltas
    return (
        codes.max(initial=0) < deltas.shape[1]
        and np.count_nonzero(deltas) == len(deltas)
        and bool((deltas[np.arange(len(deltas)), codes] == 1.0).all())
    )
