"""The relative score of a detector: its formula, what does not change it, streams, other models."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import DenseNetwork, Network, make_network
from sklearn_sparse_eig.ood._confidence import Confidence, logit_sums
from sklearn_sparse_eig.ood._relative_distance import RelativeDistance
from sklearn_sparse_eig.ood.subspaces import KnownGradients


@pytest.fixture(scope="module")
def blobs():
    """Four classes in six dimensions, a small network fitted to them, and other points."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2, 3], 40)
    X = rng.normal(size=(4, 6))[y] * 2 + rng.normal(size=(160, 6))
    model = MLPClassifier((5, 4), solver="lbfgs", alpha=0.1, max_iter=2000, random_state=0)
    return model.fit(X, y), X, y, rng.normal(size=(30, 6)) * 4


def detector_of(model, **params):
    return GradPCADetector(model, score_function="relative", **params)


def features_of(model, X):
    network = make_network(model)
    return network.forward(X)[-2] if isinstance(network, DenseNetwork) else network.features(X)


def test_score_is_the_formula(blobs):
    model, X, y, Z = blobs
    detector = detector_of(model).fit(X, y)
    network = make_network(model)
    known, new = network.gradients(X), network.gradients(Z)
    h = features_of(model, X)
    distance = RelativeDistance.from_sums(
        np.array([h[y == c].sum(axis=0) for c in range(4)]),
        np.array([(h[y == c] ** 2).sum() for c in range(4)]),
        np.bincount(y),
        h.T @ h,
    )
    # K-FAC by Kronecker products of factors that scikit-learn has shrunk.
    squares, mean_square = np.zeros(len(Z)), 0.0
    for fitted, layer in zip(known.layers, new.layers, strict=True):
        shrunk = [ledoit_wolf(r, assume_centered=True)[0] for r in (fitted.inputs, fitted.deltas)]
        inverse = np.linalg.inv(np.kron(*shrunk))
        squares += np.einsum("np,pq,nq->n", layer.dense(), inverse, layer.dense())
        moments = [r.T @ r / len(r) for r in (fitted.inputs, fitted.deltas)]
        mean_square += np.trace(inverse @ np.kron(*moments))
    confidence = Confidence.from_sums(logit_sums(known.logits, y), len(y))
    expected = (
        np.minimum(confidence.of(new.logits), 2.0)
        + 0.4 * distance.of(features_of(model, Z)) / distance.spread
        - 2.0 * np.log(1.0 + squares / mean_square)
    )
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-7)


def test_the_same_added_to_all_logits_changes_nothing(blobs):
    model, X, y, Z = blobs
    network = make_network(model)
    biases = [*network.biases[:-1], network.biases[-1] - 50.0]
    moved = DenseNetwork(network.weights, biases, "relu", network.classes)
    before, after = (detector_of(m).fit(X, y).score_samples(Z) for m in (network, moved))
    np.testing.assert_allclose(after, before, rtol=1e-9)


def test_far_rows_score_lower_and_lower(blobs):
    # In a linear model, for where all units of a network are dead all rows are the same to it.
    _, X, y, _ = blobs
    detector = detector_of(LogisticRegression().fit(X, y)).fit(X, y)
    known = detector.score_samples(X)
    for direction in np.random.default_rng(1).normal(size=(20, 6)):
        scores = detector.score_samples(np.outer(10.0 ** np.arange(1, 7), direction))
        assert scores[1] < np.median(known)
        assert scores[2] < known.min()
        assert (np.diff(scores[1:]) < 0).all()


def test_merged_is_as_one_fit(blobs):
    model, X, y, Z = blobs
    whole = detector_of(model, batch_size=40).fit(X, y)
    parts = [
        detector_of(model, batch_size=40).partial_fit(X[i : i + 40], y[i : i + 40])
        for i in range(0, 160, 40)
    ]
    merged = sum(parts[1:], parts[0])
    np.testing.assert_array_equal(merged.score_samples(Z), whole.score_samples(Z))
    other = sum(parts[::-1])
    np.testing.assert_allclose(other.score_samples(Z), whole.score_samples(Z), rtol=1e-9)
    loaded = pickle.loads(pickle.dumps(merged))
    np.testing.assert_array_equal(loaded.score_samples(Z), whole.score_samples(Z))


def test_what_is_added_can_be_subtracted(blobs):
    model, X, y, Z = blobs
    first, second = (
        detector_of(model).partial_fit(X[p], y[p]) for p in (slice(80), slice(80, 160))
    )
    expected = first.score_samples(Z)
    first._state.merge(second._state).subtract(second._state)
    np.testing.assert_allclose(first.score_samples(Z), expected, rtol=1e-9)


def test_an_error_changes_nothing(blobs):
    model, X, y, Z = blobs
    detector = detector_of(model, batch_size=40).fit(X, y)
    before = detector.score_samples(Z)
    bad = np.vstack([X[:60], np.full((1, 6), np.nan)])
    with pytest.raises(ValueError, match="NaN"):
        detector.partial_fit(bad, y[:61])
    with pytest.raises(ValueError, match="does not know"):
        detector.partial_fit(X[:60], np.full(60, 7))
    np.testing.assert_array_equal(detector.score_samples(Z), before)


@pytest.mark.parametrize("params", ["all", "last_hidden", ["hidden0"]])
@pytest.mark.parametrize("metric", ["kfac", "diag", "euclidean"])
def test_features_are_what_enters_the_head_whatever_layers_count(blobs, params, metric):
    model, X, y, Z = blobs
    detector = detector_of(model, params=params, metric=metric).fit(X, y)
    sums = detector._state.features.classes
    np.testing.assert_allclose(
        sums.stacked(range(4), (5,))[:, :4],
        [features_of(model, X)[y == c].sum(axis=0) for c in range(4)],
    )
    assert np.isfinite(detector.score_samples(Z)).all()


def test_binary_and_sparse():
    rng = np.random.default_rng(2)
    X = rng.random((80, 12)) * (rng.random((80, 12)) < 0.3)
    y = (X[:, 0] + X[:, 1] > X[:, 2] + 0.2).astype(int)
    model = LogisticRegression().fit(X, y)
    dense = detector_of(model).fit(X, y)
    sparse = detector_of(model).fit(sp.csr_array(X), y)
    found = sparse.score_samples(sp.csr_array(X))
    np.testing.assert_allclose(found, dense.score_samples(X), rtol=1e-9)
    assert found.std() > 0


def test_more_features_than_rows():
    rng = np.random.default_rng(3)
    y = np.arange(24) % 6
    X = rng.normal(size=(24, 300)) + 2 * rng.normal(size=(6, 300))[y]
    detector = detector_of(LogisticRegression().fit(X, y)).fit(X, y)
    known, new = detector.score_samples(X), detector.score_samples(rng.normal(size=(50, 300)) * 3)
    assert np.isfinite(known).all() and new.max() < known.min()


class NoHead(Network):
    """A network that does not say what its head is."""

    def __init__(self, inner):
        self.inner, self.classes = inner, inner.classes
        self.layer_names, self.layer_shapes = inner.layer_names, inner.layer_shapes
        self.n_features = inner.n_features

    def gradients(self, X, output="max", layers=None):
        return self.inner.gradients(X, output, layers)

    def parameters(self):
        return self.inner.parameters()


def test_logits_stand_for_features_that_are_not_known(blobs):
    model, X, y, Z = blobs
    inner = make_network(model)
    detector = detector_of(NoHead(inner)).fit(X, y)
    logits = inner.gradients(Z).logits
    found = detector._reader.read(replace(inner.gradients(Z), rows=Z), (0, 1, 2))
    np.testing.assert_allclose(found, logits - logits.mean(axis=1, keepdims=True))
    assert np.isfinite(detector.score_samples(Z)).all()


def test_convolutions_below_a_linear_head():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    body = [torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten()]
    module = torch.nn.Sequential(*body, torch.nn.Linear(48, 4)).eval()
    rng = np.random.default_rng(4)
    X = rng.normal(size=(80, 1, 6, 6)).astype(np.float32)
    y = np.arange(80) % 4
    with torch.no_grad():
        h = torch.nn.Sequential(*body)(torch.as_tensor(X)).double().numpy()
    for params in ("all", "0"):  # with the head among the layers, and without
        detector = detector_of(module, params=params if params == "all" else [params]).fit(X, y)
        sums = detector._state.features.classes.stacked(range(4), (49,))[:, :48]
        np.testing.assert_allclose(
            sums, [h[y == c].sum(axis=0) for c in range(4)], rtol=1e-4, atol=1e-4
        )
        assert detector.score_samples(10 * X).mean() < detector.score_samples(X).mean()


# ------------------------------------------------------------------------------- other scores


def test_other_scores_keep_no_features(blobs):
    model, X, y, Z = blobs
    detector = GradPCADetector(model, score_function="ratio").fit(X, y)
    assert detector._state.features is None
    with pytest.raises(ValueError, match="Fit it with the score_function"):
        detector.set_params(score_function="relative").score_samples(Z)
    with pytest.raises(ValueError, match="keeps_features"):
        detector_of(model).fit(X, y).merge(detector)


def test_detectors_saved_before_there_were_features(blobs):
    model, X, y, Z = blobs
    detector = GradPCADetector(model, score_function="snr_ratio").fit(X, y)
    expected = detector.score_samples(Z)
    for name in ("_reader", "_features"):
        vars(detector).pop(name)
    vars(detector._state).pop("features")
    vars(detector._state.plan).pop("keeps_features")
    loaded = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(loaded.score_samples(Z), expected)
    loaded.partial_fit(X, y).merge(GradPCADetector(model, score_function="snr_ratio").fit(X, y))
    assert loaded.n_samples_seen_ == 3 * len(X)
    assert KnownGradients.features is None
