"""Whatever the mean, the batches and the format of rows, variances are those of two passes."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig._base.atomic import Journal
from sklearn_sparse_eig.sketching._centring import better_shifts
from sklearn_sparse_eig.sketching._feature_moments import FeatureMoments

N = 12
EXACT = {"n_measurements": None, "measurement": "identity"}
REGIMES = {
    "exact": EXACT,
    "range": EXACT | {"range_size": 8},
    "mam": {"n_measurements": 32},
    "two_sided": {"n_measurements": 32, "range_size": 16},
}


def new(regime, n_features=N, **options):
    return EigenSketch(n_features, random_state=3, **REGIMES[regime], **options)


def two_pass(X, weights=None):
    """Return means and variances in extended precision."""
    X = np.asarray(X, dtype=np.longdouble)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, np.longdouble)
    mean = weights @ X / weights.sum()
    return mean, weights @ (X - mean) ** 2 / weights.sum()


def measured(sketch, X, weights=None):
    """Return M A Omega^T of the rows, in extended precision up to the last product."""
    X = np.asarray(X, dtype=np.longdouble)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, np.longdouble)
    centred = (X - weights @ X / weights.sum()).astype(float)
    ids = np.arange(sketch.n_features)
    M, Omega = (side.columns(ids).toarray() for side in (sketch.measurement, sketch.test))
    return ((centred @ M).T * weights.astype(float)) @ (centred @ Omega) / float(weights.sum())


def assert_variances(sketch, X, weights=None, rtol=1e-6):
    mean, variance = two_pass(X, weights)
    np.testing.assert_allclose(sketch.feature_variance(), variance.astype(float), rtol=rtol)
    np.testing.assert_allclose(sketch.feature_mean(), mean.astype(float), rtol=1e-9, atol=1e-9)
    S = measured(sketch, X, weights)
    assert np.linalg.norm(sketch.matrix() - S) <= rtol * np.linalg.norm(S)


def columns(rng, n, kinds):
    """Return columns of given means, in standard deviations; None for one with many zeros."""
    X = rng.normal(size=(n, len(kinds)))
    for j, kind in enumerate(kinds):
        if kind is None:
            X[:, j] = np.where(rng.random(n) < 0.3, X[:, j], 0.0)
            X[:2, j] = 0.0, 1.0
        else:
            X[:, j] += kind
    return X


@st.composite
def streams(draw):
    """Rows whose columns are sparse, or full with a mean of up to 1e9 standard deviations."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(12, 60))
    kinds = draw(
        st.lists(st.sampled_from([None, 0, 3, -1e3, 1e5, -1e7, 1e9]), min_size=N, max_size=N)
    )
    ends = sorted(draw(st.lists(st.integers(0, n), max_size=n // 4)))
    formats = draw(st.lists(st.booleans(), min_size=len(ends) + 1, max_size=len(ends) + 1))
    weights = draw(st.sampled_from([None, rng.uniform(0.5, 2.0, n), rng.integers(0, 3, n) + 0.0]))
    if weights is not None:
        weights[:3] = 1.0
    return columns(rng, n, kinds), weights, ends, formats


@pytest.mark.parametrize("regime", REGIMES)
@settings(max_examples=25, deadline=None)
@given(stream=streams())
def test_variances_are_those_of_two_passes(regime, stream):
    X, weights, ends, formats = stream
    sketch = new(regime)
    for low, high, is_sparse in zip([0, *ends], [*ends, len(X)], formats, strict=True):
        rows = sp.csr_array(X[low:high]) if is_sparse else X[low:high]
        sketch.update(rows, sample_weight=None if weights is None else weights[low:high])
    assert_variances(sketch, X, weights)


@pytest.mark.parametrize("batch", [1, 7, 150])
@pytest.mark.parametrize("regime", REGIMES)
def test_sparse_rows_with_a_full_column(regime, batch):
    # One column without zeros among one-hot ones: a date, an id, a total.
    rng = np.random.default_rng(0)
    n, wide = 150, 300
    X = np.zeros((n, wide))
    X[np.arange(n), rng.integers(0, wide - 1, n)] = 1.0
    X[:, -1] = 1e9 + rng.normal(size=n)
    sketch = new(regime, wide)
    for low in range(0, n, batch):
        sketch.update(sp.csr_array(X[low : low + batch]))
    S, mean = measured(sketch, X), two_pass(X)[0]
    assert np.linalg.norm(sketch.matrix() - S) <= 1e-6 * np.linalg.norm(S)
    np.testing.assert_allclose(sketch.feature_mean(), mean.astype(float), rtol=1e-12)
    used = X.any(axis=0)
    np.testing.assert_allclose(
        sketch.feature_variance()[used], two_pass(X)[1][used].astype(float), rtol=1e-6
    )


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
def test_rows_without_weight_have_no_part_in_the_centre(regime, is_sparse):
    X = np.random.default_rng(0).normal(size=(60, N)) + 5.0
    X[3] = 1e9
    weights = np.ones(60)
    weights[3] = 0.0
    sketch = new(regime)
    for part in (slice(0, 20), slice(20, 60)):
        rows = sp.csr_array(X[part]) if is_sparse else X[part]
        sketch.update(rows, sample_weight=weights[part])
    assert_variances(sketch, np.delete(X, 3, axis=0), rtol=1e-12)
    assert sketch.n_samples == 59


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
def test_rows_deleted_later_leave_little_behind(regime, is_sparse):
    # What cannot be avoided is the rounding of their own squares, 1e14 here, while they were there.
    X = np.random.default_rng(0).normal(size=(2000, N))
    X[3] = 1e7
    make = sp.csr_array if is_sparse else np.asarray
    sketch = new(regime)
    for low in range(0, 2000, 50):
        sketch.update(make(X[low : low + 50]))
    sketch.update(make(X[3:4]), sample_weight=-1.0)
    kept = np.delete(X, 3, axis=0)
    np.testing.assert_allclose(sketch.feature_variance(), kept.var(axis=0), rtol=2e-4)
    sketch.update(make(kept + 0.0))  # the shift has returned: later rows are added as ever
    assert np.abs(sketch._left.shift).max() < 1e3


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("batch", [3, 50, 3000])
@pytest.mark.parametrize("regime", REGIMES)
def test_a_level_that_is_forgotten_costs_nothing(regime, batch, is_sparse):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000 if batch > 3 else 500, N))
    X[50:] += 3e6
    make = sp.csr_array if is_sparse else np.asarray
    pca = SketchedSparsePCA(1, forgetting=0.98, random_state=0)
    pca._make_sketch = lambda n_features: new(regime)
    pca.partial_fit(make(X[:50]))
    for low in range(50, len(X), batch):
        pca.partial_fit(make(X[low : low + batch]))
    weights = np.longdouble(0.98) ** np.arange(len(X) - 1, -1, -1)
    _, variance = two_pass(X, weights)
    np.testing.assert_allclose(pca.sketch_.feature_variance(), variance.astype(float), rtol=1e-6)


@pytest.mark.parametrize("forgetting", [1.0, 0.5, 1e-3, 1e-12])
@pytest.mark.parametrize("regime", REGIMES)
def test_levels_and_scales_may_change_with_every_batch(regime, forgetting):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        sketch, seen, weights = new(regime), [], []
        for n in rng.choice([1, 2, 5, 60], 6):
            level = rng.choice([0.0, 1.0, 1e3, 1e6, 1e9]) * rng.normal(size=N)
            rows = 10.0 ** rng.integers(-3, 3) * rng.normal(size=(n, N))
            rows += np.where(rng.random(N) < 0.5, level, 0.0)
            rows[:, rng.random(N) < 0.3] *= rng.random((n, 1)) < 0.5
            batch = sp.csr_array(rows) if rng.random() < 0.5 else rows
            if seen:
                sketch.scale(forgetting)
            if rng.random() < 0.3:
                sketch.merge(new(regime).update(batch))
            else:
                sketch.update(batch)
            weights = [w * np.longdouble(forgetting) for w in weights] + [np.longdouble(1.0)] * n
            seen.append(rows)
        assert_variances(sketch, np.vstack(seen), weights)


@pytest.mark.parametrize("regime", REGIMES)
def test_shards_of_different_levels_merge(regime):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, N)) + 1e8
    parts = [X[:1], X[1:40], sp.csr_array(X[40:41]), sp.csr_array(X[41:])]
    for order in (parts, parts[::-1]):
        assert_variances(sum(new(regime).update(rows) for rows in order), X)


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
def test_rows_that_are_all_the_same_have_no_variance(regime, is_sparse):
    row = np.random.default_rng(0).normal(size=N) * 10.0 ** np.linspace(-3, 9, N)
    for batches in ([3000], [1, 2, 700], [100] * 10):
        sketch = new(regime)
        for n in batches:
            rows = np.tile(row, (n, 1))
            sketch.update(sp.csr_array(rows) if is_sparse else rows)
        with pytest.raises(ValueError, match="X has no variance"):
            sketch.check_variance()
        one_differs = row.copy()
        one_differs[0] *= 2.0  # the smallest of all, beside a feature 1e12 times as large
        if regime == "exact":
            sketch.update(one_differs[None]).check_variance()


@pytest.mark.parametrize("regime", ["mam", "two_sided"])
def test_hashed_rows_with_a_full_column(regime):
    # 2**40 features: nothing of their number is made.
    rng = np.random.default_rng(0)
    wide, n, z = 2**40, 200, 4
    ids = np.sort(rng.choice(2**20, (n, z)) * 2**19 + 1, axis=1)
    values = rng.normal(size=(n, z))
    total = 1e8 + rng.normal(size=n)
    coordinates = np.repeat(np.arange(n), z + 1), np.c_[ids, np.full(n, wide - 1)].ravel()
    entries = np.c_[values, total].ravel()
    sketch = new(regime, wide, identification=None)
    for low in range(0, n, 40):
        part = (coordinates[0] >= low) & (coordinates[0] < low + 40)
        sketch.update_coo(coordinates[0][part], coordinates[1][part], entries[part])
    known, local = np.unique(coordinates[1], return_inverse=True)
    X = np.zeros((n, len(known)))
    np.add.at(X, (coordinates[0], local), entries)
    X = X - X.mean(axis=0)
    M, Omega = (side.columns(known).toarray() for side in (sketch.measurement, sketch.test))
    S = (X @ M).T @ (X @ Omega) / n
    assert np.linalg.norm(sketch.matrix() - S) <= 1e-6 * np.linalg.norm(S)
    assert sketch.nbytes < 1e5


def test_sparse_rows_stay_sparse():
    # No shift where zeros bound the mean, after rows of any level; one column's where they do not.
    rng = np.random.default_rng(0)
    X = sp.random_array((900, N), density=0.3, random_state=rng, format="csr")
    for regime in REGIMES:
        sketch = new(regime).update(X[:1])
        for low in range(1, 900, 31):
            sketch.update(X[low : low + 31])
        assert not sketch._left.shift.any()
        full = sp.hstack([X[:, :-1], sp.csr_array(np.full((900, 1), 1e4))], format="csr")
        sketch = new(regime).update(full)
        assert 0 < np.count_nonzero(sketch._left.shift) <= 8


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("level", [0.0, 1e5, 1e9])
def test_score_of_rows_with_a_large_mean(level, is_sparse):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, N))
    X[:, :3] += 3.0 * rng.normal(size=(300, 1))
    X[:, 5] += level
    X[:, 7] = level
    centred = X - np.asarray(two_pass(X)[0], float)
    make = sp.csr_array if is_sparse else np.asarray
    pca = SketchedSparsePCA(1, n_nonzero_coefs=3, random_state=0).fit(make(X))
    Q = np.linalg.qr(pca.components_.toarray().T)[0]
    expected = np.square(centred @ Q).sum() / np.square(centred).sum()
    assert pca.explained_variance_score(make(X)) == pytest.approx(expected, rel=1e-6)
    assert set(pca.support_) == {0, 1, 2}


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("value", [1e75, -1e160, 1e300])
@pytest.mark.parametrize("regime", REGIMES)
def test_one_huge_value_is_refused(regime, value, is_sparse):
    X = np.random.default_rng(0).normal(size=(20, N))
    bad = X.copy()
    bad[4, 5] = value
    make = sp.csr_array if is_sparse else np.asarray
    for sketch in (new(regime), new(regime).update(X)):
        for rows in (bad, bad[4:5], np.vstack([bad, -bad])):
            before = sketch.to_bytes()
            with pytest.raises(ValueError, match="cannot be squared"):
                sketch.update(make(rows))
            assert sketch.to_bytes() == before
    huge = new(regime)
    with pytest.raises(ValueError, match="products up to"):
        huge.update_entries([1], [5], [value * 1e150 if abs(value) < 1e100 else value])
    assert huge.content is None


def test_features_to_be_shifted_are_found_without_looking_at_all():
    """Of sparse rows, all features are screened by their sums; the shifts are the same."""
    rng = np.random.default_rng(0)
    moments = FeatureMoments(40_000)
    n = 500.0
    mean = 10.0 ** rng.uniform(-3, 6, 40_000) * rng.choice([-1.0, 0.0, 1.0], 40_000)
    spread = rng.choice([0.0, 1.0], 40_000)
    moments.total, moments.weight = n * mean, n
    moments.squares = n * (mean**2 + spread)
    (expected,) = better_shifts([moments], n, [moments._variance()], True)
    moments._journal = Journal(moments)
    moments.follow_mean(fewest=True)
    np.testing.assert_array_equal(moments.shift, expected)
    assert 5_000 < np.count_nonzero(expected) < 30_000


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"range_size": 8}], ids=["exact", "two sides"])
@pytest.mark.parametrize("how", ["weights", "subtract"])
def test_deleting_rows_that_leave_their_rounding_warns(how, sizes, sparse):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 12))
    measured = {"n_measurements": 10, **sizes} if sizes else {"n_measurements": None}
    kind = "sparse_sign" if sizes else "identity"

    def sketch():
        return EigenSketch(12, measurement=kind, random_state=0, **measured)

    def form(rows):
        return sp.csr_array(rows) if sparse else rows

    for level, warns in ((1e9, True), (1e5, False)):
        bad = np.full((1, 12), level) * rng.uniform(1, 2, size=12)
        whole = sketch().update(form(np.vstack([X, bad])))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            if how == "weights":
                whole.update(form(bad), -1.0)
            else:
                whole.subtract(sketch().update(form(bad)))
        messages = [str(w.message) for w in told]
        assert [m.startswith("Rows were deleted") for m in messages] == [True] * warns
        assert all(w.filename == __file__ for w in told)
    # Rows of one size leave nothing behind, nor do those of which none remains.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = sketch().update(form(1e9 + X))
        whole.update(form(1e9 + X[:150]), -1.0)
        whole.update(form(1e9 + X[150:]), -1.0)
    assert whole.content is None
