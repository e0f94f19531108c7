"""The recommended size can be made, is the estimator's own, and enough where it says so."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA, recommend_sketch
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

requests = st.fixed_dictionaries(
    {
        "n_features": st.one_of(st.integers(1, 5000), st.integers(1, 2**62)),
        "n_components": st.integers(1, 20),
        "n_nonzero_coefs": st.integers(1, 300),
        "noise": st.one_of(st.just(0.0), st.floats(-6, 2).map(lambda x: 10**x)),
        "memory": st.floats(5, 10).map(lambda x: 10**x),
        "n_samples": st.integers(1, 10**7),
        "sketch": st.sampled_from(["auto", "two_sided", "mam"]),
    }
)


def recommended(request, **changes):
    try:
        return recommend_sketch(**(request | changes))
    except ValueError as error:
        assert "too small: the smallest sketch" in str(error)
        assume(False)


def possible(request):
    for name in ("n_components", "n_nonzero_coefs"):
        request[name] = min(request[name], request["n_features"])
    return request


@settings(max_examples=200, deadline=None)
@given(requests)
def test_memory_needed_is_enough(request):
    found = recommended(possible(request))
    assert (found.memory_needed < math.inf) or not found.sufficient
    if found.sufficient:
        assert found.memory_needed <= request["memory"]
    if found.memory_needed < math.inf:
        assert recommended(request, memory=found.memory_needed).sufficient
    else:
        assert not recommended(request, memory=1e24).sufficient


@settings(max_examples=200, deadline=None)
@given(requests)
def test_rows_needed_are_enough_and_no_more(request):
    found = recommended(possible(request))
    needed = found.n_samples_needed
    if needed == math.inf:
        assert not found.supports_fit
        return
    # A relative rounding error of the ratio is worth twice as much in rows.
    assert recommended(request, n_samples=math.ceil(needed * (1 + 1e-12)) + 1).sufficient
    fewer = int(0.99 * needed) - 1
    if fewer >= 1:
        assert not recommended(request, n_samples=fewer).sufficient


@settings(max_examples=200, deadline=None)
@given(requests, st.floats(1, 100))
def test_more_noise_is_never_better(request, factor):
    request["noise"] = request["noise"] or 1.0
    quiet = recommended(possible(request))
    loud = recommended(request, noise=factor * request["noise"])
    assert loud.arguments() == quiet.arguments()
    assert loud.noise_ratio * factor == pytest.approx(quiet.noise_ratio)
    assert quiet.sufficient or not loud.sufficient
    assert quiet.memory_needed <= max(loud.memory_needed, request["memory"])
    assert quiet.n_samples_needed <= loud.n_samples_needed


@settings(max_examples=200, deadline=None)
@given(requests, st.floats(1, 100))
def test_more_memory_is_never_worse(request, factor):
    few = recommended(possible(request))
    many = recommended(request, memory=factor * request["memory"])
    # Rounding to a multiple of the blocks may cost a row of each block, of 16 at the least.
    assert many.noise_ratio >= 0.85 * few.noise_ratio
    # A sketch that keeps more of the features apart may well be smaller.
    order = ["compressed", "range", "exact"]
    is_better = order.index(many.regime) > order.index(few.regime)
    assert many.n_bytes >= 0.5 * few.n_bytes or many.regime == "exact" or is_better
    if few.sufficient:
        assert recommended(request, memory=2 * factor * request["memory"]).sufficient


@settings(max_examples=60, deadline=None)
@given(requests)
def test_is_the_sketch_of_the_estimator(request):
    request["memory"] = min(request["memory"], 1e8)
    found = recommended(possible(request))
    made = EigenSketch(request["n_features"], random_state=0, **found.arguments())
    assert (made.shape, made.nbytes) == (found.shape, found.n_bytes)
    pca = SketchedSparsePCA(
        request["n_components"],
        n_nonzero_coefs=request["n_nonzero_coefs"],
        sketch=request["sketch"],
        memory_budget=request["memory"],
        random_state=0,
    )
    chosen = pca._make_sketch(request["n_features"])
    assert (chosen.measurement, chosen.test) == (made.measurement, made.test)
    assert chosen.nbytes == made.nbytes


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("sketch, memory", [("mam", 4e6), ("two_sided", 4e6), ("auto", 8e6)])
def test_what_it_expects_comes_true(sketch, memory):
    N, n, r, s = 3000, 1000, 2, 5

    def found_and_planted(noise, scaled=False):
        data = make_sparse_spiked_covariance(
            n, N, eigenvalues=(1.5 / noise, 1 / noise), n_nonzero_coefs=s, random_state=3
        )
        found = recommend_sketch(N, r, s, noise, memory, n_samples=n, sketch=sketch)
        # Scaled features all have the same variance, which then points at none of them.
        X = data.data / data.data.std(axis=0) if scaled else data.data
        made = EigenSketch(N, random_state=0, **found.arguments()).update(X)
        recall = np.isin(data.support, made.recover(r, n_nonzero_coefs=s).support).mean()
        return found, recall

    unit = recommend_sketch(N, r, s, 1.0, memory, n_samples=n, sketch=sketch)
    found, recall = found_and_planted(0.99 * unit.noise_ratio / unit.required_ratio)
    assert found.sufficient and recall >= 0.9
    # A quarter of what shows in a spectrum.
    found, recall = found_and_planted(4 * unit.noise_ratio, scaled=True)
    assert not found.sufficient and recall < 0.7


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_features": 0}, r"n_features must be an integer in \[1, 4611686018427387904\], got 0"),
        ({"n_features": 2.5}, "n_features must be an integer"),
        ({"n_components": 101}, r"n_components must be an integer in \[1, 100\], got 101"),
        ({"n_nonzero_coefs": "auto"}, "n_nonzero_coefs must be an integer"),
        ({"n_samples": 0}, "n_samples must be an integer"),
        ({"noise": -1.0}, "noise must be a finite number, not negative, got -1.0"),
        ({"noise": math.nan}, "noise must be"),
        ({"noise": "diagonal"}, "noise must be"),
        ({"memory": -1}, "memory must be"),
        ({"noise": 0.5, "n_samples": None}, "noise=0.5 needs n_samples"),
        ({"memory": 10.0}, "is too small: the smallest sketch"),
        ({"sketch": "one_sided"}, "sketch must be"),
    ],
    ids=str,
)
def test_bad_requests(options, message):
    request = {"n_features": 100, "n_components": 2, "n_nonzero_coefs": 5, "n_samples": 50}
    with pytest.raises(ValueError, match=message):
        recommend_sketch(**(request | options))


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["compressed sketch of 16384 x 256", "should be enough", "Without noise a budget of"]),
        ({}, ["would already do; for rows with noise pass noise= and n_samples="]),
        (
            {"noise": 1e-4},
            ["should be enough", " times are needed", "A budget of"],
        ),
        ({"noise": 1.0}, ["not expected", "2 times are needed", "It takes ", "rows"]),
        (
            {"n_nonzero_coefs": 3000},
            ["not expected", "cannot tell the features", "No sketch would"],
        ),
        ({"n_features": 30_000}, ["sketch of the range, 30000 x"]),
        ({"n_features": 300}, ["exact covariance, 300 x 300", "725 kB"]),
    ],
    ids=str,
)
def test_says_it_in_words(options, words):
    request = {"n_features": 10**6, "n_components": 4, "n_nonzero_coefs": 20, "n_samples": 1000}
    text = str(recommend_sketch(**(request | options)))
    assert all(word in text for word in words), text


def test_spelling_ids_needs_more():
    """Where features are identified by buckets, these decide, and are a part of the sketch."""
    request = {"n_components": 3, "n_nonzero_coefs": 10, "n_samples": 1000, "memory": 32e6}
    huge = recommend_sketch(2**62, noise=20_000 / 60 / 2**62, **request)
    narrow = recommend_sketch(2**27, noise=20_000 / 60 / 2**27, sketch="two_sided", **request)
    assert huge.identification is not None and narrow.identification is None
    assert huge.required_ratio > narrow.required_ratio
    assert not huge.sufficient and narrow.sufficient
    assert recommend_sketch(2**62, noise=20_000 / 120 / 2**62, **request).sufficient
    sketch = EigenSketch(2**62, **huge.arguments(), random_state=0)
    assert sketch.identifies and sketch.nbytes == huge.n_bytes
