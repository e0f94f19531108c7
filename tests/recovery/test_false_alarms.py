"""Pure noise is called noise in every regime, and shared variance is found in unequal noise."""

import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA, FactorAnalysis

from sklearn_sparse_eig import EigenSketch, RecoveryWarning, SketchedSparsePCA
from sklearn_sparse_eig.recovery import sparse_principal_vectors
from sklearn_sparse_eig.recovery._false_alarms import (
    largest_dependence,
    largest_image,
    largest_variance,
)

REGIMES = {
    "exact": {},
    "range": {"measurement": "identity", "range_size": 32},
    "two_sided": {"n_measurements": 200, "range_size": 48},
    "mam": {"sketch": "mam", "n_measurements": 200},
}
N_FEATURES = {"exact": 60, "range": 300, "two_sided": 600, "mam": 600}


def scales(n_features, rng):
    return np.exp(rng.uniform(np.log(0.5), np.log(5.0), n_features))


def false_alarms(n_fits, regime, refine, noise, size, n_samples=300):
    """Return how many fits to pure noise do not warn."""
    silent = 0
    for seed in range(n_fits):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n_samples, N_FEATURES[regime]))
        if noise == "unequal":
            X *= scales(X.shape[1], rng)
        model = "isotropic" if noise == "isotropic" else "diagonal"
        pca = SketchedSparsePCA(
            1,
            n_nonzero_coefs=size,
            noise=model,
            refine=refine,
            random_state=seed,
            **REGIMES[regime],
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pca.fit(X)
        silent += not any(issubclass(w.category, RecoveryWarning) for w in caught)
    return silent


@pytest.mark.parametrize("size", [3, "auto"])
@pytest.mark.parametrize("noise", ["isotropic", "diagonal", "unequal"])
@pytest.mark.parametrize(("regime", "n_fits"), [("exact", 10), ("range", 1), ("mam", 1)])
def test_pure_noise_warns(regime, n_fits, noise, size):
    assert false_alarms(n_fits, regime, "sketch", noise, size) == 0


@pytest.mark.parametrize("n_components", [10, 20, 30])
def test_pure_noise_warns_however_many_components_share_it(n_components):
    # The more components, the more of the noise is theirs and the less is left to judge it by.
    for seed in range(3):
        X = np.random.default_rng(seed).standard_normal((300, 40))
        with pytest.warns(RecoveryWarning, match="told from noise"):
            pca = SketchedSparsePCA(n_components, n_nonzero_coefs=3, random_state=0).fit(X)
        assert pca.eigenpairs_.signal_to_threshold.max() <= 1.0


@pytest.mark.parametrize("n_components", [1, 10, 19])
def test_noise_beside_dense_components_is_that_of_pca(n_components):
    X = np.random.default_rng(0).standard_normal((200, 20)) * np.r_[5.0, 4.0, np.ones(18)]
    with warnings.catch_warnings(action="ignore"):
        pca = SketchedSparsePCA(n_components, n_nonzero_coefs=20, random_state=0).fit(X)
    expected = PCA(n_components).fit(X).noise_variance_ * 199 / 200  # of the divisor n - 1
    assert pca.noise_variance_ == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3, "auto"])
@pytest.mark.parametrize("noise", ["isotropic", "diagonal", "unequal"])
@pytest.mark.parametrize("refine", ["data", "sketch"])
@pytest.mark.parametrize("regime", REGIMES)
def test_false_alarms_are_rare(regime, refine, noise, size):
    # At most 5 % of fits; benchmarks/recovery/bench_false_alarms.py counts ten times as many.
    assert false_alarms(20, regime, refine, noise, size) <= 1


# ------------------------------------------------------------------------------- the bounds alone


@pytest.mark.parametrize("freedom", [8, 50])
def test_dependence_of_noise_stays_below_its_bound(freedom):
    rng = np.random.default_rng(0)
    R = np.array([np.corrcoef(rng.standard_normal((4, freedom + 1))) for _ in range(4000)])
    dependence = -np.linalg.slogdet(R)[1]
    bound = largest_dependence(4, 4, freedom)
    exceeded = np.mean(dependence > bound)
    assert 0.002 < exceeded < 0.05  # a bound, and not an idle one


def test_noise_stays_below_its_bounds_for_all_sets_at_once():
    rng = np.random.default_rng(0)
    n, N, k = 200, 12, 5
    variances, lengths = [], []
    for _ in range(100):
        A = np.cov(rng.standard_normal((N, n)))
        G = rng.standard_normal((N, k))
        # The best pair, by brute force.
        i, j = np.triu_indices(N, 1)
        half = (A[i, i] - A[j, j]) / 2
        variances.append(np.max((A[i, i] + A[j, j]) / 2 + np.hypot(half, A[i, j])))
        B = G @ G.T
        half = (B[i, i] - B[j, j]) / 2
        lengths.append(np.sqrt(np.max((B[i, i] + B[j, j]) / 2 + np.hypot(half, B[i, j]))))
    two = np.array([2])
    assert np.mean(variances > largest_variance(two, N, n)) <= 0.05
    assert np.mean(lengths > largest_image(two, N, k)) <= 0.05
    assert np.median(variances) > 0.5 * largest_variance(two, N, n)
    assert np.median(lengths) > 0.5 * largest_image(two, N, k)


# ------------------------------------------------------------------------------ what features share


def shared(n_samples, n_features, n_shared, loading, seed):
    """Return rows with one factor, in features of unequal noise, and these features."""
    rng = np.random.default_rng(seed)
    scale = scales(n_features, rng)
    ids = np.sort(rng.choice(n_features, n_shared, replace=False))
    X = rng.standard_normal((n_samples, n_features)) * scale
    X[:, ids] += loading * scale[ids] * rng.standard_normal((n_samples, 1))
    return X, ids


@pytest.mark.parametrize("size", [3, "auto"])
def test_loud_features_do_not_hide_shared_ones(size):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(5000, 1))
    X = rng.normal(size=(5000, 30)) * np.r_[np.full(15, 0.5), np.full(15, 5.0)]
    X[:, :3] += z
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecoveryWarning)
        pca = SketchedSparsePCA(1, n_nonzero_coefs=size, noise="diagonal", random_state=0).fit(X)
    np.testing.assert_array_equal(pca.support_, [0, 1, 2])
    assert pca.eigenpairs_.signal_to_threshold[0] > 5.0
    factors = FactorAnalysis(1).fit(X)
    np.testing.assert_array_equal(
        np.sort(np.argsort(-np.abs(factors.components_[0]))[:3]), [0, 1, 2]
    )
    assert pca.noise_variance_ == pytest.approx(factors.noise_variance_.mean(), rel=1e-3)


@pytest.mark.parametrize("case", [(300, 40, 3, 0.8), (100, 60, 2, 2.0), (200, 100, 6, 0.7)])
def test_finds_what_factor_analysis_finds(case):
    found, by_factors = 0, 0
    for seed in range(5):
        X, ids = shared(*case, seed)
        pca = SketchedSparsePCA(1, n_nonzero_coefs=len(ids), noise="diagonal", random_state=0)
        hit = np.array_equal(pca.fit(X).support_, ids)
        factors = FactorAnalysis(1).fit(X)
        weights = np.abs(factors.components_[0]) / np.sqrt(factors.noise_variance_)
        other = set(np.argsort(-weights)[: len(ids)]) == set(ids)
        assert hit or not other
        found, by_factors = found + hit, by_factors + other
    assert found == 5 >= by_factors


@pytest.mark.parametrize("regime", ["range", "two_sided", "mam"])
def test_wide_rows_are_weighed_when_they_are_read_again(regime):
    X, ids = shared(500, N_FEATURES[regime], 5, 3.0, seed=1)
    pca = SketchedSparsePCA(
        1, n_nonzero_coefs=5, noise="diagonal", random_state=0, **REGIMES[regime]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecoveryWarning)
        pca.fit(X)
    np.testing.assert_array_equal(pca.support_, ids)
    idle = np.delete(np.arange(X.shape[1]), ids)
    assert pca.noise_variance_ * X.shape[1] > X[:, idle].var(axis=0).sum()


@pytest.mark.parametrize("regime", ["exact", "range"])
@pytest.mark.parametrize("size", [5, "auto"])
def test_units_of_features_do_not_matter(regime, size):
    X, ids = shared(500, N_FEATURES[regime], 5, 2.0, seed=2)
    units = 2.0 ** np.random.default_rng(0).integers(-6, 7, X.shape[1])
    shape = {"n_measurements": None, "measurement": "identity"}
    if regime == "range":
        shape |= {"range_size": 64, "feature_moments": True}
    pairs = [
        EigenSketch(X.shape[1], random_state=0, **shape)
        .update(rows)
        .recover(1, n_nonzero_coefs=size, noise="diagonal")
        for rows in (X, X * units)
    ]
    for one in pairs:
        assert np.isin(ids, one.support).all()
    if regime == "exact":
        np.testing.assert_array_equal(pairs[0].support, pairs[1].support)
        strength = [one.signal_to_threshold for one in pairs]
        np.testing.assert_allclose(strength[0], strength[1], rtol=1e-6)


def test_the_best_pair_of_a_matrix_without_diagonal_is_found():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        B = 0.1 * rng.standard_normal((60, 60))
        B = B + B.T
        np.fill_diagonal(B, 0.0)
        i, j = np.unravel_index(np.argmax(np.abs(B)), B.shape)
        found = sparse_principal_vectors(B, 1, 2, rng=0)
        np.testing.assert_allclose(found.eigenvalues, abs(B[i, j]))
