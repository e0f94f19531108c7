"""The laws of a state over every estimator and sketch: one table of factories with small data."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    EigenSketch,
    GradientFeatures,
    GradPCADetector,
    LowRankRegressor,
    SeedConfidenceFilter,
    SketchedSparsePCA,
    SketchedSparsePCACV,
    WeightedFourierRegressor,
)
from sklearn_sparse_eig import estimator_checks as checks

RNG = np.random.default_rng(0)
N = 12
LOADINGS = 4.0 * (np.arange(N) < 3)
X = RNG.standard_normal((60, 1)) * LOADINGS + 0.3 * RNG.standard_normal((60, N))
Y = (X[:, 5] > 0).astype(int)
ROWS = np.split(X, 3)
PAIRS = list(zip(ROWS, np.split(Y, 3), strict=True))

pytestmark = pytest.mark.filterwarnings("ignore")


def matrix(sketch):
    return sketch.matrix()


def update(sketch, rows):
    sketch.update(rows)


def update_entries(sketch, rows):
    sketch.update_entries(np.arange(len(rows)) % N, np.arange(len(rows)) % 5, rows[:, 0])


def partial_fit(estimator, rows):
    estimator.partial_fit(rows)


def partial_fit_pair(estimator, pair):
    estimator.partial_fit(*pair)


def sketch(**options):
    return lambda: EigenSketch(N, random_state=0, **options)


TWO_SIDED = {"n_measurements": 16, "range_size": 8}
EXACT = {"n_measurements": None, "measurement": "identity"}
SKETCHES = {
    "exact": (sketch(**EXACT), update),
    "mam": (sketch(n_measurements=16), update),
    "two_sided": (sketch(**TWO_SIDED, feature_moments=True), update),
    "identification": (sketch(n_measurements=16, identification=(8, 8)), update),
    "entries": (sketch(**TWO_SIDED), update_entries),
}
STREAMS = {
    "pca_exact": (
        lambda: SketchedSparsePCA(1, random_state=0),
        partial_fit,
        ROWS,
        lambda pca: pca.components_,
    ),
    "pca_two_sided": (
        lambda: SketchedSparsePCA(
            1, sketch="two_sided", n_measurements=12, range_size=6, random_state=0
        ),
        partial_fit,
        ROWS,
        lambda pca: pca.components_,
    ),
    "grad_pca": (
        lambda: GradPCADetector(LogisticRegression().fit(X, Y), random_state=0),
        partial_fit_pair,
        PAIRS,
        lambda detector: detector.transform(X),
    ),
    "covariance": (
        lambda: DeepFactorizationCovariance(),
        partial_fit,
        ROWS,
        lambda covariance: covariance.covariance_,
    ),
}
FITS = {
    "pca": (lambda: SketchedSparsePCA(1, random_state=0), (X,)),
    "pca_cv": (lambda: SketchedSparsePCACV([1, 2], [3], cv=2, random_state=0), (X,)),
    "grad_pca": (lambda: GradPCADetector(LogisticRegression(), random_state=0), (X, Y)),
    "gradient_features": (lambda: GradientFeatures(random_state=0), (X, Y)),
    "covariance": (lambda: DeepFactorizationCovariance(), (X,)),
    "matrix": (lambda: DeepMatrixFactorization(), (X[:, :4], X[:, 4])),
    "low_rank": (lambda: LowRankRegressor(rank=1), (X, X[:, 0])),
    "diagonal_network": (lambda: DiagonalNetworkRegressor(), (X[:6], X[:6, 0])),
    "diagonal_network_cv": (
        lambda: DiagonalNetworkRegressorCV([3], [0.1], stopping_times=[2.0, 9.0], cv=2),
        (X[:6], X[:6, 0]),
    ),
    "fourier": (lambda: WeightedFourierRegressor(5, alpha=0.1), (X[:, :1], X[:, 0])),
    "seeds": (
        lambda: SeedConfidenceFilter(FunctionTransformer(), LogisticRegression(), quantile=0.5),
        (X, Y),
    ),
}


@pytest.mark.parametrize("name", SKETCHES)
def test_laws_of_sketches(name):
    make, feed = SKETCHES[name]
    for check in checks.yield_state_checks(make, feed, ROWS, matrix):
        check()


@pytest.mark.parametrize("name", STREAMS)
def test_laws_of_streams(name):
    merges = hasattr(STREAMS[name][0](), "merge")
    for check in checks.yield_state_checks(*STREAMS[name], merges=merges):
        check()


# Sixty fits each, which take ten seconds where one takes long.
LONG_FITS = {"diagonal_network", "diagonal_network_cv", "gradient_features", "seeds"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG_FITS else []) for n in FITS]
)
def test_an_error_in_a_refit_keeps_the_fit(name):
    make, data = FITS[name]
    checks.check_unchanged_on_error(
        lambda: make().fit(*data), lambda estimator: estimator.fit(*data), max_lines=60
    )


@pytest.mark.parametrize("name", FITS)
def test_a_refused_refit_keeps_the_fit(name):
    make, data = FITS[name]
    infinite = np.full_like(data[0], np.inf)
    checks.check_failed_refit_keeps_fit(
        make,
        lambda estimator: estimator.fit(*data),
        {"infinite rows": lambda estimator: estimator.fit(infinite, *data[1:])},
    )


def test_calibration_is_all_or_nothing():
    detector = GradPCADetector(LogisticRegression(), random_state=0)
    checks.check_unchanged_on_error(
        lambda: detector.fit(X, Y), lambda fitted: fitted.calibrate(X), max_lines=60
    )
