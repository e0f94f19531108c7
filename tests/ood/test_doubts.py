"""What a detector tells of samples it knows, of outputs that are no logits, of wrong models."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline

from sklearn_sparse_eig import GradientFeatures, GradPCADetector
from sklearn_sparse_eig.estimator_checks import check_warnings_name_the_caller
from sklearn_sparse_eig.gradients import DenseNetwork, make_network
from sklearn_sparse_eig.ood import _seen_rows
from sklearn_sparse_eig.ood._seen_rows import SeenRows, hash_rows
from sklearn_sparse_eig.plotting import plot_ood_scores

KNOWN = "are among those that the detector was fitted to"


@pytest.fixture(scope="module")
def blobs():
    """Three classes in twelve dimensions, and a linear classifier of them."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2], 100)
    X = rng.normal(size=(3, 12))[y] * 3 + rng.normal(size=(300, 12))
    return LogisticRegression().fit(X, y), X, y


def messages(act):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [str(warning.message) for warning in caught]


# ------------------------------------------------------------------------------- hashes of rows


def test_equal_rows_have_equal_hashes_however_they_are_kept():
    rng = np.random.default_rng(0)
    rows = rng.integers(-2, 3, size=(50, 9)).astype(np.float32)
    rows[3] = 0.0
    rows[4] = -0.0
    expected = hash_rows(rows)
    assert expected.dtype == np.uint64 and len(np.unique(expected)) == len(np.unique(rows, axis=0))
    for same in (rows.astype(float), np.asfortranarray(rows), sp.csr_array(rows), rows.tolist()):
        np.testing.assert_array_equal(hash_rows(same), expected)
    order = rng.permutation(50)
    np.testing.assert_array_equal(hash_rows(rows[order]), expected[order])
    # Of where entries are, too.
    assert not (hash_rows(rows[:, ::-1])[5:] == expected[5:]).all()
    np.testing.assert_array_equal(hash_rows(rows.reshape(50, 3, 3)), expected)


def test_hashes_do_not_depend_on_blocks(monkeypatch):
    rows = np.random.default_rng(1).normal(size=(40, 7))
    expected = hash_rows(rows)
    monkeypatch.setattr(_seen_rows, "_BLOCK", 15)
    np.testing.assert_array_equal(hash_rows(rows), expected)
    assert len(np.unique(expected)) == 40


def test_texts_have_hashes():
    texts = ["a b", "b a", "a b"]
    a, b, c = hash_rows(texts)
    assert a == c != b
    np.testing.assert_array_equal(hash_rows(np.array(texts, dtype=object)), [a, b, c])


@pytest.mark.parametrize("most", [16, 2**14])
def test_seen_rows_add_up_and_subtract(monkeypatch, most):
    monkeypatch.setattr(_seen_rows, "_MOST_KEPT", most)
    rng = np.random.default_rng(2)
    hashes = rng.choice(hash_rows(np.arange(90.0)[:, None]), size=200)
    whole = SeenRows.of(hashes)
    parts = [SeenRows.of(part) for part in np.split(hashes, [20, 90])]
    for order in ([0, 1, 2], [2, 0, 1]):
        total = SeenRows.none()
        for i in order:
            total = total.plus(parts[i])
        for name in ("hashes", "counts", "limit"):
            np.testing.assert_array_equal(getattr(total, name), getattr(whole, name))
    # All rows up to the limit, each as often as it came.
    found, counts = np.unique(hashes[hashes <= whole.limit], return_counts=True)
    np.testing.assert_array_equal(whole.hashes, found)
    np.testing.assert_array_equal(whole.counts, counts)
    assert len(found) <= most
    rest = whole.plus(parts[0], -1.0)
    found, counts = np.unique(hashes[20:][hashes[20:] <= rest.limit], return_counts=True)
    np.testing.assert_array_equal(rest.hashes, found)
    np.testing.assert_array_equal(rest.counts, counts)


@pytest.mark.parametrize("most", [64, 2**14])
def test_known_rows_are_told_from_new_ones(monkeypatch, most):
    monkeypatch.setattr(_seen_rows, "_MOST_KEPT", most)
    rows = np.random.default_rng(3).normal(size=(2000, 3))
    seen = SeenRows.of(hash_rows(rows[:1000]))
    assert seen.known_share(hash_rows(rows[1000:])) == 0.0
    assert seen.known_share(hash_rows(rows[:500])) == 1.0
    assert 0.3 < seen.known_share(hash_rows(rows[500:1500])) < 0.7
    assert SeenRows.none().known_share(hash_rows(rows)) == 0.0


def test_rows_that_repeat_by_chance_are_not_held_against_anyone():
    for seed in range(20):
        # 243 possible rows, so that most new ones have been seen.
        rows = np.random.default_rng(seed).integers(3, size=(600, 5))
        seen = SeenRows.of(hash_rows(rows[:500]))
        assert np.isin(hash_rows(rows[500:]), seen.hashes).mean() > 0.7
        assert seen.known_share(hash_rows(rows[500:])) == 0.0


# ---------------------------------------------------------------------- calibration on known rows


def test_calibration_on_the_rows_of_fit_is_told(blobs):
    model, X, y = blobs
    detector = GradPCADetector(model).fit(X[:200], y[:200])
    assert messages(lambda: detector.calibrate(X[200:])) == []
    for rows in (X[:200], X[50:150], sp.csr_array(X[:200])):
        (message,) = messages(lambda rows=rows: detector.calibrate(rows))
        assert message.startswith("100% of these samples") and KNOWN in message
    check_warnings_name_the_caller(lambda: detector.calibrate(X[:200]))


def test_rows_of_all_batches_and_shards_are_known(blobs):
    model, X, y = blobs
    first = GradPCADetector(model).partial_fit(X[:100], y[:100])
    other = first.empty_copy().partial_fit(X[100:200], y[100:200])
    assert messages(lambda: first.calibrate(X[100:200])) == []
    first.merge(other)
    (message,) = messages(lambda: first.calibrate(X[100:200]))
    assert KNOWN in message
    # A new fit forgets.
    first.fit(X[200:], y[200:])
    assert messages(lambda: first.calibrate(X[:200])) == []


def test_rows_of_a_pipeline_are_known():
    texts = [f"{word} number {i}" for i in range(40) for word in ("red", "blue")]
    y = np.tile([0, 1], 40)
    detector = GradPCADetector(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector.partial_fit(texts, y)
    (message,) = messages(lambda: detector.calibrate(texts))
    assert KNOWN in message
    assert messages(lambda: detector.calibrate([f"{text} more" for text in texts])) == []


# ---------------------------------------------------------------------------- outputs and labels


def test_permuted_labels_are_told(blobs):
    model, X, y = blobs
    assert messages(lambda: GradPCADetector(model).fit(X, y)) == []
    (message,) = messages(lambda: GradPCADetector(model).fit(X, (y + 1) % 3))
    assert "predicts the given label for 0% of 300 rows" in message
    assert "[0, 1, 2]" in message
    wrong = GradPCADetector(model)
    assert len(messages(lambda: wrong.partial_fit(X[:100], (y[:100] + 1) % 3))) == 1
    # Told once, and not of labels that are not used.
    assert messages(lambda: wrong.partial_fit(X[100:], (y[100:] + 1) % 3)) == []
    assert messages(lambda: GradPCADetector(model, labels="predicted").fit(X, (y + 1) % 3)) == []
    check_warnings_name_the_caller(lambda: GradPCADetector(model).fit(X, (y + 1) % 3))


def test_a_module_that_ends_in_softmax_is_told(blobs):
    torch = pytest.importorskip("torch")
    model, X, y = blobs
    linear = torch.nn.Linear(12, 3).double()
    with torch.no_grad():
        linear.weight.copy_(torch.as_tensor(model.coef_))
        linear.bias.copy_(torch.as_tensor(model.intercept_))
    assert messages(lambda: GradPCADetector(linear.eval()).fit(X, y)) == []
    module = torch.nn.Sequential(linear, torch.nn.Softmax(dim=1)).eval()
    (message,) = messages(lambda: GradPCADetector(module).fit(X, y))
    assert "returns probabilities" in message


# ---------------------------------------------------------------------------------- wrong models


def test_a_regressor_is_refused_and_not_offered(blobs):
    _, X, y = blobs
    for regressor in (
        MLPRegressor(),
        MLPRegressor(hidden_layer_sizes=(2,), solver="lbfgs", max_iter=5000).fit(X, y),
    ):
        with pytest.raises(TypeError, match="A classifier is needed, got MLPRegressor, a regr"):
            GradPCADetector(regressor).fit(X, y)
    network = DenseNetwork([np.ones((12, 3))], [None])
    with pytest.raises(TypeError, match="A classifier is needed, got DenseNetwork"):
        GradPCADetector(network).fit(X, y)


def test_a_wrapper_says_where_its_models_are(blobs):
    model, X, y = blobs
    calibrated = CalibratedClassifierCV(model).fit(X, y)
    with pytest.raises(TypeError, match=r"calibrated_classifiers_\[0\]\.estimator"):
        GradPCADetector(calibrated).fit(X, y)
    GradPCADetector(calibrated.calibrated_classifiers_[0].estimator).fit(X, y)
    bagged = BaggingClassifier(model, 2).fit(X, y)
    with pytest.raises(TypeError, match=r"in estimators_, for example estimators_\[0\]"):
        make_network(bagged)
    for trees in (RandomForestClassifier(2), GradientBoostingClassifier(n_estimators=2)):
        with pytest.raises(TypeError, match=r"an MLPRegressor\.$"):
            make_network(trees.fit(X, y))


def test_features_of_another_number_are_refused_by_fit(blobs):
    model, X, _ = blobs
    with pytest.raises(ValueError, match="X has 5 features, but the model has 12"):
        GradientFeatures(model).fit(X[:, :5])


def test_plotting_needs_a_dict():
    with pytest.raises(TypeError, match=r"scores must be a dict .* got ndarray"):
        plot_ood_scores(np.zeros(3), np.ones(3))
