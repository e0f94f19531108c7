"""Estimated errors of eigenpairs against true ones, in every regime of a sketch."""

import warnings
from functools import cache

import numpy as np
import pytest

from sklearn_sparse_eig import EigenSketch, RecoveryWarning, SketchedSparsePCA, sparse_eigsh
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery._errors import lanczos_errors

N = 3000
SHAPES = {
    "two_sided": {"n_measurements": 304, "range_size": 48},
    "mam": {"n_measurements": 200},
    "range": {"n_measurements": None, "measurement": "identity", "range_size": 64},
    "exact": {"n_measurements": None, "measurement": "identity"},
}
SEEDS = range(4)


def distances(vectors, truth):
    """Distance of each column to the nearest row of the truth, up to sign, and which it is."""
    overlap = truth @ vectors
    nearest = np.abs(overlap).argmax(axis=0)
    signs = np.sign(overlap[nearest, np.arange(len(nearest))])
    return np.linalg.norm(vectors - signs * truth[nearest].T, axis=0), nearest


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


@cache
def spikes(regime, spectrum, support, ratio, seed, n=500, n_nonzero=10):
    """Pairs recovered from rows in unit noise, the truth and the eigenvalues."""
    n_features = 400 if regime == "exact" else N
    sketch = EigenSketch(n_features, random_state=seed, **SHAPES[regime])
    m, k = sketch.shape
    spectrum = np.array(spectrum) / spectrum[-1]
    eigenvalues = ratio * n_features * ((m * n) ** -0.5 + (k * n) ** -0.5 + 1 / n) * spectrum
    data = make_sparse_spiked_covariance(
        n,
        n_features,
        eigenvalues=eigenvalues,
        n_nonzero_coefs=n_nonzero,
        support=support,
        dtype=np.float32,
        random_state=seed,
    )
    pairs = sketch.update(data.data).recover(len(spectrum), n_nonzero_coefs=n_nonzero)
    return pairs, data.components.toarray(), eigenvalues + 1.0


def all_errors(results):
    """Estimated and true errors of the vectors, and then of the values, of several recoveries."""
    vectors, values = [], []
    for pairs, truth, eigenvalues in results:
        true, nearest = distances(pairs.eigenvectors.toarray(), truth)
        vectors.append((pairs.eigenvector_errors, true))
        values.append((pairs.eigenvalue_errors, pairs.eigenvalues - eigenvalues[nearest]))
    return np.hstack(vectors), np.hstack(values)


# --------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("ratio", [3, 10, 30])
@pytest.mark.parametrize("regime", SHAPES)
def test_errors_of_separate_spikes_in_noise(regime, ratio):
    results = [spikes(regime, (1.5, 1.2, 1.0), "disjoint", ratio, seed) for seed in SEEDS]
    (estimated, true), (value_errors, value_gaps) = all_errors(results)
    assert 0.5 < rms(estimated) / rms(true) < 2
    assert 0.5 < np.median(estimated) / np.median(true) < 2
    assert 0.5 < rms(value_errors) / rms(value_gaps) < 2


@pytest.mark.filterwarnings("ignore:10 components of up to:sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.filterwarnings("ignore:Component.s. 9 cannot:sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("regime", SHAPES)
def test_errors_where_rotations_dominate(regime):
    spectrum = tuple(range(10, 0, -1))
    ratio = 3 if regime == "exact" else 10
    results = [spikes(regime, spectrum, "common", ratio, seed, n_nonzero=25) for seed in SEEDS[:2]]
    (estimated, true), _ = all_errors(results)
    assert rms(true) > 0.1  # the same spikes on separate supports are ten times as accurate
    assert 0.5 < rms(estimated) / rms(true) < 2
    assert 0.5 < np.median(estimated) / np.median(true) < 2


def test_equal_eigenvalues_on_separate_supports_are_not_rotated():
    results = [spikes("two_sided", (1.0, 1.0, 1.0), "disjoint", 10, seed) for seed in SEEDS]
    (estimated, true), _ = all_errors(results)
    assert rms(true) < 0.1
    assert 0.5 < rms(estimated) / rms(true) < 2


def test_exact_regime_agrees_with_the_asymptotic_formula():
    """E|delta u_j|^2 = lambda_j / n sum_i lambda_i / (lambda_j - lambda_i)^2 (Anderson, 1963)."""
    pairs, _, eigenvalues = spikes("exact", (1.5, 1.2, 1.0), "disjoint", 3, 0)
    n, s = 500, 10
    idle = (s - 1) * eigenvalues * 1.0 / (eigenvalues - 1.0) ** 2 / n
    np.testing.assert_allclose(pairs.eigenvector_errors, np.sqrt(idle), rtol=0.2)
    np.testing.assert_allclose(pairs.eigenvalue_errors, eigenvalues * np.sqrt(2 / n), rtol=0.2)


@pytest.mark.parametrize("regime", SHAPES)
def test_units_do_not_matter(regime):
    X = make_sparse_spiked_covariance(
        300, 400, eigenvalues=(30, 20), n_nonzero_coefs=8, random_state=0
    ).data
    one, thousand = (
        EigenSketch(400, random_state=0, **SHAPES[regime]).update(c * X).recover(2)
        for c in (1.0, 1000.0)
    )
    np.testing.assert_allclose(one.eigenvector_errors, thousand.eigenvector_errors, rtol=1e-6)
    np.testing.assert_allclose(1e6 * one.eigenvalue_errors, thousand.eigenvalue_errors, rtol=1e-6)


def test_noise_alone_is_far_off():
    """Like everywhere within a factor of 2 in the mean square; the truth is sqrt(2)."""
    estimated = []
    for seed in range(5):
        X = np.random.default_rng(seed).standard_normal((300, N))
        sketch = EigenSketch(N, random_state=seed, **SHAPES["two_sided"]).update(X)
        with pytest.warns(RecoveryWarning, match="cannot be told from noise"):
            estimated.append(sketch.recover(2, n_nonzero_coefs=10).eigenvector_errors)
    assert rms(np.array(estimated)) > 0.5 * np.sqrt(2)
    assert np.max(estimated) <= np.sqrt(2)


# ------------------------------------------------------------------------------------------ entries


def entries(regime, r, support, tail, seed=0, n_nonzero=20):
    """Pairs recovered from the entries of a matrix, its eigenvectors (rows) and eigenvalues."""
    n_features = 600 if regime == "exact" else N
    eigenvalues = np.linspace(1.0, 0.05, r)
    planted = make_sparse_spiked_covariance(
        0,
        n_features,
        eigenvalues=eigenvalues,
        n_nonzero_coefs=n_nonzero,
        support=support,
        random_state=seed,
    )
    rng = np.random.default_rng(seed)
    U = planted.components.toarray()
    idle = np.setdiff1d(np.arange(n_features), planted.support)
    for u in U:
        u[rng.choice(idle, n_nonzero, replace=False)] = tail * rng.choice([-1, 1], n_nonzero)
    U = np.linalg.qr(U.T)[0].T
    ids = np.flatnonzero(U.any(axis=0))
    shape = SHAPES[regime]
    if regime in ("two_sided", "mam"):
        shape = shape | {"n_measurements": max(160, 5 * len(planted.support))}
    sketch = EigenSketch(n_features, random_state=seed, **shape)
    sketch.update_tile(ids, ids, (U[:, ids].T * eigenvalues) @ U[:, ids])
    return sketch.recover(r, n_nonzero_coefs=n_nonzero), U, eigenvalues


@pytest.mark.filterwarnings("ignore:.* components of up to:sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("support", ["disjoint", "common"])
@pytest.mark.parametrize("r", [5, 10, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("regime", SHAPES)
def test_tails_count_where_there_is_no_noise(regime, r, support):
    if regime == "mam" and support == "disjoint" and r > 5:
        pytest.skip("the same law with a sketch of a million floats")
    n_nonzero = 20 if support == "disjoint" else 30
    (estimated, true), _ = all_errors([entries(regime, r, support, 1e-3, n_nonzero=n_nonzero)])
    assert rms(true) > 0.9e-3 * np.sqrt(n_nonzero)
    assert 0.67 < rms(estimated) / rms(true) < 1.5
    ratio = estimated / true
    assert 0.33 < ratio.min()
    assert ratio.max() < 3


@pytest.mark.filterwarnings("ignore:.* components of up to:sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("regime", SHAPES)
def test_eigenvalues_in_tails(regime):
    _, (estimated, gaps) = all_errors([entries(regime, 5, "common", 1e-3, s, 30) for s in SEEDS])
    assert 0.5 < rms(estimated) / rms(gaps) < 2


@pytest.mark.parametrize("regime", SHAPES)
def test_noiseless_matrices_have_errors_of_rounding(regime):
    pairs, _, _ = entries(regime, 5, "disjoint", 0.0)
    assert (pairs.eigenvector_errors < 1e-8).all()
    assert (pairs.eigenvalue_errors < 1e-8).all()


def test_what_a_small_support_cuts_off_is_counted():
    """Six of ten nonzeros of each vector, the others small but far above rounding."""
    rng = np.random.default_rng(0)
    U = np.zeros((3, N))
    for j, u in enumerate(U):
        u[10 * j : 10 * j + 10] = np.where(np.arange(10) < 6, 1.0, 0.1) * rng.choice([-1, 1], 10)
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    eigenvalues = np.array([3.0, 2.0, 1.0])
    for regime in ("two_sided", "mam", "range"):
        sketch = EigenSketch(N, random_state=0, **SHAPES[regime])
        sketch.update_tile(np.arange(30), np.arange(30), (U[:, :30].T * eigenvalues) @ U[:, :30])
        pairs = sketch.recover(3, n_nonzero_coefs=6)
        true, _ = distances(pairs.eigenvectors.toarray(), U)
        np.testing.assert_allclose(pairs.eigenvector_errors, true, rtol=0.3)


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
def test_vectors_without_an_eigenvalue_stand_for_nothing():
    sketch = EigenSketch(N, random_state=0, **SHAPES["two_sided"])
    u = np.full(10, 10**-0.5)
    sketch.update_tile(np.arange(10), np.arange(10), np.outer(u, u))
    errors = sketch.recover(3, n_nonzero_coefs=10).eigenvector_errors
    assert errors[0] < 1e-8
    assert (errors[1:] > 0.5).all()


# ------------------------------------------------------------------------------- matrices at hand


def test_lanczos_errors_see_what_a_step_can_reach():
    rng = np.random.default_rng(0)
    U = np.linalg.qr(rng.standard_normal((50, 50)))[0]
    A = (U[:, :3] * [3.0, 2.0, 1.0]) @ U[:, :3].T  # rank 3: one step reaches the eigenvectors
    V = U[:, :3] + 0.01 * rng.standard_normal((50, 3))
    V /= np.linalg.norm(V, axis=0)
    vector_errors, value_errors = lanczos_errors(lambda V: A @ V, V)
    true, _ = distances(V, U[:, :3].T)
    np.testing.assert_allclose(vector_errors, true, rtol=1e-6)
    gaps = np.abs(np.diagonal(V.T @ A @ V) - [3.0, 2.0, 1.0])
    np.testing.assert_allclose(value_errors, gaps, rtol=1e-6)


def test_sparse_eigsh_says_how_far_sparse_vectors_are_from_eigenvectors():
    rng = np.random.default_rng(0)
    U = np.zeros((2, 300))
    U[0, :8] = U[1, 8:16] = 1.0
    U += 0.01 * rng.standard_normal(U.shape)
    U = np.linalg.qr(U.T)[0].T
    A = (U.T * [2.0, 1.0]) @ U
    sparse = sparse_eigsh(A, 2, n_nonzero_coefs=8)
    true, _ = distances(sparse.eigenvectors.toarray(), U)
    np.testing.assert_allclose(sparse.eigenvector_errors, true, rtol=0.01)
    exact = sparse_eigsh(A, 2)
    assert (exact.eigenvector_errors < 1e-8).all()
    assert (exact.eigenvalue_errors < 1e-8).all()


# ------------------------------------------------------------------------------------- estimator


@pytest.mark.parametrize("refine", ["sketch", "data"])
def test_estimator_shows_them(refine):
    data = make_sparse_spiked_covariance(
        600, N, eigenvalues=(60, 40, 30), n_nonzero_coefs=8, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pca = SketchedSparsePCA(
            3, n_nonzero_coefs=8, refine=refine, random_state=0, **SHAPES["two_sided"]
        ).fit(data.data)
    true, _ = distances(pca.eigenpairs_.eigenvectors.toarray(), data.components.toarray())
    assert 0.5 < rms(pca.eigenpairs_.eigenvector_errors) / rms(true) < 2
    assert pca.eigenpairs_.eigenvalue_errors.shape == (3,)


def test_eigenvalues_whose_squares_vanish_have_errors_too():
    sketch = EigenSketch(50, n_measurements=20, range_size=8, random_state=0)
    sketch.update_entries([0, 1, 0, 1], [0, 1, 1, 0], [1e-170] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        pairs = sketch.recover(1, n_nonzero_coefs=2)
    assert not np.isnan(pairs.eigenvector_errors).any()
