"""Some rows are enough for the metric and for the threshold, where there are many."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.ood import _subsamples
from sklearn_sparse_eig.ood._subsamples import metric_rows, threshold_rows


def test_metric_rows_are_few_and_each_class_has_its_share():
    assert metric_rows(1000, None, [3]) is None and metric_rows(5000, None, [3, 1000]) is None
    assert len(metric_rows(50_000, None, [3, 1281])) == 6405
    labels = np.repeat([0, 1, 2], [60_000, 30_000, 10_000])[
        np.random.default_rng(0).permutation(100_000)
    ]
    rows = metric_rows(100_000, labels, [])
    assert len(np.unique(rows)) == len(rows) == 1000 and (np.diff(rows) > 0).all()
    np.testing.assert_allclose(np.bincount(labels[rows]), [600, 300, 100], atol=1)
    np.testing.assert_array_equal(rows, metric_rows(100_000, labels, []))
    # Within a class the rows are drawn from all of it.
    assert abs(rows[labels[rows] == 0].mean() - 50_000) < 5000


def test_threshold_rows_keep_the_rate():
    assert threshold_rows(10_000, 0.05) is None and len(threshold_rows(50_000, 0.05)) == 10_000
    rng, rates = np.random.default_rng(0), []
    for _ in range(30):
        scores = rng.normal(size=40_000)
        chosen = threshold_rows(len(scores), 0.05)
        rates.append((scores < np.percentile(scores[chosen], 5.0)).mean())
    assert abs(np.mean(rates) - 0.05) < 0.001 and np.std(rates) < 0.05 * 0.05


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    X = 3.0 * rng.normal(size=(3, 8))[y] + rng.normal(size=(600, 8))
    return LogisticRegression().fit(X, y), X, y


@pytest.mark.parametrize("subspace", ["low_rank", "sketched"])
@pytest.mark.filterwarnings("ignore:The first samples")
def test_the_first_pass_takes_some_rows_and_the_second_all(monkeypatch, capsys, subspace, blobs):
    model, X, y = blobs
    monkeypatch.setattr(_subsamples, "_LEAST_ROWS", 300)
    monkeypatch.setattr("sklearn_sparse_eig._base.messages.Progress.interval", 0.0)
    monkeypatch.setattr("sklearn_sparse_eig.ood._pace._PATIENCE", 0.0)
    detector = GradPCADetector(model, subspace=subspace, random_state=0, verbose=1).fit(X, y)
    assert detector.n_metric_samples_ == 300 and detector.n_samples_seen_ == 600
    told = capsys.readouterr().out
    for text in ("1 of 3: 100% of 300", "2 of 3: 100% of 600", "3 of 3: 100% of 600"):
        assert f"pass {text} rows" in told
    # The metric is that of these rows, in a stream as in a fit.
    rows = metric_rows(600, y, [9, 3])
    other = GradPCADetector(model, subspace=subspace, random_state=0).fit(X[rows], y[rows])
    assert detector._state.metric.is_same(other._state.metric)
    stream = GradPCADetector(model, subspace=subspace, random_state=0).partial_fit(X, y)
    np.testing.assert_array_equal(stream.score_samples(X), detector.score_samples(X))


def test_the_training_threshold_takes_some_rows(monkeypatch, blobs):
    model, X, y = blobs
    whole = GradPCADetector(model).fit(X, y)
    monkeypatch.setattr(_subsamples, "_REJECTED", 10)
    detector = GradPCADetector(model).fit(X, y)
    scores = whole.score_samples(X)
    np.testing.assert_array_equal(detector.score_samples(X), scores)
    assert detector.calibration_ == "training" and detector.offset_ != whole.offset_
    chosen = threshold_rows(600, 0.05)
    assert len(chosen) == 200 and detector.offset_ == np.percentile(scores[chosen], 5.0)
