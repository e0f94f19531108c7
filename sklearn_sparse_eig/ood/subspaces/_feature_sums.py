"""Sums of what enters the head, and of how far its largest output stands out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..._base.atomic import Journal
from .._confidence import NO_SUMS, Confidence, logit_sums
from .._moments import Moment
from .._relative_distance import RelativeDistance
from ._sums_by_key import SumsByKey


@dataclass(frozen=True)
class KnownFeatures:
    """What known samples say of features and logits.

    Parameters
    ----------
    distance : RelativeDistance
    confidence : Confidence
    mean_square : float
        Mean squared norm of the gradients in the Euclidean metric.
    """

    distance: RelativeDistance
    confidence: Confidence
    mean_square: float


class FeatureSums:
    """X

    A feature is what enters the last layer of a model. All of this adds up over samples.

    Parameters
    ----------
    classes : SumsByKey, default=None
    second : Moment or None, default=None
        None until a row has come.
    margins : tuple of float, default=NO_SUMS
    energy : float, default=0.0

    Attributes
    ----------
    classes : SumsByKey
        Sums of the features of each class and, in the last entry, of their squared norms.
    second : Moment or None
        Sum of h h^T over features h.
    margins : tuple of float
        Sums of what :func:`logit_sums` names. States that were saved before there were so many have
        the first two, and go on with these.
    energy : float
        Sum of the squared norms of gradients, where it is needed.
    """

    def __init__(
        self,
        classes: SumsByKey | None = None,
        second: Moment | None = None,
        margins: tuple[float, ...] = NO_SUMS,
        energy: float = 0.0,
    ) -> None:
        self.classes = SumsByKey() if classes is None else classes
        self.second, self.margins, self.energy = second, margins, energy

    def writable(self, journal: Journal) -> "FeatureSums":
        """Return what may be changed in the place of this, of which the journal keeps arrays."""
        second = None if self.second is None else self.second.kept_by(journal)
        return FeatureSums(self.classes.writable(), second, self.margins, self.energy)

    def add(
        self,
        features: Any,
        logits: np.ndarray,
        labels: np.ndarray,
        is_diagonal: Callable[[int], bool],
    ) -> None:
        """Add rows.

        Parameters
        ----------
        features : {ndarray, csr_array} of shape (n_samples, n_features)
        logits : ndarray of shape (n_samples, n_classes)
        labels : ndarray of int of shape (n_samples,)
        is_diagonal : callable
            Tells of a number of features whether the diagonal of their second moment is enough.
        """
        features = features.astype(np.float64)
        if self.second is None:
            self.second = Moment(features.shape[1], is_diagonal(features.shape[1]))
        self.second.add(features)
        present, place = np.unique(labels, return_inverse=True)
        n = len(place)
        gather = sp.csr_array((np.ones(n), (place, np.arange(n))), shape=(len(present), n))
        sums = gather @ features
        sums = np.column_stack([_dense(sums), gather @ _squared_norms(features)])
        for label, values in zip(present, sums, strict=True):
            self.classes.add(int(label), values)
        self._add_margins(logit_sums(logits, labels), 1.0)

    def merge(self, other: "FeatureSums", sign: float) -> None:
        """Add `sign` times other sums."""
        if other.second is None:
            return
        if self.second is None:
            self.second = Moment(len(other.second.total), other.second.diagonal)
        self.second.merge(other.second, sign)
        self.classes.merge(other.classes, sign)
        self.energy += sign * other.energy
        self._add_margins(other.margins, sign)

    def _add_margins(self, margins, sign):
        pairs = zip(self.margins, margins, strict=False)  # as many as both have
        self.margins = tuple(mine + sign * theirs for mine, theirs in pairs)

    def known(self, counts: np.ndarray) -> KnownFeatures:
        """Return what the samples so far say.

        Parameters
        ----------
        counts : ndarray of int, shape (n_classes,)
            How many there are of each class.

        Raises
        ------
        ValueError
            If there are none.
        """
        present = np.flatnonzero(counts > 0)
        if self.second is None or not len(present):
            raise ValueError("There are no samples yet.")
        sums = self.classes.stacked(present.tolist(), (len(self.second.total) + 1,))
        n = counts.sum()
        return KnownFeatures(
            RelativeDistance.from_sums(
                sums[:, :-1], sums[:, -1], counts[present], self.second.total
            ),
            Confidence.from_sums(self.margins, n),
            self.energy / n,
        )


def _squared_norms(rows):
    if sp.issparse(rows):
        return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", rows, rows)


def _dense(rows):
    return rows.toarray() if sp.issparse(rows) else rows
