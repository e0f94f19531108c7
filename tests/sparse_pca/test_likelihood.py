"""The Gaussian model of components plus noise: density, covariance, precision, choice by score."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.sparse.linalg import LinearOperator
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import sklearn_sparse_eig.sparse_pca._gaussian as module
from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

# Some fits ask for more components than there are.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")

REGIMES = {
    "exact": {},
    "range": {"measurement": "identity", "range_size": 24, "sketch": "two_sided"},
    "compressed": {"n_measurements": 64, "range_size": 24},
    "mam": {"sketch": "mam", "n_measurements": 64},
}
NOISES = ["isotropic", "diagonal", None]
all_regimes = pytest.mark.parametrize("regime", REGIMES)
all_noises = pytest.mark.parametrize("noise", NOISES)


def make(regime="exact", **options):
    # More components than are planted, and features that they share.
    settings = {"n_components": 3, "n_nonzero_coefs": 5, "random_state": 0}
    return SketchedSparsePCA(**(settings | REGIMES[regime] | options))


def rows(n_samples=240, seed=0):
    X = make_sparse_spiked_covariance(
        n_samples, 60, eigenvalues=(90.0, 40.0), n_nonzero_coefs=5, mean=2.0, random_state=seed
    ).data
    return np.where(np.abs(X) > 1.0, X, 0.0)


@pytest.mark.parametrize("center", [True, False])
@all_noises
@all_regimes
def test_score_samples_is_the_density_of_the_covariance(regime, noise, center):
    X, new = rows(), rows(50, seed=1)
    pca = make(regime, noise=noise, center=center).fit(X)
    law = multivariate_normal(np.asarray(pca.mean_), pca.get_covariance())
    expected = law.logpdf(new)
    assert_allclose(pca.score_samples(new), expected, rtol=1e-9)
    assert_allclose(pca.score_samples(sp.csr_array(new)), expected, rtol=1e-9)
    assert_allclose(pca.score(new), expected.mean(), rtol=1e-9)
    weights = np.arange(50.0)
    assert_allclose(pca.score(new, sample_weight=weights), np.average(expected, weights=weights))


@pytest.mark.parametrize("max_dense", [4096, 10])
@all_noises
def test_precision_is_the_inverse_of_the_covariance(noise, max_dense, monkeypatch):
    monkeypatch.setattr(module, "_MAX_DENSE", max_dense)
    pca = make(noise=noise).fit(rows())
    covariance, precision = pca.get_covariance(), pca.get_precision()
    assert isinstance(covariance, LinearOperator) == isinstance(precision, LinearOperator)
    assert isinstance(covariance, LinearOperator) == (max_dense < 60)
    C, P = covariance @ np.eye(60), precision @ np.eye(60)
    assert_allclose(P @ C, np.eye(60), atol=1e-10)
    assert_allclose(C, C.T, atol=1e-12)
    assert np.linalg.eigvalsh(C)[0] > 0.0
    v = np.arange(60.0)
    assert_allclose(covariance @ v, C @ v)
    assert_allclose(covariance.T @ v, C @ v)


@all_regimes
def test_covariance_holds_the_variances(regime):
    X = rows()
    total, variances = X.var(axis=0).sum(), X.var(axis=0)
    isotropic = make(regime).fit(X).get_covariance()
    assert_allclose(np.trace(isotropic), total)
    diagonal = make(regime, noise="diagonal").fit(X)
    assert_allclose(np.diagonal(diagonal.get_covariance()), variances)
    assert_allclose(diagonal.var_, variances)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    n_samples=st.integers(3, 12),
    n_components=st.integers(1, 6),
    size=st.integers(1, 6),
    rank=st.integers(1, 6),
    noise=st.sampled_from(NOISES),
)
def test_the_covariance_is_positive_definite_whatever_is_found(
    seed, n_samples, n_components, size, rank, noise
):
    # Fewer rows than features, components of overlapping supports, no noise, constant features.
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, rank)) @ rng.integers(-1, 2, size=(rank, 6))
    X[:, 0] += rng.normal(size=n_samples)
    pca = SketchedSparsePCA(n_components, n_nonzero_coefs=size, noise=noise, random_state=0)
    pca.fit(X)
    assert np.linalg.eigvalsh(pca.get_covariance())[0] > 0.0
    assert np.isfinite(pca.score_samples(X)).all()


def test_all_features_and_all_entries_give_pca():
    X, new = rows(), rows(50, seed=1)
    # Dense PCA divides by n - 1, and estimates the noise from these variances alike.
    ours = SketchedSparsePCA(4, n_nonzero_coefs=60, random_state=0).fit(X)
    theirs = PCA(4).fit(X)
    n = len(X)
    assert_allclose(ours.get_covariance() * n / (n - 1), theirs.get_covariance(), atol=1e-8)
    assert_allclose(ours.singular_values_, theirs.singular_values_, rtol=1e-8)
    scaled = SketchedSparsePCA(4, n_nonzero_coefs=60, random_state=0).fit(
        X, sample_weight=np.full(n, 3.0)
    )
    assert_allclose(scaled.score(new), ours.score(new), rtol=1e-10)


def test_columns_of_large_mean_cost_sparse_rows_no_digits():
    X = rows()
    X[:, 3] = X[:, 3] + 1e8
    pca = make().fit(X)
    dense = pca.score_samples(X)
    assert_allclose(pca.score_samples(sp.csr_array(X)), dense, rtol=1e-9)
    plain = make().fit(rows()).score_samples(rows())
    assert_allclose(dense, plain, rtol=1e-6)


def test_untracked_means_enter_by_their_sketch():
    """Beyond tracked features the mean is an estimate; on the support it is exact."""
    rng = np.random.default_rng(0)
    N, n = 2**40, 300
    ids = np.sort(rng.integers(0, N, 60))
    X = rows(n) + (np.arange(60) < 20)  # means that are not zero, off the support too
    wide = sp.csr_array((X.flatten(), np.tile(ids, n), np.arange(n + 1) * 60), shape=(n, N))
    wide.eliminate_zeros()
    sizes = {"n_measurements": 6832, "range_size": 256}
    pca = SketchedSparsePCA(2, n_nonzero_coefs=5, **sizes, random_state=0).fit(wide)
    model = pca._gaussian_model()
    with pytest.raises(AttributeError, match="not tracked: raise memory_budget"):
        pca.var_  # noqa: B018 - the look is what is refused
    values = pca.score_samples(wide)
    assert np.isfinite(values).all()
    # What is left of the density, when the terms that all rows share are taken away.
    A = np.zeros((60, 2))
    A[np.searchsorted(ids, pca.support_)] = model.factors / np.sqrt(model.noise)
    Z = (X - X.mean(axis=0)) / np.sqrt(model.noise)
    inner = np.linalg.inv(np.eye(2) + A.T @ A)
    squares = (Z**2).sum(axis=1) - np.einsum("ij,jk,ik->i", Z @ A, inner, Z @ A)
    constant = N * np.log(2 * np.pi) + model.log_determinant
    estimated = -2.0 * values - constant
    assert np.sqrt(np.mean((estimated / squares - 1.0) ** 2)) < 0.06
    # On average only |M mean|^2 is off, by sqrt(2 / m) at a standard deviation.
    beyond = np.delete(X.mean(axis=0), np.searchsorted(ids, pca.support_))
    error = beyond @ beyond * np.sqrt(2 / pca.sketch_.shape[0]) / model.noise
    assert abs(estimated.mean() - squares.mean()) < 2.0 * error
    assert error < 0.1 * squares.mean()


def test_zero_weights_are_refused():
    pca = make().fit(rows())
    with pytest.raises(ValueError, match="zero"):
        pca.score(rows(), sample_weight=np.zeros(240))
    with pytest.raises(NotFittedError):
        make().score(rows())


def planted_of_eight(seed, n_samples=400, n_features=120):
    return make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=(12.0, 9.0, 7.0),
        n_nonzero_coefs=8,
        random_state=seed,
    ).data


def test_a_search_by_the_score_chooses_number_and_size():
    grid = {"n_components": [2, 3, 5], "n_nonzero_coefs": [3, 8, 30]}
    search = GridSearchCV(SketchedSparsePCA(random_state=0), grid, cv=3)
    assert search.fit(planted_of_eight(0)).best_params_ == {
        "n_components": 3,
        "n_nonzero_coefs": 8,
    }


@pytest.mark.slow
def test_a_search_over_a_wide_grid_chooses_number_and_size_in_nine_of_ten():
    grid = {"n_components": [1, 2, 3, 5, 8], "n_nonzero_coefs": [3, 8, 30, 100]}
    chosen = []
    for seed in range(10):
        search = GridSearchCV(SketchedSparsePCA(random_state=0), grid, cv=5)
        chosen.append(tuple(search.fit(planted_of_eight(seed)).best_params_.values()))
    assert chosen.count((3, 8)) >= 9, chosen


@pytest.mark.parametrize("method", ["score", "score_samples", "explained_variance_score"])
def test_single_precision_causes_no_warning_of_numpy(method):
    X = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    X[:, 1] += 3 * X[:, 0]
    fitted = SketchedSparsePCA(1, n_nonzero_coefs=2, random_state=0).fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(fitted, method)(X)
