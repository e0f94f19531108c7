"""Second moments of rows as sums that add up, and their shrinkage."""

import numpy as np
import scipy.sparse as sp

# Least share of the identity: a moment of identical rows is singular and must stay invertible.
_LEAST_SHRINKAGE = 1e-10


class Moment:
    """Sums of x x^T, and of the fourth powers that Ledoit-Wolf shrinkage needs.

    Parameters
    ----------
    size : int
        Entries of x.
    diagonal : bool
        Keep the squares of the entries only: ``size`` numbers instead of ``size ** 2``.

    Attributes
    ----------
    total : ndarray of shape (size, size) or (size,)
    fourth : float
        Sum of the squared norms of what is added to ``total``.
    """

    def __init__(self, size, diagonal):
        self.diagonal = diagonal
        self.total = np.zeros(size if diagonal else (size, size))
        self.fourth = 0.0

    def add(self, rows):
        """Add rows, an ndarray or csr_array of shape (n, size)."""
        squares = rows.multiply(rows).tocsr() if sp.issparse(rows) else rows * rows
        if self.diagonal:
            self.total += np.asarray(squares.sum(axis=0)).ravel()
            self.fourth += float((squares.data**2 if sp.issparse(rows) else squares**2).sum())
        else:
            product = rows.T @ rows
            self.total += product.toarray() if sp.issparse(product) else product
            self.fourth += float((np.asarray(squares.sum(axis=1)) ** 2).sum())

    def merge(self, other):
        """Add the sums of another moment."""
        self.total += other.total
        self.fourth += other.fourth

    def shrunk(self, n):
        r"""Return the shrunk mean moment of n rows, and the share of the identity in it.

        Ledoit and Wolf (2004) for a known mean of zero: with S the mean of x x^T, its mean
        eigenvalue m and p entries, the share is b / d, where :math:`d = \|S - m I\|_F^2` and
        :math:`b = (\frac1n \sum_i \|x_i\|^4 - \|S\|_F^2) / n`, the variance of S. The diagonal
        form takes the same quantities of the diagonals (derived here).

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
        shrunk = (1.0 - share) * moment
        if self.diagonal:
            return shrunk + share * level, share
        shrunk.flat[:: len(moment) + 1] += share * level
        return shrunk, share
