"""Long loops tell how far they are to whoever listens, and nothing to others."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from sklearn_sparse_eig import (
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    LowRankRegressor,
    SeedConfidenceFilter,
    learning_rate_path,
)
from sklearn_sparse_eig._base import progress
from sklearn_sparse_eig._base.progress import listening, tell

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
