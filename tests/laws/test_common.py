"""scikit-learn's own contract, over every regime of the sketch."""

import pickle
from io import BytesIO

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import (
    check_parameters_default_constructible,
    parametrize_with_checks,
)
from sklearn.utils.fixes import parse_version

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    GradientFeatures,
    GradPCADetector,
    LowRankRegressor,
    SeedConfidenceFilter,
    SketchedSparsePCA,
    SketchedSparsePCACV,
    WeightedFourierRegressor,
)

CONFIGURATIONS = [
    SketchedSparsePCA(),
    SketchedSparsePCA(n_nonzero_coefs=1, random_state=0),
    SketchedSparsePCA(n_nonzero_coefs=1, positive=True, random_state=0),
    SketchedSparsePCA("auto", random_state=0),
    SketchedSparsePCA("plateau", n_measurements=48, range_size=16, random_state=0),
    SketchedSparsePCA(refine="sketch", n_nonzero_coefs=1, random_state=0),
    SketchedSparsePCA(noise="diagonal", random_state=0),
    SketchedSparsePCA(noise=None, center=False, random_state=0),
    SketchedSparsePCA(sketch="two_sided", random_state=0),
    # In so narrow a sketch of noise rounding decides which features stand out: a number is given.
    SketchedSparsePCA(measurement="identity", range_size=4, n_nonzero_coefs=2, random_state=0),
    SketchedSparsePCA(n_measurements=48, range_size=16, random_state=0),
    SketchedSparsePCA(
        n_measurements=48, range_size=16, n_nonzero_coefs=1, refine="sketch", random_state=0
    ),
    SketchedSparsePCA(sketch="mam", n_measurements=64, refine="sketch", random_state=0),
    SketchedSparsePCACV([1, 2], [1, 2], cv=2, random_state=0),
    GradientFeatures(random_state=0),
    GradPCADetector(random_state=0),
    GradPCADetector(LogisticRegression(), random_state=0),
    GradPCADetector(LogisticRegression(), budget="1 GB", random_state=0),
    GradPCADetector.paper(LogisticRegression(), random_state=0),
    GradPCADetector(LogisticRegression(), subspace="sketched", n_measurements=256, random_state=0),
    GradPCADetector(
        LogisticRegression(),
        subspace="sketched",
        n_measurements=256,
        sparsity=0.5,
        metric="euclidean",
        random_state=0,
    ),
    GradPCADetector(LogisticRegression(), sparsity=0.5, random_state=0),
    GradPCADetector(
        LogisticRegression(), subspace="sparse_pca", n_components=1, sparsity=0.5, random_state=0
    ),
    DeepMatrixFactorization(),
    DeepMatrixFactorization(solver="gd"),
    DeepMatrixFactorization(depth=2, init_scale=1e-3, stopping="rank", rank=1),
    DeepMatrixFactorization(stopping="validation", center="columns", random_state=0),
    DeepFactorizationCovariance(),
    DeepFactorizationCovariance(assume_centered=True, noise_variance=1.0),
    LowRankRegressor(random_state=0),
    LowRankRegressor(rank=1),
    LowRankRegressor(solver="gd", max_iter=100, random_state=0),
    WeightedFourierRegressor(),
    WeightedFourierRegressor(5, alpha=0.1),
    WeightedFourierRegressor(basis="complex"),
    SeedConfidenceFilter(FunctionTransformer(), LogisticRegression(), quantile=0.5),
    SeedConfidenceFilter(FunctionTransformer(), LogisticRegression(), threshold=0.0),
]


CONFIGURATIONS += [
    DiagonalNetworkRegressor(),
    DiagonalNetworkRegressor(fit_intercept=False),
    DiagonalNetworkRegressor(positive=True, refit_support=True),
    DiagonalNetworkRegressor(joint=True),
    DiagonalNetworkRegressor(solver="mirror", fit_intercept=False, tol=1e-6),
    DiagonalNetworkRegressor(stopping="validation", random_state=0),
    DiagonalNetworkRegressor(joint=True, solver="mirror", tol=1e-6),
    DiagonalNetworkRegressor(solver="gd", init_scale=0.1, fit_intercept=False, max_iter=100),
    DiagonalNetworkRegressor(solver="gd", depth=2, max_iter=100),
    DiagonalNetworkRegressor(stopping=5.0, average=False),
    DiagonalNetworkRegressorCV(4, [0.1], cv=3),
]


# A filter of rows is not a transformer, and says so; threshold=0 keeps all rows and passes.
FEWER_ROWS = dict.fromkeys(
    """
    check_methods_sample_order_invariance check_methods_subset_invariance
    check_transformer_data_not_an_array check_transformer_general
    check_transformer_general(readonly_memmap=True)
    """.split(),
    "transform returns the rows that are confident, fewer than it was given",
) | {"check_fit2d_1feature": "the confident half of its ten rows is of one class"}


# Older releases of scikit-learn check the number of features on ten rows, of whose labels the
# classifier learns one alone.
OLD_LABELS = {}
if parse_version(sklearn.__version__) < parse_version("1.7"):
    OLD_LABELS["check_n_features_in_after_fitting"] = "one class is left of its labels"


def expected_failures(estimator):
    """Return the checks that an estimator fails, with the reason."""
    if isinstance(estimator, SeedConfidenceFilter):
        return (FEWER_ROWS if estimator.threshold is None else {}) | OLD_LABELS
    return {}


CONTRACT = parametrize_with_checks(CONFIGURATIONS, expected_failed_checks=expected_failures)
# Of those that take longest, one of each kind is checked by default; the others are like it.
LONG = {
    repr(estimator)
    for estimator in (
        DiagonalNetworkRegressor(joint=True),
        DiagonalNetworkRegressor(fit_intercept=False),
        DiagonalNetworkRegressor(solver="mirror", fit_intercept=False, tol=1e-6),
        DiagonalNetworkRegressor(joint=True, solver="mirror", tol=1e-6),
        DiagonalNetworkRegressor(positive=True, refit_support=True),
        WeightedFourierRegressor(basis="complex"),
        GradPCADetector(LogisticRegression(), budget="1 GB", random_state=0),
        GradPCADetector(LogisticRegression(), sparsity=0.5, random_state=0),
        SketchedSparsePCA(n_measurements=48, range_size=16, random_state=0),
        SketchedSparsePCA(
            n_measurements=48, range_size=16, n_nonzero_coefs=1, refine="sketch", random_state=0
        ),
        SketchedSparsePCA("plateau", n_measurements=48, range_size=16, random_state=0),
    )
}


def marked(case):
    """Return a case of the contract, marked slow if its estimator takes long."""
    values, marks = getattr(case, "values", case), list(getattr(case, "marks", ()))
    return pytest.param(*values, marks=[*marks, *([pytest.mark.slow] * (repr(values[0]) in LONG))])


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Too few samples:UserWarning")
@pytest.mark.filterwarnings("ignore:The threshold is a quantile:UserWarning")
@pytest.mark.filterwarnings("ignore:The first samples fix the metric:UserWarning")
@pytest.mark.filterwarnings("ignore:There is no time:UserWarning")
@pytest.mark.filterwarnings("ignore:Too few seeds:UserWarning")
# As a list: scikit-learn 1.6 gives a generator, which pytest 9 warns of.
@pytest.mark.parametrize(CONTRACT.args[0], [marked(c) for c in CONTRACT.args[1]], **CONTRACT.kwargs)
def test_sklearn_contract(estimator, check):
    check(estimator)


# A generator and a classifier of its samples have no defaults.
DEFAULTS = {type(each) for each in CONFIGURATIONS} - {SeedConfidenceFilter}


@pytest.mark.parametrize("cls", sorted(DEFAULTS, key=str))
def test_default_construction(cls):
    check_parameters_default_constructible(cls.__name__, cls())


def test_features_of_the_detector_are_checked():
    # Also by the methods that scikit-learn's checks do not know.
    X = np.random.default_rng(0).normal(size=(80, 3))
    detector = GradPCADetector(LogisticRegression(), random_state=0).fit(X, X[:, 0] > 0)
    assert detector.n_features_in_ == 3
    for method in ("score_samples", "decision_function", "predict", "transform", "ood_score"):
        with pytest.raises(ValueError, match="2 features, but GradPCADetector is expecting 3"):
            getattr(detector, method)(X[:, :2])
    with pytest.raises(ValueError, match="2 features, but GradPCADetector is expecting 3"):
        detector.partial_fit(X[:, :2], X[:, 0] > 0)
    pipeline = make_pipeline(StandardScaler(), clone(detector)).fit(X, X[:, 0] > 0)
    alone = clone(detector).fit(pipeline[0].transform(X), X[:, 0] > 0)
    scores = pipeline.decision_function(X)
    np.testing.assert_array_equal(scores, alone.decision_function(pipeline[0].transform(X)))


def test_parameters_survive_clone_and_set_params():
    parameters = {
        "n_components": 3,
        "n_nonzero_coefs": [4, 3, 2],
        "noise": None,
        "forgetting": 0.5,
        "random_state": 7,
    }
    first = SketchedSparsePCA(**parameters)
    copies = [clone(first), SketchedSparsePCA().set_params(**parameters)]
    for copy in copies:
        assert copy is not first
        assert copy.get_params() == first.get_params()
    with pytest.raises(ValueError, match="n_nonzeros"):
        first.set_params(n_nonzeros=3)


@pytest.mark.parametrize("seen", [0, 1, 30, "constant"])
def test_html_representation_in_every_state(seen):
    # scikit-learn 1.9 reads every fitted attribute to print it, also those that cannot be had yet.
    pca = SketchedSparsePCA(n_components=1, random_state=0)
    X = np.random.default_rng(0).normal(size=(30, 4)) * [9, 9, 1, 1]
    if seen == "constant":
        pca.partial_fit(np.full((5, 4), 0.1))
    elif seen:
        pca.partial_fit(X[:seen])
    assert "n_components" in pca._repr_html_()
    assert hasattr(pca, "components_") == (seen == 30)


def stored(pca, how):
    if how == "pickle":
        return pickle.loads(pickle.dumps(pca))
    buffer = BytesIO()
    joblib.dump(pca, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize("how", ["pickle", "joblib"])
@pytest.mark.parametrize(
    "options",
    [{}, {"n_measurements": 48, "range_size": 16}, {"sketch": "mam", "n_measurements": 48}],
    ids=str,
)
def test_resume_after_storage(how, options):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 1)) * [3.0] * 4 + rng.normal(size=(80, 40))[:, :4] * 0.1 + 5
    X = np.hstack([X, rng.normal(size=(80, 30))])
    pca = SketchedSparsePCA(1, n_nonzero_coefs=4, random_state=0, **options)
    resumed = stored(clone(pca).partial_fit(X[:40]), how).partial_fit(X[40:])
    whole = clone(pca).partial_fit(X[:40]).partial_fit(X[40:])
    assert resumed.sketch_.to_bytes() == whole.sketch_.to_bytes()
    np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))
    np.testing.assert_array_equal(stored(whole, how).components_.data, whole.components_.data)


def _add(pca, X):
    return pca.partial_fit(X)


def test_partial_fit_in_worker_processes():
    # The state is over joblib's limit of 1 MB, so that workers get it as read-only memory.
    X = np.random.default_rng(0).normal(size=(20, 400))
    pca = SketchedSparsePCA(1, random_state=0).partial_fit(X)
    parts = joblib.Parallel(n_jobs=2)(joblib.delayed(_add)(pca, X + i) for i in range(2))
    assert pca.n_samples_seen_ == 20
    for i, part in enumerate(parts):
        expected = clone(pca).partial_fit(X).partial_fit(X + i)
        np.testing.assert_allclose(part.sketch_.matrix(), expected.sketch_.matrix(), atol=1e-12)
