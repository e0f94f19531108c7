"""What components could reach at most, proven from the covariance that the sketch keeps."""

import warnings
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from sklearn_sparse_eig import SketchedSparsePCA, sparse_eigsh

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")


def rows(seed=0, n_features=9):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(30, n_features)) @ rng.normal(size=(n_features, n_features)) + 5.0


def best(A, size):
    return max(
        np.linalg.eigvalsh(A[np.ix_(ids, ids)])[-1] for ids in combinations(range(len(A)), size)
    )


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("noise", ["isotropic", "diagonal", None])
def test_the_bound_is_the_optimum_by_brute_force(center, noise):
    X = rows()
    A = np.cov(X, rowvar=False, bias=True) if center else X.T @ X / len(X)
    options = {"center": center, "noise": noise, "random_state": 0}
    pca = SketchedSparsePCA(2, n_nonzero_coefs=[3, 2], **options).partial_fit(X)
    pairs = pca.certify()
    assert_allclose(pairs.upper_bound, [best(A, 3), best(A, 2)], rtol=1e-9)
    assert (pairs.upper_bound >= pairs.eigenvalues * (1 - 1e-9)).all()
    vectors = pairs.eigenvectors.toarray()
    assert_allclose(pairs.eigenvalues, np.diag(vectors.T @ A @ vectors), rtol=1e-9)
    if noise != "diagonal":
        assert pairs.optimality_gap[0] < 1e-9


@pytest.mark.parametrize("sizes", [4, "auto"])
def test_it_is_that_of_sparse_eigsh(sizes):
    X = rows(1, 40)
    pca = SketchedSparsePCA(2, n_nonzero_coefs=sizes, random_state=0).fit(X)
    found = pca.certify()
    A = np.cov(X, rowvar=False, bias=True)
    counts = pca.n_nonzero_coefs_
    expected = sparse_eigsh(A, 2, n_nonzero_coefs=counts, certificate=True).upper_bound
    # Each search ends where it cannot do better than the vectors it was given.
    assert_allclose(found.upper_bound, expected, rtol=0.02)
    assert (found.optimality_gap >= 0.0).all()


def test_it_is_kept_until_rows_are_added():
    X = rows()
    pca = SketchedSparsePCA("auto", n_nonzero_coefs=3, random_state=0).fit(X)
    components = pca.components_.toarray()
    assert pca.eigenpairs_.upper_bound is None and pca.eigenpairs_.optimality_gap is None
    pairs = pca.certify()
    assert pca.certify() is pairs and pca.eigenpairs_ is pairs
    assert_array_equal(pca.components_.toarray(), components)
    pca.partial_fit(2.0 * X)
    assert pca.eigenpairs_.upper_bound is None
    assert (pca.certify().upper_bound > pairs.upper_bound).all()


def test_errors():
    with pytest.raises(NotFittedError):
        SketchedSparsePCA().certify()
    with pytest.raises(NotFittedError, match="at least two rows"):
        SketchedSparsePCA().partial_fit(rows()[:1]).certify()
    options = {"measurement": "identity", "range_size": 6, "random_state": 0}
    pca = SketchedSparsePCA(1, n_nonzero_coefs=3, **options).fit(rows())
    with pytest.raises(ValueError, match="keeps a part.*range_size as large"):
        pca.certify()


def test_a_range_as_large_as_the_features_keeps_the_covariance_whatever_the_budget():
    X = np.random.default_rng(0).standard_normal((100, 300))
    options = {"n_nonzero_coefs": 3, "memory_budget": 1e6, "random_state": 0}
    with warnings.catch_warnings(action="ignore"):
        part = SketchedSparsePCA(1, **options).fit(X)
        whole = SketchedSparsePCA(1, range_size=300, **options).fit(X)
        with pytest.raises(ValueError, match="keeps a part"):
            part.certify()
        assert whole.certify().optimality_gap[0] >= 0.0
