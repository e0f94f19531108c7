"""Candidates and the polish over all features: what dense leading directions must not cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig.recovery import Polished, polish, sparse_principal_vectors
from sklearn_sparse_eig.recovery._joint_solution import joint_principal_vectors
from sklearn_sparse_eig.recovery._joint_steps import captured_variance
from sklearn_sparse_eig.recovery._nystrom import NystromModel
from sklearn_sparse_eig.recovery._sequential_steps import sequential_power_vectors


def dense_directions(n_samples, n_features, seed):
    """Rows whose leading directions touch all features, as in expressions of genes."""
    rng = np.random.default_rng(seed)
    n_factors = 12
    loadings = rng.standard_t(4, size=(n_factors, n_features))
    scores = rng.normal(size=(n_samples, n_factors)) * 0.7 ** np.arange(n_factors)
    X = scores @ loadings + 2.0 * rng.normal(size=(n_samples, n_features))
    return (X - X.mean(axis=0)) / X.std(axis=0)


def share(components, X):
    Q = np.linalg.qr(np.asarray(components).T)[0]
    return np.square(X @ Q).sum() / np.square(X).sum()


def thresholded(X, n_components, n_nonzero):
    V = np.linalg.svd(X, full_matrices=False)[2][:n_components].copy()
    np.put_along_axis(V, np.argsort(-np.abs(V), axis=1)[:, n_nonzero:], 0.0, axis=1)
    return V


@pytest.mark.parametrize("refine", ["data", "sketch"])
@pytest.mark.parametrize("n_features", [1500, 4000])  # exact covariance; range sketch
@pytest.mark.parametrize("shape", [(3, 10), (5, 40)])
def test_never_below_thresholded_pca(shape, n_features, refine):
    r, s = shape
    for seed in range(2):
        X = dense_directions(80, n_features, seed)
        pca = SketchedSparsePCA(r, n_nonzero_coefs=s, refine=refine, random_state=0).fit(X)
        assert share(pca.components_.toarray(), X) > 1.02 * share(thresholded(X, r, s), X)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 6))
def test_polish_never_loses(seed, r, s):
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(30, 15))
    A = B @ B.T
    ids = np.sort(rng.choice(30, size=10, replace=False))
    sizes = np.full(r, s)

    def solve(ids, start_vectors=None):
        small = A[np.ix_(ids, ids)]
        return sparse_principal_vectors(small, r, sizes, start_vectors=start_vectors, rng=0).vectors

    start = Polished(ids, solve(ids))
    found = polish(lambda Q: A @ Q, solve, start, sizes, 30, 12)

    def captured(found):
        V = np.zeros((30, r))
        V[found.ids] = found.vectors
        return captured_variance(lambda Q: A @ Q, V)

    assert captured(found) >= captured(start) * (1 - 1e-12)
    assert (np.count_nonzero(found.vectors, axis=0) <= s).all()
    assert_allclose(np.linalg.norm(found.vectors, axis=0), 1.0)


def test_nystrom_is_exact_with_fewer_rows_than_the_range():
    X = np.random.default_rng(0).normal(size=(20, 60))
    sketch = EigenSketch(
        60, n_measurements=None, measurement="identity", range_size=32, random_state=0
    ).update(X)
    model = NystromModel(sketch, sketch.operator())
    A = np.cov(X, rowvar=False, bias=True)
    assert_allclose(model.matrix(np.arange(60)), A, atol=1e-8)
    Q = np.random.default_rng(1).normal(size=(60, 3))
    assert_allclose(model.multiply(Q), A @ Q, atol=1e-8)


@pytest.mark.parametrize("sparse", [False, True])
def test_products_of_the_second_reading_are_those_of_the_covariance(sparse):
    import scipy.sparse as sp

    from sklearn_sparse_eig.sparse_pca._second_reading import SecondReading

    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 30)) * (rng.random((50, 30)) < 0.4)
    if not sparse:
        X += 1e6
    weights = rng.uniform(0.5, 2.0, 50)
    rows = sp.csr_array(X) if sparse else X
    reading = SecondReading(
        lambda: ((rows[low : low + 20], weights[low : low + 20]) for low in (0, 20, 40)),
        30,
        True,
        None,
    )
    Q = rng.normal(size=(30, 3))
    mean, weight = reading.mean()
    A = np.cov(X, rowvar=False, aweights=weights, ddof=0)
    assert_allclose(reading.multiply(Q, mean, weight), A @ Q, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("seed", range(3))
def test_supports_that_fill_the_candidates_are_sought_among_all_features(seed):
    X = dense_directions(60, 1200, seed)
    sketch = EigenSketch(1200, n_measurements=None, measurement="identity", range_size=64)
    sketch.update(X)
    sizes = [30] * 8
    pairs = sketch.recover(8, n_nonzero_coefs=sizes, max_candidates=240)
    centred = X - X.mean(axis=0)

    def multiply(Q):
        return centred.T @ (centred @ Q) / len(X)

    reference = sequential_power_vectors(multiply, 1200, sizes)
    found = captured_variance(multiply, pairs.eigenvectors.toarray())
    assert found >= 0.99 * captured_variance(multiply, reference)


def test_vectors_that_are_the_same_are_replaced():
    """All of the variance lies in one direction, so that no others capture more."""
    x = np.array([1.0, 1.0, 1.0, 0.5])
    same = np.zeros((4, 2))
    same[0] = 1.0
    A = np.outer(x, x)
    for brief in (False, True):
        found = polish(
            lambda Q: A @ Q,
            lambda ids, V: joint_principal_vectors(A[np.ix_(ids, ids)], [1, 1], start_vectors=V),
            Polished(np.arange(4), same),
            [1, 1],
            4,
            200,
            products_are_cheap=True,
            brief=brief,
        )
        assert np.linalg.matrix_rank(found.vectors) == 2


@pytest.mark.parametrize("start", [None, np.eye(3)[:, [1, 1]]])
def test_vectors_stay_apart_where_the_matrix_is_negative(start):
    """One vector alone would hold more of a matrix less its noise."""
    A = np.full((3, 3), 0.96) - 1.17 * np.eye(3)
    A[1, 2] = A[2, 1] = 0.97
    found = joint_principal_vectors(A, [1, 1], start_vectors=start)
    assert np.linalg.matrix_rank(found) == 2
