"""Copies of whatever kind go on by themselves, as the original would have done."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from test_state_laws import ROWS, SKETCHES, STREAMS

from sklearn_sparse_eig._base.locks import locked

pytestmark = pytest.mark.filterwarnings("ignore")


def mapped(item, folder):
    """Return what a worker of joblib gets of large arrays: mapped, and read-only."""
    joblib.dump(item, folder / "item.joblib")
    return joblib.load(folder / "item.joblib", mmap_mode="r")


COPIES = {
    "copy": lambda item, folder: copy.copy(item),
    "deepcopy": lambda item, folder: copy.deepcopy(item),
    "pickle": lambda item, folder: pickle.loads(pickle.dumps(item)),
    "mapped": mapped,
}


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("name", SKETCHES)
def test_copies_of_sketches(name, kind, tmp_path):
    make, feed = SKETCHES[name]
    sketch, other = make(), make()
    for item in (sketch, other):
        feed(item, ROWS[0])
    saved = sketch.to_bytes()
    new = COPIES[kind](sketch, tmp_path)
    assert (new.to_bytes(), new.revision) == (saved, sketch.revision)
    feed(new, 1e3 + ROWS[1])  # the shifts move too
    feed(other, 1e3 + ROWS[1])
    assert sketch.to_bytes() == saved
    assert new.to_bytes() == other.to_bytes()


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("name", STREAMS)
def test_copies_of_streams(name, kind, tmp_path):
    make, feed, batches, read = STREAMS[name]
    stream, other = make(), make()
    for item in (stream, other):
        feed(item, batches[0])
    before = read(stream)
    new = COPIES[kind](stream, tmp_path)
    assert_same(read(new), before)
    feed(new, batches[1])
    feed(other, batches[1])
    assert stream.n_samples_seen_ == len(ROWS[0])
    assert new.n_samples_seen_ == len(ROWS[0]) + len(ROWS[1])
    assert_same(read(stream), before)
    assert_same(read(new), read(other))


def test_a_copy_keeps_what_fit_has_read_twice():
    make, feed, _, read = STREAMS["pca_two_sided"]
    pca = make().fit(np.vstack(ROWS))
    components = read(pca).toarray()
    new = copy.copy(pca)
    np.testing.assert_array_equal(read(new).toarray(), components)
    feed(new, ROWS[0])
    assert not np.array_equal(read(new).toarray(), components)
    np.testing.assert_array_equal(read(pca).toarray(), components)


def assert_same(one, two):
    one, two = (x.toarray() if hasattr(x, "toarray") else x for x in (one, two))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("copy_of", [pickle.dumps, copy.copy, copy.deepcopy])
def test_copies_wait_until_a_batch_is_in(copy_of):
    sketch = SKETCHES["exact"][0]().update(ROWS[0])
    with ThreadPoolExecutor() as pool:
        with locked(sketch):  # as a writer does
            waiting = pool.submit(copy_of, sketch)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.1)
        waiting.result(timeout=10.0)
