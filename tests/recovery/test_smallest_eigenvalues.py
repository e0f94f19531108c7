"""The algebraically smallest eigenvalues of a sketch of rows."""

import numpy as np
import pytest

from sklearn_sparse_eig import EigenSketch


@pytest.fixture
def rows():
    X = np.random.default_rng(0).normal(size=(500, 4)) * [10, 1, 3, 5]
    return X + 0.3 * X[:, ::-1]


def sketched(X):
    return EigenSketch(4, n_measurements=None, measurement="identity").update(X)


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("noise", [None, "isotropic"])
def test_they_are_those_of_the_covariance(rows, noise):
    pairs = sketched(rows).recover(2, n_nonzero_coefs=4, noise=noise, which="SA")
    expected = np.linalg.eigvalsh(np.cov(rows.T, bias=True))[:2]
    np.testing.assert_allclose(np.sort(pairs.eigenvalues), expected, rtol=1e-9)


def test_they_have_no_noise_by_feature(rows):
    with pytest.raises(ValueError, match="which='SA'"):
        sketched(rows).recover(1, n_nonzero_coefs=4, noise="diagonal", which="SA")
