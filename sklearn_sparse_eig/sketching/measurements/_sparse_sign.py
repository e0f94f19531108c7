"""The default measurement: signed hashed blocks."""

from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from ... import kernels
from ._base import Measurement
from ._registry import register

# Columns of a product of two measurements that are hashed at a time: some megabytes of codes.
_GRAM_CHUNK = 1 << 15


@register
class SparseSignMeasurement(Measurement):
    """K blocks of hashed buckets, one entry +-1/sqrt(K) per block and column.

    The matrix is never stored: a versioned 64-bit hash of (seed, id) gives the bucket and the sign
    of every (column, block) separately. The ensemble is known as SparseStack, OSNAP or a sparse
    Johnson-Lindenstrauss transform. Equal blocks and signs keep M M^T close to (N/m) I, so that a
    diffuse background in the data adds no spurious leading eigenvector, as it does with the
    unsigned prime-residue ensemble.

    Parameters
    ----------
    n_features : int
        Number of features N, up to 2**62. No array of this length is ever allocated.
    n_measurements : int
        Number of measurements m, a multiple of ``n_blocks``.
    seed : int, default=0
    n_blocks : int, default=8
        Number K of nonzeros in a column. More nonzeros cost more per nonzero of the data and
        isolate features better. Beyond 8 the recovery of sparse vectors no longer improves.

    Notes
    -----
    Measuring takes O(K) time per nonzero of the data, and a sweep over all columns O(N K).

    References
    ----------
    Nelson and Nguyen, "OSNAP: faster numerical linear algebra algorithms via sparser subspace
    embeddings", FOCS 2013 (the ensemble).
    """

    name = "sparse_sign"
    has_ghosts = True
    is_hashed = True

    def __init__(
        self, n_features: int, n_measurements: int, seed: int = 0, n_blocks: int = 8
    ) -> None:
        super().__init__(n_features, n_measurements, seed)
        self.n_blocks = int(n_blocks)
        if self.n_blocks < 1 or self.n_measurements % self.n_blocks:
            raise ValueError(
                f"n_measurements must be a multiple of n_blocks, got n_measurements="
                f"{n_measurements} and n_blocks={n_blocks}; "
                f"{-(-self.n_measurements // max(self.n_blocks, 1)) * max(self.n_blocks, 1)} fits."
            )

    @classmethod
    def of_size(cls, n_features: int, n_measurements: int | None, seed: int = 0) -> Self:
        """Return the measurement with as many blocks as pay, and measurements rounded up to them.

        Below about four buckets a block, fewer and larger blocks separate features better.
        """
        m = n_features if n_measurements is None else int(n_measurements)
        n_blocks = max(1, min(8, m // 4))
        return cls(n_features, -(-m // n_blocks) * n_blocks, seed, n_blocks)

    @property
    def hash_settings(self) -> tuple[int, int, int]:
        return self.seed, self.n_blocks, self.n_measurements // self.n_blocks

    def spec(self) -> dict[str, Any]:
        return super().spec() | {"n_blocks": self.n_blocks, "hash_version": kernels.HASH_VERSION}

    def nonzeros_per_column(self) -> int:
        return self.n_blocks

    def columns(self, ids: np.ndarray) -> sp.csr_array:
        rows, signs = kernels.hash_columns(ids, *self.hash_settings)
        indptr = np.arange(0, rows.size + 1, self.n_blocks)
        data = signs.ravel() / np.sqrt(self.n_blocks)
        return sp.csr_array((data, rows.ravel(), indptr), shape=(len(ids), self.n_measurements))

    def measure(self, X: Any) -> np.ndarray:
        if sp.issparse(X):
            return kernels.sketch_csr(X.data, X.indices, X.indptr, *self.hash_settings)
        return kernels.sketch_dense(X, *self.hash_settings)

    def measure_sparse(self, X: sp.csr_array) -> sp.csr_array:
        arrays = kernels.expand_csr(X.data, X.indices, X.indptr, *self.hash_settings)
        return sp.csr_array(arrays, shape=(X.shape[0], self.n_measurements))

    def adjoint(self, R: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return kernels.adjoint(ids, R, *self.hash_settings)

    def adjoint_energy(self, R: np.ndarray, start: int, stop: int) -> np.ndarray:
        return kernels.adjoint_energy(start, stop, R, *self.hash_settings)

    def add_bit_tests(self, cells: np.ndarray, ids: np.ndarray, values: np.ndarray) -> None:
        """Measure rows and the binary digits of their ids, see :func:`kernels.add_bit_tests`."""
        kernels.add_bit_tests(cells, ids, values, *self.hash_settings)

    def buckets(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows where columns are nonzero, shape (n_ids, n_blocks)."""
        return kernels.hash_columns(ids, *self.hash_settings)[0]

    def cross_gram(self, other: Measurement, diag: np.ndarray | None = None) -> np.ndarray:
        if other.hash_settings is None:
            return super().cross_gram(other, diag)
        out = np.zeros((self.n_measurements, other.n_measurements))
        for low in range(0, self.n_features, _GRAM_CHUNK):
            high = min(low + _GRAM_CHUNK, self.n_features)
            part = None if diag is None else diag[low:high]
            kernels.add_cross_gram(out, (low, high), part, self.hash_settings, other.hash_settings)
        return out
