"""Sparse components: of streams of dense, sparse and hashed rows, and of a matrix."""

import numpy as np

from sklearn_sparse_eig import SketchedSparsePCA, sparse_eigsh

from ._generators import N_COMPONENTS, dense_rows, make_rows


class Streams:
    """``partial_fit`` of batches, and ``components_`` after another row.

    Sizes are class attributes, so that a test can make them small.
    """

    params = (["dense", "csr", "hashed"],)
    param_names = ("rows",)
    n_samples, n_features, memory_budget = 2000, 2000, 64e6

    def setup(self, kind):
        self.rows = make_rows(kind, self.n_samples, self.n_features)
        self.fitted = self._fit()

    def _fit(self):
        # Two-sided sketches are what large streams have; few dense features would be kept exactly.
        pca = SketchedSparsePCA(
            N_COMPONENTS,
            n_nonzero_coefs=10,
            sketch="two_sided",
            memory_budget=self.memory_budget,
            random_state=0,
        )
        for low in range(0, self.n_samples, self.n_samples // 4):
            pca.partial_fit(self.rows[low : low + self.n_samples // 4])
        return pca

    def time_partial_fit(self, kind):
        self._fit()

    def time_components(self, kind):
        self.fitted.partial_fit(self.rows[:1])  # or they would be those of the last time
        return self.fitted.components_

    def peakmem_components(self, kind):
        return self._fit().components_


class SparseEigsh:
    """``sparse_eigsh`` of a covariance, by the nonzeros asked for."""

    params = ([5, 50],)
    param_names = ("n_nonzero_coefs",)
    n_features = 1000

    def setup(self, n_nonzero_coefs):
        self.covariance = np.cov(dense_rows(500, self.n_features).T)

    def time_sparse_eigsh(self, n_nonzero_coefs):
        return sparse_eigsh(self.covariance, N_COMPONENTS, n_nonzero_coefs=n_nonzero_coefs)

    def peakmem_sparse_eigsh(self, n_nonzero_coefs):
        return sparse_eigsh(self.covariance, N_COMPONENTS, n_nonzero_coefs=n_nonzero_coefs)
