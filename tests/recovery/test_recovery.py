"""From a sketch to eigenpairs: exact where it can be, honest about noise where it cannot."""

import warnings
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch, RecoveryWarning
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery import find_candidates
from sklearn_sparse_eig.recovery.decoders import Decoder, HTPDecoder, make_decoder

N = 20_000
EIGENVALUES = np.array([40.0, 30.0, 20.0, 15.0])
NOISY = {
    "mam": {"n_measurements": 256},
    "two_sided": {"n_measurements": 600, "range_size": 60},
    "range": {"n_measurements": None, "measurement": "identity", "range_size": 60},
}


@cache
def planted(support, seed, n_nonzero=25):
    """Four components and the ids where they live."""
    spiked = make_sparse_spiked_covariance(
        0,
        N,
        eigenvalues=EIGENVALUES,
        n_nonzero_coefs=n_nonzero,
        support=support,
        random_state=seed,
    )
    return spiked.components.toarray(), spiked.support


def entries_of(U, ids, eigenvalues):
    """The entries of U^T diag(eigenvalues) U, for update_entries."""
    local = U[:, ids]
    i, j = np.meshgrid(ids, ids, indexing="ij")
    return i.ravel(), j.ravel(), ((local.T * eigenvalues) @ local).ravel()


def rows_of(U, ids, eigenvalues, mean=0.0, n=60):
    """CSR rows whose covariance is U^T diag(eigenvalues) U to rounding: their scores are white."""
    scores = np.random.default_rng(0).standard_normal((n, len(U)))
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0] * np.sqrt(n * eigenvalues)
    values = scores @ U[:, ids] + mean
    indptr = np.arange(n + 1) * len(ids)
    return sp.csr_array((values.ravel(), np.tile(ids, n), indptr), shape=(n, U.shape[1]))


def assert_exact(pairs, U, eigenvalues):
    np.testing.assert_allclose(pairs.eigenvectors.toarray().T, U, rtol=0, atol=1e-10)
    np.testing.assert_allclose(pairs.eigenvalues, eigenvalues, rtol=1e-10)
    np.testing.assert_allclose(pairs.added_variance, eigenvalues, rtol=1e-10)
    assert pairs.residual < 1e-10
    assert pairs.noise_variance < 1e-10
    np.testing.assert_array_equal(pairs.support, np.flatnonzero(U.any(axis=0)))
    assert (pairs.signal_to_threshold > 1e3).all()


def worst_cosine(U, pairs):
    basis = np.linalg.qr(pairs.eigenvectors.toarray())[0]
    return np.linalg.svd(basis.T @ U.T, compute_uv=False).min()


def spiked_sketch(regime, noise, *, seed=0, eigenvalues=(40, 30, 20), feature_moments="auto"):
    data = make_sparse_spiked_covariance(
        2500, 2000, eigenvalues=eigenvalues, n_nonzero_coefs=8, noise=noise, random_state=seed
    )
    options = NOISY[regime] | {"feature_moments": feature_moments}
    return EigenSketch(2000, random_state=0, **options).update(data.data), data


# -------------------------------------------------------------------------------------- exact case


@pytest.mark.filterwarnings("ignore:4 components of up to:sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("n_nonzero_coefs", [25, "auto"])
@pytest.mark.parametrize("test_matrix", ["mam", "two_sided"])
@pytest.mark.parametrize(
    # Measurements per feature of the union support: the smaller it is, the more log N weighs.
    ("support", "ratio", "content"),
    [
        ("disjoint", 4, "rows"),
        ("disjoint", 4, "entries"),
        ("overlapping", 4, "entries"),
        ("common", 6, "rows"),
        ("common", 6, "entries"),
    ],
)
def test_noiseless_matrices_are_recovered(support, ratio, test_matrix, content, n_nonzero_coefs):
    U, ids = planted(support, seed=1)
    sketch = EigenSketch(
        N,
        n_measurements=ratio * len(ids),
        range_size=None if test_matrix == "mam" else 24,
        random_state=1,
    )
    if content == "entries":
        sketch.update_entries(*entries_of(U, ids, EIGENVALUES))
    else:
        sketch.update(rows_of(U, ids, EIGENVALUES, mean=3.0))
    assert_exact(sketch.recover(4, n_nonzero_coefs=n_nonzero_coefs), U, EIGENVALUES)


def test_recovery_does_not_hang_on_luck():
    # Five measurements per feature of the support, no choice of seeds.
    for seed in range(6):
        U, ids = planted("disjoint", seed, n_nonzero=10)
        sketch = EigenSketch(N, n_measurements=5 * len(ids), range_size=20, random_state=seed)
        sketch.update_entries(*entries_of(U, ids, EIGENVALUES))
        assert_exact(sketch.recover(4, n_nonzero_coefs=10), U, EIGENVALUES)


def test_sizes_of_their_own():
    U, ids = planted("disjoint", 0, n_nonzero=10)
    wide, wide_ids = planted("disjoint", 5, n_nonzero=30)
    wide[:, ids] = 0.0
    mixed = np.vstack([U[0], wide[1] / np.linalg.norm(wide[1])])
    support = np.flatnonzero(mixed.any(axis=0))
    sketch = EigenSketch(N, n_measurements=400, range_size=20, random_state=0)
    sketch.update_entries(*entries_of(mixed, support, EIGENVALUES[:2]))
    sizes = [10, int((mixed[1] != 0).sum())]
    assert_exact(sketch.recover(2, n_nonzero_coefs=sizes), mixed, EIGENVALUES[:2])


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
@pytest.mark.parametrize("n_nonzero_coefs", [12, "auto"])
@pytest.mark.parametrize("range_size", [None, 40])
def test_indefinite_matrices(which, n_nonzero_coefs, range_size):
    U, ids = planted("disjoint", 3, n_nonzero=12)
    signed = np.array([50.0, -40.0, 30.0, -60.0])
    sketch = EigenSketch(N, n_measurements=400, range_size=range_size, random_state=0)
    sketch.update_entries(*entries_of(U, ids, signed))
    order = {"LA": [0, 2], "SA": [3, 1], "LM": [3, 0, 1, 2]}[which]
    pairs = sketch.recover(len(order), n_nonzero_coefs=n_nonzero_coefs, which=which)
    np.testing.assert_allclose(pairs.eigenvectors.toarray().T, U[order], atol=1e-10)
    if which == "LM":
        np.testing.assert_allclose(pairs.eigenvalues, signed[order], rtol=1e-10)


@pytest.mark.parametrize("which", ["LA", "SA"])
def test_eigenvalues_of_a_part_of_the_spectrum(which):
    U, ids = planted("disjoint", 3, n_nonzero=12)
    signed = np.array([50.0, -400.0, 30.0, -600.0])
    sketch = EigenSketch(N, n_measurements=400, range_size=40, random_state=0)
    sketch.update_entries(*entries_of(U, ids, signed))
    order = {"LA": [0, 2], "SA": [3, 1]}[which]
    pairs = sketch.recover(2, n_nonzero_coefs=12, which=which)
    np.testing.assert_allclose(pairs.eigenvalues, signed[order], rtol=1e-10)


def test_identity_sketches_are_exact_too():
    U, ids = planted("overlapping", 2, n_nonzero=10)
    U = U[:, ids]
    t = len(ids)
    for range_size in (None, 12):
        sketch = EigenSketch(
            t, n_measurements=None, measurement="identity", range_size=range_size, random_state=0
        )
        sketch.update_entries(*entries_of(U, np.arange(t), EIGENVALUES))
        for size in (10, "auto"):
            pairs = sketch.recover(4, n_nonzero_coefs=size)
            np.testing.assert_allclose(pairs.eigenvectors.toarray().T, U, atol=1e-10)
            np.testing.assert_allclose(pairs.eigenvalues, EIGENVALUES, rtol=1e-10)


# ------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("noise", [0.5, 1.0])
@pytest.mark.parametrize("regime", NOISY)
def test_noise_is_estimated_and_removed(regime, noise):
    sketch, data = spiked_sketch(regime, noise)
    pairs = sketch.recover(3, n_nonzero_coefs=8)
    assert pairs.noise_variance == pytest.approx(noise**2, rel=0.03)
    # An eigenvalue is known from 2500 rows to 3 %: three standard errors.
    np.testing.assert_allclose(pairs.eigenvalues, data.eigenvalues + noise**2, rtol=0.09)
    U = data.components.toarray()
    np.testing.assert_array_equal(pairs.support, data.support)
    assert worst_cosine(U, pairs) > 0.995
    # It is the sample covariance on the support that is approximated, better than the truth is.
    centred = data.data[:, data.support] - data.data[:, data.support].mean(axis=0)
    vectors = pairs.eigenvectors.toarray()[data.support]
    along = np.square(centred @ vectors).mean(axis=0)
    np.testing.assert_allclose(pairs.eigenvalues, along, rtol=0.04)


def test_without_a_noise_model_the_variance_is_not_removed():
    sketch, data = spiked_sketch("range", 1.0)
    with_model = sketch.recover(3, n_nonzero_coefs=8, noise="isotropic")
    without = sketch.recover(3, n_nonzero_coefs=8, noise=None)
    assert without.noise_variance == 0.0
    assert without.residual > with_model.residual


@pytest.mark.parametrize("regime", NOISY)
def test_diagonal_noise_beats_isotropic_where_features_differ(regime):
    # The loudest feature is louder than every spike.
    data = make_sparse_spiked_covariance(
        3000, 2000, eigenvalues=(20, 15), noise="lognormal", random_state=3
    )
    assert data.noise_variance.max() > 20
    sketch = EigenSketch(2000, feature_moments=True, random_state=0, **NOISY[regime])
    sketch.update(data.data)
    U = data.components.toarray()
    found = {
        noise: sketch.recover(2, n_nonzero_coefs=10, noise=noise)
        for noise in ("isotropic", "diagonal")
    }
    assert worst_cosine(U, found["isotropic"]) < 0.5
    assert worst_cosine(U, found["diagonal"]) > 0.99
    mean_noise = data.noise_variance.mean()
    assert found["diagonal"].noise_variance == pytest.approx(mean_noise, rel=0.05)


# --------------------------------------------------------------------------------------- detection


@pytest.mark.parametrize("regime", NOISY)
def test_pure_noise_is_called_noise(regime):
    X = np.random.default_rng(0).standard_normal((1000, 2000))
    sketch = EigenSketch(2000, random_state=0, **NOISY[regime]).update(X)
    with pytest.warns(RecoveryWarning, match="cannot be told from noise.*larger sketch"):
        pairs = sketch.recover(2)
    assert (pairs.signal_to_threshold <= 1).any()
    np.testing.assert_allclose(np.linalg.norm(pairs.eigenvectors.toarray(), axis=0), 1.0)
    assert len(pairs.support) < 50


def test_pure_noise_is_called_noise_on_an_exact_covariance():
    X = np.random.default_rng(0).standard_normal((500, 100))
    sketch = EigenSketch(100, n_measurements=None, measurement="identity").update(X)
    with pytest.warns(RecoveryWarning, match="cannot be told from noise"):
        sketch.recover(2)


@pytest.mark.parametrize("regime", NOISY)
def test_auto_finds_all_and_hardly_more(regime):
    # The nominal 0.05 false features are kept where features are kept as they are. Hashed, the tail
    # of collisions is heavier than the normal law of the levels: some per thousand pass, barely.
    allowed = 1 if regime == "range" else 10
    with warnings.catch_warnings():
        warnings.simplefilter("error", RecoveryWarning)
        for seed in range(2):
            sketch, data = spiked_sketch(regime, 0.5, seed=seed)
            pairs = sketch.recover(3)
            assert np.isin(data.support, pairs.support).all()
            false = np.setdiff1d(pairs.support, data.support)
            assert len(false) <= allowed, false
            weight = np.square(pairs.eigenvectors.toarray()[false]).sum(axis=0)
            assert weight.max(initial=0.0) < 0.01


def test_signal_to_threshold_grows_with_the_data():
    data = make_sparse_spiked_covariance(4000, 1000, n_nonzero_coefs=8, random_state=0)
    options = {"n_measurements": None, "measurement": "identity", "range_size": 64}
    strengths = []
    for n in (500, 4000):
        sketch = EigenSketch(1000, random_state=0, **options).update(data.data[:n])
        strengths.append(sketch.recover(4, n_nonzero_coefs=8).signal_to_threshold.min())
    # It is a number of standard errors, so it grows by about the root of eight.
    assert 1.8 < strengths[1] / strengths[0] < 4.5


# ---------------------------------------------------------------------------------------- too small


def test_too_small_a_sketch_says_what_would_do():
    sketch = EigenSketch(1000, n_measurements=40, range_size=10, random_state=0)
    sketch.update(np.random.default_rng(0).standard_normal((50, 1000)))
    with pytest.raises(ValueError, match=r"n_components must lie in \[1, 5\].*\(40, 10\), got 6"):
        sketch.recover(6)
    with pytest.raises(ValueError, match="20 nonzeros cannot be told.*n_measurements >= 80"):
        sketch.recover(2, n_nonzero_coefs=20)
    with pytest.warns(RecoveryWarning) as caught:
        sketch.recover(3, n_nonzero_coefs=10)
    messages = [str(warning.message) for warning in caught]
    assert any("n_measurements=120 would do" in message for message in messages), messages


def test_what_is_advised_does():
    # The size named by the message is enough for the exact case.
    U, ids = planted("disjoint", 4, n_nonzero=30)
    small = EigenSketch(N, n_measurements=64, range_size=24, random_state=0)
    small.update_entries(*entries_of(U, ids, EIGENVALUES))
    with pytest.raises(ValueError, match="n_measurements >= 120"):
        small.recover(4, n_nonzero_coefs=30)
    medium = EigenSketch(N, n_measurements=120, range_size=24, random_state=0)
    medium.update_entries(*entries_of(U, ids, EIGENVALUES))
    with pytest.warns(RecoveryWarning, match="n_measurements=480 would do"):
        medium.recover(4, n_nonzero_coefs=30)
    large = EigenSketch(N, n_measurements=480, range_size=24, random_state=0)
    large.update_entries(*entries_of(U, ids, EIGENVALUES))
    assert_exact(large.recover(4, n_nonzero_coefs=30), U, EIGENVALUES)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"which": "BE"}, "which must be 'LA', 'SA' or 'LM', got 'BE'"),
        ({"n_nonzero_coefs": 0}, r"n_nonzero_coefs must lie in \[1, n_features=500\], got 0"),
        ({"n_nonzero_coefs": 501}, "n_nonzero_coefs must lie in"),
        ({"n_nonzero_coefs": "all"}, "n_nonzero_coefs must be 'auto', an int or one int per"),
        (
            {"decoder": "omp"},
            r"decoder must be 'auto', .*'bit_test', 'diagonal_network', 'htp', 'median'.*'omp'",
        ),
        ({"decoder": "bit_test"}, "does not keep: make it with identification=3072"),
        ({"noise": "pink"}, "noise must be 'auto', 'isotropic', 'diagonal' or None, got 'pink'"),
        ({"noise": "diagonal"}, "needs the variance of each feature.*feature_moments=True"),
    ],
)
def test_errors(options, match):
    sketch = EigenSketch(500, n_measurements=80, feature_moments=False, random_state=0)
    with pytest.raises(ValueError, match="The sketch is empty"):
        sketch.recover(1)
    sketch.update(np.random.default_rng(0).standard_normal((20, 500)))
    before = sketch.to_bytes()
    with pytest.raises(ValueError, match=match):
        sketch.recover(2, **options)
    assert sketch.to_bytes() == before


# ----------------------------------------------------------------------------------------- decoders


def test_htp_decodes_what_the_median_cannot():
    # One column each and no rotation is the case the median is made for; a shared support of four
    # columns is not, for it takes each column's largest entries.
    U, ids = planted("common", 1)
    sketch = EigenSketch(N, n_measurements=20 * len(ids), range_size=24, random_state=1)
    sketch.update_entries(*entries_of(U, ids, EIGENVALUES))
    htp, median = (
        sketch.recover(4, n_nonzero_coefs=25, decoder=decoder) for decoder in ("htp", "median")
    )
    assert_exact(htp, U, EIGENVALUES)
    assert worst_cosine(U, median) <= worst_cosine(U, htp) + 1e-12
    auto = sketch.recover(4, n_nonzero_coefs=25, decoder="auto")
    np.testing.assert_array_equal(auto.eigenvectors.toarray(), htp.eigenvectors.toarray())


def test_a_decoder_of_ones_own_is_used():
    U, ids = planted("disjoint", 1)
    calls = []

    class Oracle(Decoder):
        name = "oracle"

        def decode(self, measurement, Q, size=None):
            calls.append((measurement, Q.shape[0], size))
            return ids

    # Far too few measurements to find the support, but enough once it is known.
    sketch = EigenSketch(N, n_measurements=320, range_size=24, random_state=0)
    sketch.update_entries(*entries_of(U, ids, EIGENVALUES))
    oracle = Oracle()
    assert make_decoder(oracle) is oracle
    pairs = sketch.recover(4, n_nonzero_coefs=25, decoder=oracle)
    assert calls and calls[0][0] == sketch.measurement and calls[0][1] == 320
    np.testing.assert_allclose(pairs.eigenvectors.toarray().T, U, atol=1e-10)


def test_htp_stops_at_its_bound():
    U, ids = planted("disjoint", 1)
    measurement = EigenSketch(N, n_measurements=5 * len(ids), random_state=0).measurement
    Q = np.linalg.qr(measurement.columns(ids).T @ U[:, ids].T)[0]
    np.testing.assert_array_equal(HTPDecoder().decode(measurement, Q, len(ids)), ids)
    one_sweep = HTPDecoder(max_iter=1).decode(measurement, Q, len(ids))
    assert 0.5 < len(np.intersect1d(one_sweep, ids)) / len(ids) <= 1
    assert HTPDecoder().decode(measurement, Q).tolist() == ids.tolist()


# ------------------------------------------------------------------------------------ certificates


def test_results_are_certified_and_reproducible():
    sketch, _ = spiked_sketch("two_sided", 1.0)
    first, second = (sketch.recover(3, n_nonzero_coefs=8, random_state=5) for _ in range(2))
    again = EigenSketch.from_bytes(sketch.to_bytes()).recover(3, n_nonzero_coefs=8, random_state=5)
    for other in (second, again):
        assert other.eigenvalues.tobytes() == first.eigenvalues.tobytes()
        assert other.eigenvectors.data.tobytes() == first.eigenvectors.data.tobytes()
        assert other.eigenvectors.indices.tobytes() == first.eigenvectors.indices.tobytes()
    V = first.eigenvectors.toarray()
    assert (np.count_nonzero(V, axis=0) == 8).all()
    np.testing.assert_allclose(np.linalg.norm(V, axis=0), 1.0, rtol=1e-12)
    assert (V[np.abs(V).argmax(axis=0), range(3)] > 0).all()
    values = first.eigenvalues
    gaps = [min(abs(v - w) for w in np.delete(values, i)) for i, v in enumerate(values)]
    np.testing.assert_allclose(first.eigengaps, np.array(gaps) / values.max())


def test_the_residual_is_what_it_says():
    # Noiseless and of rank four: leaving the last two components leaves their share.
    U, ids = planted("disjoint", 1)
    sketch = EigenSketch(len(ids), n_measurements=None, measurement="identity", random_state=0)
    sketch.update_entries(*entries_of(U[:, ids], np.arange(len(ids)), EIGENVALUES))
    pairs = sketch.recover(2, n_nonzero_coefs=25)
    expected = np.linalg.norm(EIGENVALUES[2:]) / np.linalg.norm(EIGENVALUES)
    assert pairs.residual == pytest.approx(expected, rel=1e-10)


def test_candidates_hold_the_support():
    for regime in ("two_sided", "range"):
        sketch, data = spiked_sketch(regime, 1.0)
        ids, noise_variance = find_candidates(sketch, 3, n_nonzero_coefs=8)
        assert np.isin(data.support, ids).all()
        np.testing.assert_array_equal(ids, np.unique(ids))
        assert len(ids) <= 1000
        assert noise_variance == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("noise", ["isotropic", "diagonal"])
@pytest.mark.parametrize("n_nonzero_coefs", [1, "auto"])
@pytest.mark.parametrize(
    "sizes",
    [
        {"n_measurements": 48, "range_size": 16},
        {"n_measurements": None, "measurement": "identity", "range_size": 4},
        {"n_measurements": None, "measurement": "identity"},
    ],
    ids=["compressed", "range", "exact"],
)
@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
def test_noise_that_explains_everything_leaves_the_variance_right(sizes, n_nonzero_coefs, noise):
    x = np.random.default_rng(0).normal(size=(40, 1))
    sketch = EigenSketch(1, feature_moments=True, random_state=0, **sizes).update(x)
    pairs = sketch.recover(1, n_nonzero_coefs=n_nonzero_coefs, noise=noise)
    assert pairs.support.tolist() == [0]
    np.testing.assert_allclose(pairs.eigenvalues, [x.var()])
