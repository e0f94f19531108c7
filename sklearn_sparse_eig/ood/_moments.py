"""Second moments of rows, or of matrices, as sums that add up, and their shrinkage."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._base.atomic import Journal

# Least share of the identity: a moment of identical rows is singular and must stay invertible.
_LEAST_SHRINKAGE = 1e-10


class Moment:
    """Sums of x x^T or G G^T, and of the fourth powers that Ledoit-Wolf shrinkage needs.

    Parameters
    ----------
    size : int
        Entries of x, or rows of G.
    diagonal : bool
        Keep the squares of the entries only: ``size`` numbers instead of ``size ** 2``.

    Attributes
    ----------
    total : ndarray of shape (size, size) or (size,)
    fourth : float
        Sum of the squared norms of what is added to ``total`` for each sample.
    mass : float
        What ``total`` is divided by in the end: the number of samples, unless they have weights.
    """

    def __init__(self, size: int, diagonal: bool) -> None:
        self.diagonal = diagonal
        self.total = np.zeros(size if diagonal else (size, size))
        self.fourth = 0.0
        self.mass = 0.0

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.total = np.require(self.total, requirements=["W"])  # joblib maps it read-only

    def add(self, rows: Any) -> None:
        """Add rows, an ndarray or csr_array of shape (n, size)."""
        self.mass += rows.shape[0]
        squares = rows.multiply(rows).tocsr() if sp.issparse(rows) else rows * rows
        if self.diagonal:
            self.total += np.asarray(squares.sum(axis=0)).ravel()
            self._add_fourth((squares.data**2 if sp.issparse(rows) else squares**2).sum())
        else:
            product = rows.T @ rows
            self.total += product.toarray() if sp.issparse(product) else product
            self._add_fourth((np.asarray(squares.sum(axis=1)) ** 2).sum())

    def add_matrices(self, matrices: np.ndarray, mass: float) -> None:
        """Add G G^T for each matrix G of an array (n, size, q)."""
        self.mass += mass
        if self.diagonal:
            squares = np.einsum("npq,npq->np", matrices, matrices)
            self.total += squares.sum(axis=0)
            self._add_fourth((squares**2).sum())
            return
        n, p, q = matrices.shape
        side_by_side = matrices.swapaxes(0, 1).reshape(p, n * q)
        self.total += side_by_side @ side_by_side.T
        # G G^T and G^T G have the same norm.
        matrices = matrices if p < q else matrices.swapaxes(1, 2)
        products = matrices @ matrices.swapaxes(1, 2)
        self._add_fourth(np.einsum("nij,nij->", products, products))

    def add_places(self, rows: np.ndarray, weights: np.ndarray, mass: float) -> None:
        """Add A^T K A for rows A of an array (n, T, size) and Gram matrices K (n, T, T).

        With K = D D^T that is G G^T for the matrices G = A^T D, which are not made.
        """
        self.mass += mass
        weighted = weights @ rows
        if self.diagonal:
            squares = np.einsum("ntp,ntp->np", rows, weighted)
            self.total += squares.sum(axis=0)
            self._add_fourth((squares**2).sum())
            return
        size = rows.shape[2]
        self.total += rows.reshape(-1, size).T @ weighted.reshape(-1, size)
        # |A^T K A|^2 = tr(K H K H) for H = A A^T.
        products = weighted @ rows.swapaxes(1, 2)
        self._add_fourth(np.einsum("nst,nts->", products, products))

    def _add_fourth(self, powers: float) -> None:
        """Add fourth powers, which overflow before anything else does."""
        self.fourth += float(powers)
        if not np.isfinite(self.fourth):
            raise ValueError(
                "Some gradients or features are so long that the fourth power of their norm "
                "overflows, or not finite. Scale the rows as in training, or leave out those that "
                "are errors."
            )

    def merge(self, other: "Moment", sign: float = 1.0) -> None:
        """Add `sign` times the sums of another moment, in full or diagonal as this one is."""
        if other.diagonal != self.diagonal:
            raise ValueError(
                "Cannot merge: a factor of the metric is kept in full by one and diagonal by the "
                "other, as by versions before and after separate outputs of convolutions were "
                "kept diagonal. Fit both by the same version."
            )
        self.mass += sign * other.mass
        self.total += sign * other.total
        self.fourth += sign * other.fourth

    def like_empty(self) -> "Moment":
        """Return a moment of nothing in the same form."""
        return Moment(len(self.total), self.diagonal)

    def in_full(self) -> "Moment":
        """Return the full form of a moment whose matrices are diagonal; a full one as it is."""
        if not self.diagonal:
            return self
        new = copy.copy(self)
        new.diagonal, new.total = False, np.diag(self.total)
        return new

    def kept_by(self, journal: Journal) -> "Moment":
        """Return a moment to be changed in the place of this one, whose array the journal keeps."""
        journal.keep(self.total)
        return copy.copy(self)

    def shrunk(self, n: int) -> tuple[np.ndarray, float]:
        r"""Return the shrunk mean moment of n samples, and the share of the identity in it.

        Ledoit and Wolf (2004) for a known mean of zero: with S the mean of x x^T, its mean
        eigenvalue m and p entries, the share is b / d, where :math:`d = \|S - m I\|_F^2` and
        :math:`b = (\frac1n \sum_i \|x_i\|^4 - \|S\|_F^2) / n`, the variance of S. The diagonal
        form takes the same quantities of the diagonals, and matrices those of :math:`G G^T` in
        the place of x x^T: b is the variance of a mean of n independent matrices whatever their
        rank (derived here).

        Returns
        -------
        moment : ndarray of the shape of total
        share : float
        """
        moment = self.total / n
        diagonal = moment if self.diagonal else np.diagonal(moment)
        level = diagonal.mean()
        if level == 0.0:
            # A layer that no gradient has reached: any metric gives the same, namely nothing.
            return (np.ones_like(moment) if self.diagonal else np.eye(len(moment))), 1.0
        squared_norm = float((moment**2).sum())
        spread = squared_norm - level**2 * len(diagonal)
        variance = (self.fourth / n - squared_norm) / n
        share = min(variance, spread) / spread if spread > 1e-14 * squared_norm else 0.0
        share = max(share, _LEAST_SHRINKAGE)
        # The share does not depend on the scale, which is set last.
        moment, level = moment * (n / self.mass), level * (n / self.mass)
        shrunk = (1.0 - share) * moment
        if self.diagonal:
            return shrunk + share * level, share
        shrunk.flat[:: len(moment) + 1] += share * level
        return shrunk, share


def new_moments(
    layer_shapes: Sequence[tuple[int, ...]], metric: str, max_size: int
) -> list[tuple[Moment, ...]]:
    """Return (Moment, Moment) of the factors of each layer, an empty list where none is kept."""
    if metric == "euclidean":
        return []
    return [
        tuple(Moment(size, metric == "diag" or size > max_size) for size in shape)
        for shape in layer_shapes
    ]


def moments_for(layer: Any, moments: tuple[Moment, ...]) -> tuple[Moment, ...]:
    """Return empty moments in the form that the gradients of a layer ask for.

    Outputs that have inputs of their own are weighed one by one: their factor is diagonal, which
    takes q products for a row of gradients and not q^2 / 2, where q is large beside the p inputs.
    """
    if layer.has_separate_outputs:
        return moments[0], Moment(len(moments[1].total), True)
    return moments
