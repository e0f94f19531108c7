"""What every measurement matrix M (m x N) can do, written once in terms of its columns.

A subclass must give :meth:`Measurement.columns`; the rest follows, and is overridden only where a
faster way exists. N-long objects are never formed: whatever runs over all columns runs in chunks.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

# Columns handled at a time by the generic methods: small enough for the cache, large enough to
# make the Python loop over chunks free.
CHUNK = 1 << 14


class Measurement(ABC):
    """A measurement matrix M of shape (n_measurements, n_features), known by its columns.

    Parameters
    ----------
    n_features : int
        Length N of a row of data.
    n_measurements : int
        Length m of its measurement.
    seed : int, 0 <= seed < 2**64
        Seed that determines every entry of M.

    Attributes
    ----------
    name : str
        The name under which the class is registered and saved.
    keeps_features : bool
        Whether measurement i is feature i, so that nothing has to be decoded.
    has_ghosts : bool
        Whether ids beyond ``n_features`` have columns too. Such *ghost* columns never occur in
        data, so what a decoder sees at them is exactly what it sees at an idle feature.
    is_hashed : bool
        Whether columns are hashed, with few nonzeros at places that are even on average.
    hash_settings : (int, int, int) or None
        The seed, the blocks and the buckets of a block by which ``kernels.hash_columns`` gives the
        columns; None where something else does.
    """

    name: str
    keeps_features = False
    has_ghosts = False
    is_hashed = False

    @classmethod
    def of_size(cls, n_features: int, n_measurements: int | None, seed: int = 0) -> Self:
        """Return the measurement of a name and a size, as it is when nothing more is asked for.

        Overridden where not every size is possible.

        Parameters
        ----------
        n_features : int
        n_measurements : int or None
            None is for measurements that keep the features: as many as there are.
        seed : int, default=0
        """
        return cls(n_features, n_features if n_measurements is None else n_measurements, seed)

    @property
    def hash_settings(self) -> tuple[int, int, int] | None:
        return None

    def __init__(self, n_features: int, n_measurements: int, seed: int = 0) -> None:
        self.n_features = int(n_features)
        self.n_measurements = int(n_measurements)
        self.seed = int(seed)
        if self.n_features < 1:
            raise ValueError(f"n_features must be at least 1, got {n_features}.")
        if self.n_measurements < 1:
            raise ValueError(f"n_measurements must be at least 1, got {n_measurements}.")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed must lie in [0, 2**64), got {seed}.")

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.spec().items())
        return f"{type(self).__name__}({settings})"

    def __eq__(self, other: object) -> bool:
        # Whatever is compared: what is no measurement has no spec.
        return isinstance(other, Measurement) and self.spec() == other.spec()

    def __hash__(self) -> int:
        return hash(tuple(self.spec().items()))

    def spec(self) -> dict[str, Any]:
        """Return the settings that decide every entry of M, as a JSON-able dict."""
        return {
            "name": self.name,
            "n_features": self.n_features,
            "n_measurements": self.n_measurements,
            "seed": self.seed,
        }

    @abstractmethod
    def columns(self, ids: np.ndarray) -> sp.csr_array:
        """Return columns of M, as the rows of a sparse array.

        Parameters
        ----------
        ids : ndarray of int, shape (n_ids,)

        Returns
        -------
        csr_array of float64, shape (n_ids, n_measurements)
            Row i is column ``ids[i]`` of M.
        """

    def nonzeros_per_column(self) -> int:
        """Return the number of nonzeros in a column of M, or its mean if columns differ."""
        return self.n_measurements

    def measure(self, X: Any) -> np.ndarray:
        """Return the measurements Y = X M^T of rows as a dense array.

        Parameters
        ----------
        X : ndarray or CSR array of shape (n, n_features)

        Returns
        -------
        ndarray of float64, shape (n, n_measurements)
        """
        if sp.issparse(X):
            ids, local = compress_columns(X)
            return _to_dense(local @ self.columns(ids))
        Y = np.zeros((len(X), self.n_measurements))
        for start in range(0, self.n_features, CHUNK):
            ids = np.arange(start, min(start + CHUNK, self.n_features))
            Y += np.asarray(X[:, start : start + CHUNK], dtype=np.float64) @ self.columns(ids)
        return Y

    def measure_at(self, ids: np.ndarray, Z: np.ndarray) -> np.ndarray:
        """Return M_T Z, the measurement of vectors that have rows Z at some ids and are zero else.

        Parameters
        ----------
        ids : ndarray of int, shape (n_ids,)
        Z : ndarray of shape (n_ids, r)

        Returns
        -------
        ndarray of float64, shape (n_measurements, r)
        """
        return np.asarray(self.columns(ids).T @ Z)

    def measure_sparse(self, X: sp.csr_array) -> sp.csr_array:
        """Return the measurements Y = X M^T of CSR rows with few nonzeros as CSR rows.

        Parameters
        ----------
        X : csr_array of shape (n, n_features)

        Returns
        -------
        csr_array of float64, shape (n, n_measurements)
            The array may have duplicate entries, which are to be added.
        """
        ids, local = compress_columns(X)
        return sp.csr_array(local @ self.columns(ids))

    def adjoint(self, R: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Return the rows ``ids`` of M^T R.

        Parameters
        ----------
        R : ndarray of shape (n_measurements, r)
        ids : ndarray of int, shape (n_ids,)

        Returns
        -------
        ndarray of shape (n_ids, r)
        """
        return self.columns(ids) @ R

    def adjoint_energy(self, R: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Return the squared norms of rows start..stop-1 of M^T R, shape (stop - start,)."""
        energy = np.empty(stop - start, dtype=R.dtype)
        for low in range(start, stop, CHUNK):
            high = min(low + CHUNK, stop)
            rows = self.adjoint(R, np.arange(low, high))
            energy[low - start : high - start] = np.einsum("ij,ij->i", rows, rows)
        return energy

    def cross_gram(self, other: "Measurement", diag: np.ndarray | None = None) -> np.ndarray:
        """Return M diag(d) Omega^T for another measurement Omega of the same features.

        This is what independent noise of variance d_j in feature j adds to a sketch.

        Parameters
        ----------
        other : Measurement
        diag : ndarray of shape (n_features,) or None
            None stands for ones.

        Returns
        -------
        ndarray of float64, shape (n_measurements, other.n_measurements)
        """
        out = np.zeros((self.n_measurements, other.n_measurements))
        for start in range(0, self.n_features, CHUNK):
            ids = np.arange(start, min(start + CHUNK, self.n_features))
            left = self.columns(ids)
            if diag is not None:
                left = sp.diags_array(diag[ids]) @ left
            out += _to_dense(left.T @ other.columns(ids))
        return out


def _to_dense(A):
    return A.toarray() if sp.issparse(A) else np.asarray(A)


def compress_columns(X: sp.csr_array) -> tuple[np.ndarray, sp.csr_array]:
    """Return the column ids that occur in X, and X over these columns only (no N-vector)."""
    ids, inverse = np.unique(X.indices, return_inverse=True)
    data = np.asarray(X.data, dtype=np.float64)
    local = sp.csr_array((data, inverse, X.indptr), shape=(X.shape[0], len(ids)))
    return ids, local
