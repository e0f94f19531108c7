"""What a sketch has summed, less the mean, against the same matrix written out."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.sketching import SparseSignMeasurement
from sklearn_sparse_eig.sketching._state import _subtract_outer_columns

N = 700


def sketched(center=True, n_samples=40, mean=3.0, k=32):
    """Return the sketch of sparse rows, whose left side is not shifted to their mean."""
    rng = np.random.default_rng(0)
    X = rng.normal(mean, 1.0, size=(n_samples, N)) * (rng.random((n_samples, N)) < 0.1)
    return EigenSketch(
        N, n_measurements=None, measurement="identity", range_size=k, center=center
    ).update(sp.csr_array(X))


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_products_are_those_of_the_matrix_written_out(center, sign):
    sketch = sketched(center)
    S = sketch.operator() if sign > 0 else -sketch.operator()
    dense = np.asarray(S)
    rng = np.random.default_rng(1)
    W, P = rng.normal(size=(32, 3)), rng.normal(size=(N, 3))
    ids = np.sort(rng.choice(N, 300, replace=False))
    size = np.abs(dense).max()
    assert_allclose(S @ W, dense @ W, atol=1e-12 * size * 32)
    assert_allclose(S.T @ P, dense.T @ P, atol=1e-12 * size * N)
    assert_allclose(S.rows_product(ids, W), dense[ids] @ W, atol=1e-12 * size * 32)
    assert_allclose(S.rows_adjoint(ids, P[ids]), dense[ids].T @ P[ids], atol=1e-12 * size * N)
    assert_allclose(S.gram, dense.T @ dense, atol=1e-12 * size**2 * N)
    assert_allclose(S.squared_norm, np.vdot(dense, dense), rtol=1e-12)
    test = SparseSignMeasurement(N, 32, seed=5)
    columns = test.columns(np.arange(N)).toarray()
    assert_allclose(S.measured_by(test), columns.T @ dense, atol=1e-12 * size * N)
    assert S.measured_by(test) is S.measured_by(test)


def test_the_gram_matrix_does_not_cancel_where_the_mean_is_large():
    # C / weight is here a thousand times as large as what the mean leaves of it.
    sketch = sketched(n_samples=4000, k=8)
    side = sketch._left
    C, mean = sketch._cross, side.total / sketch.weight
    C += 1e5 * sketch.weight * np.outer(mean, np.ones(8))
    sketch._right.total += 1e5 * sketch.weight
    S = sketch.operator()
    dense = np.asarray(S)
    assert_allclose(S.gram, dense.T @ dense, atol=1e-9 * np.vdot(dense, dense))


@pytest.mark.parametrize("columns", [np.arange(50), np.array([0, 7, 31])])
def test_outer_products_are_subtracted_from_columns(columns):
    rng = np.random.default_rng(2)
    array = rng.normal(size=(2000, 50))
    left, right = rng.normal(size=2000), rng.normal(size=len(columns))
    expected = array.copy()
    expected[:, columns] -= np.outer(left, right)
    _subtract_outer_columns(array, columns, left, right)
    assert_allclose(array, expected, rtol=0, atol=1e-14)
