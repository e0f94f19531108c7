"""Exact variances of features as a guide to candidates where the sketch is in noise."""

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery._loud_features import loud_features


class _Variances:
    def __init__(self, variance, n_samples=1000):
        self.variance, self.effective_samples = variance, n_samples

    def feature_variance(self):
        return self.variance


def test_equal_variances_say_nothing():
    variance = 1.0 + np.sqrt(2.0 / 1000) * np.random.default_rng(0).standard_normal(5000)
    assert loud_features(_Variances(variance), 20) is None
    assert loud_features(_Variances(None), 20) is None


def test_the_loud_ones_and_room_beside_them():
    variance = np.ones(5000)
    variance[[3, 70, 4000]] = 2.0
    assert loud_features(_Variances(variance), 50) is None  # of no use for so many
    mask = loud_features(_Variances(variance), 10)
    assert np.count_nonzero(mask) == 20 and mask[[3, 70, 4000]].all()
    variance[:300] = 2.0
    assert np.count_nonzero(loud_features(_Variances(variance), 10)) == 301


@pytest.mark.parametrize("seed", range(2))
def test_they_find_components_that_the_spectrum_of_the_sketch_does_not_show(seed):
    # A ratio of 0.6 of the edge at which a spike begins to show, see section 11 of the theory.
    data = make_sparse_spiked_covariance(
        1500, 6000, eigenvalues=[8.0, 6.0, 5.0], n_nonzero_coefs=15, random_state=seed
    )
    sketch = {"measurement": "identity", "range_size": 24}
    pca = SketchedSparsePCA(3, n_nonzero_coefs=15, random_state=0, **sketch)
    found = pca.partial_fit(data.data).components_.toarray()
    span = np.linalg.qr(found.T)[0].T @ np.linalg.qr(data.components.toarray().T)[0]
    assert np.linalg.svd(span, compute_uv=False).min() > 0.8  # 0 where they are not asked
