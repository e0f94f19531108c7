"""Linear measurements <A_i, X> of a matrix X that is not seen."""

from typing import Any, Self

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

# Random vectors for the mean norm of the measurements.
_PROBES = 8
# Below this many entries an eigenvalue is had from all of them.
_SMALL = 16


class Measurements:
    """X -> (<A_i, X>) for some of the measurements, and its adjoint; A is never changed.

    Parameters
    ----------
    A : ndarray, sparse matrix or LinearOperator of shape (n_measurements, n * m)
        Row i is A_i, row by row.
    shape : (int, int)
        n and m.
    shown : ndarray of bool, shape (n_measurements,), or None
        Which ones count; the others give zeros. None for all.
    center : bool
        Whether the mean of those that count is subtracted from each.
    """

    def __init__(
        self, A: Any, shape: tuple[int, int], shown: np.ndarray | None = None, center: bool = False
    ) -> None:
        self.A, self.shape = A, shape
        self.mask = np.ones(A.shape[0]) if shown is None else shown.astype(np.float64)
        self.center = center
        self.mean = self._transposed(self.mask) / self.mask.sum() if center else None

    def __len__(self) -> int:
        return int(self.mask.sum())

    def among(self, shown: np.ndarray) -> Self:
        """Return those measurements that are shown."""
        return type(self)(self.A, self.shape, shown, self.center)

    def _transposed(self, z):
        return np.asarray(self.A.T @ z).reshape(self.shape)

    def forward(self, X: np.ndarray) -> np.ndarray:
        """Return <A_i, X>, for a matrix given as an array."""
        values = np.asarray(self.A @ X.ravel()).ravel()
        if self.mean is not None:
            values = values - np.vdot(self.mean, X)
        return self.mask * values

    def adjoint(self, z: np.ndarray) -> np.ndarray:
        """Return sum_i z_i A_i."""
        z = self.mask * z
        X = self._transposed(z)
        return X if self.mean is None else X - z.sum() * self.mean

    def centred(self, y: np.ndarray) -> tuple[np.ndarray, float]:
        """Return y less its mean over what counts, zero elsewhere, and that mean."""
        mean = float(self.mask @ y / self.mask.sum()) if self.center else 0.0
        return self.mask * (y - mean), mean

    def mean_square(self) -> float:
        """Return about how much longer measurements are than the matrix, squared, on average."""
        rng = np.random.default_rng(0)
        probes = [self.forward(rng.standard_normal(self.shape)) for _ in range(_PROBES)]
        return float(np.mean([p @ p for p in probes]) / np.prod(self.shape))

    def largest_square(self) -> float:
        """Return about how much longer they are at most, squared."""
        size = int(np.prod(self.shape))

        def product(x):
            return self.adjoint(self.forward(x.reshape(self.shape))).ravel()

        start = np.random.default_rng(0).standard_normal(size)
        if size < _SMALL:
            return float(np.linalg.norm([product(e) for e in np.eye(size)], 2))
        operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
        options = {"which": "LM", "v0": start, "tol": 1e-2, "return_eigenvectors": False}
        return float(eigsh(operator, 1, **options)[0])
