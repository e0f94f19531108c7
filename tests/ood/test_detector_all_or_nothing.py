"""GradPCADetector: errors at any line change nothing, threads, shards, missing scores, kinds."""

import pickle
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

import sklearn_sparse_eig
from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.ood import (
    KINDS,
    SCORES,
    SUBSPACES,
    Score,
    SpanRequest,
    conformal_p_values,
    conformal_threshold,
)

PACKAGE = Path(sklearn_sparse_eig.__file__).parent
# The transaction itself cannot be interrupted by itself.
NOT_INTERRUPTED = {PACKAGE / "_base" / name for name in ("atomic.py", "locks.py")}
KINDS_OF_BLOBS = ["exact", "sketched", "sparse_pca"]
# Interrupts at some of thousands of lines: by default of one kind, and fewer.
SLOW_KINDS = [pytest.param(kind, 40, marks=pytest.mark.slow) for kind in KINDS_OF_BLOBS]
one_of_kinds = pytest.mark.parametrize("subspace, n_interrupts", [("exact", 8), *SLOW_KINDS])
few = pytest.mark.filterwarnings("ignore:The first samples fix the metric:UserWarning")


@pytest.fixture(scope="module")
def blobs():
    """Four classes in six dimensions, a small network fitted to them, and other points."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2, 3], 40)
    X = rng.normal(size=(4, 6))[y] * 2 + rng.normal(size=(160, 6))
    order = rng.permutation(160)
    X, y = X[order], y[order]
    model = MLPClassifier((5, 4), solver="lbfgs", alpha=0.1, max_iter=2000, random_state=0)
    return model.fit(X, y), X, y, rng.normal(size=(30, 6)) * 4


def _detector(model, subspace):
    return GradPCADetector(
        model, subspace=subspace, n_measurements=64, batch_size=20, random_state=0
    )


def _interruptible(path):
    return PACKAGE in path.parents and path not in NOT_INTERRUPTED


def _content(detector):
    """All that a detector holds, as bytes; subspaces that are computed anew apart."""
    values = {name: value for name, value in vars(detector).items() if name != "_span"}
    values["revision"] = detector._state.revision
    return {name: pickle.dumps(value) for name, value in values.items()}


@few
@one_of_kinds
@pytest.mark.parametrize("method", ["fit", "partial_fit", "merge", "calibrate"])
def test_an_interrupt_at_any_line_changes_nothing(
    blobs, subspace, n_interrupts, method, run_interrupted
):
    model, X, y, Z = blobs
    start = _detector(model, subspace).fit(X[:100], y[:100]).calibrate(Z)
    other = start.empty_copy().partial_fit(X[100:], y[100:])
    calls = {
        "fit": lambda d: d.fit(X[100:], y[100:]),
        "partial_fit": lambda d: d.partial_fit(X[100:], y[100:]),
        "merge": lambda d: d.merge(other),
        "calibrate": lambda d: d.calibrate(X[:40]),
    }
    call, scores = calls[method], start.score_samples(Z)
    call(pickle.loads(pickle.dumps(start)))  # what runs once for all, a first warning say
    detector = pickle.loads(pickle.dumps(start))
    n_lines = run_interrupted(lambda: call(detector), within=_interruptible).n_lines
    after = detector.calibrate(Z).score_samples(Z)
    # All lines of short calls, and some of each part of long ones.
    sampled = np.unique(np.linspace(1, n_lines, n_interrupts).astype(int))
    detector = pickle.loads(pickle.dumps(start))
    before = _content(detector)
    for at in sampled:
        assert run_interrupted(lambda: call(detector), at, _interruptible).reached
        now = _content(detector)
        assert now.keys() == before.keys()
        changed = [name for name in now if now[name] != before[name]]
        assert not changed, f"{changed} changed by an interrupt at line {at}"
        assert not detector._state._journal
    np.testing.assert_array_equal(detector.score_samples(Z), scores)
    # And what was interrupted can be done again, with the result that it had.
    call(detector)
    np.testing.assert_array_equal(detector.calibrate(Z).score_samples(Z), after)


@few
@one_of_kinds
def test_an_interrupted_first_batch_leaves_nothing(blobs, subspace, n_interrupts, run_interrupted):
    model, X, y, _ = blobs
    for method in ("fit", "partial_fit"):
        detector = _detector(model, subspace)
        before = set(vars(detector))
        whole = partial(getattr(_detector(model, subspace), method), X, y)
        n_lines = run_interrupted(whole, within=_interruptible).n_lines
        again = partial(getattr(detector, method), X, y)
        for at in np.unique(np.linspace(1, n_lines, n_interrupts // 2).astype(int)):
            assert run_interrupted(again, at, _interruptible).reached
            assert set(vars(detector)) == before


def test_a_reader_beside_a_writer_never_keeps_a_stale_subspace(blobs):
    model, X, y, Z = blobs
    detector = GradPCADetector(model).partial_fit(X[:80], y[:80])
    # What any number of batches scores like.
    possible, stream = (
        [detector.score_samples(Z)],
        GradPCADetector(model).partial_fit(X[:80], y[:80]),
    )
    parts = [slice(i, i + 4) for i in range(80, 160, 4)]
    for part in parts:
        possible.append(stream.partial_fit(X[part], y[part]).score_samples(Z))
    errors, done = [], threading.Event()

    def read():
        while not done.is_set():
            found = detector.score_samples(Z)
            if not any(np.array_equal(found, each) for each in possible):
                errors.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for part in parts:
            detector.partial_fit(X[part], y[part])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert not errors
    np.testing.assert_array_equal(detector.score_samples(Z), possible[-1])


# --------------------------------------------------------------------------------------- shards


@few
@pytest.mark.parametrize("subspace", KINDS_OF_BLOBS)
def test_shards_add_up(blobs, subspace):
    model, X, y, Z = blobs
    first = _detector(model, subspace).fit(X, y)
    shards = [
        first.empty_copy().partial_fit(X[i : i + 40], y[i : i + 40]) for i in (0, 40, 80, 120)
    ]
    before = [_content(shard) for shard in shards]
    total = sum(shards)
    assert total.n_samples_seen_ == 160
    assert not hasattr(total, "offset_")
    assert [_content(shard) for shard in shards] == before
    np.testing.assert_allclose(total.score_samples(Z), first.score_samples(Z), rtol=1e-3)
    pair = shards[0] + shards[1]
    assert pair.n_samples_seen_ == 80
    named = first.empty_copy().merge(shards[0], shard_id="a")
    with pytest.raises(ValueError, match="shard a is here already"):
        named.merge(shards[0], shard_id="a")
    state = (pair._state - shards[1]._state).counts
    np.testing.assert_array_equal(state, shards[0]._state.counts)


def test_merging_with_itself_counts_twice(blobs):
    model, X, y, Z = blobs
    detector = GradPCADetector(model, metric="euclidean", score_function="snr_ratio").fit(X, y)
    scores = detector.score_samples(Z)
    detector.merge(detector)
    assert detector.n_samples_seen_ == 320
    np.testing.assert_allclose(detector.score_samples(Z), scores, rtol=1e-9)


# -------------------------------------------------------------------------------- missing scores


def test_missing_scores_are_neither_ordinary_nor_a_threshold():
    held_out = np.sort(np.random.default_rng(0).normal(size=99))
    found = conformal_p_values(held_out, np.array([np.nan, -9.0, 9.0]))
    np.testing.assert_array_equal(found, [np.nan, 0.01, 1.0])
    with pytest.raises(ValueError, match="1 of 100 are NaN"):
        conformal_threshold(np.append(held_out, np.nan), 0.05)


def test_calibration_on_missing_scores_is_refused(blobs, monkeypatch):
    model, X, y, Z = blobs
    detector = GradPCADetector(model).fit(X, y).calibrate(Z)
    before = _content(detector)
    some_missing = Score(lambda f, place: np.where(f > f[0], np.nan, f), uses_output=True)
    monkeypatch.setitem(SCORES, detector.score_function, some_missing)
    with pytest.raises(ValueError, match="are NaN. Leave out"):
        detector.calibrate(Z)
    assert _content(detector) == before
    p_values, scores = detector.p_values(Z), detector.score_samples(Z)
    assert np.isnan(scores).any()
    np.testing.assert_array_equal(np.isnan(p_values), np.isnan(scores))


# ----------------------------------------------------------------------------- a kind, as a law


def test_every_kind_that_can_be_chosen_is_an_option():
    assert set(SUBSPACES) - {"auto"} == {n for n, kind in KINDS.items() if kind.can_be_chosen}
    assert not KINDS["kernel"].can_be_chosen


@few
@pytest.mark.parametrize("name", sorted(set(SUBSPACES) - {"auto"}))
def test_laws_of_known_gradients(blobs, name):
    model, X, y, _ = blobs
    detector = _detector(model, name).fit(X, y)
    state, gradients = detector._state, detector._network.gradients(X)
    assert state.name == name
    assert not state.looks_ahead
    copy, empty = state.copy(), state.empty()
    assert empty.n_samples == 0 and copy.n_samples == state.n_samples == 160
    assert empty.n_metric_samples in (0, state.n_metric_samples)
    revision = copy.revision
    features = detector._network.features(X)
    copy.extend([(gradients.layers, y, features, gradients.logits)])
    assert copy.n_samples == 320 and copy.revision > revision
    assert state.n_samples == 160
    span = state.span(SpanRequest())
    place = span.coordinates(gradients.layers)
    assert place.projected.shape == (160, span.n_components)
    assert (place.residual <= place.distance * (1 + 1e-9)).all()
