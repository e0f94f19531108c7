"""The gradient of a layer that is used at several places of a sample, as two factors."""

from functools import cached_property
from typing import Any

import numpy as np

from ._factors import side_by_side, sum_of_pairs
from ._matrices import LayerMatrices

# Floats of a temporary array (2 MB in single precision).
_BLOCK = 2**19


class LayerPlaces(LayerMatrices):
    r"""Gradients of one layer as sums over places: for sample i ``inputs[i].T @ deltas[i]``.

    A convolution is a dense layer from the patch at a place to the channels, so that its gradient
    is :math:`A^T D` with a row of A and D for each place. Roots go to the rows:
    :math:`R_A^T (A^T D) R_B = (A R_A)^T (D R_B)`, which takes T instead of q products with the
    one and of p with the other. The matrices are made when an operation needs them, and kept.

    Parameters
    ----------
    inputs : ndarray of shape (n_samples, n_places, p)
        Inputs of the layer, with a column of ones at the end if it has a bias.
    deltas : ndarray of shape (n_samples, n_places, q)
        Derivatives of the output with respect to the outputs of the layer.
    """

    inputs: np.ndarray
    deltas: np.ndarray
    has_separate_outputs = False

    def __init__(self, inputs: np.ndarray, deltas: np.ndarray) -> None:
        # The base class is frozen; its own field is made on demand.
        vars(self).update(inputs=inputs, deltas=deltas)

    @cached_property
    def matrices(self):
        """The gradients themselves, (n_samples, p, q)."""
        return self.inputs.swapaxes(1, 2) @ self.deltas

    def __len__(self) -> int:
        return len(self.deltas)

    @property
    def dtype(self) -> np.dtype:
        """Precision of the factors."""
        return self.deltas.dtype

    @property
    def has_matrices(self) -> bool:
        """Whether the matrices are made already, or norms are less work with them."""
        _, places, p = self.inputs.shape
        q = self.deltas.shape[2]
        return "matrices" in vars(self) or places * (p + q) >= p * q

    def squared_norms(self) -> np.ndarray:
        """Return the squared norm of each gradient, (n,)."""
        if self.has_matrices:
            return super().squared_norms()
        # |A^T D|^2 = tr(A A^T D D^T).
        inputs, deltas = (rows @ rows.swapaxes(1, 2) for rows in (self.inputs, self.deltas))
        return np.einsum("nst,nst->n", inputs, deltas)

    def dot_pairs(self, lefts: np.ndarray, rights: np.ndarray) -> np.ndarray:
        """Return the inner products with k sums of r outer products.

        Parameters
        ----------
        lefts : ndarray of shape (p, k, r)
        rights : ndarray of shape (q, k, r)

        Returns
        -------
        ndarray of shape (n, k)
        """
        (p, k, r), (n, places, q) = lefts.shape, self.deltas.shape
        lefts, rights, total = side_by_side(lefts), side_by_side(rights), sum_of_pairs(k, r)
        out, step = np.empty((n, k)), max(1, _BLOCK // (places * k * r))
        for start in range(0, n, step):
            rows = slice(start, start + step)
            inputs, deltas = self.inputs[rows].reshape(-1, p), self.deltas[rows].reshape(-1, q)
            left, right = (x.reshape(-1, places, k * r) for x in (inputs @ lefts, deltas @ rights))
            out[rows] = total(np.einsum("ntk,ntk->nk", left, right))
        return out

    def sum(self, rows: Any) -> np.ndarray:
        """Return the sum of the gradients of some rows, (p, q): one product, if none is made."""
        if "matrices" in vars(self):
            return super().sum(rows)
        inputs, deltas = (x[rows].reshape(-1, x.shape[2]) for x in (self.inputs, self.deltas))
        return inputs.T @ deltas

    def add_to(self, moments: Any) -> None:
        """Add G G^T and G^T G to a pair of second moments, as LayerMatrices does."""
        _, places, p = self.inputs.shape
        if places > min(p, self.deltas.shape[2]):
            super().add_to(moments)
            return
        inputs, deltas = (rows @ rows.swapaxes(1, 2) for rows in (self.inputs, self.deltas))
        mass = float(np.einsum("nst,nst->", inputs, deltas))
        moments[0].add_places(self.inputs, deltas, len(self))
        moments[1].add_places(self.deltas, inputs, mass)

    def astype(self, dtype: Any) -> "LayerPlaces":
        """Return the gradients in a precision, themselves if they are in it."""
        if self.inputs.dtype == dtype and self.deltas.dtype == dtype:
            return self
        return LayerPlaces(self.inputs.astype(dtype), self.deltas.astype(dtype))

    def take(self, rows: Any) -> "LayerPlaces":
        """Return the gradients of some rows, an index array or a slice."""
        return LayerPlaces(self.inputs[rows], self.deltas[rows])

    def whiten(self, left: Any, right: Any) -> "LayerMatrices":
        """Return the gradients L^T G R for two roots, by places or by matrices."""
        _, places, p = self.inputs.shape
        q = self.deltas.shape[2]
        if places * (left.cost + right.cost) < q * left.cost + p * right.cost:
            return LayerPlaces(left.of(self.inputs), right.of(self.deltas))
        return super().whiten(left, right)


def are_few(places, p, q):
    """Whether whitening so many places takes fewer products than whitening a matrix p x q.

    Half of T (p^2 + q^2) and of p q (p + q), for triangular roots. Places are then less than
    about twice as many numbers as the matrix.
    """
    return places * (p * p + q * q) < p * q * (p + q)
