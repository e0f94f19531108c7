"""Long loops tell how far they are to whoever listens, and nothing to others."""

import inspect

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

import sklearn_sparse_eig
from sklearn_sparse_eig import (
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    GradientFeatures,
    LowRankRegressor,
    SeedConfidenceFilter,
    SketchedSparsePCA,
    WeightedFourierRegressor,
    diagonal_network_path,
    learning_rate_path,
    sparse_eigsh,
)
from sklearn_sparse_eig._base import progress
from sklearn_sparse_eig._base.progress import listening, tell
from sklearn_sparse_eig.diagnostics import loss_curvature

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 12))
Y = (X[:, 5] > 0).astype(int)
HOLES = np.where(RNG.random((40, 8)) < 0.3, np.nan, RNG.normal(size=(40, 2)) @ np.ones((2, 8)))
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)


def test_nobody_listens_unless_asked(at_once, capsys):
    tell("loop", "steps", 5, 5)
    with listening("Thing", 0):
        tell("loop", "steps", 5, 5)
    assert capsys.readouterr().out == ""
    with listening("Thing", 1):
        tell("loop", "steps", 5, 5)
        with listening("Inner", 0):  # silent inside
            tell("loop", "steps", 5, 5)
    tell("loop", "steps", 5, 5)
    assert capsys.readouterr().out == "[Thing] loop: steps 5 of 5, 0 s\n"


def test_short_loops_are_not_told(capsys):
    with listening("Thing", 1):
        for i in range(6):
            tell("loop", "steps", i, 5)
    assert capsys.readouterr().out == ""


def test_another_run_of_a_loop_starts_anew(monkeypatch, capsys):
    clock = iter([0.0, 10.0, 20.0, 21.0])
    monkeypatch.setattr("sklearn_sparse_eig._base.messages.time.perf_counter", lambda: next(clock))
    with listening("Thing", 1):
        tell("loop", "steps", 0, 9)
        tell("loop", "steps", 5, 9)  # after ten seconds
        tell("loop", "steps", 0, 9)
        tell("loop", "steps", 9, 9)  # after one: no line
    assert capsys.readouterr().out == "[Thing] loop: steps 5 of 9, 10 s\n"


def seeds(verbose):
    generator, classifier = FunctionTransformer(), LogisticRegression()
    return SeedConfidenceFilter(generator, classifier, quantile=0.5, verbose=verbose)


def diagonal(verbose):
    return DiagonalNetworkRegressor(verbose=verbose).fit(X[:40], X[:40, 0])


def descent(verbose):
    network = DiagonalNetworkRegressor(solver="gd", depth=2, max_iter=50, verbose=verbose)
    return network.fit(X, X[:, 0])


def fourier(verbose, n=40, **options):
    points = np.sort(np.random.default_rng(1).random(n))[:, None]
    return WeightedFourierRegressor(verbose=verbose, **options).fit(points, np.sin(points[:, 0]))


def eigenvectors(verbose, A=X.T @ X, **options):
    return sparse_eigsh(A, 2, n_nonzero_coefs=[3, 5], verbose=verbose, **options)


def certified(verbose):
    pca = SketchedSparsePCA(1, n_nonzero_coefs=3, random_state=0).fit(X)
    return pca.set_params(verbose=verbose).certify()


def curvature(verbose):
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(12, 4)
    loss_curvature(module, X.astype(np.float32), Y, verbose=verbose)


LONG = {
    "DeepMatrixFactorization": lambda v: DeepMatrixFactorization(random_state=0, verbose=v).fit(
        HOLES
    ),
    "LowRankRegressor": lambda v: LowRankRegressor((3, 4), random_state=0, verbose=v).fit(
        X, X[:, 0]
    ),
    "DiagonalNetworkRegressor": diagonal,
    "DiagonalNetworkRegressor by descent": descent,
    "DiagonalNetworkRegressorCV": lambda v: DiagonalNetworkRegressorCV(
        [3], [0.1], cv=2, verbose=v
    ).fit(X[:30], X[:30, 0]),
    "DiagonalNetworkRegressorCV of two processes": lambda v: DiagonalNetworkRegressorCV(
        [3], [0.1], cv=2, n_jobs=2, verbose=v
    ).fit(X[:30], X[:30, 0]),
    "diagonal_network_path": lambda v: diagonal_network_path(X, X[:, 0], verbose=v),
    "sparse_eigsh": eigenvectors,
    "sparse_eigsh of an operator": lambda v: eigenvectors(v, aslinearoperator(X.T @ X)),
    "sparse_eigsh with certificate": lambda v: eigenvectors(v, certificate=True),
    "SketchedSparsePCA certified": certified,
    "WeightedFourierRegressor": fourier,
    "WeightedFourierRegressor by iterations": lambda v: fourier(v, 300, alpha=0.1),
    "GradientFeatures": lambda v: GradientFeatures(
        LogisticRegression().fit(X, Y), batch_size=20, verbose=v
    ).fit_transform(X),
    "loss_curvature": curvature,
    "SeedConfidenceFilter": lambda v: seeds(v).fit(X, Y),
    "learning_rate_path": lambda v: learning_rate_path(X[:8], X[:8, 0], [0.1], verbose=v),
}


@pytest.mark.parametrize("name", LONG)
def test_long_calls_report_where_they_are_asked_to(name, at_once, monkeypatch, capsys):
    from sklearn_sparse_eig._base.messages import Progress

    monkeypatch.setattr(Progress, "interval", 0.0)
    LONG[name](1)
    told = capsys.readouterr().out.splitlines()
    assert told and all(line.startswith(f"[{name.partition(' ')[0]}] ") for line in told)
    LONG[name](0)
    assert capsys.readouterr().out == ""


# One pass of products over the rows, and no search: it reports nothing.
SHORT = {"DeepFactorizationCovariance"}


def test_every_estimator_has_verbose():
    found = {
        name
        for name in sklearn_sparse_eig.__all__
        if hasattr(getattr(sklearn_sparse_eig, name), "fit")
        and "verbose" not in inspect.signature(getattr(sklearn_sparse_eig, name)).parameters
    }
    assert found == SHORT
