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
# Floats of a temporary array (8 MB), and of whole directions that need not be spared (32 MB).
_BLOCK, _LARGEST_WHOLE = 2**20, 2**22


class Means(Protocol):
    """Mean gradients of a layer, in some form."""

    def gram(self) -> np.ndarray:
        """Return the inner products of the means, (n_means, n_means)."""

    def combined(self, combinations: np.ndarray) -> Any:
        """Return linear combinations of the means, rows (k, n_means), with ``products(layer)``."""


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
        # In the order in which LayerFactors.dot wants them.
        directions = np.einsum("kc,cpq->pkq", combinations, self.matrices, optimize=True)
        return _WholeDirections(np.ascontiguousarray(directions))


class _WholeDirections(InOnePrecision):
    def products(self, layer: Any) -> np.ndarray:
        return layer.dot(self.like(layer))


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
        self._lefts, self._rights = InOnePrecision(means.lefts), InOnePrecision(means.rights)
        self._combinations = combinations

    def products(self, layer: Any) -> np.ndarray:
        if layer.is_explicit and not self._goes_by_places(layer):
            # Already made as matrices: low rank would only take more products.
            return self._whole.products(layer)
        pairs = self._lefts.like(layer), self._rights.like(layer)
        dot = _dot_pairs_at_places(layer, *pairs) if layer.is_explicit else layer.dot_pairs(*pairs)
        return dot @ self._combinations.T

    def _goes_by_places(self, layer):
        """Whether products with the places of a layer cost less than those with its matrices."""
        if not hasattr(layer, "inputs"):
            return False
        places, (p, n, rank), q = layer.inputs.shape[1], self._lefts.shape, len(self._rights)
        by_places = n * places * rank * (p + q)
        by_matrices = len(self._combinations) * p * q
        # Where whole directions take much memory, some time is well spent without them.
        return by_places <= (3 if n * p * q > _LARGEST_WHOLE else 1) * by_matrices

    @cached_property
    def _whole(self):
        lefts, rights = self._lefts.values, self._rights.values
        matrices = np.einsum("pcr,qcr->cpq", lefts, rights, optimize=True)
        directions = np.tensordot(self._combinations, matrices, 1)
        # In memory in the order in which LayerMatrices.dot wants them, not to be copied each time.
        return _WholeDirections(directions.swapaxes(0, 1))


def _dot_pairs_at_places(layer, lefts, rights):
    """Return the inner products of sums over places with k sums of r outer products, (n, k)."""
    (p, k, rank), (n, places, _) = lefts.shape, layer.inputs.shape
    lefts, rights = lefts.reshape(p, k * rank), rights.reshape(len(rights), k * rank)
    out, step = np.empty((n, k)), max(1, _BLOCK // (places * k * rank))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        both = layer.inputs[rows] @ lefts
        both *= layer.deltas[rows] @ rights
        out[rows] = both.sum(axis=1).reshape(-1, k, rank).sum(axis=2)
    return out


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
