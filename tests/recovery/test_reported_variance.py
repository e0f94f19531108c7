"""What is reported of components: an order, signs beyond rounding, variances that can be."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch, RecoveryWarning, SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery._attainable import capped


@pytest.mark.parametrize(
    "options",
    [{}, {"n_measurements": 200, "range_size": 48, "refine": "sketch"}],
    ids=["exact", "two_sided"],
)
def test_components_beyond_the_rank_are_not_above_noise(options):
    rng = np.random.default_rng(0)
    loading = np.zeros(800)
    loading[:4] = [1.0, 0.9, -0.8, 0.7]
    X = rng.standard_normal((300, 1)) * loading
    pca = SketchedSparsePCA(3, n_nonzero_coefs=4, random_state=0, **options)
    with pytest.warns(RecoveryWarning, match="cannot be told from noise"):
        pairs = pca.fit(X).eigenpairs_
    assert pairs.signal_to_threshold[0] > 1.0
    np.testing.assert_array_equal(pairs.signal_to_threshold[1:], 0.0)
    np.testing.assert_array_equal(pca.explained_variance_[1:], 0.0)


def test_signs_of_tied_loadings_do_not_hang_on_rounding():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        first = rng.integers(0, 2, 60).astype(float)
        X = np.c_[first, 1.0 - first, 0.1 * rng.standard_normal((60, 2))]
        pca = SketchedSparsePCA(1, n_nonzero_coefs=2, random_state=0)
        parts = [SketchedSparsePCA(1, n_nonzero_coefs=2, random_state=0) for _ in range(3)]
        for part, rows in zip(parts, np.array_split(X, 3), strict=True):
            part.partial_fit(rows)
        there, back = sum(parts[1:], start=parts[0]), sum(parts[1::-1], start=parts[2])
        fits = [pca.fit(X), there, back]
        fits.append(SketchedSparsePCA(1, n_nonzero_coefs=2, random_state=0).fit(sp.csr_array(X)))
        for fit in fits:
            loadings = np.asarray(fit.components_.todense()).ravel()[:2]
            np.testing.assert_allclose(loadings, [0.5**0.5, -(0.5**0.5)])


def test_no_component_has_more_variance_than_its_features():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3000))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    pca = SketchedSparsePCA(
        4, n_nonzero_coefs=5, sketch="mam", n_measurements=200, refine="sketch", random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecoveryWarning)
        pca.fit(X)
    sizes = pca.n_nonzero_coefs_
    assert np.all(pca.eigenpairs_.eigenvalues <= sizes * (1.0 + 1e-9))
    assert pca.explained_variance_ratio_.sum() <= len(pca.support_) / 3000 * (1.0 + 1e-9)


def test_impossible_variances_are_capped_and_told():
    vectors = np.array([[0.6, 0.0], [0.8, 0.0], [0.0, 1.0]])
    variances = np.array([1.0, 4.0, 2.0])
    bound = (0.6 + 0.8 * 2.0) ** 2
    with pytest.warns(RecoveryWarning, match="more variance than their features"):
        values, added = capped(np.array([9.0, 1.0]), np.array([9.0, 1.0]), vectors, variances)
    np.testing.assert_allclose(values, [bound, 1.0])
    np.testing.assert_allclose(added, [bound, 1.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecoveryWarning)
        values, _ = capped(np.array([4.0, 1.0]), np.array([4.0, 1.0]), vectors, variances)
    np.testing.assert_allclose(values, [4.0, 1.0])


@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
def test_components_come_in_descending_order(noise):
    data = make_sparse_spiked_covariance(
        400, 60, eigenvalues=(12, 10, 9, 8), n_nonzero_coefs=8, random_state=0
    )
    pca = SketchedSparsePCA(4, n_nonzero_coefs=3, noise=noise, random_state=0).fit(data.data)
    assert np.all(np.diff(pca.explained_variance_) <= 1e-12)
    pairs = pca.eigenpairs_
    V = pairs.eigenvectors.toarray()
    A = np.cov(data.data.T, bias=True)
    along = np.einsum("ij,ij->j", V, A @ V)
    np.testing.assert_allclose(pairs.eigenvalues, along)  # all outputs are of the same order
    Q = np.linalg.qr(V)[0]
    np.testing.assert_allclose(pairs.added_variance, np.einsum("ij,ij->j", Q, A @ Q))
    assert len(pairs.signal_to_threshold) == len(pairs.eigenvector_errors) == 4


def test_sizes_that_differ_keep_their_components():
    data = make_sparse_spiked_covariance(
        400, 60, eigenvalues=(12, 10, 9), n_nonzero_coefs=8, random_state=0
    )
    pca = SketchedSparsePCA(3, n_nonzero_coefs=[2, 8, 5], random_state=0).fit(data.data)
    np.testing.assert_array_equal(pca.n_nonzero_coefs_, [2, 8, 5])


def test_rows_of_one_sketch_in_any_shape_have_the_same_order():
    data = make_sparse_spiked_covariance(
        2000, 300, eigenvalues=(30, 20, 12), n_nonzero_coefs=6, random_state=1
    )
    sketch = EigenSketch(300, n_measurements=150, range_size=40, random_state=0)
    pairs = sketch.update(data.data).recover(3, n_nonzero_coefs=6)
    assert np.all(np.diff(pairs.added_variance) <= 0.0)
    np.testing.assert_array_equal(pairs.support, data.support)


def test_long_components_are_told_with_advice():
    data = make_sparse_spiked_covariance(
        400, 300, eigenvalues=(500,), n_nonzero_coefs=150, random_state=0
    )
    with pytest.warns(RecoveryWarning, match="more than 100 features.*give a number") as caught:
        pca = SketchedSparsePCA(1, random_state=0).fit(data.data)
    assert len(caught) == 1
    assert pca.n_nonzero_coefs_[0] > 100
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecoveryWarning)
        SketchedSparsePCA(1, n_nonzero_coefs=150, random_state=0).fit(data.data)
