"""Class sums of one layer as products with random matrices from both sides."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .._metric import Metric
from ._class_sums import LayerSums, MatrixSums, rows_by_label
from ._means import LowRankMeans, WholeMeans, n_ranks
from ._sums_by_key import SumsByKey

# Columns k of the range sketch: the fewest, and as many as are taken where there is room.
FEWEST, ENOUGH = 8, 16


def n_rows_of(k: int) -> int:
    """Return how many rows the other sketch has, the least that Tropp et al. advise."""
    return 2 * k + 1


def sketch_size(shape: tuple[int, int], k: int) -> int:
    """Return how many numbers the two sketches of a p x q matrix have."""
    return k * max(shape) + n_rows_of(k) * min(shape)


def pays(shape: tuple[int, int], k: int) -> bool:
    """Whether the sketches of a matrix are at most half as large as the matrix."""
    return 2 * sketch_size(shape, k) <= shape[0] * shape[1]


class TwoSidedSums(LayerSums):
    r"""Sketches :math:`Y_c = G_c \Omega` and :math:`W_c = \Psi G_c` of sums of whitened gradients.

    With k columns of Omega and l = 2 k + 1 rows of Psi they take k p + l q floats a class for
    p >= q, and the transposed for p < q. Both are linear in G_c, and products with factors:
    a gradient :math:`A^T D` adds :math:`A^T (D \Omega)` and :math:`(A \Psi^T)^T D`.

    Parameters
    ----------
    shape : tuple of (int, int)
    sums : SumsByKey, default=None
        Both sketches of a class in a row.
    seed : int or tuple of int, default=0
        For Omega and Psi, which are the same for all classes.
    size : int, default=8
        k. Means of rank up to k / 2 are used: what lies beyond is mostly the error of the sketch.

    References
    ----------
    Tropp, Yurtsever, Udell, Cevher, "Practical sketching algorithms for low-rank matrix
    approximation", SIAM J. Matrix Anal. Appl. 38, 2017.
    """

    is_whitened = True

    def __init__(
        self,
        shape: tuple[int, int],
        sums: SumsByKey | None = None,
        seed: int | tuple[int, ...] = 0,
        size: int = FEWEST,
    ) -> None:
        super().__init__(shape, sums)
        self.seed, self.size = seed, size
        self._is_wide = shape[0] < shape[1]
        p, q = sorted(shape, reverse=True)
        # The generator whose stream NumPy has promised never to change.
        words = np.random.SeedSequence(seed).generate_state(4)
        normal = np.random.RandomState(words).standard_normal
        self._right, self._left = normal((q, size)), normal((n_rows_of(size), p))

    def __getstate__(self) -> dict[str, Any]:
        return {"shape": self.shape, "sums": self.sums, "seed": self.seed, "size": self.size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(vars(type(self)(**state)))  # random matrices are drawn again

    def writable(self) -> Self:
        """Return what may be changed in the place of this, which stays as it is."""
        new = object.__new__(type(self))
        vars(new).update(vars(self) | {"sums": self.sums.writable()})
        return new

    def takes(self, layer: Any) -> bool:
        """Whether gradients can be added: always."""
        return True

    def add(self, layer: Any, labels: np.ndarray) -> None:
        """Add whitened gradients to the sums of their classes; products in their precision."""
        right, left = (x.astype(layer.dtype, copy=False) for x in (self._right, self._left))
        if not hasattr(layer, "inputs") or "matrices" in vars(layer):
            for label, rows in rows_by_label(labels):
                self._add_matrix(label, layer.sum(rows), right, left)
            return
        inputs, deltas = layer.inputs, layer.deltas
        if self._is_wide:
            inputs, deltas = deltas, inputs
        # A few numbers for each place, for all samples at once.
        along, across = deltas @ right, inputs @ left.T
        for label, rows in rows_by_label(labels):
            self._add(
                label,
                _flat(inputs[rows]).T @ _flat(along[rows]),
                (_flat(deltas[rows]).T @ _flat(across[rows])).T,
            )

    def add_matrix(self, label: int, matrix: np.ndarray) -> None:
        """Add a whitened gradient, or a sum of some, to the sum of a class."""
        self._add_matrix(label, matrix, self._right, self._left)

    def _add_matrix(self, label, matrix, right, left):
        matrix = matrix.T if self._is_wide else matrix
        self._add(label, matrix @ right, left @ matrix)

    def _add(self, label, along, across):
        self.sums.add(label, np.concatenate([along.ravel(), across.ravel()]).astype(np.float64))

    def matrices(self, labels: Sequence[int]) -> np.ndarray:
        """Return the sums of some classes as far as the sketches tell, (k, p, q)."""
        found = self._recovered(labels, self.largest_rank, np.ones(len(labels)))
        return np.einsum("pcr,qcr->cpq", found.lefts, found.rights)

    def spread(self) -> MatrixSums:
        """Refuse: the matrices are not known."""
        raise TypeError("Sketches of class sums cannot be turned into the sums.")

    def means(
        self, labels: np.ndarray, counts: np.ndarray, metric: Metric, i: int, rank: int | None
    ) -> LowRankMeans | WholeMeans:
        """Return the means of classes, of at most a rank, from their sketches."""
        rank = min(self.largest_rank, rank or self.largest_rank)
        return self._recovered(labels, rank, counts)

    @property
    def largest_rank(self) -> int:
        """Largest rank of a mean."""
        return max(1, self.size // 2)

    def _recovered(self, labels, rank, counts):
        r"""Return the matrices of rank r nearest to :math:`Q (\Psi Q)^+ W`, Q a basis of Y."""
        (p, q), k = sorted(self.shape, reverse=True), self.size
        rows = self.sums.stacked([int(c) for c in labels], (sketch_size(self.shape, k),))
        rows /= counts[:, None]
        lefts, rights = np.empty((p, len(rows), rank)), np.empty((q, len(rows), rank))
        for c, row in enumerate(rows):
            basis = np.linalg.qr(row[: k * p].reshape(p, k))[0]
            across = row[k * p :].reshape(-1, q)
            core = np.linalg.lstsq(self._left @ basis, across, rcond=None)[0]
            u, s, vt = np.linalg.svd(core, full_matrices=False)
            lefts[:, c], rights[:, c] = (basis @ (u * s))[:, :rank], vt[:rank].T
        energies = np.einsum("pcr,pcr->r", lefts, lefts)
        enough = n_ranks(energies, float(energies.sum()))
        sides = [np.ascontiguousarray(side[..., :enough]) for side in (lefts, rights)]
        return LowRankMeans(*(sides[::-1] if self._is_wide else sides))


def _flat(rows):
    return rows if rows.ndim == 2 else rows.reshape(-1, rows.shape[-1])
