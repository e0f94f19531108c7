"""``from_bytes`` refuses by ValueError what nobody has written, before it sets memory aside."""

import json
import time
import tracemalloc

import numpy as np
import pytest
from hostile import is_refused, join, mutated, seeds, split
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.sketching import PrimeResidueMeasurement

SEEDS = seeds()
TWO_SIDED = EigenSketch(20, n_measurements=16, range_size=8, identification=(3, 8), random_state=0)
TWO_SIDED = TWO_SIDED.update(np.arange(60.0).reshape(3, 20) ** 2).to_bytes()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mutated_bytes_are_refused_or_of_use(seed):
    rng = np.random.default_rng(seed)
    is_refused(mutated(SEEDS[seed % len(SEEDS)], rng))


def test_mutations_are_read_and_refused():
    rng = np.random.default_rng(0)
    refused = [is_refused(mutated(SEEDS[i % len(SEEDS)], rng)) for i in range(300)]
    assert 0.05 < np.mean(refused) < 0.95  # both ways are tried


def with_value(value, *path):
    header, payload = split(TWO_SIDED)
    target = header
    for key in path[:-1]:
        target = target[key]
    assert path[-1] in target
    target[path[-1]] = value
    return join(header, payload)


def assert_refused_at_once(data, match=None):
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(ValueError, match=match):
            EigenSketch.from_bytes(data)
        assert time.process_time() - started < 1.0
        assert tracemalloc.get_traced_memory()[1] < 2**20 + 30 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [0, -16, 2**40, 2**62, 2**200, 16.0, "16", True, None, [16]])
@pytest.mark.parametrize(
    "path",
    [
        ("settings", "measurement", "n_measurements"),
        ("settings", "test", "n_measurements"),
        ("settings", "measurement", "n_features"),
        ("settings", "identification", "hash", "n_measurements"),
        ("settings", "identification", "width"),
        ("settings", "identification", "range_size"),
    ],
    ids=".".join,
)
def test_sizes_are_compared_with_the_bytes(path, value):
    if path[-1] != "n_measurements" or path[1] != "measurement" or value != 16:
        assert_refused_at_once(with_value(value, *path), "not those of a sketch")


@pytest.mark.parametrize("value", [2**40, 0, -1, 4097, 10**9])
def test_prime_sieves_stay_small(value):
    data = next(d for d in SEEDS if b'"prime_residue"' in d)
    header, payload = split(data)
    header["settings"]["measurement"]["n_blocks"] = value
    assert_refused_at_once(join(header, payload))
    with pytest.raises(ValueError, match="too small for n_blocks"):
        PrimeResidueMeasurement(20, 100, n_blocks=value)


@pytest.mark.parametrize(
    "value", ["inf", "-inf", "nan", "0x1p99999", "1e5000", "", None, 1.0, 10**400]
)
@pytest.mark.parametrize("name", ["weight", "_weight_squares", "_power"])
def test_numbers_are_finite(name, value):
    assert_refused_at_once(with_value(value, "scalars", name))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_sums_are_finite(value):
    header, payload = split(TWO_SIDED)
    n_floats = len(payload) // 8
    for place in (0, 1, n_floats // 2, n_floats - 1):
        array = np.frombuffer(payload, "<f8").copy()
        array[place] = value
        assert_refused_at_once(join(header, array.tobytes()))


@pytest.mark.parametrize("value", [2**63, -(2**63), 1.5, "3", None, True])
def test_rows_are_counted(value):
    assert_refused_at_once(with_value(value, "n_samples"))


def test_numbers_of_thousands_of_digits_are_refused():
    header, payload = split(TWO_SIDED)
    text = json.dumps(header | {"n_samples": 123456}, separators=(",", ":"))
    assert_refused_at_once(join(text.replace("123456", "9" * 5001).encode(), payload))


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"settings":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"settings":{"measurement":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"settings":NaN}',
        b"\xff\xfe{\x00}\x00",
        b"[]",
        b"null",
        b"",
    ],
    ids=["open", "objects", "lists", "nan", "utf-16", "list", "null", "empty"],
)
def test_headers_are_shallow_objects(text):
    assert_refused_at_once(join(text, b""), "not those of a sketch")


def test_lengths_and_keys_are_right():
    header, payload = split(TWO_SIDED)
    for data in (
        join(header, payload, length=2**32 - 1),
        join(header, payload + b"\0" * 8),
        join(header, payload[:-8]),
        join(header | {"more": 1}, payload),
        join(header | {"shards": {"a": 1}}, payload),
        join(header | {"shards": [["a"]]}, payload),
        join(header | {"content": None}, payload),
        join(header | {"content": "entries"}, payload),
        join({k: v for k, v in header.items() if k != "scalars"}, payload),
        join(dict(reversed(header.items())), payload),
    ):
        assert_refused_at_once(data)


def test_weights_fit_the_sums():
    header, payload = split(TWO_SIDED)
    header["moments_weight"] = (7.0).hex()
    assert_refused_at_once(join(header, payload), "another weight")
    for scalars in ({"weight": (1e-300).hex()}, {"_weight_squares": (1e-200).hex()}):
        changed = {"scalars": header["scalars"] | scalars, "moments_weight": scalars.get("weight")}
        changed["moments_weight"] = changed["moments_weight"] or header["scalars"]["weight"]
        assert_refused_at_once(join(header | changed, payload))


def test_rows_deleted_before_they_are_added_can_be_saved():
    X = np.random.default_rng(0).normal(size=(6, 20))
    sketch = EigenSketch(20, n_measurements=16, range_size=8, random_state=0)
    sketch.update(X[:3], sample_weight=-1.0)
    read = EigenSketch.from_bytes(sketch.to_bytes())
    assert read.n_samples == -3 and read.weight == -3.0
    total = read.update(X[:3]).update(X[3:])
    assert total.n_samples == 3


@pytest.mark.parametrize("scale", [1e-100, 1e69])
@pytest.mark.parametrize("weight", [1e-99, 1e99])
def test_all_that_is_let_in_can_be_saved(scale, weight):
    X = scale * np.random.default_rng(0).normal(size=(50, 20))
    for settings_ in ({"n_measurements": None, "measurement": "identity"}, {"n_measurements": 16}):
        sketch = EigenSketch(20, random_state=0, **settings_).update(X, sample_weight=weight)
        sketch.scale(1e-80)
        data = sketch.to_bytes()
        assert EigenSketch.from_bytes(data).to_bytes() == data
