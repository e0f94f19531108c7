"""Shards of rows: covariances merge to that of one fit, or say why they cannot."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from sklearn_sparse_eig import DeepFactorizationCovariance, EigenSketch
from sklearn_sparse_eig.lowrank._moments import RunningCovariance


def rows(n=120, p=12, seed=0):
    rng = np.random.default_rng(seed)
    return 1.0 + rng.normal(size=(n, 2)) @ rng.normal(size=(2, p)) + 0.1 * rng.normal(size=(n, p))


def assert_same(a, b):
    assert a.n_samples_seen_ == b.n_samples_seen_
    for name in ("covariance_", "location_", "eigenvalues_", "spectrum_", "precision_"):
        one, other = getattr(a, name), getattr(b, name)
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())
    assert a.n_components_ == b.n_components_


@pytest.mark.parametrize("assume_centered", [False, True])
def test_merged_shards_are_one_fit(assume_centered):
    X = rows()
    options = {"assume_centered": assume_centered}
    whole = DeepFactorizationCovariance(**options).fit(X)
    shards = [DeepFactorizationCovariance(**options).fit(part) for part in np.split(X, [30, 75])]
    before = [shard.covariance_.copy() for shard in shards]
    assert_same(sum(shards), whole)
    assert_same(shards[0] + shards[1] + shards[2], whole)
    for shard, covariance in zip(shards, before, strict=True):
        np.testing.assert_array_equal(shard.covariance_, covariance)
    assert_same(shards[0].merge(shards[1]).merge(shards[2]), whole)


def test_empty_copies_take_shards():
    X = rows()
    first = DeepFactorizationCovariance().fit(X[:40])
    empty = first.empty_copy()
    assert empty.n_samples_seen_ == 0 and empty.n_features_in_ == 12
    with pytest.raises(NotFittedError):
        empty.path([1.0])
    with pytest.raises(AttributeError):
        empty.covariance_  # noqa: B018 - the look is what is refused
    assert_same(first.merge(empty), DeepFactorizationCovariance().fit(X[:40]))
    assert_same(first.merge(empty.partial_fit(X[40:])), DeepFactorizationCovariance().fit(X))


def test_a_shard_counts_once():
    X = rows()
    first, second = (DeepFactorizationCovariance().fit(part) for part in np.split(X, [50]))
    first.merge(second, shard_id="b")
    with pytest.raises(ValueError, match="shard b is here already"):
        first.merge(second, shard_id="b")
    assert_same(first, DeepFactorizationCovariance().fit(X))


def test_refusals_say_both_values_and_change_nothing():
    model = DeepFactorizationCovariance().fit(rows(p=30))
    before = model.covariance_
    with pytest.raises(ValueError, match="30 features here, 12 there"):
        model.merge(DeepFactorizationCovariance().fit(rows(p=12)))
    with pytest.raises(ValueError, match="depth is 3 here, 4 there"):
        model.merge(DeepFactorizationCovariance(depth=4).fit(rows(p=30)))
    with pytest.raises(TypeError, match="DeepFactorizationCovariance, got int"):
        model.merge(3)
    with pytest.raises(NotFittedError):
        model.merge(DeepFactorizationCovariance())
    assert model.covariance_ is before and model.n_samples_seen_ == 120


def test_fits_to_sketches_do_not_merge():
    X = rows()
    sketch = EigenSketch(12, n_measurements=12, measurement="identity", range_size="identity")
    sketch.update(X)
    model, sketched = DeepFactorizationCovariance().fit(X), DeepFactorizationCovariance()
    sketched.fit_sketch(sketch)
    assert sketched.n_samples_seen_ == len(X)
    for one, other in ((model, sketched), (sketched, model)):
        with pytest.raises(ValueError, match="merge the sketches"):
            one.merge(other)
    assert_same(sketched.fit(X), model)


def test_rows_are_subtracted():
    X = rows()
    part, whole = (RunningCovariance(12).update(part) for part in (X[:50], X))
    rest, expected = whole - part, RunningCovariance(12).update(X[50:])
    np.testing.assert_allclose(rest.scatter, expected.scatter, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(rest.mean, expected.mean)
    assert (rest - rest).n_samples == 0 and not (rest - rest).scatter.any()
    with pytest.raises(ValueError, match="Cannot subtract 120 rows from 50"):
        part - whole


def test_a_single_row_warns_at_the_line_of_the_caller():
    with pytest.warns(UserWarning, match="Only one sample") as record:
        DeepFactorizationCovariance().fit(rows()[:1])
    assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DeepFactorizationCovariance().fit(rows())


@pytest.mark.parametrize("assume_centered", [False, True])
def test_weights_count_rows(assume_centered):
    X, options = rows(60), {"assume_centered": assume_centered}
    weights = np.random.default_rng(1).integers(0, 4, 60)
    weighted = DeepFactorizationCovariance(**options).fit(X, sample_weight=weights)
    repeated = DeepFactorizationCovariance(**options).fit(np.repeat(X, weights, axis=0))
    for name in ("covariance_", "location_", "spectrum_", "precision_", "filter_"):
        np.testing.assert_allclose(
            getattr(weighted, name), getattr(repeated, name), rtol=1e-8, atol=1e-10
        )
    assert weighted.n_components_ == repeated.n_components_
    assert weighted.n_samples_seen_ == (weights > 0).sum()
    scores = [
        weighted.score(X, sample_weight=weights),
        repeated.score(np.repeat(X, weights, axis=0)),
    ]
    assert scores[0] == pytest.approx(scores[1], rel=1e-8)
    assert weighted.score(X) == pytest.approx(weighted.score(X, sample_weight=np.full(60, 0.1)))


def test_weighted_shards_are_one_fit():
    X, weights = rows(60), np.random.default_rng(1).random(60) + 0.1
    whole = DeepFactorizationCovariance().fit(X, sample_weight=weights)
    parts = [
        DeepFactorizationCovariance().fit(X[part], sample_weight=weights[part])
        for part in (slice(0, 20), slice(20, 60))
    ]
    assert_same(parts[0] + parts[1], whole)
    streamed = DeepFactorizationCovariance().partial_fit(X[:20], sample_weight=weights[:20])
    assert_same(streamed.partial_fit(X[20:], sample_weight=weights[20:]), whole)
    # A common factor does not matter.
    scaled = DeepFactorizationCovariance().fit(X, sample_weight=1e-3 * weights)
    np.testing.assert_allclose(scaled.covariance_, whole.covariance_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(5), "sample_weight"),
        (-np.ones(60), "Negative values in sample_weight"),
        (np.zeros(60), "All entries of sample_weight are zero"),
        (np.full(60, np.nan), "sample_weight contains NaN"),
    ],
)
def test_weights_that_count_nothing(weights, message):
    model = DeepFactorizationCovariance().fit(rows(30))
    before = model.covariance_
    with pytest.raises(ValueError, match=message):
        model.partial_fit(rows(60), sample_weight=weights)
    assert model.covariance_ is before and model.n_samples_seen_ == 30
