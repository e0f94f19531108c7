"""A subspace of gradients in a metric, and the coordinates of gradients in it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..._base.signs import with_canonical_signs
from .._metric import Metric

# Relative size of an eigenvalue, or of a squared distance, that is only rounding; and of what
# centring leaves of class means that are equal.
_ROUNDING, _CANCELLED = 1e-12, 1e-14


@dataclass(frozen=True)
class Coordinates:
    """Position of gradients relative to the subspace.

    Parameters
    ----------
    projected : ndarray of shape (n_samples, n_components)
        Coordinates of g - centre along the orthonormal directions.
    distance : ndarray of shape (n_samples,)
        Norm of g - centre; never zero.
    residual : ndarray of shape (n_samples,)
        Norm of the part of g - centre outside the subspace; never zero.
    """

    projected: np.ndarray
    distance: np.ndarray
    residual: np.ndarray

    @property
    def length(self) -> np.ndarray:
        """Norm of the projection of g - centre."""
        return np.sqrt(np.maximum(self.distance**2 - self.residual**2, 0.0))


class Span(ABC):
    """Affine subspace through a centre, given by inner products of gradients with its directions.

    Parameters
    ----------
    metric : Metric
    eigenvalues : ndarray of shape (n_components,)
        Decreasing.
    shift : ndarray of shape (n_components + 1,)
        Inner products of the centre with the orthonormal directions, and with itself.
    """

    def __init__(self, metric: Metric, eigenvalues: np.ndarray, shift: np.ndarray) -> None:
        self.metric, self.eigenvalues, self._shift = metric, eigenvalues, shift

    @property
    def sparse_means(self) -> sp.csr_array | None:
        """Class means of which only the largest entries are kept; None where there are none."""
        return None

    @property
    def n_components(self) -> int:
        """Number of directions."""
        return len(self.eigenvalues)

    def norms(self, layers: Sequence) -> np.ndarray:
        """Return the norm of each gradient; never zero, and without a look at the directions."""
        squared_norm = sum(layer.squared_norms() for layer in self.metric.whiten(layers))
        return np.sqrt(np.maximum(squared_norm, _ROUNDING * self._shift[-1]))

    def coordinates(self, layers: Sequence) -> Coordinates:
        """Return the Coordinates of gradients, given layer by layer."""
        squared_norm, products = self._measure(self.metric.whiten(layers))
        projected = products[:, :-1] - self._shift[:-1]
        squared_distance = squared_norm - 2.0 * products[:, -1] + self._shift[-1]
        least = _ROUNDING * (squared_norm + self._shift[-1])
        at_centre = squared_distance <= least
        squared_distance = np.maximum(squared_distance, least)
        squared_residual = self._outside(
            squared_distance, np.einsum("ij,ij->i", projected, projected)
        )
        # A gradient at the centre has no direction: it counts as inside the subspace.
        squared_residual[at_centre] = 0.0
        squared_residual = np.maximum(squared_residual, _ROUNDING * squared_distance)
        return Coordinates(
            projected,
            np.sqrt(squared_distance),
            np.sqrt(squared_residual),
        )

    @abstractmethod
    def _measure(self, layers: Sequence) -> tuple[np.ndarray, np.ndarray]:
        """Return squared norms of whitened gradients, and their products.

        These are inner products with directions and centre, in this order.
        """

    def _outside(self, squared_distance: np.ndarray, squared_length: np.ndarray) -> np.ndarray:
        """Return the squared distances to the subspace."""
        return squared_distance - squared_length


class JointSpan(Span):
    """A span whose products need all layers at the same time."""

    def _measure(self, layers: Sequence) -> tuple[np.ndarray, np.ndarray]:
        layers = tuple(layers)
        return sum(layer.squared_norms() for layer in layers), self._products(layers)

    @abstractmethod
    def _products(self, layers: Sequence) -> np.ndarray:
        """Return the products of whitened gradients given as a tuple of layers."""


def classes_with_means(counts: np.ndarray) -> np.ndarray:
    """Return the indices of classes of two samples or more; a ValueError if fewer than two."""
    kept = np.flatnonzero(counts >= 2)
    if len(kept) < 2:
        raise ValueError(
            "A subspace of class means needs at least two classes of two samples or more; "
            f"found {len(kept)} class{'es' if len(kept) != 1 else ''} of that size "
            f"(n_samples = {counts.sum()})."
        )
    return kept


def combine(
    gram: np.ndarray, n_components: int | float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the orthonormal directions of class means from their Gram matrix.

    Parameters
    ----------
    gram : ndarray of shape (n_classes, n_classes)
    n_components : int, float or None

    Returns
    -------
    eigenvalues : ndarray of shape (n_components,)
        Of the centred Gram matrix.
    combinations : ndarray of shape (n_components + 1, n_classes)
        Directions, and at last the centre, as combinations of class means.
    shift : ndarray of shape (n_components + 1,)
        As in Span.
    """
    n_classes = len(gram)
    centring = np.eye(n_classes) - 1.0 / n_classes
    eigenvalues, mixing = _leading(
        centring @ gram @ centring, n_components, least=_CANCELLED * np.trace(gram)
    )
    combinations = np.vstack([mixing.T, np.full(n_classes, 1.0 / n_classes)])
    return eigenvalues, combinations, combinations @ gram @ combinations[-1]


def _leading(gram, n_components, least):
    """Return the leading eigenvalues and the combinations that give orthonormal directions."""
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    n_kept = int((values > max(_ROUNDING * values[0], least)).sum())
    # Centred Gram matrices have a null direction, whatever rounding leaves of it.
    n_kept = min(n_kept, len(values) - 1)
    if n_kept == 0:
        raise ValueError(
            "The mean gradients of all classes coincide, so they span no subspace. The model does "
            "not tell the classes apart (dead units, or no training)."
        )
    if isinstance(n_components, int | np.integer):
        n_kept = min(n_kept, n_components)
    elif n_components is not None:
        shares = np.cumsum(values[:n_kept]) / values[:n_kept].sum()
        n_kept = min(int(np.searchsorted(shares, n_components - _ROUNDING)) + 1, n_kept)
    values, vectors = values[:n_kept], vectors[:, :n_kept]
    combinations = with_canonical_signs(vectors) / np.sqrt(values)
    return values, combinations - combinations.mean(axis=0)
