"""Components and sparse eigenvectors without negative entries."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import sklearn_sparse_eig.recovery._non_negative as module
from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA, sparse_eigsh
from sklearn_sparse_eig.estimator_checks import (
    check_estimator_batches,
    check_estimator_merge,
    check_estimator_weights,
    check_sketch_estimator,
)
from sklearn_sparse_eig.recovery import sparse_principal_vectors
from sklearn_sparse_eig.recovery._joint_steps import captured_variance
from sklearn_sparse_eig.recovery._non_negative_steps import non_negative_columns

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")

REGIMES = {
    "exact": {},
    "range": {"measurement": "identity", "range_size": 24},
    "two_sided": {"sketch": "two_sided", "n_measurements": 56, "range_size": 32},
    "mam": {"sketch": "mam", "n_measurements": 56},
    "diagonal": {"noise": "diagonal"},
}


def mixed_rows(n_features=60, seed=0):
    """Rows of two directions with loadings of both signs, and a mean."""
    rng = np.random.default_rng(seed)
    loadings = np.zeros((2, n_features))
    loadings[0, :6] = 6.0 * np.array([1.0, 0.9, 0.8, 1.1, -0.9, -0.7])
    loadings[1, 10:16] = 5.0 * np.array([1.0, -0.8, 0.9, -1.1, 0.9, 0.7])
    rows = rng.standard_normal((240, 2)) @ loadings
    return rows + 0.3 * rng.standard_normal((240, n_features)) + 1.0


def of_form(vectors, size):
    assert (vectors >= 0.0).all()
    assert_allclose(np.linalg.norm(vectors, axis=0), 1.0, rtol=1e-12)
    assert (np.count_nonzero(vectors, axis=0) <= size).all()


def brute_force(B, s):
    """The largest eigenvalue over supports whose eigenvector has one sign."""
    best = -np.inf
    for size in range(1, s + 1):
        for ids in map(list, combinations(range(len(B)), size)):
            values, vectors = np.linalg.eigh(B[np.ix_(ids, ids)])
            v = vectors[:, -1] * (1.0 if vectors[:, -1].sum() > 0.0 else -1.0)
            if (v >= -1e-12).all():
                best = max(best, values[-1])
    return best


@st.composite
def problems(draw):
    p = draw(st.integers(2, 8))
    s = draw(st.integers(1, p))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    G = rng.normal(size=(p, p))
    kind = draw(st.sampled_from(["psd", "indefinite", "negative", "ties"]))
    return {"psd": G @ G.T, "indefinite": G + G.T, "negative": -G @ G.T, "ties": np.sign(G + G.T)}[
        kind
    ], s


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from(["LA", "SA", "LM"]))
def test_small_matrices_agree_with_brute_force(problem, which):
    A, s = problem
    pairs = sparse_eigsh(A, 1, n_nonzero_coefs=s, which=which, positive=True)
    v = pairs.eigenvectors.toarray()
    of_form(v, s)
    signed = {"LA": (1.0,), "SA": (-1.0,), "LM": (1.0, -1.0)}[which]
    best = max(brute_force(sign * A, s) for sign in signed)
    found = max(sign * pairs.eigenvalues[0] for sign in signed)
    assert_allclose(found, best, atol=1e-9 * np.abs(A).max())


@settings(max_examples=60, deadline=None)
@given(problems())
def test_the_search_alone_is_never_worse_than_clipping(problem):
    A, s = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW_SUPPORTS", 0)
        v = sparse_principal_vectors(A, 1, s, rng=0, positive=True).vectors[:, 0]
    of_form(v[:, None], s)
    u = sparse_principal_vectors(A, 1, s, rng=0).vectors[:, 0]
    slack = 1e-9 * np.abs(A).max()
    for part in (np.maximum(u, 0.0), np.maximum(-u, 0.0)):
        if part.any():
            part /= np.linalg.norm(part)
            assert v @ A @ v >= part @ A @ part - slack
    if (u >= 0.0).all():
        assert_allclose(v, u)


def test_the_search_alone_finds_most_optima():
    rng = np.random.default_rng(0)
    hits = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW_SUPPORTS", 0)
        for _ in range(40):
            G = rng.normal(size=(9, 9))
            found = sparse_principal_vectors(G + G.T, 1, 4, rng=0, positive=True).eigenvalues[0]
            hits += found > brute_force(G + G.T, 4) - 1e-9
    assert hits >= 38


def test_of_non_negative_matrices_it_is_the_same():
    B = np.abs(np.random.default_rng(0).normal(size=(15, 15)))
    A = B @ B.T
    for which in (A, sp.csr_array(A)):
        free = sparse_eigsh(which, 1, n_nonzero_coefs=7)
        found = sparse_eigsh(which, 1, n_nonzero_coefs=7, positive=True, certificate=True)
        assert_array_equal(found.eigenvectors.toarray(), free.eigenvectors.toarray())
        assert found.upper_bound[0] >= found.eigenvalues[0] * (1 - 1e-12)
    with pytest.raises(ValueError, match="positive=True needs numbers"):
        sparse_eigsh(A, 1, positive=True)


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
def test_of_sketches_of_entries(which):
    G = np.random.default_rng(3).normal(size=(12, 12))
    A = G + G.T
    sketch = EigenSketch(12, n_measurements=None, measurement="identity", center=False)
    sketch.update_tile(np.arange(12), np.arange(12), A)
    options = {"n_nonzero_coefs": 3, "which": which, "positive": True}
    found, expected = sketch.recover(2, **options), sparse_eigsh(A, 2, **options)
    assert_allclose(found.eigenvalues[0], expected.eigenvalues[0])
    of_form(found.eigenvectors.toarray(), 3)
    of_form(expected.eigenvectors.toarray(), 3)


@pytest.mark.parametrize("refine", ["auto", "sketch"])
@pytest.mark.parametrize("sizes", [4, "auto"])
@pytest.mark.parametrize("regime", REGIMES)
def test_components_have_no_negative_loading(regime, sizes, refine):
    X = mixed_rows()
    options = {"n_nonzero_coefs": sizes, "refine": refine, "random_state": 0}
    pca = SketchedSparsePCA(2, positive=True, **options, **REGIMES[regime]).fit(X)
    V = pca.components_.toarray().T
    of_form(V, 60 if sizes == "auto" else sizes)
    # Planted: four loadings of one sign in each direction, of which the others are two.
    supports = [set(np.flatnonzero(column).tolist()) for column in V.T]
    assert {0, 1, 2, 3} in [ids & set(range(10)) for ids in supports]
    assert {10, 12, 14, 15} in [ids - set(range(10)) - set(range(16, 60)) for ids in supports]
    free = clone(pca).set_params(positive=False).fit(X).components_.toarray().T
    A = np.cov(X, rowvar=False, bias=True)

    def captured(V):
        return captured_variance(lambda Q: A @ Q, V)

    if regime in ("exact", "range"):
        assert captured(V) >= captured(non_negative_columns(free)) * (1 - 1e-9)


@pytest.mark.parametrize("regime", REGIMES)
def test_components_that_are_non_negative_stay(regime):
    rng = np.random.default_rng(1)
    X = 0.3 * rng.normal(size=(240, 60))
    X[:, :4] += 5.0 * rng.normal(size=(240, 1))
    X[:, 8:12] += 3.0 * rng.normal(size=(240, 1))
    pca = SketchedSparsePCA(2, n_nonzero_coefs=4, random_state=0, **REGIMES[regime])
    free = pca.fit(X).components_.toarray()
    assert (free >= 0.0).all()
    assert_array_equal(clone(pca).set_params(positive=True).fit(X).components_.toarray(), free)


@pytest.mark.parametrize("refine", ["data", "sketch"])
def test_of_more_features_than_candidates(refine):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 6)) @ rng.normal(size=(6, 1100))
    options = {"measurement": "identity", "range_size": 32, "random_state": 0}
    pca = SketchedSparsePCA(2, n_nonzero_coefs=8, refine=refine, **options)
    free = pca.fit(X).components_.toarray().T
    V = clone(pca).set_params(positive=True).fit(X).components_.toarray().T
    of_form(V, 8)
    Xc = X - X.mean(axis=0)

    def captured(V):
        return captured_variance(lambda Q: Xc.T @ (Xc @ Q), V)

    assert captured(V) >= captured(non_negative_columns(free)) * (1 - 1e-9)


def test_laws():
    options = {"n_nonzero_coefs": 4, "positive": True, "random_state": 0}
    pca = SketchedSparsePCA(2, **options)
    for check in (check_estimator_batches, check_estimator_merge, check_estimator_weights):
        check(pca, mixed_rows())
    check_estimator_merge(SketchedSparsePCA(2, **options, **REGIMES["two_sided"]), mixed_rows())


@pytest.mark.slow
def test_all_laws():
    check_sketch_estimator(SketchedSparsePCA(2, n_nonzero_coefs=4, positive=True, random_state=0))


def test_search_over_it():
    search = GridSearchCV(
        SketchedSparsePCA(2, n_nonzero_coefs=6, random_state=0), {"positive": [False, True]}, cv=3
    ).fit(mixed_rows())
    assert search.best_params_ == {"positive": False}  # half of the planted loadings are negative
    with pytest.raises(ValueError, match="'positive' parameter"):
        SketchedSparsePCA(positive="yes").fit(mixed_rows())
