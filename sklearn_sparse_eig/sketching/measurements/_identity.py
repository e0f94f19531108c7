"""The measurement that keeps everything."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from ._base import Measurement
from ._registry import register


@register
class IdentityMeasurement(Measurement):
    """M = I: every feature is its own measurement, m = N.

    On both sides of a sketch it keeps the exact second moment; on one side it gives a one-pass
    low-rank (Nystrom) sketch. It takes O(N) memory per column of the sketch and no hashing.

    Parameters
    ----------
    n_features : int
    n_measurements : int or None, default=None
        Either None or `n_features`.
    seed : int, default=0
        Ignored, because nothing is random.
    """

    name = "identity"
    keeps_features = True

    def __init__(self, n_features: int, n_measurements: int | None = None, seed: int = 0) -> None:
        if n_measurements not in (None, n_features):
            raise ValueError(
                f"The identity measures n_features={n_features} values, got n_measurements="
                f"{n_measurements}; leave n_measurements out or choose measurement='sparse_sign'."
            )
        super().__init__(n_features, n_features, 0)

    def columns(self, ids: np.ndarray) -> sp.csr_array:
        ids = np.asarray(ids)
        indptr = np.arange(len(ids) + 1)
        return sp.csr_array((np.ones(len(ids)), ids, indptr), shape=(len(ids), self.n_features))

    def nonzeros_per_column(self) -> int:
        return 1

    def measure(self, X: Any) -> np.ndarray:
        if sp.issparse(X):
            X = X.toarray()
        # float32 is left to be widened where it is centred, in one pass over the rows.
        return X if X.dtype == np.float32 else np.asarray(X, dtype=np.float64)

    def measure_sparse(self, X: sp.csr_array) -> sp.csr_array:
        data = np.asarray(X.data, dtype=np.float64)
        return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)

    def adjoint(self, R: np.ndarray, ids: np.ndarray) -> np.ndarray:
        return R[ids]

    def adjoint_energy(self, R: np.ndarray, start: int, stop: int) -> np.ndarray:
        return np.einsum("ij,ij->i", R[start:stop], R[start:stop])

    def cross_gram(self, other: Measurement, diag: np.ndarray | None = None) -> np.ndarray:
        if other.keeps_features:
            return np.diag(np.ones(self.n_features) if diag is None else np.asarray(diag, float))
        out = other.columns(np.arange(self.n_features)).toarray()
        return out if diag is None else np.asarray(diag)[:, None] * out
