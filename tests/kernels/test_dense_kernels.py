"""The kernels of dense rows: twins agree, in any type and order, and write where they are told."""

from importlib.util import find_spec

import numpy as np
import pytest

from sklearn_sparse_eig import kernels
from sklearn_sparse_eig._base.threads import limit_threads
from sklearn_sparse_eig.kernels import use_backend

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
BACKENDS = [pytest.param("numba", marks=needs_numba), "scipy"]
DTYPES = [np.float64, np.float32, np.uint8, np.int32, bool, ">f4"]
ORDERS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
}


@pytest.fixture(params=BACKENDS)
def backend(request):
    with use_backend(request.param):
        yield request.param


def rows_of(dtype, n=37, n_features=53, order="C"):
    X = np.random.default_rng(0).integers(0, 9, (n, n_features))
    X = X + 0.25 if np.dtype(dtype).kind == "f" else X
    return ORDERS[order](X.astype(dtype))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_centre_columns(backend, dtype, order):
    X = rows_of(dtype, order=order)
    left, right, at = 11, 40, 3
    shift = np.random.default_rng(1).normal(size=right - left)
    for wants_squares in (False, True):
        out = np.full((len(X), 60), 7.0)
        total, squares = np.ones(right - left), np.ones(right - left)
        more = (squares,) if wants_squares else ()
        kernels.centre_columns(X, left, right, shift, out, at, total, *more)
        centred = X[:, left:right].astype(float) - shift
        np.testing.assert_array_equal(out[:, at : at + right - left], centred)
        assert (out[:, :at] == 7.0).all() and (out[:, at + right - left :] == 7.0).all()
        np.testing.assert_allclose(total, 1.0 + centred.sum(axis=0), rtol=1e-12, atol=1e-12)
        expected = 1.0 + (centred**2).sum(axis=0) if wants_squares else np.ones(right - left)
        np.testing.assert_allclose(squares, expected, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 37])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_add_moments(backend, dtype, weighted, n):
    X = rows_of(dtype, n)
    rng = np.random.default_rng(1)
    shift, weights = rng.normal(size=20), rng.normal(size=n)
    total, squares = np.ones(20), np.ones(20)
    kernels.add_moments(X, 5, 25, shift, weights if weighted else None, total, squares)
    w, centred = weights if weighted else np.ones(n), X[:, 5:25].astype(float) - shift
    np.testing.assert_allclose(total, 1.0 + w @ centred, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(squares, 1.0 + w @ centred**2, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 3), (8, 8), (70, 8), (9, 61), (150, 64)])
def test_sketch_dense_twice(backend, shape, dtype, order):
    X = rows_of(dtype, *shape, order=order)
    hashes = (5, 8, 16), (7, 3, 4)
    shift = np.random.default_rng(1).normal(size=shape[1])
    Y, Z, total, squares = kernels.sketch_dense_twice(X, *hashes, shift)
    for measured, key in zip((Y, Z), hashes, strict=True):
        expected = kernels.sketch_dense(X, *key)
        np.testing.assert_allclose(measured, expected, rtol=1e-12, atol=1e-12)
    centred = X.astype(float) - shift
    np.testing.assert_allclose(total, centred.sum(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(squares, (centred**2).sum(axis=0), rtol=1e-12)
    Y, Z, *sums = kernels.sketch_dense_twice(X, *hashes)
    assert [s.size for s in sums] == [0, 0] and Y.shape == (shape[0], 128)


@needs_numba
def test_columns_beyond_one_table(monkeypatch):
    from sklearn_sparse_eig.kernels import _numba_dense

    X = rows_of(float, 19, 99)
    shift = np.ones(99)
    expected = kernels.sketch_dense_twice(X, (5, 8, 16), (7, 3, 4), shift)
    monkeypatch.setattr(_numba_dense, "_TABLE", 8 * 24)
    parts = kernels.sketch_dense_twice(X, (5, 8, 16), (7, 3, 4), shift)
    for some, whole in zip(parts, expected, strict=True):
        np.testing.assert_allclose(some, whole, rtol=1e-12, atol=1e-12)


def test_bits_do_not_depend_on_threads(backend):
    X = np.random.default_rng(0).normal(size=(300, 1001))
    results = []
    for n_threads in (1, 2, 3, 7):
        with limit_threads(n_threads):
            results.append(kernels.sketch_dense_twice(X, (5, 8, 16), (7, 3, 4), X.mean(axis=0)))
    for other in results[1:]:
        for some, same in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(some, same)


def test_sums_that_do_not_fit_are_refused(backend):
    X, ones = np.ones((3, 10)), np.ones(5)
    for left, right in ((0, 4), (7, 12), (-2, 3), (6, 1)):
        with pytest.raises(ValueError, match="do not fit sums of lengths"):
            kernels.add_moments(X, left, right, ones, None, ones.copy(), ones.copy())
    with pytest.raises(ValueError, match="shift must have length 10"):
        kernels.sketch_dense_twice(X, (5, 8, 16), (7, 3, 4), ones)
