"""The choice of the sketch keeps its promises: it fits, it is large enough, and it says so."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig.sketching import EigenSketch, SparseSignMeasurement
from sklearn_sparse_eig.sketching._sizing import choose_size


def shape(size, n_features):
    m = n_features if size.n_measurements is None else size.n_measurements
    return m, m if size.range_size is None else size.range_size


requests = {
    "n_features": st.one_of(st.integers(1, 5000), st.integers(1, 2**62)),
    "n_components": st.integers(1, 30),
    "n_nonzero": st.integers(1, 300),
    "sketch": st.sampled_from(["auto", "two_sided", "mam"]),
    "measurement": st.sampled_from(["sparse_sign", "gaussian", "identity"]),
    "feature_moments": st.booleans(),
    "memory_budget": st.floats(3, 10).map(lambda x: 10**x),
}


@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries(requests))
def test_fits_the_budget_and_separates_the_components(request):
    N, r = request["n_features"], request["n_components"]
    assume(r <= N)
    try:
        size = choose_size(**request)
    except ValueError as error:
        # What the message asks for must do, and not much less.
        needed = float(re.search(r"components needs (\S+)\. Raise", str(error)).group(1))
        assert needed > request["memory_budget"]
        size = choose_size(**(request | {"memory_budget": needed * 1.02}))
        with pytest.raises(ValueError, match="too small"):
            choose_size(**(request | {"memory_budget": needed / 2}))
        request["memory_budget"] = needed * 1.02
    m, k = shape(size, N)
    exact = size.measurement == "identity" and size.range_size is None
    state = 8 * (m * k + 2 * (m + k)) + 24 * N * size.feature_moments
    assert state <= request["memory_budget"] / 2
    assert exact or min(m, k) >= 2 * r
    if size.measurement != "identity":
        assert m % 8 == 0 and m >= 4 * min(request["n_nonzero"], N)
    if request["feature_moments"] and not exact:
        assert size.feature_moments


@pytest.mark.parametrize(
    "n_features, measurement, measured, ranged",
    [
        (1, "identity", None, None),
        (2000, "identity", None, None),
        (6906, "identity", None, 256),
        (100_000, "identity", None, 136),
        (10**6, "sparse_sign", 16384, 256),
        (2**62, "sparse_sign", 16384, 256),
    ],
)
def test_regimes_at_the_default_budget(n_features, measurement, measured, ranged):
    size = choose_size(n_features, 1, 50)
    assert (size.measurement, size.n_measurements) == (measurement, measured)
    assert size.range_size == ranged


@settings(max_examples=100, deadline=None)
@given(st.integers(10**9, 2**62), st.integers(1, 10), st.integers(1, 50), st.floats(7, 9))
def test_more_memory_is_never_worse(n_features, n_components, n_nonzero, log_budget):
    products = [
        np.prod(shape(choose_size(n_features, n_components, n_nonzero, memory_budget=b), 0))
        for b in 10**log_budget * np.array([1.0, 1.5, 4.0])
    ]
    # Rounding to a multiple of the blocks may cost a row of each block.
    assert all(b >= 0.98 * a for a, b in zip(products[:-1], products[1:], strict=True))


def test_sizes_that_are_asked_for_are_taken():
    assert shape(choose_size(50, 2, 5, n_measurements=100, range_size=9), 50) == (100, 9)
    assert shape(choose_size(5000, 2, 5, range_size=9), 5000) == (5000, 9)
    assert shape(choose_size(50, 2, 5, sketch="mam", n_measurements=24), 50) == (24, 24)
    given = SparseSignMeasurement(500, 64)
    assert choose_size(500, 2, 5, measurement=given, range_size=8).measurement is given
    assert choose_size(500, 2, 5, measurement=given, sketch="mam").range_size is None


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_measurements": 8}, "n_components=6 needs n_measurements >= 12, got 8"),
        ({"n_measurements": 64, "range_size": 11}, "needs range_size >= 12, got 11"),
        ({"measurement": "identity", "range_size": 4}, "needs range_size >= 12, got 4"),
        ({"sketch": "mam", "n_measurements": 8}, "needs n_measurements >= 12"),
        ({"measurement": SparseSignMeasurement(500, 8)}, "needs n_measurements >= 12"),
    ],
    ids=str,
)
def test_sizes_too_small_for_the_components(options, message):
    with pytest.raises(ValueError, match=message):
        choose_size(500, 6, 5, **options)


@pytest.mark.parametrize("sketch", ["auto", "two_sided", "mam"])
@pytest.mark.parametrize("measurement", ["sparse_sign", "gaussian", "identity", "prime_residue"])
@pytest.mark.parametrize("n_features", [1, 7, 300])
def test_the_sketch_can_be_made(sketch, measurement, n_features):
    size = choose_size(n_features, 1, 5, sketch=sketch, measurement=measurement)
    made = EigenSketch(n_features, random_state=0, **size.arguments())
    assert made.measurement.name == size.measurement
    assert made.nbytes <= 256e6 / 4


@pytest.mark.parametrize(("n_components", "limit"), [(2, 550_000), (10, 200_000)])
def test_limits_of_the_regimes_are_those_that_the_pages_name(n_components, limit):
    def regime(n_features):
        size = choose_size(n_features, n_components, 50)
        if size.measurement != "identity":
            return "compressed"
        return "exact" if size.range_size is None else "range"

    assert [regime(3_800), regime(3_900)] == ["exact", "range"]
    assert [regime(limit), regime(int(1.05 * limit))] == ["range", "compressed"]
    # Means and variances of the features, whatever the regime.
    assert choose_size(260_000, n_components, 50).feature_moments
    assert not choose_size(270_000, n_components, 50).feature_moments


def test_the_budget_that_is_asked_for_is_enough():
    """Moments that nothing needs are kept where there is room, not where this is too little."""
    request = {"n_features": 3772, "n_components": 11, "n_nonzero": 117, "memory_budget": 1e4}
    with pytest.raises(ValueError, match="too small") as caught:
        choose_size(**request)
    needed = float(re.search(r"components needs (\S+)\. Raise", str(caught.value)).group(1))
    sizes = [choose_size(**request | {"memory_budget": needed * f}) for f in (1.0, 1.02, 1.05, 1.5)]
    assert not sizes[0].feature_moments and sizes[-1].feature_moments
