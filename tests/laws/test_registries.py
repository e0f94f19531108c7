"""What is registered is known by name, and the laws run over it."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig import estimator_checks as checks
from sklearn_sparse_eig.recovery import decoders
from sklearn_sparse_eig.sketching import Measurement, from_spec, make_measurement, register
from sklearn_sparse_eig.sketching.measurements import _registry as registry


class EveryNth(Measurement):
    """One 1 per column: feature j is added to row j mod m."""

    name = "every_nth_toy"

    def columns(self, ids):
        ids = np.asarray(ids)
        parts = np.ones(len(ids)), ids % self.n_measurements, np.arange(len(ids) + 1)
        return sp.csr_array(parts, shape=(len(ids), self.n_measurements))


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    return register(EveryNth)


def test_a_measurement_registers_by_name(registered):
    with pytest.raises(ValueError, match="every_nth_toy"):
        make_measurement("no_such_name", 50, 20, seed=0)
    made = make_measurement("every_nth_toy", 50, 20, seed=0)
    assert type(made) is EveryNth
    assert from_spec(made.spec()) == made
    for check in checks.yield_measurement_checks(made):
        check()
    checks.check_sketch_definition(
        lambda: EigenSketch(50, n_measurements=20, measurement="every_nth_toy", random_state=0)
    )


def test_an_unregistered_measurement_has_no_name():
    with pytest.raises(ValueError, match="must be one of"):
        make_measurement("every_nth_toy", 50, 20, seed=0)


def test_a_decoder_registers_by_name(monkeypatch):
    # The toy takes the place of a decoder that is known, under a name of its own.
    class Toy(decoders.MedianDecoder):
        name = "median_toy"

    with pytest.raises(ValueError, match="decoder must be"):
        decoders.make_decoder("median_toy")
    registered = decoders._registry
    monkeypatch.setattr(registered, "_REGISTRY", dict(registered._REGISTRY))
    decoders.register(Toy)
    assert type(decoders.make_decoder("median_toy")) is Toy
    for check in checks.yield_decoder_checks("median_toy"):
        check()
