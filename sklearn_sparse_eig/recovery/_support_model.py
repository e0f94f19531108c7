"""A low-rank model of A on a support: the small problem that replaces the N x N one."""

from dataclasses import dataclass

import numpy as np

from ..sketching import ImplicitMatrix, Measurement, Rows
from ._lifting import dual_basis, measure_rows

# Share of the squares of a matrix below which what is left of them is summed entry by entry.
_EXPLAINED = 1e-6


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
    right : ndarray of shape (k, rank)
        Omega U.
    measurement : Measurement
        M.
    """

    ids: np.ndarray
    basis: np.ndarray
    eigenvalues: np.ndarray
    right: np.ndarray
    measurement: Measurement

    @property
    def places(self) -> Rows:
        """The measurements at which M U is not zero."""
        return places_of(self.measurement, self.ids)

    @property
    def left(self) -> np.ndarray:
        """The rows of M U at its places."""
        return measured_at_places(self.measurement, self.ids, self.basis)

    def inner(self, G: ImplicitMatrix) -> float:
        """Return <M A Omega^T, G> under the model, for a matrix of the shape of the sketch."""
        images = G.rows_product(self.places, self.right)
        return float(np.einsum("ij,ij->j", self.left, images) @ self.eigenvalues)

    def squared_norm(self) -> float:
        """Return |M A Omega^T|^2 under the model."""
        scaled = self.left * self.eigenvalues
        return float(np.vdot(scaled.T @ scaled, self.right.T @ self.right))

    def distance(self, S: ImplicitMatrix) -> float:
        """Return |S - M A Omega^T| under the model."""
        size = S.squared_norm
        # Cheap, and exact enough in all cases but those where nearly everything is explained.
        squares = size - 2.0 * self.inner(S) + self.squared_norm()
        if squares > _EXPLAINED * size:
            return float(np.sqrt(squares))
        return S.distance(self.places, self.left * self.eigenvalues, self.right)

    def matrix(self) -> np.ndarray:
        """Return the model of A on its support, shape (t, t)."""
        A = (self.basis * self.eigenvalues) @ self.basis.T
        return 0.5 * (A + A.T)

    def quadratic(self, vectors: np.ndarray) -> np.ndarray:
        """Return v^T A v under the model, for vectors with rows at its ids."""
        return self.eigenvalues @ np.square(self.basis.T @ vectors)

    def directions(self) -> np.ndarray:
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
    left = measured_at_places(sketch.measurement, ids, Z)
    right = measure_rows(sketch.test, ids, Z)
    images = S.rows_product(places_of(sketch.measurement, ids), dual_basis(right))
    core = dual_basis(left).T @ images
    eigenvalues, rotation = np.linalg.eigh(0.5 * (core + core.T))
    order = leading_order(eigenvalues, which)
    eigenvalues, rotation = eigenvalues[order], rotation[:, order]
    return SupportModel(ids, Z @ rotation, eigenvalues, right @ rotation, sketch.measurement)


def leading_order(eigenvalues, which):
    """Return the order that puts the wanted eigenvalues ("LA" or "LM") first."""
    key = {"LA": eigenvalues, "LM": np.abs(eigenvalues)}[which]
    return np.argsort(-key, kind="stable")


def model_of_vectors(sketch, ids, vectors):
    """Return a model whose basis is the given vectors (t x r), not necessarily orthogonal.

    Only its directions are meaningful; the eigenvalues are set to one.
    """
    right = measure_rows(sketch.test, ids, vectors)
    return SupportModel(ids, vectors, np.ones(vectors.shape[1]), right, sketch.measurement)


def places_of(measurement: Measurement, ids: np.ndarray) -> Rows:
    """Return the measurements that vectors on the ids can reach: the ids, or all of them."""
    return ids if measurement.keeps_features else slice(0, measurement.n_measurements)


def measured_at_places(measurement: Measurement, ids: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return M_T Z at these places, the measurement of vectors with rows Z at ids."""
    return Z if measurement.keeps_features else measure_rows(measurement, ids, Z)
