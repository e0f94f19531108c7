"""A low-rank model of A on a support: the small problem that replaces the N x N one."""

from dataclasses import dataclass

import numpy as np

from ._lifting import dual_basis, measure_rows


@dataclass(frozen=True)
class SupportModel:
    """A ~ U diag(eigenvalues) U^T, with U zero outside the rows `ids`.

    Attributes
    ----------
    ids : ndarray of shape (t,)
    basis : ndarray of shape (t, rank)
        The nonzero rows of U, orthonormal columns.
    eigenvalues : ndarray of shape (rank,)
        Leading first, in the order asked for.
    left, right : ndarray of shape (m, rank), (k, rank)
        M U and Omega U.
    """

    ids: np.ndarray
    basis: np.ndarray
    eigenvalues: np.ndarray
    left: np.ndarray
    right: np.ndarray

    def matrix(self):
        """Return the model of A on its support, shape (t, t)."""
        A = (self.basis * self.eigenvalues) @ self.basis.T
        return 0.5 * (A + A.T)

    def quadratic(self, vectors):
        """Return v^T A v under the model, for vectors with rows at its ids."""
        return self.eigenvalues @ np.square(self.basis.T @ vectors)

    def directions(self):
        """Return W (k x rank) with S W ~ A U: the power step of the model's vectors.

        S W = M A Omega^T W, and W is the least-norm solution of U^T Omega^T W = I, so that on the
        model S W is M A U exactly.
        """
        return dual_basis(self.right)


def fit_support_model(sketch, S, ids, Z, which):
    """Fit the model on the span of Z (t x rank, orthonormal) to the sketch S by least squares.

    The core C minimises ||S - M Z C Z^T Omega^T||_F; its eigenvectors rotate Z. This removes the
    rotation which the sketch's own eigenvectors suffer because the M u_j are not orthogonal.
    """
    left = measure_rows(sketch.measurement, ids, Z)
    right = left if sketch.is_symmetric else measure_rows(sketch.test, ids, Z)
    core = dual_basis(left).T @ (S @ dual_basis(right))
    eigenvalues, rotation = np.linalg.eigh(0.5 * (core + core.T))
    order = leading_order(eigenvalues, which)
    eigenvalues, rotation = eigenvalues[order], rotation[:, order]
    return SupportModel(ids, Z @ rotation, eigenvalues, left @ rotation, right @ rotation)


def leading_order(eigenvalues, which):
    """Return the order that puts the wanted eigenvalues ("LA" or "LM") first."""
    key = {"LA": eigenvalues, "LM": np.abs(eigenvalues)}[which]
    return np.argsort(-key, kind="stable")


def model_of_vectors(sketch, ids, vectors):
    """Return a model whose basis is the given vectors (t x r), not necessarily orthogonal.

    Only its directions are meaningful; the eigenvalues are set to one.
    """
    left = measure_rows(sketch.measurement, ids, vectors)
    right = left if sketch.is_symmetric else measure_rows(sketch.test, ids, vectors)
    return SupportModel(ids, vectors, np.ones(vectors.shape[1]), left, right)
