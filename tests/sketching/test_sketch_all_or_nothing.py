"""An error or Ctrl-C at any line of a change leaves a sketch bit for bit as it was."""

import itertools
import threading

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch

N = 60
REGIMES = {
    "exact": {"n_measurements": None, "measurement": "identity"},
    "mam": {"n_measurements": 32},
    "two_sided": {"n_measurements": 64, "range_size": 16, "identification": (300, 8)},
}


def new(regime):
    return EigenSketch(N, random_state=0, **REGIMES[regime])


def rows(n=12, seed=0):
    return np.random.default_rng(seed).normal(size=(n, N))


def few(n=2, seed=1):
    return sp.random_array(
        (n, N), density=0.05, format="csr", random_state=np.random.default_rng(seed)
    )


ROW_CHANGES = {
    "update dense": lambda s, other: s.update(rows(seed=5)),
    "update CSR": lambda s, other: s.update(few()),
    "update weighted": lambda s, other: s.update(rows(3), sample_weight=[1.0, 2.0, -1.0]),
    "update_coo": lambda s, other: s.update_coo([0, 0, 1], [3, 5, 7], [1.0, 2.0, 3.0]),
    "delete all": lambda s, other: s.update(rows(), sample_weight=-1.0),
    "scale": lambda s, other: s.scale(0.5),
    "merge": lambda s, other: s.merge(other, shard_id="b"),
    "subtract": lambda s, other: s.subtract(other),
}
ENTRY_CHANGES = {
    "update_entries": lambda s, other: s.update_entries([0, 1], [2, 1], [1.0, 2.0]),
    "update_tile": lambda s, other: s.update_tile([0, 1], [2, 3, 4], np.ones((2, 3))),
    "update_operator": lambda s, other: s.update_operator(np.eye(N)),
}


# Every line of short changes and every seventh of long ones; by default one in five of these.
thoroughly = pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])


def check(sketch, change, run_interrupted, step):
    before, revision = sketch.to_bytes(), sketch.revision
    n_interrupts = 0
    for n in itertools.chain(range(1, 120, step), range(120, 100_000, 7 * step)):
        if not run_interrupted(change, n).reached:
            break
        n_interrupts += 1
        assert sketch.to_bytes() == before, f"torn at line {n}"
        assert sketch.revision == revision
    assert n_interrupts > 5 / step
    assert sketch.to_bytes() != before  # the last call ran to its end
    assert sketch.revision == revision + 1


@pytest.mark.parametrize("name", ROW_CHANGES)
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(
    "start",
    [
        pytest.param(rows(), id="dense"),
        pytest.param(few(6, 2), id="sparse", marks=pytest.mark.slow),
    ],
)
@thoroughly
def test_interrupted_changes_of_rows(regime, name, start, step, run_interrupted):
    sketch, other = new(regime).update(start), new(regime).update(start[:3]).as_shard("a")
    if name == "delete all":
        sketch = new(regime).update(rows())
    check(sketch, lambda: ROW_CHANGES[name](sketch, other), run_interrupted, step)


@pytest.mark.parametrize("name", ENTRY_CHANGES)
@pytest.mark.parametrize("regime", REGIMES)
@thoroughly
def test_interrupted_changes_of_entries(regime, name, step, run_interrupted):
    sketch = new(regime).update_entries([0, 4], [4, 9], [1.0, 2.0])
    check(sketch, lambda: ENTRY_CHANGES[name](sketch, None), run_interrupted, step)


@pytest.mark.parametrize("regime", REGIMES)
def test_sum_and_shards(regime):
    parts = [new(regime).update(rows(seed=seed)) for seed in range(3)]
    total = sum(parts)
    assert total.n_samples == 36
    assert parts[0].n_samples == 12
    named = new(regime).merge(parts[0], shard_id="day 1").merge(parts[1], shard_id=2)
    again = EigenSketch.from_bytes(named.to_bytes())
    assert again.shard_ids == named.shard_ids == {"day 1", 2}
    assert again.to_bytes() == named.to_bytes()
    with pytest.raises(ValueError, match="shard day 1 is here already"):
        again.merge(parts[0], shard_id="day 1")
    assert b"shards" not in total.to_bytes()


def test_readers_beside_a_writer_see_whole_updates():
    # Each row of ones has weight w and adds w to every sum: what is read is a mean of exactly one.
    sketch = new("two_sided").update(np.ones((4, N)))
    stop = threading.Event()

    def write():
        while not stop.is_set():
            sketch.update(np.ones((4, N)), sample_weight=2.0)
            sketch.scale(0.5)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            np.testing.assert_allclose(sketch.feature_mean(), 1.0, rtol=1e-9)
            again = EigenSketch.from_bytes(sketch.to_bytes())
            np.testing.assert_allclose(again.measured_mean(), sketch.measured_mean(), rtol=1e-9)
    finally:
        stop.set()
        writer.join()
