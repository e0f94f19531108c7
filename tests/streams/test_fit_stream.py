"""Streams that are read ahead, interrupted, refused and resumed."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import DeepFactorizationCovariance, EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream, iter_batches, load

X = np.random.default_rng(0).normal(size=(600, 30)) * np.r_[[5.0] * 3, [1.0] * 27]
BLOCKS = [X[low : low + 50] for low in range(0, 600, 50)]


def pca(**params):
    return SketchedSparsePCA(**{"n_components": 1, "random_state": 0} | params)


def state(estimator):
    return estimator.sketch_.to_bytes()


WHOLE = pca()
for block in BLOCKS:
    WHOLE.partial_fit(block)


class Broken(Exception):
    pass


def broken_after(n):
    yield from BLOCKS[:n]
    raise Broken("the disk of the reader")


def test_a_stream_is_partial_fit_of_its_batches():
    estimator = pca()
    assert fit_stream(estimator, iter(BLOCKS), progress=False) is estimator
    assert state(estimator) == state(WHOLE)
    covariance = fit_stream(DeepFactorizationCovariance(), BLOCKS, progress=False)
    assert covariance.n_samples_seen_ == 600


def test_batches_have_labels_and_weights():
    weights = np.arange(50.0)
    batches = [(block, None, weights) for block in BLOCKS]
    expected = pca()
    for block in BLOCKS:
        expected.partial_fit(block, sample_weight=weights)
    assert state(fit_stream(pca(), batches, progress=False)) == state(expected)
    sketch = EigenSketch(30, n_measurements=8, random_state=0)
    made = fit_stream(sketch.empty(), ((b, weights) for b in BLOCKS), progress=False)
    for block in BLOCKS:
        sketch.update(block, weights)
    assert made.to_bytes() == sketch.to_bytes()


def test_an_error_of_the_reader_arrives_and_the_checkpoint_goes_on(tmp_path):
    path = tmp_path / "checkpoint"
    with pytest.raises(Broken, match="disk of the reader"):
        fit_stream(pca(), broken_after(5), checkpoint=path, progress=False)
    assert load(path).n_samples_seen_ == 250
    resumed = fit_stream(pca(), iter(BLOCKS), checkpoint=path, progress=False)
    assert state(resumed) == state(WHOLE)
    # Once more: there is nothing left to do.
    assert state(fit_stream(pca(), iter(BLOCKS), checkpoint=path, progress=False)) == state(WHOLE)


def test_a_batch_that_is_refused_can_be_mended(tmp_path):
    path = tmp_path / "checkpoint"
    bad = [*BLOCKS[:3], np.full((50, 30), np.nan), *BLOCKS[4:]]
    with pytest.raises(ValueError, match="NaN"):
        fit_stream(pca(), bad, checkpoint=path, progress=False)
    assert state(fit_stream(pca(), BLOCKS, checkpoint=path, progress=False)) == state(WHOLE)


def test_a_sketch_is_resumed(tmp_path):
    path = tmp_path / "checkpoint"

    def new():
        return EigenSketch(30, n_measurements=8, range_size=8, random_state=0)

    with pytest.raises(Broken):
        fit_stream(new(), broken_after(4), checkpoint=path, progress=False)
    expected = fit_stream(new(), BLOCKS, progress=False).to_bytes()
    assert fit_stream(new(), BLOCKS, checkpoint=path, progress=False).to_bytes() == expected
    assert load(path).to_bytes() == expected
    other = EigenSketch(30, n_measurements=8, range_size=8, random_state=1)
    with pytest.raises(ValueError, match="seed is"):
        fit_stream(other, BLOCKS, checkpoint=path, progress=False)


@pytest.mark.parametrize(
    ("estimator", "batches", "match"),
    [
        (pca(n_components=2), BLOCKS, "made with n_components=1, got n_components=2"),
        (pca(), [X[:100], X[100:]], "100 rows in 1|600 rows in 2|another one"),
        (pca(), BLOCKS[:2], "it is another one"),
        (DeepFactorizationCovariance(), BLOCKS, "is of a SketchedSparsePCA, got a DeepFact"),
        (pca(random_state=None), BLOCKS, "random_state must be an int"),
    ],
    ids=["parameters", "batches", "short", "class", "seed"],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, estimator, batches, match):
    path = tmp_path / "checkpoint"
    with pytest.raises(Broken):
        fit_stream(pca(), broken_after(5), checkpoint=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=match):
        fit_stream(estimator, batches, checkpoint=path, progress=False)
    assert path.read_bytes() == before


def test_other_batches_of_files_are_refused_after_a_generator(tmp_path):
    path = tmp_path / "checkpoint"
    np.save(tmp_path / "rows.npy", X)
    files = iter_batches(tmp_path / "rows.npy", batch_size=100)
    fit_stream(pca(), (batch for batch in files), checkpoint=path, progress=False)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="divided in another way"):
        smaller = iter_batches(tmp_path / "rows.npy", batch_size=50)
        fit_stream(pca(), smaller, checkpoint=path, progress=False)
    assert path.read_bytes() == before
    assert fit_stream(pca(), files, checkpoint=path, progress=False).n_samples_seen_ == len(X)


def test_a_checkpoint_without_a_place_is_refused_before_anything_is_read(tmp_path):
    def never():
        pytest.fail("a batch was read")
        yield X

    with pytest.raises(FileNotFoundError, match="Make its folder first"):
        fit_stream(pca(), never(), checkpoint=tmp_path / "no" / "run.ckpt", progress=False)
    with pytest.raises(IsADirectoryError, match="Give the name of a file"):
        fit_stream(pca(), never(), checkpoint=tmp_path, progress=False)


@pytest.mark.parametrize("rows", ["rows/*.parquet", Path("rows.npy"), X, sp.csr_array(X)])
def test_rows_at_once_are_refused_by_name(rows):
    with pytest.raises(TypeError, match="Give iter_batches of it"):
        fit_stream(pca(), rows, progress=False)


def test_foreign_files_are_not_overwritten(tmp_path):
    path = tmp_path / "thesis.tex"
    path.write_bytes(b"\\documentclass{article}")
    with pytest.raises(ValueError, match="thesis.tex cannot be loaded"):
        fit_stream(pca(), BLOCKS, checkpoint=path, progress=False)
    assert path.read_bytes() == b"\\documentclass{article}"
    WHOLE.save(path)
    with pytest.raises(ValueError, match="is no checkpoint"):
        fit_stream(pca(), BLOCKS, checkpoint=path, progress=False)


@pytest.mark.parametrize("every", ["soon", "1 fortnight", -1, True, "min"])
def test_intervals_are_checked(every):
    with pytest.raises(ValueError, match="every must be"):
        fit_stream(pca(), BLOCKS, every=every, progress=False)


@pytest.mark.parametrize(("every", "n"), [("1 batch", 12), ("5 batches", 3), (0, 12), ("1 h", 1)])
def test_checkpoints_are_written_as_often_as_asked(tmp_path, monkeypatch, every, n):
    from sklearn_sparse_eig.streams import _checkpoint

    written = []
    monkeypatch.setattr(_checkpoint, "write_whole", lambda path, parts: written.append(path))
    fit_stream(pca(), BLOCKS, checkpoint=tmp_path / "c", every=every, progress=False)
    assert len(written) == n


def test_reading_overlaps_sketching():
    was_read = [threading.Event() for _ in BLOCKS]

    def reader():
        for event, block in zip(was_read, BLOCKS, strict=True):
            event.set()
            yield block

    class Waiting:
        n_seen = 0

        def partial_fit(self, X):
            self.n_seen += 1  # the next batch is read while this one is used
            assert self.n_seen == len(BLOCKS) or was_read[self.n_seen].wait(10.0)

    assert fit_stream(Waiting(), reader(), progress=False).n_seen == len(BLOCKS)


def test_the_reader_ends_with_an_error_of_the_estimator():
    def endless():
        while True:
            yield X[:, :5] if threading.active_count() else None

    with pytest.raises(ValueError, match="features"):
        fit_stream(pca().partial_fit(X), endless(), progress=False)
    deadline = time.monotonic() + 5.0
    while any(t.name == "reader of batches" for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_estimators_without_partial_fit_are_named():
    with pytest.raises(TypeError, match="partial_fit is needed, got ndarray"):
        fit_stream(X, BLOCKS, progress=False)


def test_progress_tells_rows_and_rate(capsys, monkeypatch):
    from sklearn_sparse_eig.streams import _pace

    monkeypatch.setattr(_pace, "_INTERVAL", 0.0)
    monkeypatch.setattr(_pace, "find_spec", lambda name: None)
    fit_stream(pca(), BLOCKS)
    text = capsys.readouterr().err
    assert "600 rows" in text and "rows/s" in text


def test_progress_by_tqdm(capsys):
    pytest.importorskip("tqdm")
    fit_stream(pca(), BLOCKS)
    assert "600 rows" in capsys.readouterr().err


def test_csr_batches():
    rows = [sp.csr_array(block) for block in BLOCKS]
    assert fit_stream(pca(), rows, progress=False).n_samples_seen_ == 600


@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")
@pytest.mark.slow
def test_killed_runs_end_with_the_same_bits():
    script = Path(__file__).with_name("killing.py")
    command = [sys.executable, str(script), "-n", "4", "--batches", "60"]
    subprocess.run(command, check=True, timeout=300)
