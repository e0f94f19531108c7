"""GradPCADetector: explicit linear algebra on dense gradients, streams, guarantees, bad input."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import DenseNetwork, LayerFactors, make_network
from sklearn_sparse_eig.ood import conformal_p_values, conformal_threshold
from sklearn_sparse_eig.ood._roots import TriangularRoot
from sklearn_sparse_eig.ood.subspaces._means import LowRankMeans, WholeMeans

SCORES = ["snr_ratio", "ratio", "snr", "laplace"]
METRICS = ["kfac", "diag", "euclidean"]


@pytest.fixture(scope="module")
def blobs():
    """Four classes in six dimensions, a small network fitted to them, and other points."""
    rng = np.random.default_rng(0)
    y = np.repeat(["a", "b", "c", "d"], 40)
    X = rng.normal(size=(4, 6))[np.repeat(range(4), 40)] * 2 + rng.normal(size=(160, 6))
    order = rng.permutation(160)
    X, y = X[order], y[order]
    model = MLPClassifier((5, 4), solver="lbfgs", alpha=0.1, max_iter=2000, random_state=0)
    return model.fit(X, y), X, y, rng.normal(size=(30, 6)) * 4


@pytest.fixture(scope="module")
def digits():
    """Splits of the digits, each without three of the classes, with a fitted network."""
    X, y = load_digits(return_X_y=True)
    X, splits = X / 16.0, []
    for seed in range(3):
        new = np.random.default_rng(seed).choice(10, 3, replace=False)
        known = ~np.isin(y, new)
        parts = train_test_split(X[known], y[known], test_size=0.3, random_state=seed)
        # Few iterations: accurate to 97 %, and quick.
        model = MLPClassifier((64,), max_iter=400, tol=1e-3, random_state=seed)
        model.fit(parts[0], parts[2])
        splits.append((model, *parts, X[~known]))
    return splits


def _auroc(scores_in, scores_out):
    truth = np.repeat([1, 0], [len(scores_in), len(scores_out)])
    return roc_auc_score(truth, np.concatenate([scores_in, scores_out]))


# ------------------------------------------------------------------------------------ the formula


def _reference(model, X, y, Z, metric, score, layers):
    """Score Z by explicit matrices: gradients as rows, K-FAC as a Kronecker product."""
    network = make_network(model)
    fitted, new = network.gradients(X, layers=layers), network.gradients(Z, layers=layers)
    blocks = []
    for layer in fitted.layers:
        pair = [layer.inputs, layer.deltas]
        if metric == "kfac":
            pair = [ledoit_wolf(rows, assume_centered=True)[0] for rows in pair]
        elif metric == "diag":
            pair = [np.diag(_shrunk_diagonal(rows)) for rows in pair]
        else:
            pair = [np.eye(rows.shape[1]) for rows in pair]
        blocks.append(np.linalg.inv(np.kron(*pair)))
    inverse = np.zeros((sum(map(len, blocks)),) * 2)
    start = 0
    for block in blocks:
        inverse[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    means = np.array([fitted.dense()[y == c].mean(axis=0) for c in np.unique(y)])
    centre = means.mean(axis=0)
    root = np.linalg.cholesky(inverse)
    basis = np.linalg.svd((means - centre) @ root, full_matrices=False)[2][: len(means) - 1]
    moved = (new.dense() - centre) @ root
    distance = np.linalg.norm(moved, axis=1)
    inside = np.linalg.norm(moved @ basis.T, axis=1)
    outside = np.linalg.norm(moved - moved @ basis.T @ basis, axis=1)
    f = new.logits.max(axis=1)
    return {
        "snr_ratio": f / distance * np.where(f > 0, inside / outside, outside / inside),
        "ratio": inside / distance,
        "snr": f / distance,
        "laplace": f / np.linalg.norm(new.dense() @ root, axis=1),
    }[score]


def _shrunk_diagonal(rows):
    squares = rows**2
    diagonal = squares.mean(axis=0)
    level = diagonal.mean()
    spread = ((diagonal - level) ** 2).sum()
    # The variance of the mean of independent rows, entry by entry.
    variance = ((squares - diagonal) ** 2).mean(axis=0).sum() / len(rows)
    share = min(variance, spread) / spread if spread > 0 else 0.0
    return (1 - share) * diagonal + share * level


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_the_formula(blobs, metric, score):
    model, X, y, Z = blobs
    detector = GradPCADetector(model, metric=metric, score_function=score).fit(X, y)
    expected = _reference(model, X, y, Z, metric, score, None)
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-7)
    np.testing.assert_allclose(detector.ood_score(Z), -detector.score_samples(Z))


def test_negative_logits(blobs):
    # Where every logit is negative, the output is, and the angle counts the other way round.
    model, X, y, Z = blobs
    network = make_network(model)
    moved = DenseNetwork(
        network.weights,
        [*network.biases[:-1], network.biases[-1] - 50.0],
        "relu",
        network.classes,
    )
    values = moved.gradients(Z).values
    assert (values < 0).any()
    found = GradPCADetector(moved, score_function="snr_ratio").fit(X, y).score_samples(Z)
    expected = _reference(moved, X, y, Z, "kfac", "snr_ratio", None)
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert (np.sign(found) == np.sign(values)).all()


@pytest.mark.parametrize("params, layers", [("head", [2]), ("last_hidden", [1]), ("hidden0", [0])])
def test_layers(blobs, params, layers):
    model, X, y, Z = blobs
    detector = GradPCADetector(model, params=params, score_function="snr_ratio").fit(X, y)
    expected = _reference(model, X, y, Z, "kfac", "snr_ratio", layers)
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-7)
    assert list(detector.shrinkage_) == [make_network(model).layer_names[layers[0]]]


def test_shrinkage_is_ledoit_wolf(blobs):
    model, X, y, _ = blobs
    detector = GradPCADetector(model).fit(X, y)
    for layer, shares in zip(
        make_network(model).gradients(X).layers, detector.shrinkage_.values(), strict=True
    ):
        for rows, share in zip((layer.inputs, layer.deltas), shares, strict=True):
            expected = ledoit_wolf(rows, assume_centered=True)[1]
            # Never none at all, so that there is an inverse.
            np.testing.assert_allclose(share, max(expected, 1e-10), rtol=1e-9)


def test_paper_is_the_angle_to_the_leading_class_means(blobs):
    model, X, y, Z = blobs
    detector = GradPCADetector.paper(model, n_components=2).fit(X, y)
    assert GradPCADetector.paper(model).n_components == 0.99
    network = make_network(model)
    layer = network.select("last_hidden")
    fitted, new = (network.gradients(rows, layers=layer).dense() for rows in (X, Z))
    means = np.array([fitted[y == c].mean(axis=0) for c in "abcd"])
    basis = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][:2]
    moved = new - means.mean(axis=0)
    expected = np.linalg.norm(moved @ basis.T, axis=1) / np.linalg.norm(moved, axis=1)
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-9)


def test_sum_of_logits_at_the_head_is_feature_pca(blobs):
    # The gradient is the same features for every class, so no gradient is needed there.
    model, X, y, Z = blobs
    detector = GradPCADetector(
        model, output="sum", params="head", metric="euclidean", score_function="ratio"
    ).fit(X, y)
    network = make_network(model)
    features, new = (network.forward(rows)[-2] for rows in (X, Z))
    means = np.array([features[y == c].mean(axis=0) for c in "abcd"])
    basis = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][:3]
    moved = new - means.mean(axis=0)
    expected = np.linalg.norm(moved @ basis.T, axis=1) / np.linalg.norm(moved, axis=1)
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_laplace_does_not_know_the_scale_of_a_homogeneous_network(metric):
    # Without biases f and its gradient grow alike (Euler), unlike the logit alone.
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape) for shape in ((6, 8), (8, 5), (5, 3))]
    network = DenseNetwork(weights, [None] * 3, "relu", classes=np.arange(3))
    X = rng.normal(size=(200, 6))
    detector = GradPCADetector(network, metric=metric, score_function="laplace").fit(X)
    np.testing.assert_allclose(detector.score_samples(7 * X), detector.score_samples(X), rtol=1e-9)


def test_number_of_directions(blobs):
    model, X, y, _ = blobs
    whole = GradPCADetector(model).fit(X, y)
    assert whole.n_components_ == 3
    values = whole.eigenvalues_
    assert (np.diff(values) <= 0).all()
    share = np.cumsum(values) / values.sum()
    for n_components, expected in [(2, 2), (9, 3), (share[0] - 1e-6, 1), (share[0] + 1e-6, 2)]:
        some = GradPCADetector(model, n_components=n_components, score_function="snr_ratio").fit(
            X, y
        )
        assert some.n_components_ == expected
        np.testing.assert_allclose(
            some.transform(X), whole.transform(X)[:, :expected], atol=1e-9 * np.abs(values[0])
        )


def test_coordinates_are_those_of_an_orthonormal_basis(blobs):
    # Class means of the coordinates: their Gram matrix has the eigenvalues, on the diagonal.
    model, X, y, _ = blobs
    detector = GradPCADetector(model).fit(X, y)
    Z = detector.transform(X)
    means = np.array([Z[y == c].mean(axis=0) for c in "abcd"])
    np.testing.assert_allclose(means.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(means.T @ means, np.diag(detector.eigenvalues_), atol=1e-8)
    assert detector.get_feature_names_out().tolist() == [f"gradpcadetector{i}" for i in range(3)]


# -------------------------------------------------------------------------------------- streaming


def _state(detector):
    arrays = [detector._state.counts, *detector._state.class_sums]
    for pair in detector._state.moments:
        arrays += [value for m in pair for value in (m.total, np.asarray(m.fourth))]
    return arrays


@pytest.mark.parametrize("metric", METRICS)
def test_stream_and_merge_are_one_fit_bit_for_bit(blobs, metric):
    model, X, y, Z = blobs
    new = GradPCADetector(model, metric=metric, batch_size=80)
    whole = clone(new).set_params(estimator=model).fit(X, y)
    stream = GradPCADetector(model, metric=metric)
    stream.partial_fit(X[:80], y[:80]).partial_fit(X[80:], y[80:])
    shards = [
        GradPCADetector(model, metric=metric).partial_fit(X[i : i + 80], y[i : i + 80])
        for i in (0, 80)
    ]
    resumed = pickle.loads(pickle.dumps(shards[0])).partial_fit(X[80:], y[80:])
    merged = shards[0].merge(shards[1])
    for other in (stream, merged, resumed):
        for mine, theirs in zip(_state(whole), _state(other), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_array_equal(other.score_samples(Z), whole.score_samples(Z))
        assert other.n_samples_seen_ == 160
        assert other.class_counts_.tolist() == [40] * 4


@pytest.mark.parametrize("labels", ["true", "predicted"])
def test_any_batches_in_any_order(blobs, labels):
    model, X, y, Z = blobs
    whole = GradPCADetector(model, labels=labels).fit(X, y)
    order = np.random.default_rng(0).permutation(160)
    stream = GradPCADetector(model, labels=labels)
    for part in np.array_split(order, [1, 2, 40, 97]):
        stream.partial_fit(X[part], y[part], classes=list("abcd"))
    np.testing.assert_allclose(stream.score_samples(Z), whole.score_samples(Z), rtol=1e-9)


def test_labels(blobs):
    model, X, y, Z = blobs
    predicted = GradPCADetector(model).fit(X, model.predict(X)).score_samples(Z)
    for detector in (
        GradPCADetector(model).fit(X),
        GradPCADetector(model, labels="predicted").fit(X, y[::-1]),
    ):
        np.testing.assert_array_equal(detector.score_samples(Z), predicted)


def test_classes_in_any_order(blobs):
    model, X, y, Z = blobs
    network = make_network(model)
    order = [2, 0, 3, 1]
    shuffled = DenseNetwork(
        [*network.weights[:-1], network.weights[-1][:, order]],
        [*network.biases[:-1], network.biases[-1][order]],
        "relu",
        network.classes[order],
    )
    expected = GradPCADetector(model).fit(X[:100], y[:100])
    detector = GradPCADetector(shuffled).partial_fit(X[:100], y[:100], classes=list("abcd"))
    assert detector.class_counts_.tolist() == expected.class_counts_[order].tolist()
    np.testing.assert_allclose(detector.score_samples(Z), expected.score_samples(Z), rtol=1e-8)


@pytest.mark.parametrize("estimator", [None, LogisticRegression()])
def test_stream_that_trains_on_its_first_batch(blobs, estimator):
    _, X, y, Z = blobs
    first = GradPCADetector(estimator, random_state=0).partial_fit(X[:80], y[:80])
    trained = first.estimator_
    first.partial_fit(X[80:], y[80:])
    assert first.estimator_ is trained
    given = GradPCADetector(trained).fit(X, y)
    np.testing.assert_allclose(first.score_samples(Z), given.score_samples(Z), rtol=1e-8)
    other = GradPCADetector(estimator, random_state=0).partial_fit(X[80:], y[80:])
    with pytest.raises(ValueError, match="same fitted estimator"):
        first.merge(other)


def test_merge_refuses(blobs):
    model, X, y, _ = blobs
    detector = GradPCADetector(model).partial_fit(X, y)
    before = _state(pickle.loads(pickle.dumps(detector)))
    retrained = clone(model).set_params(random_state=1).fit(X, y)
    for other, message in [
        (GradPCADetector(model, metric="diag"), "metric is 'kfac' here, 'diag'"),
        (GradPCADetector(model, output="sum"), "output is 'max' here, 'sum'"),
        (GradPCADetector(model, params="head"), "params"),
        (GradPCADetector(retrained), "different classifiers"),
    ]:
        with pytest.raises(ValueError, match=message):
            detector.merge(other.partial_fit(X, y))
    with pytest.raises(TypeError, match="got MLPClassifier"):
        detector.merge(model)
    with pytest.raises(NotFittedError):
        detector.merge(GradPCADetector(model))
    for mine, theirs in zip(before, _state(detector), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_stream_before_there_is_a_subspace(blobs):
    model, X, y, Z = blobs
    detector = GradPCADetector(model).partial_fit(X[y == "a"][:5], ["a"] * 5)
    assert not hasattr(detector, "eigenvalues_")
    assert "estimator" in detector._repr_html_()
    with pytest.raises(ValueError, match="found 1 class of that size"):
        detector.score_samples(Z)
    detector.partial_fit(X, y)
    assert detector.n_components_ == 3
    with pytest.raises(NotFittedError, match="calibrate"):
        detector.predict(Z)
    assert set(detector.calibrate(X).predict(Z)) <= {-1, 1}
    assert not hasattr(detector.partial_fit(X, y), "offset_")


# ------------------------------------------------------------------------------------ calibration


@pytest.mark.parametrize("n", [19, 39, 130])
@pytest.mark.parametrize("ties", [False, True])
def test_false_alarms_of_conformal_thresholds(n, ties):
    # Over many draws of held-out scores and a new one: at most alpha, and with continuous scores
    # exactly floor(alpha (n + 1)) / (n + 1).
    alpha, n_draws = 0.05, 20_000
    rng = np.random.default_rng(n)
    scores = rng.normal(size=(n_draws, n + 1))
    scores = np.round(scores, 1) if ties else scores
    alarms = np.array([row[-1] < conformal_threshold(row[:-1], alpha) for row in scores])
    p = np.array([conformal_p_values(np.sort(row[:-1]), row[-1]) for row in scores])
    error = np.sqrt(alpha * (1 - alpha) / n_draws)
    assert alarms.mean() <= alpha + 4 * error
    assert (p <= alpha).mean() <= alpha + 4 * error
    if not ties:
        np.testing.assert_array_equal(alarms, p <= alpha + 1e-12)
        assert abs(alarms.mean() - np.floor(alpha * (n + 1)) / (n + 1)) < 4 * error


def test_calibrated_detector_keeps_its_rate(digits):
    # Held-out digits split at random into those that calibrate and new ones, again and again.
    model, X, X_new, y, *_ = digits[0]
    detector = GradPCADetector(model, contamination=0.1).fit(X, y)
    rng = np.random.default_rng(0)
    rates = []
    scores = detector.score_samples(X_new)
    for _ in range(400):
        order = rng.permutation(len(X_new))
        threshold = conformal_threshold(scores[order[:59]], 0.1)
        rates.append((scores[order[59:]] < threshold).mean())
    assert abs(np.mean(rates) - 0.1) < 4 * np.std(rates) / 20
    detector.calibrate(X_new[:59])
    assert detector.calibration_ == "held out"
    np.testing.assert_allclose(detector.offset_, conformal_threshold(scores[:59], 0.1))
    p = detector.p_values(X_new)
    np.testing.assert_array_equal(detector.predict(X_new) == -1, p <= 0.1 + 1e-12)


def test_where_the_threshold_comes_from(blobs):
    model, X, y, Z = blobs
    given = GradPCADetector(model, contamination=0.1).fit(X, y)
    assert given.calibration_ == "training"
    with pytest.warns(UserWarning, match="quantile of the training scores"):
        assert (given.predict(X) == -1).sum() == 16
    with pytest.raises(NotFittedError, match="Call calibrate"):
        given.p_values(Z)
    trained = GradPCADetector(LogisticRegression(), random_state=0).fit(X, y)
    assert trained.calibration_ == "held out"
    assert len(trained.calibration_scores_) == 24
    assert trained.n_samples_seen_ == 160 - 24
    # A small rate takes more rows to hold out: 1 / 0.025 - 1.
    trained.set_params(contamination=0.025).fit(X, y)
    assert len(trained.calibration_scores_) == 39
    with pytest.warns(UserWarning, match="to hold 99 out"):
        trained.set_params(contamination=0.01).fit(X, y)
    assert trained.calibration_ == "training" and not hasattr(trained, "calibration_scores_")
    with pytest.raises(ValueError, match="at least 99 are needed"):
        trained.calibrate(X[:98])
    assert trained.calibrate(X[:99]).offset_ == trained.score_samples(X[:99]).min()


@pytest.mark.filterwarnings("error:.*quantile of the training scores:UserWarning")
def test_predict_tells_of_a_training_threshold_unless_it_is_known(blobs, tmp_path):
    model, X, y, Z = blobs
    detector = GradPCADetector(model).fit(X, y)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            expected = detector.predict(X)
    assert [(w.filename, "Call calibrate" in str(w.message)) for w in caught] == [(__file__, True)]
    # The share of X itself is what fit_predict is asked for.
    np.testing.assert_array_equal(GradPCADetector(model).fit_predict(X, y), expected)
    detector.save(tmp_path / "detector.skse")
    with pytest.warns(UserWarning, match="quantile of the training scores"):
        GradPCADetector.load(tmp_path / "detector.skse", model).predict(Z)
    detector.calibrate(Z).predict(Z)
    GradPCADetector(LogisticRegression(), random_state=0).fit(X, y).predict(Z)  # holds some out
    few = GradPCADetector(LogisticRegression(), contamination=0.01, random_state=0)
    with pytest.warns(UserWarning, match="to hold 99 out"):
        few.fit(X, y)
    few.predict(Z)  # told by fit


# -------------------------------------------------------------------------------- what it detects


def test_digits_left_out(digits):
    # FISHER: .957 for snr_ratio, .889 for the largest probability, on a protocol like this one.
    found = {name: [] for name in ("default", "snr_ratio", "paper", "max_logit", "msp")}
    for model, X, X_in, y, _, X_out in digits:
        network = make_network(model)
        largest = [network.gradients(rows).values for rows in (X_in, X_out)]
        msp = [model.predict_proba(rows).max(axis=1) for rows in (X_in, X_out)]
        found["max_logit"].append(_auroc(*largest))
        found["msp"].append(_auroc(*msp))
        for name, detector in [
            ("default", GradPCADetector(model)),
            ("snr_ratio", GradPCADetector(model, score_function="snr_ratio")),
            ("paper", GradPCADetector.paper(model)),
        ]:
            detector.fit(X, y)
            found[name].append(_auroc(*map(detector.score_samples, (X_in, X_out))))
    means = {name: np.mean(values) for name, values in found.items()}
    # The default trades a point here for several on pretrained features.
    assert means["snr_ratio"] > 0.95 and means["default"] > 0.94, means
    least = max(means["paper"], means["max_logit"], means["msp"])
    assert min(found["snr_ratio"]) > least and min(found["default"]) > least, found


def test_without_estimator_and_without_labels(digits):
    _, X, X_in, y, _, X_out = digits[0]
    supervised = GradPCADetector(random_state=0).fit(X, y)
    assert supervised.calibration_ == "held out"
    assert _auroc(*map(supervised.score_samples, (X_in, X_out))) > 0.9
    assert (supervised.predict(X_in) == -1).mean() < 0.1
    noise = np.random.default_rng(0).uniform(size=X_in.shape)
    unsupervised = GradPCADetector(random_state=0).fit(X)
    assert unsupervised.calibration_ == "training"
    assert _auroc(*map(unsupervised.score_samples, (X_in, noise))) > 0.99
    np.testing.assert_array_equal(
        GradPCADetector(random_state=0).fit_predict(X, y), supervised.predict(X)
    )


def test_wide_factors_are_kept_diagonal(monkeypatch, blobs):
    model, X, y, Z = blobs
    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_FACTOR", 3)
    wide = GradPCADetector(model).fit(X, y)
    assert all(m.diagonal for pair in wide._state.moments[:2] for m in pair)
    diagonal = GradPCADetector(model, metric="diag").fit(X, y)
    np.testing.assert_allclose(wide.score_samples(Z), diagonal.score_samples(Z), rtol=1e-12)


# ------------------------------------------------------------------------------------------ input


@pytest.mark.parametrize("metric", METRICS)
def test_sparse_rows(blobs, metric):
    _, X, y, Z = blobs
    X, Z = X * (np.abs(X) > 1), Z * (np.abs(Z) > 1)
    model = LogisticRegression().fit(X, y)
    dense = GradPCADetector(model, metric=metric).fit(X, y)
    sparse = GradPCADetector(model, metric=metric).fit(sp.csr_matrix(X), y)
    np.testing.assert_allclose(
        sparse.score_samples(sp.csr_array(Z)), dense.score_samples(Z), rtol=1e-8
    )
    default = GradPCADetector(random_state=0).fit(sp.csr_array(X), y)
    assert default.score_samples(sp.csr_array(Z)).shape == (30,)


def test_text_and_frozen_estimators():
    rng = np.random.default_rng(0)
    words = [["apple", "pear", "plum", "red"], ["car", "bus", "road", "fast"]]
    labels = rng.integers(2, size=200)
    texts = [" ".join(rng.choice(words[c], 4)) for c in labels]
    model = make_pipeline(TfidfVectorizer(), StandardScaler(with_mean=False), LogisticRegression())
    trained = GradPCADetector(model, random_state=0).fit(texts, labels)
    assert trained.calibration_ == "held out"
    frozen = GradPCADetector(FrozenEstimator(model.fit(texts, labels)))
    detector = clone(frozen).fit(texts, labels)
    assert detector.calibrate(texts).predict(["apple road", "apple plum pear"]).shape == (2,)
    with pytest.raises(ValueError, match="0 sample"):
        detector.predict([])


def test_grid_search_over_scores(digits):
    # The best of two scores by how well digits of the held-out fold are told from noise.
    model, X, _, y, *_ = digits[0]
    noise = np.random.default_rng(0).uniform(size=(200, 64))

    def against_noise(detector, X, y):
        return _auroc(detector.score_samples(X), detector.score_samples(noise))

    search = GridSearchCV(
        GradPCADetector(FrozenEstimator(model)),
        {"score_function": ["snr_ratio", "ratio"], "metric": ["kfac", "euclidean"]},
        scoring=against_noise,
        cv=2,
    ).fit(X, y)
    assert search.best_score_ > 0.99
    assert search.best_estimator_.estimator_.estimator is model


def test_validation_without_scoring_is_refused(digits):
    model, X, _, y, *_ = digits[0]
    detector = GradPCADetector(FrozenEstimator(model))
    assert not hasattr(detector, "score")
    with pytest.raises(TypeError, match="scoring"):
        cross_val_score(detector, X, y, cv=2)
    with pytest.raises(TypeError, match="scoring"):
        GridSearchCV(detector, {"metric": ["diag"]}, cv=2).fit(X, y)
    with pytest.raises(TypeError, match="score"):
        GradPCADetector(score="ratio")


def test_two_classes(blobs):
    _, X, y, Z = blobs
    y = y == "a"
    model = LogisticRegression().fit(X, y)
    detector = GradPCADetector(model, score_function="snr_ratio").fit(X, y)
    assert detector.n_components_ == 1
    expected = _reference(model, X, y, Z, "kfac", "snr_ratio", None)
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-7)


def test_features_and_units_that_never_vary(blobs):
    _, X, y, Z = blobs
    X, Z = (np.column_stack([rows, np.zeros(len(rows)), np.ones(len(rows))]) for rows in (X, Z))
    detector = GradPCADetector(LogisticRegression().fit(X, y)).fit(X, y)
    scores = detector.score_samples(Z)
    assert np.isfinite(scores).all()
    Z[:, 6] = 1.0  # what was never seen is far away
    assert (detector.score_samples(Z) < scores).all()
    dead = DenseNetwork(
        [np.ones((8, 3)), np.eye(3)], [np.full(3, -1e3), np.arange(3.0)], "relu", np.arange(3)
    )
    with pytest.raises(ValueError, match="coincide"):
        GradPCADetector(dead).fit(X, np.arange(len(X)) % 3)


def test_a_gradient_at_the_centre_is_inside():
    # Two opposite class means: their mean is the gradient of a sample of zeros without bias.
    X = np.array([[1.0, 0.0], [1.2, 0.1], [-1.0, 0.0], [-1.2, -0.1]])
    network = DenseNetwork([[[1.0, -1.0], [0.0, 0.0]]], [None], classes=np.arange(2))
    for score in SCORES:
        detector = GradPCADetector(network, metric="euclidean", score_function=score).fit(X)
        centre = detector._get_subspace()
        assert np.isfinite(detector.score_samples(np.zeros((1, 2)))).all()
        layers = network.gradients(X[:1]).layers
        at = centre.coordinates(tuple(type(a)(a.inputs * 0, a.deltas) for a in layers))
        assert (at.residual <= at.distance).all() and (at.distance > 0).all()


def test_bad_input(blobs):
    model, X, y, Z = blobs
    with pytest.raises(ValueError, match="two classes are needed, got 1 class"):
        GradPCADetector(model).fit(X, ["a"] * 160)
    with pytest.raises(ValueError, match="only one sample of d"):
        keep = np.flatnonzero(y != "d").tolist() + [np.flatnonzero(y == "d")[0]]
        GradPCADetector(model).fit(X[keep], y[keep])
    with pytest.raises(ValueError, match=r"does not know: \['z'\]"):
        GradPCADetector(model).fit(X, np.where(y == "d", "z", y))
    with pytest.raises(ValueError, match="are not those of the classifier"):
        GradPCADetector(model).partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match="Unknown label type"):
        GradPCADetector().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        GradPCADetector(model).fit(X, y[:-1])
    with pytest.raises(TypeError, match="A classifier is needed, got Ridge"):
        GradPCADetector(Ridge().fit(X, X[:, 0])).fit(X, y)
    with pytest.raises(TypeError, match="No gradients are known for str"):
        GradPCADetector("mlp").fit(X, y)
    with pytest.raises(NotFittedError):
        GradPCADetector(model).score_samples(Z)
    with pytest.raises(ValueError, match="Use score_function='ratio'"):
        GradPCADetector(model, output="loss").fit(X, y)
    assert (
        GradPCADetector(model, output="loss", score_function="ratio").fit(X, y).n_components_ == 3
    )
    with pytest.raises(ValueError, match="n_samples = 7"):
        GradPCADetector().fit(X[:7])


def test_failed_fit_changes_nothing(blobs):
    model, X, y, Z = blobs
    detector = GradPCADetector(model).fit(X, y)
    scores, before = detector.decision_function(Z), set(vars(detector))
    with pytest.raises(ValueError, match="does not know"):
        detector.fit(X, np.where(y == "d", "z", y))
    with pytest.raises(ValueError, match="NaN"):
        detector.partial_fit(np.full_like(X, np.nan), y)
    np.testing.assert_array_equal(detector.decision_function(Z), scores)
    assert set(vars(detector)) == before


# -------------------------------------------------------------------------- means of low rank


@pytest.mark.parametrize("shape", [(5, 12, 7), (5, 7, 12), (3, 40, 1)])
def test_low_rank_means_are_the_nearest(shape):
    rng = np.random.default_rng(0)
    matrices = rng.normal(size=shape)
    matrices[1] = 0.0  # a class that reaches no unit
    for rank in (1, 3, 7):
        means = LowRankMeans.nearest(matrices, rank)
        u, s, vt = np.linalg.svd(matrices, full_matrices=False)
        nearest = (u[:, :, :rank] * s[:, None, :rank]) @ vt[:, :rank]
        found = np.einsum("pcr,qcr->cpq", means.lefts, means.rights)
        np.testing.assert_allclose(found, nearest, atol=1e-12)


def test_low_rank_means_behave_like_the_matrices_they_stand_for():
    rng = np.random.default_rng(1)
    low = LowRankMeans.nearest(rng.normal(size=(4, 9, 6)), 2)
    whole = WholeMeans(np.einsum("pcr,qcr->cpq", low.lefts, low.rights))
    np.testing.assert_allclose(low.gram(), whole.gram(), rtol=1e-12, atol=1e-12)
    combinations = rng.normal(size=(3, 4))
    dense = LayerFactors(rng.normal(size=(20, 9)), rng.normal(size=(20, 6)))
    sparse = LayerFactors(sp.csr_array(dense.inputs), dense.deltas)
    for layer in (dense, sparse):
        np.testing.assert_allclose(
            low.combined(combinations).products(layer),
            whole.combined(combinations).products(layer),
            rtol=1e-12,
            atol=1e-12,
        )


def test_means_of_low_rank_lose_no_rank_that_matters():
    rng = np.random.default_rng(2)
    left, right = rng.normal(size=(3, 30, 2)), rng.normal(size=(3, 2, 20))
    # Of rank 2, but for 0.1 % of the squared norm: the rest of the ranks is left out.
    means = LowRankMeans.nearest(left @ right + 0.04 * rng.normal(size=(3, 30, 20)), 16)
    assert means.lefts.shape[-1] == 2


def test_wide_means_go_through_the_randomised_factorisation(monkeypatch):
    rng = np.random.default_rng(3)
    matrices = rng.normal(size=(2, 40, 3)) @ rng.normal(size=(2, 3, 30))
    exact = LowRankMeans.nearest(matrices, 3)
    monkeypatch.setattr("sklearn_sparse_eig.ood.subspaces._means._LARGEST_EXACT", 8)
    wide = LowRankMeans.nearest(matrices, 3)
    np.testing.assert_allclose(
        np.einsum("pcr,qcr->cpq", wide.lefts, wide.rights),
        np.einsum("pcr,qcr->cpq", exact.lefts, exact.rights),
        atol=1e-10,
    )


@pytest.mark.parametrize("score", SCORES)
def test_full_rank_means_are_the_means(blobs, score):
    model, X, y, other = blobs
    whole = GradPCADetector(model, score_function=score, mean_rank=None).fit(X, y)
    # The layers have at most five outputs.
    full = GradPCADetector(model, score_function=score, mean_rank=5).fit(X, y)
    np.testing.assert_allclose(full.score_samples(other), whole.score_samples(other), rtol=1e-9)
    low = GradPCADetector(model, score_function=score, mean_rank=1).fit(X, y)
    same = np.allclose(low.score_samples(other), whole.score_samples(other), rtol=1e-3)
    assert same == (score == "laplace")


def test_low_rank_means_tell_digits_apart_as_well(digits):
    for model, X, X_test, y, _, new in digits:
        low, whole = (
            GradPCADetector(model, mean_rank=rank, score_function="snr_ratio").fit(X, y)
            for rank in (8, None)
        )
        difference = _auroc(low.score_samples(X_test), low.score_samples(new)) - _auroc(
            whole.score_samples(X_test), whole.score_samples(new)
        )
        assert abs(difference) < 0.005


def test_triangular_products():
    rng = np.random.default_rng(4)
    rows, root = rng.normal(size=(11, 6)), np.triu(rng.normal(size=(6, 6)))
    kept = rows.copy()
    np.testing.assert_allclose(TriangularRoot(root).of(rows), rows @ root, rtol=1e-13)
    np.testing.assert_array_equal(rows, kept)


# ------------------------------------------------------------------- gradients from elsewhere


def _kernel(gradients, others):
    """Inner products with others, and in a last column with themselves."""
    return np.hstack([gradients.inner(others), gradients.squared_norms()[:, None]])


def test_precomputed_gradients_and_their_kernel_score_like_the_model(blobs):
    model, X, y, other = blobs
    settings = {"metric": "euclidean", "score_function": "ratio", "mean_rank": None}
    expected = GradPCADetector(model, **settings).fit(X, y)
    network = make_network(model)
    fitted, new = network.gradients(X), network.gradients(other)
    dense = GradPCADetector(backend="precomputed", **settings).fit(fitted.dense(), y)
    kernel = GradPCADetector(backend="kernel", **settings).fit(_kernel(fitted, fitted), y)
    sparse = GradPCADetector(backend="precomputed", **settings)
    sparse.fit(sp.csr_array(fitted.dense()), y)
    for detector, rows in ((dense, new.dense()), (kernel, _kernel(new, fitted))):
        np.testing.assert_allclose(
            detector.score_samples(rows), expected.score_samples(other), rtol=1e-9
        )
        np.testing.assert_allclose(detector.eigenvalues_, expected.eigenvalues_, rtol=1e-9)
        np.testing.assert_allclose(detector.transform(rows), expected.transform(other), atol=1e-9)
    np.testing.assert_allclose(
        sparse.score_samples(sp.csr_array(new.dense())), dense.score_samples(new.dense())
    )


def test_metric_of_precomputed_gradients_is_their_second_moment(blobs):
    model, X, y, other = blobs
    gradients = make_network(model).gradients(X).dense()
    new = make_network(model).gradients(other).dense()
    shrunk, _ = ledoit_wolf(gradients, assume_centered=True)
    root = np.linalg.inv(np.linalg.cholesky(shrunk)).T
    expected = GradPCADetector(backend="precomputed", metric="euclidean", score_function="ratio")
    expected.fit(gradients @ root, y)
    found = GradPCADetector(backend="precomputed", score_function="ratio").fit(gradients, y)
    np.testing.assert_allclose(
        found.score_samples(new), expected.score_samples(new @ root), rtol=1e-6
    )


def test_kernel_rows_in_batches_and_in_grid_order(blobs):
    model, X, y, other = blobs
    network = make_network(model)
    fitted, new = network.gradients(X), network.gradients(other)
    rows = _kernel(fitted, fitted)
    whole = GradPCADetector(backend="kernel", score_function="ratio").fit(rows, y)
    stream = GradPCADetector(backend="kernel", score_function="ratio")
    for part in np.array_split(np.arange(len(rows)), 3):
        stream.partial_fit(rows[part], y[part], classes=np.unique(y))
    np.testing.assert_allclose(
        stream.score_samples(_kernel(new, fitted)),
        whole.score_samples(_kernel(new, fitted)),
        rtol=1e-12,
    )
    with pytest.raises(ValueError, match="160 training samples.*161 rows"):
        stream.partial_fit(rows[:1], y[:1])
    with pytest.raises(ValueError, match="cannot be merged"):
        whole.merge(stream)
    late = GradPCADetector(backend="kernel", score_function="ratio").partial_fit(
        rows[:100], y[:100]
    )
    with pytest.raises(ValueError, match="only 100 of their rows"):
        late.score_samples(rows[:2])


def test_bad_gradients_from_elsewhere(blobs):
    model, X, y, _ = blobs
    gradients = make_network(model).gradients(X)
    rows = gradients.dense()
    precomputed = GradPCADetector(backend="precomputed", score_function="ratio")
    for detector, error in (
        (clone(precomputed).set_params(score_function="snr_ratio"), "does not know the output"),
        (clone(precomputed).set_params(estimator=model), "estimator=None"),
        (clone(precomputed).set_params(labels="predicted"), "knows no predictions"),
    ):
        with pytest.raises(ValueError, match=error):
            detector.fit(rows, y)
    with pytest.raises(ValueError, match="pass y"):
        precomputed.fit(rows)
    kernel = GradPCADetector(backend="kernel", score_function="ratio")
    square = _kernel(gradients, gradients)
    with pytest.raises(ValueError, match="not symmetric"):
        kernel.fit(square[::-1], y[::-1])
    with pytest.raises(ValueError, match="cannot be negative"):
        kernel.fit(-square, y)
    with pytest.raises(ValueError, match="'auto' or 'exact'"):
        clone(kernel).set_params(subspace="sketched").fit(square, y)
    with pytest.raises(TypeError, match="backend='torch' is not that of MLPClassifier"):
        GradPCADetector(model, backend="torch").fit(X, y)


# ------------------------------------------------------------------------ what is kept, and where


class _FailsLate(DenseNetwork):
    """A network that cannot do a certain row."""

    def gradients(self, X, output="max", layers=None):
        if (X == 1e6).any():
            raise RuntimeError("no such row")
        return super().gradients(X, output, layers)


@pytest.mark.parametrize("subspace", ["exact", "sketched", "sparse_pca"])
def test_a_batch_that_fails_takes_back_those_before(blobs, subspace):
    model, X, y, other = blobs
    network = _FailsLate(model.coefs_, model.intercepts_, "relu", model.classes_)
    detector = GradPCADetector(network, batch_size=20, subspace=subspace, random_state=0)
    detector.partial_fit(X[:100], y[:100])
    scores, seen = detector.score_samples(other), detector.n_samples_seen_
    bad = X[100:].copy()
    bad[45] = 1e6
    with pytest.raises(RuntimeError, match="no such row"):
        detector.partial_fit(bad, y[100:])
    assert detector.n_samples_seen_ == seen
    np.testing.assert_array_equal(detector.score_samples(other), scores)
    detector.partial_fit(X[100:], y[100:])
    assert detector.n_samples_seen_ == len(X)


def test_huge_models_are_sketched_and_their_means_recovered(blobs, monkeypatch):
    model, X, y, other = blobs
    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_SUMS", 100)
    settings = {"n_measurements": 256, "random_state": 0}
    detector = GradPCADetector(model, **settings)
    detector.fit(X, y)
    assert detector.subspace_ == "sketched"
    # 0.001 of 75 parameters, rounded up.
    assert (np.diff(detector.sparse_means_.indptr) == 1).all()
    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_SWEEP", 100)
    with pytest.warns(UserWarning, match="entries, too many.*score_function='laplace'"):
        too_many = GradPCADetector(model, **settings).fit(X, y)
    assert not hasattr(too_many, "sparse_means_")
    plain = GradPCADetector(model, metric="euclidean", **settings).fit(X, y)
    assert plain.subspace_ == "sketched"
    assert not hasattr(plain, "sparse_means_")


def test_device_is_for_torch(blobs):
    model, X, y, _ = blobs
    with pytest.raises(TypeError, match="device='cpu' is for torch modules, got MLPClassifier"):
        GradPCADetector(model, device="cpu").fit(X, y)
