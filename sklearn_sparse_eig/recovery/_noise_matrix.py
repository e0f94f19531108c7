"""G = M diag(d) Omega^T, what independent noise of variances d adds to a sketch, as an operator.

Where M keeps the features, G consists of columns of Omega, which are hashed when they are needed.
Where features are hashed on both sides every one of them is spread over all of G, which is then
summed up once and kept, in single precision unless it is symmetric.
"""

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..sketching import ImplicitMatrix, Measurement, SymmetricProduct, steps

# Floats of products that are hashed at a time: enough for the threads of a kernel.
_HASHED = 1 << 17


def noise_matrix(sketch: Any, diag: np.ndarray | None = None) -> ImplicitMatrix:
    """Return M diag(d) Omega^T; None stands for ones."""
    M, test = sketch.measurement, sketch.test
    if not M.keeps_features:
        gram = M.cross_gram(test, diag)
        # Lanczos iterations multiply a symmetric one by hundreds of single vectors, for each of
        # which single precision would be widened again.
        return SymmetricProduct(gram) if sketch.is_symmetric else StoredMatrix(gram)
    if test.keeps_features:
        return DiagonalMatrix(np.ones(M.n_features) if diag is None else diag)
    return HashedRows(test, diag)


class DiagonalMatrix(ImplicitMatrix):
    """A diagonal matrix, by its diagonal."""

    def __init__(self, diagonal: np.ndarray) -> None:
        super().__init__((len(diagonal), len(diagonal)))
        self._diagonal = diagonal

    def rows(self, which):
        ids = np.arange(which.start, which.stop) if isinstance(which, slice) else which
        out = np.zeros((len(ids), self.shape[1]))
        out[np.arange(len(ids)), ids] = self._diagonal[ids]
        return out

    def add_product(self, out, W, factor=1.0):
        for low, high in steps(len(out), W.shape[1]):
            out[low:high] += factor * self._diagonal[low:high, None] * W[low:high]

    def adjoint(self, P):
        return self._diagonal[:, None] * P

    def block(self, ids):
        return np.diag(self._diagonal[ids])

    @property
    def diagonal(self):
        return self._diagonal

    @property
    def squared_norm(self):
        return float(self._diagonal @ self._diagonal)

    def inner(self, other):
        return float(self._diagonal @ other.diagonal)


class HashedRows(ImplicitMatrix):
    """diag(d) Omega^T for a test matrix Omega whose columns are computed.

    Parameters
    ----------
    test : Measurement
    scale : ndarray of shape (n_features,) or None
        d, None for ones.
    """

    def __init__(self, test: Measurement, scale: np.ndarray | None = None) -> None:
        super().__init__((test.n_features, test.n_measurements))
        self._test, self._scale = test, scale

    def rows(self, which):
        ids = np.arange(which.start, which.stop) if isinstance(which, slice) else which
        return self._scaled(self._test.columns(ids).toarray(), which)

    def rows_product(self, places, W):
        if isinstance(places, slice):
            return self @ W
        return self._scaled(self._test.adjoint(np.ascontiguousarray(W), places), places)

    def add_product(self, out, W, factor=1.0):
        W = np.ascontiguousarray(factor * W)
        step = max(1, _HASHED // max(W.shape[1], 1))
        for low in range(0, len(out), step):
            part = slice(low, min(low + step, len(out)))
            product = self._test.adjoint(W, np.arange(part.start, part.stop))
            out[part] += self._scaled(product, part)

    @property
    def is_cheap(self):
        """Whether products with this matrix are sums over the few nonzeros of its rows."""
        return self._scale is None

    def adjoint_times(self, S: ImplicitMatrix) -> np.ndarray:
        """Return G^T S, for d of ones."""
        return S.measured_by(self._test)

    @cached_property
    def gram(self):
        if not self.is_cheap:
            return super().gram
        return self._test.cross_gram(self._test)

    @cached_property
    def squared_norm(self):
        return float(np.trace(self.gram)) if self.is_cheap else super().squared_norm

    def inner(self, other):
        if not self.is_cheap:
            return super().inner(other)
        return float(np.trace(self.adjoint_times(other)))

    def adjoint(self, P):
        return self._test.measure(np.ascontiguousarray(self._scaled(P.T, None))).T

    def _scaled(self, array, places):
        if self._scale is None:
            return array
        if places is None:
            return array * self._scale
        array *= self._scale[places, None]
        return array


class StoredMatrix(ImplicitMatrix):
    """A matrix that is kept, in single precision.

    Parameters
    ----------
    matrix : ndarray of float64, C order
        It is given away: its memory is taken over.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        super().__init__(matrix.shape)
        self._matrix = _single(matrix)

    def rows(self, which):
        return self._matrix[which].astype(np.float64)

    def add_product(self, out, W, factor=1.0):
        for low, high in steps(len(out), max(self.shape[1], W.shape[1])):
            product = self._matrix[low:high].astype(np.float64) @ W
            product *= factor
            out[low:high] += product

    def adjoint(self, P):
        out = np.zeros((self.shape[1], P.shape[1]))
        for low, high in steps(len(P), self.shape[1]):
            out += self._matrix[low:high].astype(np.float64).T @ P[low:high]
        return out


class SupportedMatrix(ImplicitMatrix):
    """M diag(d) Omega^T for d that is zero outside some features.

    Parameters
    ----------
    sketch : EigenSketch
    ids : ndarray of int64
    values : ndarray of float64
        d at the ids.
    """

    def __init__(self, sketch: Any, ids: np.ndarray, values: np.ndarray) -> None:
        super().__init__(sketch.shape)
        self._left = sp.csr_array(sketch.measurement.columns(ids).T)
        self._right = sp.csr_array(sp.diags_array(values) @ sketch.test.columns(ids))

    def rows(self, which):
        return (self._left[which] @ self._right).toarray()

    def add_product(self, out, W, factor=1.0):
        inner = factor * (self._right @ W)
        for low, high in steps(len(out), W.shape[1]):
            out[low:high] += self._left[low:high] @ inner

    def adjoint(self, P):
        return self._right.T @ (self._left.T @ P)


def _single(matrix):
    """Return an array of float64 in float32, within its own memory where that can be."""
    if not (matrix.flags.owndata and matrix.flags.c_contiguous and matrix.dtype == np.float64):
        return matrix.astype(np.float32)
    size, shape = matrix.size, matrix.shape
    flat = matrix.reshape(-1)
    half = flat.view(np.float32)[:size]
    for low, high in steps(size, 1):
        half[low:high] = flat[low:high]  # behind what is read
    del flat, half
    matrix.resize((size + 1) // 2, refcheck=False)
    return matrix.view(np.float32)[:size].reshape(shape)
