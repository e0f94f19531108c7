"""Components never hold less variance than PCA with small loadings set to zero."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.estimator_checks import check_at_least_thresholded_pca
from sklearn_sparse_eig.recovery import joint_principal_vectors, sparse_principal_vectors
from sklearn_sparse_eig.recovery._joint_steps import captured_variance

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")


def captured(A, V):
    return captured_variance(lambda Q: A @ Q, V)


REGIMES = {
    "exact": {},
    "range": {"measurement": "identity", "range_size": 48},
    "uncentred": {"center": False},
    "no noise": {"noise": None},
}


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("shape", [(1, 5), (3, 10), (5, 40)], ids=str)
def test_on_dense_directions(regime, shape):
    r, s = shape
    pca = SketchedSparsePCA(r, n_nonzero_coefs=s, random_state=0, **REGIMES[regime])
    check_at_least_thresholded_pca(pca)


def test_of_more_features_than_candidates():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 6)) @ rng.normal(size=(6, 1100))
    check_at_least_thresholded_pca(SketchedSparsePCA(3, n_nonzero_coefs=15, random_state=0), X)


@pytest.mark.parametrize("regime", ["exact", "range"])
def test_more_components_than_rank(regime):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9, 4)) @ rng.normal(size=(4, 120))
    pca = SketchedSparsePCA(7, n_nonzero_coefs=6, random_state=0, **REGIMES[regime])
    check_at_least_thresholded_pca(pca, X if regime == "exact" else sp.csr_array(X))


# Where vectors found one after another span less: five times in a hundred.
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 14), st.integers(2, 4), st.integers(2, 5))
def test_small_problems_keep_it(seed, p, r, s):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2 * p, p))
    A = X.T @ X
    thresholded = np.linalg.eigh(A)[1][:, ::-1][:, :r].copy()
    for column in thresholded.T:
        column[np.argsort(-np.abs(column))[s:]] = 0.0
    found = joint_principal_vectors(A, [s] * r, rng=0)
    assert (np.count_nonzero(found, axis=0) <= s).all()
    assert captured(A, found) >= captured(A, thresholded) * (1.0 - 1e-9)


def test_one_after_another_may_span_less():
    rng = np.random.default_rng(19)
    gains = []
    for _ in range(15):
        X = rng.normal(size=(12, 5))
        A = np.cov(X, rowvar=False, bias=True)
        pca = SketchedSparsePCA(4, n_nonzero_coefs=2, random_state=0)
        check_at_least_thresholded_pca(pca, X)
        single = sparse_principal_vectors(A, 4, 2, rng=0).vectors
        together = pca.fit(X).components_.toarray().T
        gains.append(captured(A, together) / captured(A, single))
    assert max(gains) > 1.001 and min(gains) > 1.0 - 1e-9


def test_vectors_may_be_longer_than_the_candidates_are_many():
    A = np.diag([3.0, 2.0, 1.0]) + 0.1
    found = joint_principal_vectors(A, [5, 7], rng=0)
    assert captured(A, found) == pytest.approx(np.linalg.eigvalsh(A)[1:].sum())


class LeadingFeatures(SketchedSparsePCA):
    """Finds the first features, whatever the data."""

    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.fixed = np.eye(self.n_components, X.shape[1])
        return self

    @property
    def components_(self):
        return self.fixed


def test_the_check_fails_when_it_should():
    with pytest.raises(AssertionError, match=r"of the variance against .* of thresholded PCA"):
        check_at_least_thresholded_pca(LeadingFeatures(2, n_nonzero_coefs=5, random_state=0))
    with pytest.raises(ValueError, match="int n_nonzero_coefs"):
        check_at_least_thresholded_pca(SketchedSparsePCA(2, random_state=0))
