"""Features that belong to a component are kept in nearly all halves of the rows, others are not."""

import warnings

import numpy as np
import pytest

from sklearn_sparse_eig import (
    EigenSketch,
    SketchedSparsePCA,
    SketchedSparsePCACV,
    support_stability,
)
from sklearn_sparse_eig.sparse_pca._stability import _halves

FIRST, SECOND = set(range(6)), set(range(20, 26))


def planted(n=400, N=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N)) + 5.0
    X[:, :6] += 1.6 * rng.normal(size=(n, 1)) * [1, -1, 1, 1, -1, 1]
    X[:, 20:26] += 1.2 * rng.normal(size=(n, 1))
    return X


@pytest.fixture(scope="module")
def found():
    pca = SketchedSparsePCA(2, n_nonzero_coefs=9, random_state=0)
    return support_stability(pca, planted(), n_resamples=30, random_state=0)


def test_planted_features_are_stable_and_others_are_not(found):
    first, second = found.stable(0.9)
    assert set(first) == FIRST and set(second) == SECOND
    others = ~np.isin(found.features, [*FIRST, *SECOND])
    assert 0.0 < found.overall_frequencies[others].max() < 0.9
    assert found.similarities.shape == (2, 30)
    assert found.similarities.min() > 0.9


def test_counts_add_up(found):
    # Every component of every half has nine features.
    np.testing.assert_allclose(found.frequencies.sum(axis=1), 9.0)
    assert found.n_selected == pytest.approx(found.overall_frequencies.sum())
    assert (found.overall_frequencies >= found.frequencies.max(axis=0) - 1e-12).all()
    assert (found.overall_frequencies <= found.frequencies.sum(axis=0) + 1e-12).all()
    np.testing.assert_allclose(np.linalg.norm(found.loadings, axis=1), 1.0)
    assert found.n_features == 60


def test_the_bound_is_that_of_the_theorem(found):
    q = found.n_selected
    assert found.expected_false(0.75) == pytest.approx(q**2 / 30)
    assert found.expected_false(1.0) == pytest.approx(q**2 / 60)
    for wrong in (0.5, 1.1):
        with pytest.raises(ValueError, match="threshold must lie in"):
            found.expected_false(wrong)


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
def test_the_bound_holds_on_pure_noise():
    # One component of 4 of 80 features, all of them false: 16 / (0.4 * 80) = 0.5 at 0.7.
    pca = SketchedSparsePCA(1, n_nonzero_coefs=4, random_state=0)
    false = []
    for seed in range(8):
        X = np.random.default_rng(seed).normal(size=(120, 80))
        result = support_stability(pca, X, n_resamples=10, random_state=seed)
        assert result.expected_false(0.7) == pytest.approx(0.5)
        false.append((result.overall_frequencies >= 0.7).sum())
    assert np.mean(false) <= 0.5


def test_sketches_of_shards_are_blocks():
    X, pca = planted(), SketchedSparsePCA(2, n_nonzero_coefs=6, random_state=0)
    sketches = [
        EigenSketch(60, n_measurements=None, measurement="identity").update(X[i::8])
        for i in range(8)
    ]
    before = [sketch.to_bytes() for sketch in sketches]
    found = support_stability(pca, sketches, n_resamples=20, random_state=0)
    assert [set(features) for features in found.stable(0.9)] == [FIRST, SECOND]
    assert [sketch.to_bytes() for sketch in sketches] == before
    assert not hasattr(pca, "sketch_")
    with pytest.raises(ValueError, match="even number of sketches"):
        support_stability(pca, sketches[:3])


def test_a_half_is_what_a_fit_of_its_rows_sees():
    # Two blocks have one pair of halves: the blocks themselves, of 200 rows each.
    X, pca = planted(), SketchedSparsePCA(1, n_nonzero_coefs=6, random_state=0)
    found = support_stability(pca, X, n_blocks=2, n_resamples=2, random_state=3)
    rows = np.array_split(np.random.RandomState(3).permutation(400), 2)
    supports = [set(SketchedSparsePCA(1, n_nonzero_coefs=6).fit(X[half]).support_) for half in rows]
    kept = {j: sum(j in support for support in supports) / 2 for j in found.features}
    assert dict(zip(found.features, found.frequencies[0], strict=True)) == kept


@pytest.mark.parametrize(("n_blocks", "n_resamples"), [(4, 6), (10, 40), (4, 100), (30, 20)])
def test_halves_come_in_pairs_and_once(n_blocks, n_resamples):
    halves = _halves(n_blocks, n_resamples, np.random.RandomState(0))
    assert len(halves) == min(n_resamples, {4: 6}.get(n_blocks, n_resamples))
    assert len({tuple(half) for half in halves}) == len(halves)
    for first, second in zip(halves[::2], halves[1::2], strict=True):
        assert len(first) == len(second) == n_blocks // 2
        assert sorted([*first, *second]) == list(range(n_blocks))


def test_huge_ids_take_no_memory_of_their_number():
    rng = np.random.default_rng(0)
    size = {"n_measurements": 64, "range_size": 16, "identification": (64, 16)}
    pca, sketches = SketchedSparsePCA(1, n_nonzero_coefs=2, random_state=0), []
    for _ in range(4):
        values = np.repeat(rng.normal(size=60), 2) + 0.01 * rng.normal(size=120)
        rows, ids = np.repeat(np.arange(60), 2), np.tile([7, 2**61 + 5], 60)
        sketches.append(EigenSketch(2**62, random_state=0, **size).update_coo(rows, ids, values))
    found = support_stability(pca, sketches, n_resamples=6, random_state=0)
    assert found.stable(1.0)[0].tolist() == [7, 2**61 + 5]


def test_a_table_with_names():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(planted(), columns=[f"gene {j}" for j in range(60)])
    pca = SketchedSparsePCA(2, n_nonzero_coefs=6, random_state=0)
    found = support_stability(pca, X, n_resamples=6, random_state=0)
    frame = found.to_frame()
    assert list(frame.columns) == ["component", "feature", "frequency", "loading"]
    first = frame[frame["component"] == 0]
    assert set(first["feature"][:6]) == {f"gene {j}" for j in FIRST}
    assert first["frequency"].is_monotonic_decreasing
    for ids, named in zip(found.stable(0.9), found.stable(0.9, as_names=True), strict=True):
        assert named.tolist() == [f"gene {j}" for j in ids] and len(named)
    unnamed = support_stability(pca, X.to_numpy(), n_resamples=6, random_state=0)
    for ids, same in zip(unnamed.stable(), unnamed.stable(as_names=True), strict=True):
        np.testing.assert_array_equal(ids, same)


def test_progress_and_refusals(monkeypatch, capsys):
    from sklearn_sparse_eig.sparse_pca import _stability

    X, pca = planted(40), SketchedSparsePCA(1, n_nonzero_coefs=3, random_state=0)
    monkeypatch.setattr(_stability, "_PATIENCE", 0.0)
    support_stability(pca, X, n_resamples=2, random_state=0, verbose=1)
    assert "[support_stability] sweep 1: 100% of 2 halves" in capsys.readouterr().out
    for name in ("n_resamples", "n_blocks"):
        with pytest.raises(ValueError, match=f"{name} must be even"):
            support_stability(pca, X, **{name: 3})
    with pytest.raises(ValueError, match="10 blocks need two rows each, got n_samples = 19"):
        support_stability(pca, X[:19])


def test_other_estimators_and_numbers_are_refused():
    pca = SketchedSparsePCA(2, n_nonzero_coefs=3, random_state=0)
    with pytest.raises(TypeError, match="SketchedSparsePCA, got SketchedSparsePCACV"):
        support_stability(SketchedSparsePCACV(2, 3), planted())
    with pytest.raises(ValueError, match="n_resamples must be even"):
        support_stability(pca, planted(), n_resamples=10.0)
    found = support_stability(pca, planted(), n_resamples=2, random_state=0)
    for threshold in (0.0, 1.5, np.nan):
        with pytest.raises(ValueError, match="threshold must lie in"):
            found.stable(threshold)


def test_blocks_have_no_latest_rows_and_are_of_one_size():
    X = planted()
    with pytest.raises(ValueError, match=r"forgetting=0\.9"):
        support_stability(SketchedSparsePCA(1, random_state=0, forgetting=0.9), X)
    pca = SketchedSparsePCA(1, n_nonzero_coefs=6, random_state=0)

    def sketches(*ends):
        parts = np.split(X, ends)
        return [SketchedSparsePCA(1, random_state=0).partial_fit(part).sketch_ for part in parts]

    for ends, warns in (((250, 300, 350), True), ((80, 200, 290), False)):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            support_stability(pca, sketches(*ends), n_resamples=2, random_state=0)
        assert ["unequal size, 50 to 250 rows" in str(w.message) for w in told] == [True] * warns
        assert all(w.filename == __file__ for w in told)
