"""The laws of input over every estimator and sketch, and every method that takes rows."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_state_laws import EXACT, FITS, SKETCHES, STREAMS, TWO_SIDED, N, X, Y, sketch

import sklearn_sparse_eig
from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    EigenSketch,
    GradientFeatures,
    GradPCADetector,
    LowRankRegressor,
    SketchedSparsePCA,
    WeightedFourierRegressor,
    diagonal_network_path,
    effective_rank,
    learning_rate_path,
    low_rank_intervals,
    ood_metrics,
    sparse_eigsh,
    support_stability,
    trigonometric_risk,
)
from sklearn_sparse_eig import estimator_checks as checks
from sklearn_sparse_eig.diagnostics import kernel_blocks, neural_collapse, ntk_alignment
from sklearn_sparse_eig.seeds import fisher_separability

pytestmark = pytest.mark.filterwarnings("ignore")

MODEL = LogisticRegression().fit(X, Y)
SQUARE = X[:12] + X[:12].T


def call(method, *targets):
    return lambda fitted, rows: getattr(fitted, method)(rows, *targets)


def pca(**options):
    return lambda: SketchedSparsePCA(1, random_state=0, **options)


COMPRESSED = {"sketch": "two_sided", "n_measurements": 12, "range_size": 6, "n_nonzero_coefs": 3}
# Name: what makes the object, what is done to it with rows, the rows, whether sparse ones count.
DOORS = {
    "pca_cv.fit": (FITS["pca_cv"][0], call("fit"), X, True),
    "fourier.fit": (FITS["fourier"][0], call("fit", X[:, 0]), X[:, :1], False),
    "matrix.fit": (FITS["matrix"][0], call("fit"), X[:, :4], False),
    "covariance.fit": (FITS["covariance"][0], call("fit"), X, False),
    "covariance.partial_fit": (
        lambda: STREAMS["covariance"][0]().fit(X),
        call("partial_fit"),
        X,
        False,
    ),
    "diagonal.fit": (FITS["diagonal_network"][0], call("fit", X[:6, 0]), X[:6], True),
    "diagonal cv.fit": (FITS["diagonal_network_cv"][0], call("fit", X[:6, 0]), X[:6], True),
    "diagonal.partial_fit": (
        lambda: DiagonalNetworkRegressor(
            solver="gd", learning_rate=1e-3, fit_intercept=False
        ).partial_fit(X[:6], X[:6, 0]),
        call("partial_fit", X[:6, 0]),
        X[:6],
        True,
    ),
    "seeds.fit": (FITS["seeds"][0], call("fit", Y), X, False),
    "features.fit": (lambda: GradientFeatures(MODEL), call("fit"), X, True),
    "detector.fit": (FITS["grad_pca"][0], call("fit", Y), X, True),
    "detector.given": (
        lambda: GradPCADetector(backend="precomputed", labels="true", score_function="ratio"),
        call("fit", Y),
        X,
        True,
    ),
    "detector.partial_fit": (
        lambda: GradPCADetector(MODEL, random_state=0).fit(X, Y),
        call("partial_fit", Y),
        X,
        True,
    ),
}
for name, options in {"exact": {}, "two_sided": COMPRESSED}.items():
    make = pca(**options)
    DOORS |= {
        f"pca.fit {name}": (make, call("fit"), X, True),
        f"pca.partial_fit {name}": (
            lambda make=make: make().partial_fit(X),
            call("partial_fit"),
            X,
            True,
        ),
    }
for name in ("exact", "mam", "two_sided", "identification"):
    make, feed = SKETCHES[name]
    DOORS |= {
        f"{name} sketch": (make, feed, X, True),
        f"{name} sketch, begun": (lambda make=make: make().update(X), feed, X, True),
    }
for name, options in {"exact": EXACT, "two_sided": TWO_SIDED}.items():
    DOORS[f"operator, {name}"] = (sketch(**options), call("update_operator"), SQUARE, True)
FUNCTIONS = {
    "sparse_eigsh": (lambda A: sparse_eigsh(A, 1), SQUARE, True),
    "diagonal_network_path": (
        lambda rows: diagonal_network_path(rows, X[:6, 0], n_alphas=3, eps=0.1),
        X[:6],
        True,
    ),
    "learning_rate_path": (
        lambda rows: learning_rate_path(rows, X[:6, 0], [0.01], max_iter=5),
        X[:6],
        True,
    ),
    "support_stability": (
        lambda rows: support_stability(
            SketchedSparsePCA(1, n_nonzero_coefs=2, random_state=0),
            rows,
            n_resamples=2,
            n_blocks=2,
            random_state=0,
        ),
        X,
        True,
    ),
    "ntk_alignment": (lambda rows: ntk_alignment(MODEL, rows, Y, random_state=0), X, True),
    "neural_collapse": (lambda rows: neural_collapse(MODEL, rows, Y), X, True),
}
# Functions that return several results at once.
RECORDS = FUNCTIONS.keys() - {"sparse_eigsh"}
for name, (function, rows, sparse) in FUNCTIONS.items():
    DOORS[name] = (dict, lambda _, given, function=function: function(given), rows, sparse)
FITTED = {
    "pca": (
        pca(),
        (X,),
        ("transform", "score", "score_samples", "explained_variance_score"),
        True,
    ),
    "pca_cv": (FITS["pca_cv"][0], (X,), ("transform", "score"), True),
    "covariance": (FITS["covariance"][0], (X,), ("score",), False),
    "low rank": (lambda: LowRankRegressor(rank=1), (X, X[:, 0]), ("predict",), True),
    "diagonal": (
        lambda: DiagonalNetworkRegressor(),
        (X[:6], X[:6, 0]),
        ("predict", "sharpness"),
        True,
    ),
    "diagonal cv": (*FITS["diagonal_network_cv"], ("predict",), True),
    "features": (lambda: GradientFeatures(MODEL), (X, Y), ("transform",), True),
    "detector": (
        lambda: GradPCADetector(MODEL, random_state=0),
        (X, Y),
        ("score_samples", "transform", "calibrate"),
        True,
    ),
    "matrix": (FITS["matrix"][0], (X,), ("transform", "score"), False),
    "fourier": (FITS["fourier"][0], FITS["fourier"][1], ("predict",), False),
    "seeds": (FITS["seeds"][0], (X, Y), ("predict", "transform", "get_support"), False),
}
for name, (make, data, methods, sparse) in FITTED.items():
    fitted = make().fit(*data)
    for method in methods:
        # Reading may fill a cache, so a copy is made that has read once.
        def read(fitted=fitted, method=method, rows=data[0]):
            getattr(fitted, method)(rows)
            return fitted

        DOORS[f"{name}.{method}"] = (read, call(method), data[0], sparse)
TIMES = {"fourier.fit"}
MISSING = {name for name in DOORS if name.startswith("matrix.")}


@pytest.mark.parametrize("name", DOORS)
def test_what_is_no_row_of_numbers_is_refused(name):
    make, act, rows, sparse = DOORS[name]
    for check in checks.yield_input_checks(
        make, act, rows, sparse=sparse, allow_nan=name in MISSING, allow_times=name in TIMES
    ):
        check()


def test_a_pipeline_takes_what_it_takes_but_no_damaged_indices():
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression()).fit(X, Y)
    checks.check_bad_indices(lambda: GradientFeatures(model), call("fit"), X)


SEEDS = FITS["seeds"][0]().fit(X, Y)
WEIGHTS = {
    "pca.fit": (pca(), lambda fitted, w: fitted.fit(X, sample_weight=w)),
    "pca_cv.fit": (FITS["pca_cv"][0], lambda fitted, w: fitted.fit(X, sample_weight=w)),
    "pca.partial_fit": (
        lambda: pca()().partial_fit(X),
        lambda fitted, w: fitted.partial_fit(X, sample_weight=w),
    ),
    "pca.partial_fit two_sided": (
        lambda: pca(**COMPRESSED)().partial_fit(X),
        lambda fitted, w: fitted.partial_fit(sp.csr_array(X), sample_weight=w),
    ),
    "fourier.score": (
        lambda: WeightedFourierRegressor(5, alpha=0.1).fit(X[:, :1], X[:, 0]),
        lambda fitted, w: fitted.score(X[:, :1], X[:, 0], w),
    ),
    "complex fourier.score": (
        lambda: WeightedFourierRegressor(5, alpha=0.1, basis="complex").fit(X[:, :1], X[:, 0] * 1j),
        lambda fitted, w: fitted.score(X[:, :1], X[:, 0] * 1j, w),
    ),
    "diagonal.score": (
        lambda: DiagonalNetworkRegressor().fit(X[:6], X[:6, 0]),
        lambda fitted, w: fitted.score(X, X[:, 0], w),
    ),
    "diagonal.fit": (
        lambda: DiagonalNetworkRegressor().fit(X[:6], X[:6, 0]),
        lambda fitted, w: fitted.fit(X, X[:, 0], w),
    ),
    "diagonal cv.fit": (
        FITS["diagonal_network_cv"][0],
        lambda fitted, w: fitted.fit(X, X[:, 0], w),
    ),
    "seeds.score": (
        lambda fitted=SEEDS: fitted,
        lambda fitted, w: fitted.score(X, Y, w),
    ),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_count_no_rows_are_refused(name):
    checks.check_bad_weights(*WEIGHTS[name], len(X))


@pytest.mark.parametrize("name", ["exact", "mam", "two_sided"])
def test_weights_of_sketches_may_be_negative_but_not_out_of_scale(name):
    make, _ = SKETCHES[name]
    for begun in (make, lambda: make().update(X)):
        for rows in (X, sp.csr_array(X)):
            checks.check_bad_weights(
                begun, lambda s, w, rows=rows: s.update(rows, w), len(X), counts=False
            )


@pytest.mark.parametrize("name", ["exact", "mam", "two_sided", "identification"])
def test_duplicates_of_one_byte_add_as_numbers(name):
    make, feed = SKETCHES[name]
    checks.check_duplicates(make, feed, lambda s: s.matrix(), X)


def test_duplicates_add_as_numbers_in_an_estimator():
    rows = X[:, :6]
    checks.check_duplicates(
        pca(**COMPRESSED), call("partial_fit"), lambda p: p.sketch_.matrix(), rows
    )
    fitted = pca()().fit(rows)
    seen = []
    checks.check_duplicates(
        lambda: fitted, lambda p, given: seen.append(p.transform(given)), lambda p: seen.pop(), rows
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool, np.float32])
@pytest.mark.parametrize("make", [sp.coo_array, sp.coo_matrix])
def test_duplicates_among_coordinates_add_as_numbers(make, dtype):
    """SciPy adds those as it converts them, in their own type."""
    ids = (np.r_[np.zeros(300, dtype=int), 1], np.r_[np.full(300, 2), 4])
    rows = make((np.ones(301, dtype=dtype), ids), shape=(5, 6))
    dense = np.zeros((5, 6))
    dense[0, 2], dense[1, 4] = 300, 1
    for method in ("fit", "partial_fit"):
        fitted, expected = (
            getattr(pca(n_nonzero_coefs=2)(), method)(given) for given in (rows, dense)
        )
        np.testing.assert_allclose(fitted.sketch_.matrix(), expected.sketch_.matrix(), atol=1e-9)
        np.testing.assert_allclose(fitted.transform(rows), expected.transform(dense), atol=1e-9)
    if dtype is np.float32:  # it does not hold the sums on the way
        rows.data[0] = 2.0**24
        assert abs(pca(n_nonzero_coefs=2)().fit(rows).mean_[2] * 5 - (2.0**24 + 299)) <= 1.0
    square = make((np.ones(300, dtype=dtype), (np.zeros(300, int),) * 2), shape=(3, 3))
    assert sparse_eigsh(square, 1, n_nonzero_coefs=1).eigenvalues[0] == 300.0


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int16, np.float16, np.float32, np.longdouble])
def test_entries_of_rows_add_as_numbers(dtype):
    zeros = np.zeros(70_000, dtype=int)
    ones = np.ones(70_000, dtype=dtype)
    sketch = EigenSketch(3, n_measurements=None, measurement="identity", center=False)
    assert sketch.update_coo(zeros, zeros, ones).matrix()[0, 0] == 4.9e9
    fitted = SketchedSparsePCA(1).partial_fit_coo(zeros, zeros, ones, n_features=3, n_rows=2)
    assert fitted.mean_[0] == 35_000.0


def test_counts_of_entries_are_integers():
    made = sketch(**TWO_SIDED)()
    for n_rows in (2.5, True, -1):
        with pytest.raises(ValueError, match="n_rows"):
            made.update_coo([0], [0], [1.0], n_rows=n_rows)
    with pytest.raises(ValueError, match="n_features must be an integer"):
        pca()().partial_fit_coo([0], [0], [1.0], n_features=2.5)


def test_what_is_scaled_to_nothing_counts_no_rows():
    made = sketch(**TWO_SIDED)().update(X)
    assert made.scale(1e-200).scale(1e-200).effective_samples == 0.0


def entries(sketch, values):
    values = np.asarray(values)
    return sketch.update_entries(np.arange(3), np.arange(3), values[:3, 0])


def coo(sketch, values):
    return sketch.update_coo(np.arange(3), np.arange(3), np.asarray(values)[:3, 0])


def tile(sketch, values):
    return sketch.update_tile(np.arange(len(values)), np.arange(len(values[0])), values)


@pytest.mark.parametrize("act", [entries, tile, coo])
@pytest.mark.parametrize("name", ["exact", "two_sided"])
def test_entries_that_are_no_numbers_are_refused(name, act):
    make = SKETCHES[name][0]
    for begun in (make, lambda: act(make(), X[:5])):
        before = begun().to_bytes()
        for bad, match in (
            (X[:5] * 1j, "real"),
            ((X[:5] * 1j).astype(object), "real"),
            (X[:5].astype("M8[s]"), "seconds"),
            (X[:5].astype("m8[s]"), "seconds"),
            (X[:5].astype(str), "text"),
            (np.full((5, N), np.nan), "NaN"),
        ):
            trial = begun()
            with pytest.raises(ValueError, match=match):
                act(trial, bad)
            assert trial.to_bytes() == before


def test_complex_matrices_are_refused_with_advice():
    hermitian = SQUARE + 1j * (X[:12] - X[:12].T)
    for A in (hermitian, sp.csr_array(hermitian), aslinearoperator(hermitian)):
        made = sketch(**TWO_SIDED)()
        with pytest.raises(ValueError, match=r"\[\[Re, -Im\], \[Im, Re\]\]"):
            made.update_operator(A)
        assert made.content is None
    small = sketch(**EXACT)()
    for update in (
        lambda: small.update_entries([0], [1], [1j]),
        lambda: small.update_tile([0], [1], [[1j]]),
    ):
        with pytest.raises(ValueError, match="twice"):
            update()
    with pytest.raises(ValueError, match="real"):
        DiagonalNetworkRegressor().fit(aslinearoperator(X[:6] * 1j), X[:6, 0])


def test_targets_that_are_no_numbers_are_refused():
    for y in (X[:6, 0].astype("M8[s]"), X[:6, 0].astype("m8[s]"), X[:6, 0].astype(str)):
        with pytest.raises(ValueError, match="y must be real and numeric"):
            DiagonalNetworkRegressor().fit(X[:6], y)
        with pytest.raises(ValueError, match="y must be real and numeric"):
            WeightedFourierRegressor().fit(X[:6, :1], y)


def test_functions_refuse_what_is_no_number():
    times = X.astype("M8[s]")
    with pytest.raises(ValueError, match="seconds"):
        effective_rank(times)
    with pytest.raises(ValueError, match="seconds"):
        fisher_separability(times, Y)


SCORES = np.arange(1.0, 5.0)
VECTORS = {
    "ood_metrics, known": lambda values: ood_metrics(values, SCORES),
    "ood_metrics, new": lambda values: ood_metrics(SCORES, values),
    "low_rank_intervals": low_rank_intervals,
    "trigonometric_risk": lambda values: trigonometric_risk(3, 4, values),
    "kernel_blocks": lambda values: kernel_blocks(np.tile(values, (4, 1)), [0, 0, 1, 1]),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors_of_what_is_no_number_are_refused(name):
    """As rows are: NumPy would cast times, read texts and drop imaginary parts."""
    for dtype in ("M8[s]", "m8[s]", "U4", "S4", complex):
        with pytest.raises(ValueError, match="must be real and numeric"):
            VECTORS[name](SCORES.astype(dtype))
    for dtype in (int, np.uint8, np.float16, np.float32, np.longdouble, object):
        VECTORS[name](SCORES.astype(dtype))


def test_frames_of_times_are_refused():
    pd = pytest.importorskip("pandas")
    whole = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    one = whole.assign(b=pd.Timestamp("2024-02-29", tz="UTC"))
    every = pd.DataFrame({name: pd.to_datetime(whole[name], unit="s") for name in whole})
    objects = whole.assign(b=[pd.Timestamp("2024-02-29")] * len(whole)).astype(object)
    for make, fit in ((pca(), ()), (FITS["covariance"][0], ()), (FITS["seeds"][0], (Y,))):
        make().fit(whole, *fit)
        make().fit(whole.astype(object), *fit)
        for times in (one, every, objects):
            with pytest.raises(ValueError, match="times to numbers"):
                make().fit(times, *fit)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_wide_floats_are_taken(container):
    wide = container(X.astype(np.longdouble))
    for options in ({}, COMPRESSED):
        expected = pca(**options)().fit(container(X))
        found = pca(**options)().fit(wide)
        np.testing.assert_allclose(found.transform(wide), expected.transform(X))
    for make, _ in (SKETCHES["exact"], SKETCHES["two_sided"]):
        assert make().update(wide).to_bytes() == make().update(container(X)).to_bytes()
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        with pytest.raises(ValueError, match="inf"):
            pca()().fit(container(X.astype(np.longdouble) * np.longdouble("1e4000")))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("options", [{}, COMPRESSED])
def test_the_scale_of_values_is_told_truly(container, options):
    for scale in (1e-60, 1e60):
        make = pca(**{"n_nonzero_coefs": 3, **options})
        scaled, expected = (make().fit(container(X * factor)) for factor in (scale, 1))
        np.testing.assert_allclose(
            scaled.components_.toarray(), expected.components_.toarray(), atol=1e-9
        )
    with pytest.raises(ValueError, match="squares vanish"):
        pca(**options)().fit(container(X * 1e-200))
    stream = pca(**options)().partial_fit(X)
    before = stream.sketch_.to_bytes()
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="cannot be squared"):
            getattr(stream, method)(container(X * 1e200))
    assert stream.sketch_.to_bytes() == before


@pytest.mark.parametrize("huge", [1e155, -1e300])
def test_learners_refuse_values_that_cannot_be_squared(huge):
    many, large_y = np.array(X), np.array(X[:, 0])
    many[3, 2], large_y[3] = huge, huge
    targets = X[:, 0]
    for model, rows, *y in (
        (DeepFactorizationCovariance(), many),
        (DeepMatrixFactorization(), many),
        (DiagonalNetworkRegressor(), many, targets),
        (DiagonalNetworkRegressor(), X, large_y),
        (LowRankRegressor(), many, targets),
        (LowRankRegressor(), X, large_y),
        (WeightedFourierRegressor(5), X[:, :1], large_y),
        (WeightedFourierRegressor(5, basis="complex"), X[:, :1], large_y + 1j),
    ):
        with pytest.raises(ValueError, match="cannot be squared"):
            model.fit(rows, *y)
    covariance = DeepFactorizationCovariance().fit(X)
    before = covariance.covariance_
    with pytest.raises(ValueError, match="cannot be squared"):
        covariance.partial_fit(many)
    assert covariance.covariance_ is before and covariance.n_samples_seen_ == len(X)


def test_every_estimator_has_a_door_in_the_table():
    public = {getattr(sklearn_sparse_eig, name) for name in sklearn_sparse_eig.__all__}
    estimators = {kind for kind in public if isinstance(kind, type) and hasattr(kind, "get_params")}
    assert len(estimators) >= 8
    assert estimators | {EigenSketch} <= {type(make()) for make, *_ in DOORS.values()}
