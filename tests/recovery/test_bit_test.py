"""Bit tests: the side sketch that identifies features, and decoding that never sweeps."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig._base import messages
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery import _lost_features, find_candidates
from sklearn_sparse_eig.recovery._lifting import fit_on_support
from sklearn_sparse_eig.recovery.decoders import (
    BitTestDecoder,
    HTPDecoder,
    _base,
    _choice,
    _htp,
)
from sklearn_sparse_eig.recovery.decoders._bit_test import spelled_ids

N = 300
SIDES = {
    "two-sided": {"n_measurements": 64, "range_size": 24},
    "folded": {"n_measurements": 64, "range_size": 40},
    "mam": {"n_measurements": 48},
}
all_sides = pytest.mark.parametrize("sides", SIDES)


def new(sides, n_features=N, **options):
    return EigenSketch(
        n_features, identification=(30, 32), random_state=3, **SIDES[sides], **options
    )


def sparse_rows(n=40, seed=0, dense_mean=True):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N)) * (rng.random((n, N)) < 0.05)
    return X + dense_mean * 0.5 * (np.arange(N) < 5)


def explicit(sketch, A):
    """The cells of a matrix A by their definition, on the columns of Psi."""
    ids = np.arange(N)
    C = sketch.identification_hash.columns(ids).toarray().T
    Omega = sketch.test.columns(ids).toarray().T
    right = A @ Omega.T @ sketch.identification_fold
    n_bits = (N - 1).bit_length()
    return np.stack([C @ right] + [(C * (ids >> i & 1)) @ right for i in range(n_bits)], axis=1)


def cells(sketch):
    return sketch.identify(np.eye(sketch.identification_fold.shape[1]))


# ------------------------------------------------------------------------------------ side sketch


@all_sides
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_cells_of_rows(sides, center, make):
    X, weights = sparse_rows(), np.random.default_rng(1).uniform(0.5, 2.0, 40)
    sketch = new(sides, center=center)
    sketch.update(make(X[:15]), weights[:15]).update(make(X[15:]), weights[15:])
    mean = np.average(X, axis=0, weights=weights) * center
    A = ((X - mean).T * weights) @ (X - mean) / weights.sum()
    np.testing.assert_allclose(cells(sketch), explicit(sketch, A), atol=1e-12)


@all_sides
def test_cells_of_entries(sides):
    rng = np.random.default_rng(0)
    B = rng.normal(size=(N, 3)) * (rng.random((N, 3)) < 0.1)
    A = B @ B.T
    i, j = np.nonzero(A)
    whole = new(sides).update_entries(i, j, A[i, j])
    np.testing.assert_allclose(cells(whole), explicit(whole, A), atol=1e-11)
    operator = new(sides).update_operator(A)
    np.testing.assert_allclose(cells(operator), explicit(whole, A), atol=1e-11)
    tiled = new(sides).update_tile(np.arange(100), np.arange(N), A[:100])
    tiled.update_tile(np.arange(100, N), np.arange(N), A[100:])
    np.testing.assert_allclose(cells(tiled), explicit(whole, A), atol=1e-11)


@settings(max_examples=20, deadline=None)
@given(
    sides=st.sampled_from(sorted(SIDES)),
    cut=st.integers(1, 39),
    seed=st.integers(0, 2**32 - 1),
    factor=st.floats(0.1, 10.0),
)
def test_cells_are_linear(sides, cut, seed, factor):
    X = sp.csr_array(sparse_rows(seed=seed))
    first, second, whole = (new(sides).update(rows) for rows in (X[:cut], X[cut:], X))
    size = np.abs(cells(whole)).max()
    np.testing.assert_allclose(cells(first + second), cells(whole), atol=1e-12 * size)
    np.testing.assert_allclose(cells(whole - second), cells(first), atol=1e-10 * size)
    np.testing.assert_allclose(cells(whole.copy().scale(factor)), cells(whole), atol=1e-12 * size)
    again = EigenSketch.from_bytes(whole.to_bytes())
    np.testing.assert_array_equal(cells(again), cells(whole))
    first.update(X[cut:]).update(X[cut:], -1.0)
    np.testing.assert_allclose(cells(first), cells(new(sides).update(X[:cut])), atol=1e-10 * size)


def test_the_same_whatever_the_main_sketch_keeps_besides():
    """The side sketch changes nothing of the main one, and has a seed of its own."""
    X = sparse_rows()
    plain = EigenSketch(N, random_state=3, **SIDES["two-sided"]).update(X)
    np.testing.assert_array_equal(plain.matrix(), new("two-sided").update(X).matrix())
    assert not plain.identifies
    with pytest.raises(ValueError, match="identification is None here, .* there"):
        plain.merge(new("two-sided").update(X))


@pytest.mark.parametrize(
    ("identification", "message"),
    [
        ("always", "must be 'auto', None, a number of buckets, or a pair"),
        ((2, 32), "at least 3 buckets .* got 2 buckets of width 32"),
        ((30, 12), "a multiple of 8, got 30 buckets of width 12"),
    ],
)
def test_sizes_that_do_not_fit(identification, message):
    with pytest.raises(ValueError, match=message):
        EigenSketch(N, n_measurements=64, identification=identification)


# --------------------------------------------------------------------------------------- decoding


def planted(n_features, r=4, s=15, support="disjoint", seed=0):
    return make_sparse_spiked_covariance(
        0,
        n_features,
        eigenvalues=np.linspace(2.0, 1.0, r),
        n_nonzero_coefs=s,
        support=support,
        random_state=seed,
    )


def factor_rows(data):
    """Rows whose second moment is the planted matrix over the number of rows."""
    rows = data.components.copy()
    rows.data = rows.data * np.repeat(np.sqrt(data.eigenvalues), np.diff(rows.indptr))
    return rows


def assert_recovered(data, pairs, atol):
    np.testing.assert_array_equal(pairs.support, data.support)
    vectors = pairs.eigenvectors
    for j in range(vectors.shape[1]):
        at = slice(vectors.indptr[j], vectors.indptr[j + 1])
        true = slice(data.components.indptr[j], data.components.indptr[j + 1])
        np.testing.assert_array_equal(vectors.indices[at], data.components.indices[true])
        np.testing.assert_allclose(vectors.data[at], data.components.data[true], atol=atol)


@pytest.fixture
def no_sweeps(monkeypatch):
    """Make any sweep over the features fail."""

    def refuse(*args):
        raise AssertionError("a sweep over all features was made")

    monkeypatch.setattr(_base, "strongest_features", refuse)


@pytest.mark.parametrize("n_features", [200, 10**6, 10**8, 10**12, 10**15, 2**62])
@pytest.mark.parametrize("support", ["disjoint", "common"])
@pytest.mark.parametrize("sizes", [15, "auto"])
def test_exact_without_noise_at_any_width(no_sweeps, n_features, support, sizes):
    data = planted(n_features, support=support)
    sketch = EigenSketch(
        n_features,
        n_measurements=256,
        range_size=24,
        center=False,
        identification=(300, 32),
        random_state=0,
    )
    sketch.update(factor_rows(data))
    pairs = sketch.recover(4, n_nonzero_coefs=sizes, decoder="bit_test", noise=None)
    assert_recovered(data, pairs, 1e-12)
    np.testing.assert_allclose(pairs.eigenvalues * 4, data.eigenvalues, rtol=1e-12)


def test_mam_of_entries(no_sweeps):
    data = planted(2**62)
    sketch = EigenSketch(2**62, n_measurements=256, identification=(300, 64), random_state=0)
    rows = factor_rows(data)
    for j in range(4):
        at = slice(rows.indptr[j], rows.indptr[j + 1])
        ids, values = rows.indices[at], rows.data[at]
        sketch.update_tile(ids, ids, np.outer(values, values))
    pairs = sketch.recover(4, n_nonzero_coefs=15)
    assert_recovered(data, pairs, 1e-12)
    np.testing.assert_allclose(pairs.eigenvalues, data.eigenvalues, rtol=1e-12)


@pytest.mark.parametrize("sizes", [20, "auto"])
def test_in_noise_like_a_sweep(sizes):
    data = make_sparse_spiked_covariance(
        2000,
        200_000,
        eigenvalues=(3.0, 2.0, 1.0),
        n_nonzero_coefs=20,
        noise=0.004,
        sparse=True,
        random_state=1,
    )
    sketch = EigenSketch(
        200_000, n_measurements=1024, range_size=64, identification=(1500, 32), random_state=1
    )
    sketch.update(data.data)
    for decoder in ("htp", "bit_test"):
        pairs = sketch.recover(3, n_nonzero_coefs=sizes, decoder=decoder)
        assert np.isin(data.support, pairs.support).all()
        assert len(pairs.support) <= 62
        overlap = np.abs((data.components @ pairs.eigenvectors).toarray()).max(axis=0)
        assert overlap.min() > 0.98


@pytest.mark.slow
def test_rarely_misses_features():
    """In fewer than the expected pairs that share all their buckets, here 0.024 for each trial."""
    rng, n_trials, t, n_buckets = np.random.default_rng(0), 100, 20, 60
    missed = 0
    for trial in range(n_trials):
        ids = np.unique(rng.integers(0, 2**62, t))
        values = rng.standard_normal((2, t))
        sketch = EigenSketch(
            2**62,
            n_measurements=160,
            range_size=8,
            center=False,
            identification=(n_buckets, 8),
            random_state=trial,
        )
        X = sp.csr_array((values.ravel(), np.tile(ids, 2), [0, t, 2 * t]), shape=(2, 2**62))
        S = sketch.update(X).matrix()
        Q = np.linalg.svd(S)[0][:, :2]
        found = BitTestDecoder().attach(sketch, S).decode(sketch.measurement, Q, t)
        missed += not np.isin(ids, found).all()
    expected = n_trials * t * (t - 1) / 2 / (n_buckets / 3) ** 3
    assert missed <= expected + 3.0 * np.sqrt(expected)


def test_auto_reads_ids_where_they_are_kept(no_sweeps):
    wide = 2**40
    data = planted(wide)
    size = {"n_measurements": 256, "range_size": 24, "center": False, "random_state": 0}
    with_ids, without = EigenSketch(wide, **size), EigenSketch(wide, identification=None, **size)
    assert_recovered(data, with_ids.update(factor_rows(data)).recover(4, n_nonzero_coefs=15), 1e-12)
    with pytest.raises(AssertionError, match="a sweep over all features"):
        without.update(factor_rows(data)).recover(4, n_nonzero_coefs=15)


def test_what_it_needs():
    sketch = EigenSketch(1000, n_measurements=64, random_state=0)
    sketch.update(np.random.default_rng(0).normal(size=(20, 1000)))
    with pytest.raises(ValueError, match="does not keep: make it with identification"):
        sketch.recover(1, decoder="bit_test")
    with pytest.raises(ValueError, match="reads a sketch, not its measurement alone"):
        BitTestDecoder().decode(sketch.measurement, np.eye(64)[:, :1], 3)


def test_nothing_to_find_is_no_error():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2**62, (1500, 30))
    indptr = np.arange(0, ids.size + 1, 30)
    X = sp.csr_array((rng.normal(size=ids.size), ids.ravel(), indptr), shape=(1500, 2**62))
    pca = SketchedSparsePCA(2, memory_budget=8e6, random_state=0).partial_fit(X)
    with pytest.warns(UserWarning, match="cannot be told from noise"):
        assert pca.components_.shape == (2, 2**62)


# -------------------------------------------------------------------------------------- estimator


@pytest.mark.parametrize("n_features", [10**6, 2**62])
@pytest.mark.parametrize("refine", ["data", "sketch"])
def test_estimator(no_sweeps, n_features, refine):
    data = make_sparse_spiked_covariance(
        1500,
        n_features,
        eigenvalues=(3.0, 2.0),
        n_nonzero_coefs=10,
        noise=np.sqrt(4.0 / n_features),
        sparse=True,
        density=20 / n_features,
        random_state=0,
    )
    pca = SketchedSparsePCA(
        2,
        n_nonzero_coefs=10,
        decoder="bit_test",
        refine=refine,
        memory_budget=32e6,
        random_state=0,
    )
    pca.fit(data.data)
    np.testing.assert_array_equal(pca.support_, data.support)
    assert pca.sketch_.nbytes < 32e6
    assert pca.explained_variance_score(data.data) > 0.4


def test_ids_are_spelled_alike_before_and_after_the_cells_are_combined():
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(N, 12, replace=False))
    for rank in (5, 40):
        hash_ = new("two-sided").identification_hash
        cells = 1e-3 * rng.normal(size=(hash_.n_measurements, 1 + (N - 1).bit_length(), 32))
        hash_.add_bit_tests(cells, ids, rng.normal(size=(12, 32)))
        W = rng.normal(size=(32, rank))
        found = spelled_ids(hash_, cells, W)
        np.testing.assert_array_equal(found, spelled_ids(hash_, cells @ W))
        assert len(np.intersect1d(found, ids)) >= 3


def test_wide_subspaces_are_identified_once(monkeypatch):
    """What is decoded may have more columns than the cells: these are then read as they are."""
    sketch = EigenSketch(
        N, n_measurements=96, range_size=24, identification=(60, 8), random_state=0
    )
    sketch.update(sparse_rows())
    read, looks = type(sketch).identify, []
    monkeypatch.setattr(
        type(sketch), "identify", lambda self, W: looks.append(W.shape[1]) or read(self, W)
    )
    S = sketch.operator()
    decoder = BitTestDecoder().attach(sketch, S)
    for rank in (9, 12, 2):
        W = np.linalg.svd(sketch.matrix())[2][:rank].T
        decoder.decode(sketch.measurement, np.linalg.qr(S @ W)[0], 16)
    assert looks == [8, 8]


# --------------------------------------------------------------------------------- choice by "auto"


def noisy_sketch(noise, identification, seed, n_features=1 << 19):
    data = make_sparse_spiked_covariance(
        1000,
        n_features,
        eigenvalues=(3.0, 2.0, 1.0),
        n_nonzero_coefs=20,
        noise=np.sqrt(noise / n_features),
        sparse=True,
        density=50 / n_features,
        random_state=seed,
    )
    options = {"n_measurements": 2048, "range_size": 64, "identification": identification}
    return data, EigenSketch(n_features, random_state=seed, **options).update(data.data)


@pytest.fixture
def sweeps(monkeypatch):
    """Return a list that grows with each sweep over all features."""
    made, full = [], _base.strongest_features
    monkeypatch.setattr(_base, "strongest_features", lambda *args: made.append(1) or full(*args))
    return made


def share_found(data, pairs):
    return np.isin(data.support, pairs.support).mean()


def test_auto_takes_bit_tests_alone_where_they_are_quicker_and_sure(sweeps):
    data, sketch = noisy_sketch(40.0, (300, 16), 0)
    pairs = sketch.recover(3, n_nonzero_coefs=20)
    assert not sweeps and share_found(data, pairs) == 1.0
    same = sketch.recover(3, n_nonzero_coefs=20, decoder="bit_test")
    np.testing.assert_array_equal(pairs.eigenvectors.data, same.eigenvectors.data)


@pytest.mark.parametrize(
    ("noise", "identification", "seed"), [(40.0, (90, 8), 1), (160.0, (90, 16), 0)]
)
def test_auto_sweeps_where_bit_tests_may_lose_features(noise, identification, seed, sweeps):
    data, sketch = noisy_sketch(noise, identification, seed)
    found = {
        decoder: share_found(data, sketch.recover(3, n_nonzero_coefs=20, decoder=decoder))
        for decoder in ("htp", "bit_test")
    }
    sweeps.clear()
    pairs = sketch.recover(3, n_nonzero_coefs=20)
    assert sweeps and found["bit_test"] < found["htp"]
    assert share_found(data, pairs) == found["htp"]


def test_auto_keeps_what_bit_tests_alone_have_found(monkeypatch):
    """Sweeps are not better by being slower: the result with more components is kept."""

    class Blind(HTPDecoder):
        def decode(self, measurement, Q, size=None):
            return np.arange(size or 10)

    _, sketch = noisy_sketch(40.0, (300, 16), 0)
    monkeypatch.setattr(_choice, "make_decoder", lambda name, *_, **__: DECODERS[name]())
    monkeypatch.setattr(_lost_features, "SPELLED_FROM", np.inf)  # never sure
    results = []
    for sweeping in (HTPDecoder, Blind):
        DECODERS = {"bit_test": BitTestDecoder, "htp": sweeping}
        results.append(sketch.recover(3, n_nonzero_coefs=20).support)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("rows", ["refined", "not refined"])
def test_candidates_are_chosen_alike(rows, sweeps):
    for noise, identification, is_sure in ((40.0, (300, 16), True), (40.0, (90, 8), False)):
        data, sketch = noisy_sketch(noise, identification, 0 if is_sure else 3)
        sweeps.clear()
        sizes = 20 if rows == "refined" else "auto"
        ids, _ = find_candidates(sketch, 3, n_nonzero_coefs=sizes)
        assert bool(sweeps) is not is_sure
        assert np.isin(data.support, ids).all()


def test_auto_predicts_which_is_quicker_and_what_takes_too_long():
    def chosen(n_features, n_components, identification):
        options = {"n_measurements": 64, "range_size": 40, "identification": identification}
        sketch = EigenSketch(n_features, random_state=0, **options)
        first, second = _choice.choose_decoders("auto", sketch, n_components)
        return first.name, second and second.name

    assert chosen(1 << 19, 5, (3072, 32)) == ("htp", None)
    assert chosen(1 << 19, 5, (300, 32)) == ("bit_test", "htp")
    assert chosen(1 << 21, 5, (3072, 32)) == ("bit_test", "htp")
    assert chosen(1 << 28, 5, None) == ("htp", None)
    assert chosen(1 << 28, 5, "auto") == chosen(1 << 30, 8, "auto") == ("bit_test", "htp")
    assert chosen(1 << 30, 9, "auto") == chosen(1 << 40, 2, "auto") == ("bit_test", None)


@all_sides
def test_clarity_is_of_features_over_their_bucket(sides):
    """Noise of known size in the cells, and features of known size in a subspace that is exact."""
    data = planted(N, r=2, s=4)
    sketch = new(sides, center=False)
    sketch.update(factor_rows(data))
    S = sketch.operator()
    Q = np.linalg.svd(sketch.matrix())[0][:, :2]
    decoder = BitTestDecoder().attach(sketch, S)
    fit = fit_on_support(sketch.measurement, Q, data.support)
    assert (decoder.clarity(fit) > 100.0).all()
    cells, _ = decoder._cells(Q)
    rng = np.random.default_rng(0)
    cells[:, 0, :2] += 0.05 * rng.normal(size=(len(cells), 2))
    expected = np.linalg.norm(fit.Z, axis=1) / np.sqrt(3) / 0.05
    # The median of 30 squares has a standard error of a third, and the fit takes out some noise.
    np.testing.assert_allclose(decoder.clarity(fit), expected, rtol=0.6)


# ----------------------------------------------------------------------------------------- sweeps


@pytest.mark.slow
def test_few_sweeps_find_as_much_as_many(monkeypatch):
    """Scoring the strongest features of a sweep again stands for another sweep."""
    data = make_sparse_spiked_covariance(
        1000, 50_000, eigenvalues=(4, 3, 2, 1), n_nonzero_coefs=30, noise=0.006, random_state=0
    )
    sketch = EigenSketch(50_000, n_measurements=800, range_size=64, random_state=0)
    sketch.update(data.data)
    S = sketch.matrix()
    Q = np.linalg.svd(S, full_matrices=False)[0][:, :4]
    sweeps = []
    full = _base.strongest_features
    monkeypatch.setattr(_base, "strongest_features", lambda *args: sweeps.append(1) or full(*args))
    for size in (120, None):
        found, n_sweeps = [], []
        for always in (1 << 20, 0):
            monkeypatch.setattr(_htp, "_SWEPT_ALWAYS", always)
            monkeypatch.setattr(_htp, "_POOL_SHARE", 0.04)
            sweeps.clear()
            decoder = HTPDecoder().attach(sketch, S)
            for _ in range(4):
                last = decoder.decode(sketch.measurement, Q, size)
            n_sweeps.append(len(sweeps))
            found += [last, HTPDecoder().decode(sketch.measurement, Q, size)]
        assert np.isin(data.support, found[0]).mean() > 0.9
        for other in found[2:]:
            assert len(np.setxor1d(found[0], other)) <= 0.05 * len(found[0])
        assert 4 * n_sweeps[1] <= n_sweeps[0]
    # Without a recovery around it, a decoding keeps nothing for the next.
    decoder = HTPDecoder()
    for matrix in (Q, Q[::-1]):
        again = HTPDecoder().decode(sketch.measurement, matrix, 120)
        np.testing.assert_array_equal(decoder.decode(sketch.measurement, matrix, 120), again)


def test_a_sweep_finds_the_strongest(monkeypatch):
    """In chunks, with the bound that rises on the way, as all at once."""
    sketch = EigenSketch(5000, n_measurements=64, random_state=0)
    R = np.random.default_rng(0).normal(size=(64, 3))
    energy = sketch.measurement.adjoint_energy(R, 0, 5000)
    monkeypatch.setattr(_base, "SWEEP", 700)
    seen = []
    for size in (1, 10, 600, 5000, 9000):
        ids, energies = _base.strongest_features(
            sketch.measurement, R, size, lambda *counts: seen.append(counts)
        )
        expected = np.sort(np.argsort(-energy)[:size])
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_allclose(energies, energy[expected], rtol=1e-4)
    assert seen[:8] == [(min(700 * i, 5000), 5000) for i in range(1, 9)]


def test_progress_of_long_sweeps(monkeypatch, capsys):
    now = iter(np.arange(0.0, 1000.0, 0.9))
    monkeypatch.setattr(messages.time, "perf_counter", lambda: next(now))
    report = messages.Progress("recover", "features")
    for _ in range(2):
        for done in range(1, 11):
            report(done * 10**8, 10**9)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[recover] sweep 1:  40% of 1e+09 features, 3 s of about 7")
    assert lines[-1].startswith("[recover] sweep 2: 100% of 1e+09 features")
    assert len(lines) == 6
    report(5, 5)  # a sweep of one chunk is too short to tell
    assert capsys.readouterr().out == ""


def test_verbose_is_silent_about_short_sweeps(capsys):
    sketch = EigenSketch(3000, n_measurements=128, random_state=0)
    data = planted(3000, r=2, s=5)
    sketch.update(factor_rows(data))
    sketch.recover(2, n_nonzero_coefs=5, verbose=1)
    assert capsys.readouterr().out == ""


def test_strongest_looks_at_what_a_fit_leaves():
    data = planted(2000, r=2, s=5)
    sketch = EigenSketch(2000, n_measurements=256, random_state=0)
    F = data.components.T.toarray()
    Q = sketch.measurement.columns(np.arange(2000)).T @ F
    known = data.support[:6]
    ids, energies = HTPDecoder().strongest(fit_on_support(sketch.measurement, Q, known), 4)
    assert set(ids) == set(data.support[6:])
    assert (energies > 0.0).all()
