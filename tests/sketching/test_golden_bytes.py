"""Bytes written by the first release are read for good, and written the same."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sklearn_sparse_eig import EigenSketch

GOLDEN = Path(__file__).parent / "golden"

# Integers keep the sums exact, so that neither BLAS nor a backend changes a bit.
ROWS = np.random.default_rng(0).integers(-3, 4, size=(12, 20)).astype(float)

SKETCHES = {
    "exact": {"n_measurements": None, "measurement": "identity", "center": False},
    "range": {"n_measurements": None, "measurement": "identity", "range_size": 4, "center": False},
    "mam": {"n_measurements": 16, "center": False, "feature_moments": False},
    "two_sided": {"n_measurements": 16, "range_size": 8},
    "prime_residue": {"n_measurements": 240, "range_size": 8, "measurement": "prime_residue"},
    "identified": {"n_measurements": 16, "range_size": 8, "identification": (3, 8)},
}


def make(name):
    sketch = EigenSketch(20, random_state=0, **SKETCHES[name])
    return sketch.update(ROWS[:6]).update(ROWS[6:], sample_weight=2.0)


def read(name):
    return (GOLDEN / f"{name}.sketch").read_bytes()


@pytest.mark.parametrize("name", sorted(SKETCHES))
def test_golden_bytes_are_read(name):
    sketch, made = EigenSketch.from_bytes(read(name)), make(name)
    assert sketch.settings() == made.settings()
    assert (sketch.n_samples, sketch.weight) == (made.n_samples, made.weight)
    np.testing.assert_allclose(sketch.matrix(), made.matrix(), atol=1e-12)
    sketch.merge(made)  # same measurements: what was written before goes on


@pytest.mark.parametrize("name", sorted(SKETCHES))
def test_what_was_read_is_written_the_same(name):
    data = read(name)
    assert_array_equal(
        np.frombuffer(EigenSketch.from_bytes(data).to_bytes(), np.uint8),
        np.frombuffer(data, np.uint8),
    )
