"""Class means that are sums of outer products with a few orthogonal right sides."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._precision import InOnePrecision
from ._means import LowRankMeans, n_ranks


@dataclass(frozen=True)
class PairMeans:
    """Mean gradients as sums over pairs: ``outer(lefts[k], rights[codes[k]])`` for ``owners[k]``.

    Parameters
    ----------
    lefts : ndarray of shape (n_pairs, p)
    rights : ndarray of shape (n_codes, q)
        Orthogonal to one another.
    owners : ndarray of int, shape (n_pairs,)
        Increasing: which mean a pair belongs to; each has a pair at least.
    codes : ndarray of int, shape (n_pairs,)
        Which right side.
    n_means : int
    """

    lefts: np.ndarray
    rights: np.ndarray
    owners: np.ndarray
    codes: np.ndarray
    n_means: int

    def gram(self) -> np.ndarray:
        """Return the inner products of the means, (n_means, n_means)."""
        out = np.zeros((self.n_means, self.n_means))
        for code, squared_norm in enumerate(self._squared_norms):
            pairs = np.flatnonzero(self.codes == code)
            lefts, owners = self.lefts[pairs], self.owners[pairs]
            out[np.ix_(owners, owners)] += squared_norm * (lefts @ lefts.T)
        return out

    def nearest(self, rank: int) -> LowRankMeans:
        """Return what :meth:`LowRankMeans.nearest` gives of the same means, without making any."""
        norms, n = np.sqrt(self._squared_norms), self.n_means
        spectra, bases = np.zeros((n, rank)), []
        groups = np.split(np.arange(len(self.owners)), np.searchsorted(self.owners, range(1, n)))
        for c, pairs in enumerate(groups):
            rows = self.lefts[pairs] * norms[self.codes[pairs], None]
            values, vectors = np.linalg.eigh(rows @ rows.T)
            few = min(rank, len(pairs))
            spectra[c, :few] = np.maximum(values[: -few - 1 : -1], 0.0)
            bases.append(vectors[:, : -few - 1 : -1])
        whole = np.einsum("kp,kp->k", self.lefts, self.lefts) @ self._squared_norms[self.codes]
        enough = n_ranks(spectra.sum(axis=0), float(whole))
        lefts = np.zeros((self.lefts.shape[1], n, enough))
        rights = np.zeros((self.rights.shape[1], n, enough))
        units = self.rights / np.where(norms > 0.0, norms, 1.0)[:, None]
        for c, (pairs, basis) in enumerate(zip(groups, bases, strict=True)):
            basis = basis[:, :enough]
            rows = self.lefts[pairs] * norms[self.codes[pairs], None]
            lefts[:, c, : basis.shape[1]] = rows.T @ basis
            rights[:, c, : basis.shape[1]] = units[self.codes[pairs]].T @ basis
        return LowRankMeans(lefts, rights)

    def combined(self, combinations: np.ndarray) -> "_PairDirections":
        """Return linear combinations of the means, given as rows (k, n_means), for products."""
        return _PairDirections(self, combinations)

    @property
    def _squared_norms(self) -> np.ndarray:
        return np.einsum("cq,cq->c", self.rights, self.rights)


class _PairDirections:
    def __init__(self, means, combinations):
        self._lefts, self._rights = InOnePrecision(means.lefts), InOnePrecision(means.rights)
        self._of_pairs = combinations[:, means.owners].T
        self._pairs = [np.flatnonzero(means.codes == code) for code in range(len(means.rights))]

    def products(self, layer: Any) -> np.ndarray:
        """Return the inner products of gradients with the combinations, (n, k)."""
        lefts, rights = self._lefts.like(layer), self._rights.like(layer)
        if layer.is_explicit:
            return self._of_matrices(layer.matrices, lefts, rights)
        # Few rights meet a row: one only, where its derivative is one-hot.
        weights = layer.deltas @ rights.T
        out = np.zeros((len(layer), self._of_pairs.shape[1]))
        for code, pairs in enumerate(self._pairs):
            rows = np.flatnonzero(weights[:, code])
            if len(rows):
                along = np.asarray(layer.inputs[rows] @ lefts[pairs].T)
                out[rows] += (along * weights[rows, code, None]) @ self._of_pairs[pairs]
        return out

    def _of_matrices(self, matrices, lefts, rights):
        out = np.zeros((len(matrices), self._of_pairs.shape[1]))
        for code, pairs in enumerate(self._pairs):
            out += (matrices @ rights[code]) @ lefts[pairs].T @ self._of_pairs[pairs]
        return out
