"""Signs that rounding would decide: entries of equal size lead a vector by their order."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    GradPCADetector,
    SketchedSparsePCA,
    sparse_eigsh,
)

TIED = np.array([1.0, -1.0, 1.0, -1.0])


def rows(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(30, 1)) * TIED


VECTORS = {
    "pca": lambda X: (
        SketchedSparsePCA(1, n_nonzero_coefs=4, random_state=0).fit(X).components_.toarray()[0]
    ),
    "matrix": lambda X: DeepMatrixFactorization(rank=1).fit(X).components_[0],
    "covariance": lambda X: DeepFactorizationCovariance(assume_centered=True).fit(X).components_[0],
    "eigsh": lambda X: (
        sparse_eigsh(np.asarray(X.T @ X, dtype=np.float64), 1).eigenvectors.toarray().ravel()
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", VECTORS)
def test_tied_entries_lead_by_their_order(name):
    for seed in range(10):
        X = rows(seed)
        # Equal up to rounding, in any order of rows and any precision.
        for given in (X, X[::-1], -X, X.astype(np.float32), X * (1 + 1e-12 * rows(seed + 50))):
            np.testing.assert_allclose(VECTORS[name](given), TIED / 2, atol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_the_direction_of_two_classes_points_to_the_first():
    """Its two class means have equal weights of opposite signs."""
    y = np.arange(30) % 2
    for seed in range(10):
        X = np.random.default_rng(seed).normal(size=(30, 5)) + y[:, None]
        model = LogisticRegression().fit(X, y)
        for order in (slice(None), slice(None, None, -1)):
            detector = GradPCADetector(model, random_state=0).fit(X[order], y[order])
            coordinates = detector.transform(X)[:, 0]
            assert coordinates[y == 0].mean() > coordinates[y == 1].mean()
