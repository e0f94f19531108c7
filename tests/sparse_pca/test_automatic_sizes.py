"""Numbers of nonzeros that ``n_nonzero_coefs="auto"`` keeps: what stands out, and nothing else."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from sklearn_sparse_eig import RecoveryWarning, SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.sketching import EigenSketch
from sklearn_sparse_eig.sparse_pca._second_reading import SecondReading


def rare_counts(n_samples, n_features, density, seed, spread=2.0):
    """Return CSR counts, rarely nonzero and then large, that have nothing in common."""
    rng = np.random.default_rng(seed)
    shape = (n_samples, n_features)
    return sp.random_array(
        shape,
        density=density,
        random_state=rng,
        format="csr",
        data_sampler=lambda size: np.exp(spread * rng.standard_normal(size)),
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_close_components_lend_each_other_no_features(seed, way):
    data = make_sparse_spiked_covariance(
        1000, 300, eigenvalues=[8.0, 7.0, 6.0], n_nonzero_coefs=10, random_state=seed
    )
    pca = getattr(SketchedSparsePCA(3, random_state=0), way)(data.data)
    found, truth = set(pca.support_.tolist()), set(data.support.tolist())
    assert truth <= found
    assert len(found - truth) <= 1  # five to seven where levels are taken at eigenvectors


@pytest.mark.parametrize("n_features", [1500, 5000])  # exact, and a range sketch
@pytest.mark.parametrize("seed", range(2))
def test_components_of_a_few_rows_are_told(n_features, seed):
    X = rare_counts(1500, n_features, 0.002, seed)
    with pytest.warns(RecoveryWarning, match="rest on a few rows"):
        SketchedSparsePCA(1, random_state=0).fit(X)


def test_a_factor_with_heavy_tails_keeps_its_features():
    rng = np.random.default_rng(0)
    factor = np.exp(rng.standard_normal((120, 1)) + np.full(160, 2.0))
    X = rng.poisson(factor).astype(float)
    with warnings.catch_warnings(action="ignore"):
        pca = SketchedSparsePCA(1, random_state=0).fit(X)
    assert len(pca.support_) == 160


@pytest.mark.parametrize("seed", range(2))
def test_a_topic_among_large_counts_is_found(seed):
    rng = np.random.default_rng(seed)
    X = rare_counts(3000, 2000, 0.005, seed, spread=1.0).tolil()
    topic = rng.random(3000) < 0.3
    words = rng.random((3000, 15)) < 0.05 + 0.5 * topic[:, None]
    X[:, :15] = words * rng.uniform(5.0, 20.0, words.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecoveryWarning)
        pca = SketchedSparsePCA(1, random_state=0).fit(X.tocsr())
    assert set(pca.support_) == set(range(15))


@pytest.mark.parametrize("as_rows", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_the_variance_of_products_is_that_of_the_rows(as_rows, mean):
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(60, 12)) + mean
    weights = rng.integers(1, 4, 60)
    ids, V = np.array([0, 3, 4, 9]), rng.standard_normal((4, 2))
    rows = as_rows(X)

    def batches():
        return ((rows[low : low + 25], weights[low : low + 25]) for low in range(0, 60, 25))

    def add(sketch, rows, weights):
        sketch.update(rows, weights)

    reading = SecondReading(batches, 12, True, add)
    exact: EigenSketch = reading.covariance(ids)
    centred = (X - np.average(X, axis=0, weights=weights))[:, ids]
    products = centred[:, :, None] * (centred @ V)[:, None, :]
    average = np.average(products, axis=0, weights=weights)
    expected = np.average(np.square(products - average), axis=0, weights=weights)
    assert_allclose(reading.product_variance(exact, ids, V), expected, rtol=1e-6)
