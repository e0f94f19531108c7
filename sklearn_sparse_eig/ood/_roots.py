"""Inverse square roots R of a positive matrix, R R^T = A^-1, and products of rows with them."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cholesky, solve_triangular
from scipy.linalg.blas import dtrmm


@dataclass(frozen=True)
class DiagonalRoot:
    """Of a diagonal matrix.

    Parameters
    ----------
    values : ndarray of shape (p,)
    """

    values: np.ndarray

    def of(self, rows):
        """Return rows @ R; sparse rows stay sparse."""
        if sp.issparse(rows):
            return sp.csr_array(rows.multiply(self.values))
        return rows * self.values


@dataclass(frozen=True)
class FullRoot:
    """Any root.

    Parameters
    ----------
    values : ndarray of shape (p, p)
    """

    values: np.ndarray

    def of(self, rows):
        """Return rows @ R, dense."""
        return np.asarray(rows @ self.values)


@dataclass(frozen=True)
class TriangularRoot(FullRoot):
    """A root whose lower triangle is zero, which halves the products."""

    def of(self, rows):
        """Return rows @ R, dense."""
        if sp.issparse(rows) or rows.ndim > 2:
            return super().of(rows)
        # BLAS has columns first: (rows @ R)^T = R^T rows^T.
        return dtrmm(1.0, self.values.T, rows.T, lower=True).T


def inverse_root(moment):
    """Return the triangular root of a symmetric matrix, or the root of a diagonal given as (p,)."""
    if moment.ndim == 1:
        return DiagonalRoot(1.0 / np.sqrt(moment))
    lower = cholesky(moment, lower=True)
    return TriangularRoot(solve_triangular(lower, np.eye(len(moment)), lower=True).T)


def eigenbasis_root(moment):
    """Return the root Q L^-1/2 of Q L Q^T, in whose coordinates the eigenvectors are the axes."""
    if moment.ndim == 1:
        return inverse_root(moment)
    values, vectors = np.linalg.eigh(moment)
    return FullRoot(vectors / np.sqrt(values))
