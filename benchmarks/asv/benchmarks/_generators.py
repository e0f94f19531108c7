"""The data of the scripts, which lie in the folders of their topics."""

import sys
from pathlib import Path

sys.path.extend(str(Path(__file__).parents[2] / folder) for folder in ("", "gradpca", "huge"))

from _harness import quiet
from bench_grad_cost import make_network
from bench_huge import noisy_rows
from bench_memory import wide_rows

from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

N_COMPONENTS = 5
# Variances of the components of dense rows, in noise of variance one.
_EIGENVALUES = (40.0, 30.0, 20.0, 15.0, 12.0)


def dense_rows(n_samples, n_features):
    """Return dense rows with five components of ten features."""
    return make_sparse_spiked_covariance(
        n_samples, n_features, eigenvalues=_EIGENVALUES, n_nonzero_coefs=10, random_state=0
    ).data


def make_rows(kind, n_samples, n_features):
    """Return rows with five components: "dense", "csr", or "hashed" with ids below 2**62."""
    if kind == "dense":
        return dense_rows(n_samples, n_features)
    if kind == "csr":
        return next(iter(wide_rows(1, n_samples, 100 * n_features).batches))
    return noisy_rows(2**62, n_samples, 0).data


__all__ = ["N_COMPONENTS", "dense_rows", "make_network", "make_rows", "quiet"]
