"""Class means of one layer's gradients, whole or of low rank, and products with gradients."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from sklearn.utils.extmath import randomized_svd

from .._precision import InOnePrecision

# Entries of the smaller side up to which a factorisation is exact, and the share of the squared
# norm beyond which more ranks are not worth their time.
_LARGEST_EXACT, _ENERGY_KEPT = 512, 0.99
# Floats of whole directions that need not be spared (32 MB).
_LARGEST_WHOLE = 2**22


class Means(Protocol):
    """Mean gradients of a layer, in some form."""

    def gram(self) -> np.ndarray:
        """Return the inner products of the means, (n_means, n_means)."""

    def combined(self, combinations: np.ndarray) -> "Directions":
        """Return linear combinations of the means, given as rows (k, n_means)."""


class Directions(Protocol):
    """Linear combinations of mean gradients of a layer, for products with gradients."""

    def of_means(self, layer: Any) -> np.ndarray | None:
        """Return the inner products with the means themselves, (n, n_means).

        To be combined once for all layers; None where it is less work to take those with the
        combinations.
        """

    def products(self, layer: Any) -> np.ndarray:
        """Return the inner products of gradients with the combinations, (n, k)."""


@dataclass(frozen=True)
class WholeMeans:
    """Mean gradients as they are.

    Parameters
    ----------
    matrices : ndarray of shape (n_means, p, q)
    """

    matrices: np.ndarray

    def gram(self) -> np.ndarray:
        """Return the inner products of the means, (n_means, n_means)."""
        flat = self.matrices.reshape(len(self.matrices), -1)
        return flat @ flat.T

    def combined(self, combinations):
        """Return linear combinations of the means, given as rows (k, n_means), for products."""
        return _WholeDirections(np.tensordot(combinations, self.matrices, 1))


class _WholeDirections(InOnePrecision):
    """Matrices (k, p, q), in memory in the order in which the layer that came first wants them."""

    def of_means(self, layer: Any) -> None:
        return None

    def products(self, layer: Any) -> np.ndarray:
        values = self.like(layer).swapaxes(0, 1)
        # Copied once, if at all.
        values = values if layer.is_explicit else np.ascontiguousarray(values)
        self.values = values.swapaxes(0, 1)
        return layer.dot(values)


@dataclass(frozen=True)
class LowRankMeans:
    """Mean gradients as sums of a few outer products each.

    Parameters
    ----------
    lefts : ndarray of shape (p, n_means, rank)
    rights : ndarray of shape (q, n_means, rank)
    """

    lefts: np.ndarray
    rights: np.ndarray

    @classmethod
    def nearest(cls, matrices: np.ndarray, rank: int) -> Self:
        """Return the nearest means of at most this rank, and of less if that leaves 1 % out.

        The leading singular vectors of each matrix: exact up to 512 rows or columns, by a
        randomised method with a fixed seed beyond. O(n_means p q min(p, q)) and
        O(n_means p q rank) time.
        """
        pairs = [_leading_pairs(matrix, rank) for matrix in matrices]
        lefts, rights = (np.stack(side, axis=1) for side in zip(*pairs, strict=True))
        # The lefts carry the singular values.
        enough = n_ranks(
            np.einsum("pcr,pcr->r", lefts, lefts), np.einsum("cpq,cpq->", matrices, matrices)
        )
        return cls(
            np.ascontiguousarray(lefts[..., :enough]), np.ascontiguousarray(rights[..., :enough])
        )

    def gram(self) -> np.ndarray:
        """Return the inner products of the means, (n_means, n_means)."""
        _, n, rank = self.lefts.shape
        lefts, rights = self.lefts.reshape(-1, n * rank), self.rights.reshape(-1, n * rank)
        out = np.empty((n, n))
        for c in range(n):
            # (G_c, G_d) = sum over pairs of outer products; one class at a time, for memory.
            both = (self.lefts[:, c].T @ lefts) * (self.rights[:, c].T @ rights)
            out[c] = both.reshape(rank, n, rank).sum(axis=(0, 2))
        return (out + out.T) / 2.0

    def combined(self, combinations):
        """Return linear combinations of the means, given as rows (k, n_means), for products."""
        return _LowRankDirections(self, combinations)


def n_ranks(energies: np.ndarray, total: float) -> int:
    """Return how many ranks hold 99 % of the squared norm, given what each holds; all if none."""
    shares = np.cumsum(energies)
    return min(int(np.searchsorted(shares, _ENERGY_KEPT * total)) + 1, len(shares))


class _LowRankDirections:
    def __init__(self, means, combinations):
        # In memory in the order in which dot_pairs wants them, not to be copied each time.
        self._lefts, self._rights = (
            InOnePrecision(np.ascontiguousarray(side.swapaxes(1, 2)).swapaxes(1, 2))
            for side in (means.lefts, means.rights)
        )
        self._combinations = combinations

    def of_means(self, layer: Any) -> np.ndarray | None:
        if layer.is_explicit and not self._goes_by_places(layer):
            return None
        return layer.dot_pairs(self._lefts.like(layer), self._rights.like(layer))

    def products(self, layer: Any) -> np.ndarray:
        found = self.of_means(layer)
        # Already made as matrices: low rank would only take more products.
        return self._whole.products(layer) if found is None else found @ self._combinations.T

    def _goes_by_places(self, layer):
        """Whether products with the places of a layer cost less than those with its matrices."""
        if not hasattr(layer, "inputs"):
            return False
        places, (p, n, rank), q = layer.inputs.shape[1], self._lefts.shape, len(self._rights)
        by_places = n * places * rank * (p + q)
        making = 0 if layer.has_matrices else places
        by_matrices = (len(self._combinations) + making) * p * q
        # Where whole directions take much memory, some time is well spent without them.
        return by_places <= (3 if n * p * q > _LARGEST_WHOLE else 1) * by_matrices

    @cached_property
    def _whole(self):
        lefts, rights = self._lefts.values, self._rights.values
        matrices = np.einsum("pcr,qcr->cpq", lefts, rights, optimize=True)
        return _WholeDirections(np.tensordot(self._combinations, matrices, 1))


def _leading_pairs(matrix, rank):
    """Return lefts (p, rank) and orthonormal rights (q, rank) of the nearest matrix."""
    if matrix.shape[0] < matrix.shape[1]:
        rights, lefts = _leading_pairs(matrix.T, rank)
        norms = np.linalg.norm(rights, axis=0)
        safe = np.where(norms > 0.0, norms, 1.0)
        return lefts * norms, rights / safe
    rank = min(rank, matrix.shape[1])
    if matrix.shape[1] > _LARGEST_EXACT:
        u, s, vt = randomized_svd(matrix, rank, n_iter=4, random_state=0)
        return u * s, vt.T
    # Of the smaller Gram matrix: directions that its rounding blurs carry no energy.
    _, vectors = np.linalg.eigh(matrix.T @ matrix)
    rights = vectors[:, : -rank - 1 : -1]
    return matrix @ rights, rights
