"""A sketch less noise: its squares from parts that do not depend on how much noise there is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.recovery._inverse_root import inverse_root
from sklearn_sparse_eig.recovery._joint_steps import captured_variance
from sklearn_sparse_eig.recovery._noise_matrix import noise_matrix
from sklearn_sparse_eig.recovery._nystrom import NystromModel
from sklearn_sparse_eig.recovery._pencil import Pencil

SIDES = {
    "identity": {"n_measurements": None, "measurement": "identity", "range_size": 24},
    "hashed": {"n_measurements": 120, "range_size": 24},
    "exact": {"n_measurements": None, "measurement": "identity"},
}


def sketch_of_noise(n_samples=200, N=300, **sides):
    X = np.random.default_rng(0).normal(size=(n_samples, N))
    return EigenSketch(N, random_state=0, **sides).update(X)


@pytest.mark.parametrize("sides", SIDES)
def test_squares_are_those_of_the_difference_written_out(sides):
    sketch = sketch_of_noise(**SIDES[sides])
    S, G = sketch.operator(), noise_matrix(sketch)
    pencil = Pencil(S, G)
    dense, noise = np.asarray(S), np.asarray(G)
    assert_allclose(pencil.inner, np.vdot(dense, noise), rtol=1e-6)
    # At the best factor least is left, and at the second one nearly all terms cancel.
    for factor in (0.0, 0.7, pencil.inner / G.squared_norm):
        left = pencil.at(factor)
        expected = dense - factor * noise
        size = np.vdot(expected, expected)
        assert_allclose(np.asarray(left), expected, atol=1e-7 * np.sqrt(size))
        assert_allclose(left.gram, expected.T @ expected, atol=1e-7 * size)
        assert_allclose(left.squared_norm, size, rtol=1e-7)


def test_squares_do_not_cancel_where_nothing_but_noise_was_seen():
    N, k = 60, 8
    sketch = EigenSketch(N, n_measurements=None, measurement="identity", range_size=k, center=False)
    # The rows of sqrt(N) I have the second moment I exactly: S = G.
    sketch.update(np.sqrt(N) * np.eye(N))
    S, G = sketch.operator(), noise_matrix(sketch)
    left = Pencil(S, G).at(1.0)
    assert left.squared_norm < 1e-28 * S.squared_norm
    assert np.abs(left.gram).max() < 1e-28 * S.squared_norm


@pytest.mark.parametrize("rank", [4, 11, 12])
def test_the_inverse_root_is_one(rank):
    F = np.random.default_rng(rank).normal(size=(12, rank))
    C = F @ F.T
    P = inverse_root(C)
    assert P.shape == (12, rank)
    assert_allclose(P.T @ C @ P, np.eye(rank), atol=1e-8)
    assert_allclose(C @ P @ P.T @ C, C, atol=1e-8 * np.abs(C).max())


@pytest.mark.parametrize("n_samples", [10, 200])
def test_what_sparse_vectors_capture_needs_no_product_with_all_features(n_samples):
    sketch = sketch_of_noise(n_samples, **SIDES["identity"])
    among = np.random.default_rng(1).random(300) < 0.5
    for mask in (None, among):
        model = NystromModel(sketch, sketch.operator(), mask)
        assert model.is_exact == (n_samples < 24)
        V = np.zeros((300, 3))
        V[:20] = np.random.default_rng(2).normal(size=(20, 3))
        assert_allclose(model.captured(V), captured_variance(model.multiply, V), rtol=1e-10)
        # Vectors of all features, which are multiplied otherwise, give the same.
        W = V + 1e-9
        assert_allclose(model.multiply(W), model.multiply(V), atol=1e-6)
