"""Many dense rows: the sums of two passes, the same bits for all threads, whole numbers exactly."""

import numpy as np
import pytest

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig._base.threads import limit_threads
from sklearn_sparse_eig.kernels import use_backend
from sklearn_sparse_eig.sketching import _dense_rows

N, ROWS = 600, 300
EXACT = {"n_measurements": None, "measurement": "identity"}
REGIMES = {
    "exact": EXACT,
    "range": EXACT | {"range_size": 40},
    "mam": {"n_measurements": 160},
    "two_sided": {"n_measurements": 160, "range_size": 40},
}


def new(regime):
    return EigenSketch(N, random_state=3, **REGIMES[regime])


def real(dtype=float, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(ROWS, N)) + 1e3 * rng.normal(size=N)).astype(dtype)


def pixels(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (ROWS, N)).astype(np.uint8)


def weights_of(kind):
    rng = np.random.default_rng(1)
    return {"none": None, "scalar": 3.0, "vector": rng.uniform(0.5, 2.0, ROWS)}[kind]


def assert_is_of_two_passes(sketch, X, weights, rtol=1e-11):
    X = np.asarray(X, dtype=np.longdouble)
    w = np.ones(len(X)) if weights is None else np.broadcast_to(weights, len(X))
    w = np.asarray(w / w.sum(), np.longdouble)
    centred = (X - w @ X).astype(float)
    ids = np.arange(N)
    M, Omega = (side.columns(ids).toarray() for side in (sketch.measurement, sketch.test))
    S = ((centred @ M).T * w.astype(float)) @ (centred @ Omega)
    assert np.linalg.norm(sketch.matrix() - S) <= rtol * np.linalg.norm(S)
    np.testing.assert_allclose(sketch.feature_variance(), w @ centred**2, rtol=1e-9)
    np.testing.assert_allclose(sketch.feature_mean(), (w @ X).astype(float), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("kind", ["none", "scalar", "vector"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int16, ">f8"])
@pytest.mark.parametrize("backend", ["numba", "scipy"])
@pytest.mark.parametrize("regime", REGIMES)
def test_sums_are_those_of_two_passes(regime, backend, dtype, kind):
    if backend == "numba":
        pytest.importorskip("numba")
    X, weights = real(dtype) if np.dtype(dtype).kind == "f" else pixels().astype(dtype), None
    weights = weights_of(kind)
    with use_backend(backend):
        sketch = new(regime)
        for part in (slice(0, 120), slice(120, ROWS)):
            some = weights if np.ndim(weights) == 0 else weights[part]
            sketch.update(X[part], sample_weight=some)
    assert_is_of_two_passes(sketch, X, weights)


@pytest.mark.parametrize("regime", REGIMES)
def test_rows_in_any_order_of_memory(regime):
    X = real()
    expected = new(regime).update(X)
    for rows in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], np.repeat(X, 2, 0)[::2]):
        assert not rows.flags.c_contiguous
        S = new(regime).update(rows).matrix()
        np.testing.assert_allclose(S, expected.matrix(), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
@pytest.mark.parametrize("regime", REGIMES)
def test_bits_do_not_depend_on_threads(regime, dtype):
    X = pixels() if dtype == np.uint8 else real(dtype)
    saved = set()
    for n_threads in (1, 2, 3, 7):
        with limit_threads(n_threads):
            saved.add(new(regime).update(X).update(X[:77]).to_bytes())
    assert len(saved) == 1


# -------------------------------------------------------------------------------- whole numbers


def in_float64(X, monkeypatch, weight=None):
    """The sketch of rows that are added in float64 whatever they hold."""
    with monkeypatch.context() as patch:
        patch.setattr(_dense_rows, "may_be_whole", lambda X, shift: False)
        return new("exact").update(X, sample_weight=weight)


@pytest.fixture
def taken(monkeypatch):
    """A list that tells, for each block, whether float32 was tried and whether it was taken."""
    calls, original = [], _dense_rows._add_whole

    def watched(*args):
        total = original(*args)
        calls.append(total is not None)
        return total

    monkeypatch.setattr(_dense_rows, "_add_whole", watched)
    return calls


@pytest.mark.parametrize("weight", [None, 2.0, 0.3])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("backend", ["numba", "scipy"])
def test_pixels_are_added_exactly(backend, dtype, weight, taken, monkeypatch):
    if backend == "numba":
        pytest.importorskip("numba")
    X = pixels().astype(dtype)
    with use_backend(backend):
        fast = new("exact").update(X, sample_weight=weight)
        assert taken == [True]
        slow = in_float64(X, monkeypatch, weight)
    assert fast.to_bytes() == slow.to_bytes()
    if weight is None:  # and there is no rounding at all in either
        centred = X.astype(np.int64) - fast._left.shift.astype(np.int64)
        np.testing.assert_array_equal(np.triu(fast._cross), np.triu(centred.T @ centred))
        np.testing.assert_array_equal(fast._left.total, centred.sum(axis=0))


@pytest.mark.parametrize("peak", [255, 360, 400, 5000])
def test_counts_are_added_in_float32_only_where_that_is_exact(peak, taken, monkeypatch):
    # 128 rows of one column at its peak are within 2**24 up to 362.
    X = 2.0 * peak * np.random.default_rng(0).permuted(np.tile([0, 1], (N, ROWS // 2)), axis=1).T
    fast = new("exact").update(X)
    assert taken == ([True] if peak <= 360 else [])
    assert fast.to_bytes() == in_float64(X, monkeypatch).to_bytes()
    centred = X - fast._left.shift
    np.testing.assert_array_equal(np.triu(fast._cross), np.triu(centred.T @ centred))


def test_what_is_found_late_is_added_in_float64(taken, monkeypatch):
    late = pixels().astype(float)
    late[-1, 5] += 0.25
    large = pixels().astype(float)
    large[200:, 7] = 5000.0
    for X in (late, large):
        sketch = new("exact").update(pixels())
        taken.clear()
        sketch.update(X)
        assert taken == [False]
        with monkeypatch.context() as patch:
            patch.setattr(_dense_rows, "may_be_whole", lambda X, shift: False)
            slow = new("exact").update(pixels()).update(X)
        assert sketch.to_bytes() == slow.to_bytes()


# ------------------------------------------------------------------------------- all or nothing


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("regime", REGIMES)
def test_rows_that_are_not_finite_change_nothing(regime, dtype, value):
    X = real(dtype)
    bad = X.copy()
    bad[-3, 17] = value
    zero = np.ones(ROWS)
    zero[-3] = 0.0
    opposite = np.where(np.arange(ROWS) % 2, 1.0, -1.0)
    for sketch in (new(regime), new(regime).update(X)):
        before = sketch.to_bytes()
        for rows, weights in (
            (bad, None),
            (bad, zero),  # though it has no part in the sums
            (bad, opposite),
            (bad, 0.0),
            (bad[-3:-2], None),
        ):
            with pytest.raises(ValueError, match="X contains NaN or infinity"):
                sketch.update(rows, sample_weight=weights)
            assert sketch.to_bytes() == before


@pytest.mark.parametrize("options", [{}, {"sketch": "mam", "n_measurements": 80}])
def test_estimators_say_it_in_the_words_of_scikit_learn(options):
    X = real()
    bad = X.copy()
    bad[250, 17] = np.nan
    pca = SketchedSparsePCA(2, random_state=0, forgetting=0.99, **options).partial_fit(X)
    before = pca.sketch_.to_bytes()
    for fit in (pca.fit, pca.partial_fit):
        with pytest.raises(ValueError, match="Input X contains NaN.\nSketchedSparsePCA does not"):
            fit(bad)
        with pytest.raises(ValueError, match="Input X contains infinity or a value too large"):
            fit(np.where(np.isnan(bad), np.inf, bad))
        assert pca.sketch_.to_bytes() == before
        assert pca.n_samples_seen_ == ROWS
