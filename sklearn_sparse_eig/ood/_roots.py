"""Inverse square roots R of a positive matrix, R R^T = A^-1, and products of rows with them."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cholesky
from scipy.linalg.blas import dtrmm, strmm
from scipy.linalg.lapack import dtrtri

from ._precision import InBothPrecisions

# Columns below which a product with one matrix after the other is slow, and rows beyond which a
# copy of them does not matter.
_NARROW, _LARGE = 16, 512


class DiagonalRoot(InBothPrecisions):
    """Root of a diagonal matrix.

    Parameters
    ----------
    values : ndarray of shape (p,)
    """

    @property
    def cost(self) -> int:
        """Multiplications for a row."""
        return len(self.values)

    def of(self, rows: Any) -> Any:
        """Return rows @ R; sparse rows stay sparse."""
        if sp.issparse(rows):
            return sp.csr_array(rows.multiply(self.like(rows)))
        return rows * self.like(rows)

    def across(self, matrices: np.ndarray) -> np.ndarray:
        """Return R^T G for matrices G, (n, p, q)."""
        return matrices * self.like(matrices)[:, None]


class FullRoot(InBothPrecisions):
    """Any root.

    Parameters
    ----------
    values : ndarray of shape (p, p)
    """

    @property
    def cost(self) -> int:
        """Multiplications for a row."""
        return len(self.values) ** 2

    def of(self, rows: Any) -> Any:
        """Return rows @ R, dense."""
        return np.asarray(rows @ self.like(rows))

    def across(self, matrices: np.ndarray) -> np.ndarray:
        """Return R^T G for matrices G, (n, p, q)."""
        _, p, q = matrices.shape
        if q < _NARROW or p > _LARGE:
            # One product for all, with half of the work where it is triangular, pays for copies.
            return np.ascontiguousarray(self.of(matrices.swapaxes(1, 2)).swapaxes(1, 2))
        return self.like(matrices).T @ matrices


class TriangularRoot(FullRoot):
    """A root whose lower triangle is zero, which halves the products."""

    @property
    def cost(self) -> int:
        """Multiplications for a row."""
        return super().cost // 2

    def of(self, rows: Any) -> Any:
        """Return rows @ R, dense."""
        if sp.issparse(rows):
            return super().of(rows)
        if rows.ndim > 2:
            return self.of(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape)
        # BLAS has columns first: (rows @ R)^T = R^T rows^T.
        multiply = strmm if rows.dtype == np.float32 else dtrmm
        return multiply(1.0, self.like(rows).T, rows.T, lower=True).T


def inverse_root(moment: np.ndarray) -> DiagonalRoot | TriangularRoot:
    """Return the triangular root of a symmetric matrix, or the root of a diagonal given as (p,).

    By Cholesky and the inverse of its factor: an eighth of the time of eigenvectors.
    """
    if moment.ndim == 1:
        return DiagonalRoot(1.0 / np.sqrt(moment))
    lower = cholesky(moment, lower=True)
    # Its upper triangle is zero already, and its diagonal is not.
    return TriangularRoot(dtrtri(lower, lower=1, overwrite_c=1)[0].T)


def eigenbasis_root(moment: np.ndarray) -> DiagonalRoot | FullRoot:
    """Return the root Q L^-1/2 of Q L Q^T, in whose coordinates the eigenvectors are the axes."""
    if moment.ndim == 1:
        return inverse_root(moment)
    values, vectors = np.linalg.eigh(moment)
    return FullRoot(vectors / np.sqrt(values))
