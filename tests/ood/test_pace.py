"""How long a detector takes: foreseen before it begins, told while it runs."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig._base.messages import Progress
from sklearn_sparse_eig.ood import KnownRequest, _build, _pace, build
from sklearn_sparse_eig.ood._pace import Pace
from sklearn_sparse_eig.ood._roots import FullRoot, TriangularRoot, inverse_root


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set forward."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_pace.time, "perf_counter", lambda: clock.now)
    return clock


def run(clock, seconds, n_rows=1000, n_passes=1, **options):
    """Pass over batches of 10 rows that take so many seconds each."""
    batch, pace = SimpleNamespace(values=np.zeros(10)), Pace(n_rows, 0, **options)
    batches = ((10 * i, batch) for i in range(len(seconds)))
    for (start, _), each in zip(pace.over(batches, n_passes), seconds, strict=False):
        assert start % 10 == 0
        clock.now += each


def test_a_long_pass_is_told_once(clock, recwarn):
    # 990 rows are left, then 2 passes of 1000, at 1 row a second.
    run(clock, [10.0] * 5, n_passes=2)
    (warning,) = recwarn
    assert "The gradients of 1000 rows will take about 33 minutes more" in str(warning.message)
    assert "at 1 rows a second" in str(warning.message) and "params" in str(warning.message)


def test_short_passes_and_slow_first_batches_are_not_told(clock, recwarn):
    run(clock, [2.0] * 100)
    # What is compiled once takes long, but only once.
    run(clock, [60.0] + [2.0] * 99)
    run(clock, [10.0] * 5, warns=False)
    assert not list(recwarn)


def request(subspace="sketched", sparsity=0.001, metric="kfac", verbose=0):
    return KnownRequest(subspace, metric, sparsity=sparsity, verbose=verbose)


def test_what_takes_minutes_once_is_told_before_it_begins(recwarn):
    large, small = ((4000, 4000),) * 6, ((50, 20),) * 3
    for shapes, wanted in [
        (small, request()),
        (large, request(sparsity=None)),
        (large, request(sparsity=None, metric="diag")),
    ]:
        build(wanted, 4, shapes)
    assert not list(recwarn)
    with pytest.warns(UserWarning, match=r"96,000,000 parameters.*about \d+ minutes once.*params"):
        build(request(), 4, large)
    # With more to do it takes longer.
    few, many = (build(request(), n, small)[0].seconds_once() for n in (4, 400))
    assert 0.0 < few < many
    assert build(request("exact"), 4, small)[0].seconds_once() == 0.0


def test_the_largest_factors_go_diagonal_first(monkeypatch, recwarn):
    names, shapes = list("abcde"), ((300, 20), (30, 200), (300, 3), (300, 300), (5000, 5))
    assert _build.largest_full_factor(shapes, "kfac", names) == 4096
    monkeypatch.setattr(_build, "_CUBES", 200.0**3 + 2.0 * 30.0**3)
    assert _build.largest_full_factor(shapes, "diag", names) == 4096
    assert not list(recwarn)
    with pytest.warns(UserWarning, match="more than 299 rows.* in 3 layers: a, c, d. Fewer"):
        state, _ = build(request(), 4, shapes, layer_names=names)
    assert [state.plan.is_diagonal(size) for size in (20, 200, 300, 5000)] == [0, 0, 1, 1]
    # Memory counts too, and all factors of a size have the same fate.
    monkeypatch.setattr(_build, "_CUBES", 1e30)
    monkeypatch.setattr(_build, "_ENTRIES", 3.0 * 300.0**2)
    with pytest.warns(UserWarning, match="are kept diagonal, in 3 layers: 0, 2, 3. Fewer"):
        assert _build.largest_full_factor(shapes, "kfac") == 299


@pytest.mark.parametrize("n", [1, 2, 50])
def test_the_triangular_root_is_an_inverse_root(n):
    A = np.random.default_rng(n).normal(size=(n, 2 * n))
    moment = A @ A.T
    root = inverse_root(moment.copy())
    assert np.array_equal(root.values, np.triu(root.values))
    np.testing.assert_allclose(root.values.T @ moment @ root.values, np.eye(n), atol=1e-9)
    rows = np.random.default_rng(0).normal(size=(4, n))
    np.testing.assert_allclose(root.of(rows), rows @ root.values, rtol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_steps_are_told_where_that_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(Progress, "interval", 0.0)
    monkeypatch.setattr(_pace, "_PATIENCE", 0.0)
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2], 40)
    X = rng.normal(size=(3, 5))[y] * 3 + rng.normal(size=(120, 5))
    model = LogisticRegression().fit(X, y)
    options = {"subspace": "sketched", "sparsity": 0.5, "batch_size": 40, "random_state": 0}
    quiet = GradPCADetector(model, **options).fit(X, y)
    assert capsys.readouterr().out == ""
    told = GradPCADetector(model, **options, verbose=1).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[GradPCADetector] ") for line in lines)
    for text in (
        "18 parameters in 1 layers, 3 classes: subspace 'sketched', metric 'kfac'",
        "layer  shape  places  engine",
        "gradients, pass 1 of 3:  33% of 120 rows, ",
        "metric: roots",
        "metric: factor 1 of 2, 0 s",
        "gradients, pass 2 of 3: 100% of 120 rows, ",
        "gradients, pass 3 of 3: 100% of 120 rows, ",
        "100% of 18 entries of class means",
    ):
        assert any(text in line for line in lines), (text, lines)
    assert any(re.search(r"rows, [\d.e+]+ rows/s, 0 s of about 0", line) for line in lines)
    np.testing.assert_array_equal(told.score_samples(X), quiet.score_samples(X))


@pytest.mark.filterwarnings("ignore")
def test_what_takes_less_than_five_seconds_is_not_told(clock, capsys):
    pace, batch = Pace(100, 1, n_passes=2), SimpleNamespace(values=np.zeros(10))

    def run(seconds):
        for _ in pace.over((10 * i, batch) for i in range(10)):
            clock.now += seconds
        return capsys.readouterr().out.splitlines()

    assert run(0.4) == []
    lines = run(1.5)
    assert [line.split(": ")[1].split("%")[0].strip() for line in lines] == "50 70 90 100".split()
    assert lines[0] == (
        "[GradPCADetector] gradients, pass 2 of 2:  50% of 100 rows, 8.33 rows/s, 6 s of about 12"
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("sparsity", "kind"), [(None, TriangularRoot), (0.5, FullRoot)])
def test_eigenvectors_are_computed_where_entries_count(sparsity, kind):
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2], 40)
    X = rng.normal(size=(3, 5))[y] * 3 + rng.normal(size=(120, 5))
    model = LogisticRegression().fit(X, y)
    detector = GradPCADetector(model, subspace="sketched", sparsity=sparsity, random_state=0)
    assert not hasattr(detector, "layers_")
    metric = detector.fit(X, y)._state.metric
    assert {type(root) for pair in metric.roots for root in pair} == {kind}
    assert detector.layers_ == ("head",) and set(detector.shrinkage_) == {"head"}
    # Either is a root of the same metric.
    exact = GradPCADetector(model, mean_rank=None).fit(X, y)._get_subspace().metric
    for mine, theirs in zip(metric.roots[0], exact.roots[0], strict=True):
        # The derivative is one-hot, so that the exact state knows its moment to be diagonal.
        root = np.diag(theirs.values) if theirs.values.ndim == 1 else theirs.values
        expected = root @ root.T
        np.testing.assert_allclose(mine.values @ mine.values.T, expected, rtol=1e-7)
