"""Class means that are sums of outer products with a few orthogonal right sides."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._precision import InOnePrecision
from ._means import LowRankMeans, n_ranks

# How many times as many numbers pairs may be as factors of low rank.
_MOST_TIMES = 4


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

    def nearest(self, rank: int) -> "PairMeans | LowRankMeans":
        """Return the means that :meth:`LowRankMeans.nearest` gives, without making any.

        They are sums over the same pairs, and kept as such: a gradient meets few of these. Where
        pairs would be many more numbers than factors of this rank, they are kept as those.
        """
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
        bases = [basis[:, :enough] for basis in bases]
        (n_pairs, p), q = self.lefts.shape, self.rights.shape[1]
        if n_pairs * p > _MOST_TIMES * n * enough * (p + q):
            return self._factors(groups, bases, norms, enough)
        lefts = np.empty_like(self.lefts)
        for pairs, basis in zip(groups, bases, strict=True):
            along = norms[self.codes[pairs], None]
            lefts[pairs] = basis @ (basis.T @ (self.lefts[pairs] * along)) / _safe(along)
        return replace(self, lefts=lefts)

    def _factors(self, groups, bases, norms, enough):
        n = self.n_means
        lefts = np.zeros((self.lefts.shape[1], n, enough))
        rights = np.zeros((self.rights.shape[1], n, enough))
        units = self.rights / _safe(norms)[:, None]
        for c, (pairs, basis) in enumerate(zip(groups, bases, strict=True)):
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
        self._combinations, self._n_means = combinations, means.n_means
        self._pairs = [np.flatnonzero(means.codes == code) for code in range(len(means.rights))]
        self._owners = [means.owners[pairs] for pairs in self._pairs]
        # Which right side lies along an axis, if all do.
        self._code_of: dict[int, int] | None = None
        if (np.count_nonzero(means.rights, axis=1) == 1).all():
            axes = np.abs(means.rights).argmax(axis=1)
            self._code_of = {int(axis): code for code, axis in enumerate(axes)}

    def of_means(self, layer: Any) -> np.ndarray:
        """Return the inner products of gradients with the means, (n, n_means)."""
        lefts, rights = self._lefts.like(layer), self._rights.like(layer)
        if layer.is_explicit:
            return self._of_matrices(layer.matrices, lefts, rights)
        out = np.zeros((len(layer), self._n_means))
        # Few rights meet a row: one only, where its derivative is one-hot.
        for code, rows, weights in self._meetings(layer, rights):
            along = np.asarray(layer.inputs[rows] @ lefts[self._pairs[code]].T)
            # Each class has one pair with a right side at most.
            out[np.ix_(rows, self._owners[code])] += along * weights[:, None]
        return out

    def products(self, layer: Any) -> np.ndarray:
        """Return the inner products of gradients with the combinations, (n, k)."""
        return self.of_means(layer) @ self._combinations.T

    def _meetings(self, layer, rights):
        """Yield each right side with the rows that it is not orthogonal to, and its products."""
        if self._code_of is None or not _has_one_entry_a_row(layer):
            weights = layer.deltas @ rights.T
            for code in np.flatnonzero(weights.any(axis=0)):
                rows = np.flatnonzero(weights[:, code])
                yield code, rows, weights[rows, code]
            return
        order = np.argsort(layer.codes, kind="stable")
        columns, starts = np.unique(layer.codes[order], return_index=True)
        for column, rows in zip(columns, np.split(order, starts[1:]), strict=True):
            if (code := self._code_of.get(int(column))) is not None:
                yield code, rows, layer.deltas[rows, column] * rights[code, column]

    def _of_matrices(self, matrices, lefts, rights):
        out = np.zeros((len(matrices), self._n_means))
        for code, (pairs, owners) in enumerate(zip(self._pairs, self._owners, strict=True)):
            out[:, owners] += (matrices @ rights[code]) @ lefts[pairs].T
        return out


def _has_one_entry_a_row(layer):
    """Whether all entries of the derivative but that of the code of a row are zero."""
    deltas, codes = layer.deltas, layer.codes
    if codes is None or codes.max(initial=0) >= deltas.shape[1]:
        return False
    entries = deltas[np.arange(len(deltas)), codes]
    return np.count_nonzero(deltas) == np.count_nonzero(entries)


def _safe(norms):
    return np.where(norms > 0.0, norms, 1.0)
