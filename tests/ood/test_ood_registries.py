"""Kinds of known gradients and scores register by name, and the laws run over all of them."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig import estimator_checks as checks
from sklearn_sparse_eig.gradients import make_network
from sklearn_sparse_eig.ood import (
    KINDS,
    SCORES,
    SUBSPACES,
    JointSpan,
    KnownGradients,
    Metric,
    Plan,
    Score,
    SpanRequest,
    make_known,
    register,
    register_score,
    score,
)

few = pytest.mark.filterwarnings("ignore:The first samples fix the metric:UserWarning")


class DenseSums(KnownGradients):
    """Sums of dense gradients over classes, in the Euclidean metric: short, slow and exact."""

    name = "dense_sums_toy"

    def __init__(self, plan):
        super().__init__(plan)
        self.sums = np.zeros((plan.n_classes, plan.n_parameters))

    def span(self, request):
        return DenseSpan(self.sums / self.counts[:, None])

    def _prepare_to_write(self):
        self.journal.keep(self.sums)

    def _update(self, layers, labels):
        np.add.at(self.sums, labels, np.hstack([layer.dense() for layer in layers]))

    def _add_sums(self, other, sign):
        self.sums += sign * other.sums


class DenseSpan(JointSpan):
    """Span of class means by a singular value decomposition."""

    def __init__(self, means):
        centre = means.mean(axis=0)
        _, sizes, directions = np.linalg.svd(means - centre, full_matrices=False)
        self.directions = np.vstack([directions[:-1], centre])
        super().__init__(Metric(None), sizes[:-1] ** 2, self.directions @ centre)

    def _products(self, layers):
        return np.hstack([layer.dense() for layer in layers]) @ self.directions.T


def closeness(f, place):
    """How near the centre a gradient is."""
    return -place.distance


@pytest.fixture
def toys(monkeypatch):
    """A kind and a score that are registered, and forgotten again after the test."""
    monkeypatch.setitem(KINDS, DenseSums.name, None)
    monkeypatch.setitem(SCORES, "closeness_toy", None)
    assert register(DenseSums) is DenseSums
    assert register_score("closeness_toy", uses_output=False)(closeness) is closeness


@pytest.fixture(scope="module")
def blobs():
    """Four classes in six dimensions, a small network fitted to them, and far points."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2, 3], 40)
    X = rng.normal(size=(4, 6))[y] * 2 + rng.normal(size=(160, 6))
    model = MLPClassifier((5, 4), solver="lbfgs", alpha=0.1, max_iter=2000, random_state=0)
    return model.fit(X, y), X, y, rng.normal(size=(60, 6)) * 8


def names_of(registry, toy):
    return [*sorted(registry), toy]


KIND_NAMES = names_of(set(SUBSPACES) - {"auto"}, DenseSums.name)
SCORE_NAMES = names_of(SCORES, "closeness_toy")


def stream(kind, model, X, y):
    """Return what the laws of a state need: make, feed, batches and read."""
    network = make_network(model)
    plan = Plan(4, network.layer_shapes, "euclidean", 4096, n_measurements=64)
    start, gradients = make_known(kind, plan), network.gradients(X)
    batches = [(network.gradients(X[part]).layers, y[part]) for part in (slice(80), slice(80, 160))]

    def read(state):
        return state.span(SpanRequest()).coordinates(gradients.layers).distance

    return start.empty, lambda state, batch: state.extend([batch]), batches, read


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_laws_of_a_kind(toys, blobs, kind):
    check_kind(kind, blobs)


def check_kind(kind, blobs):
    """Merged is as one fit, copies and sums are independent, errors at any line change nothing."""
    for check in checks.yield_state_checks(*stream(kind, *blobs[:3]), max_lines=20):
        check()


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_kind_counts_and_subtracts(toys, blobs, kind):
    make, feed, batches, read = stream(kind, *blobs[:3])
    first, both = make(), make()
    assert make().n_samples == 0
    feed(first, batches[0])
    for batch in batches:
        feed(both, batch)
    np.testing.assert_array_equal(both.counts, [40, 40, 40, 40])
    second = both - first
    np.testing.assert_array_equal(second.counts, [20, 20, 20, 20])
    alone = make()
    feed(alone, batches[1])
    np.testing.assert_allclose(read(second), read(alone), rtol=1e-8)


@few
@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_kind_is_a_subspace_of_the_detector(toys, blobs, kind):
    model, X, y, Z = blobs
    detector = GradPCADetector(model, subspace=kind, metric="euclidean", random_state=0).fit(X, y)
    assert detector.subspace_ == kind
    assert detector.transform(Z).shape == (60, detector.n_components_)
    assert np.isfinite(detector.score_samples(Z)).all()
    assert (np.diff(detector.eigenvalues_) <= 1e-9 * detector.eigenvalues_[0]).all()


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_a_kind_of_exact_sums_has_the_scores_of_the_exact_one(toys, blobs, name):
    model, X, y, Z = blobs
    exact, toy = (
        GradPCADetector(
            model, subspace=kind, metric="euclidean", score_function=name, mean_rank=None
        ).fit(X, y)
        for kind in ("exact", DenseSums.name)
    )
    np.testing.assert_allclose(toy.score_samples(Z), exact.score_samples(Z), rtol=1e-7)
    np.testing.assert_allclose(toy.eigenvalues_, exact.eigenvalues_, rtol=1e-9)


@pytest.mark.parametrize("name", SCORE_NAMES)
def test_laws_of_a_score(toys, blobs, name):
    check_score(name, blobs)


def check_score(name, blobs):
    """Scores are of each sample alone, higher for what is known, and use no output they deny."""
    model, X, y, Z = blobs
    detector = GradPCADetector(model, score_function=name).fit(X[:120], y[:120])
    known, new = detector.score_samples(X[120:]), detector.score_samples(Z)
    assert known.shape == (40,) and np.isfinite(known).all() and np.isfinite(new).all()
    np.testing.assert_allclose(detector.score_samples(Z[7:9]), new[7:9], rtol=1e-9)
    assert roc_auc_score(np.repeat([1, 0], [40, 60]), np.append(known, new)) > 0.6
    np.testing.assert_array_equal(detector.ood_score(Z), -new)
    if not SCORES[name].uses_output:
        gradients, unknown = detector._network.gradients(Z), np.full(60, np.nan)
        found = score(name, unknown, gradients.layers, detector._get_subspace())
        np.testing.assert_allclose(found, new, rtol=1e-9)


def test_kinds_that_break_a_law_are_caught(toys, blobs):
    class Careless(DenseSums):
        """Writes what it did not announce."""

        def _prepare_to_write(self):
            pass

    class Deaf(DenseSums):
        """Keeps its own sums where others are merged."""

        def _add_sums(self, other, sign):
            pass

    for broken in (Careless, Deaf):
        register(broken)  # in place of the toy, which is taken back after the test
        with pytest.raises(AssertionError):
            check_kind(DenseSums.name, blobs)


@pytest.mark.parametrize(
    "formula",
    [
        lambda f, place: place.cosine - place.cosine.mean(),  # not of each sample alone
        lambda f, place: place.distance,  # higher for what is new
        lambda f, place: f / place.distance,  # uses the output
    ],
    ids=["batch", "sign", "output"],
)
def test_scores_that_break_a_law_are_caught(toys, blobs, formula):
    register_score("closeness_toy", uses_output=False)(formula)
    with pytest.raises(AssertionError):
        check_score("closeness_toy", blobs)


def test_scores_that_use_no_output_go_with_given_gradients(toys, blobs):
    model, X, y, _ = blobs
    rows = make_network(model).gradients(X).dense()
    given = GradPCADetector(backend="precomputed", score_function="closeness_toy").fit(rows, y)
    assert np.isfinite(given.score_samples(rows)).all()
    assert isinstance(SCORES["closeness_toy"], Score)


def test_what_is_not_registered_is_refused_by_its_names(blobs):
    model, X, y, _ = blobs
    with pytest.raises(ValueError, match=r"'subspace'.*'sketched'"):
        GradPCADetector(model, subspace=DenseSums.name).fit(X, y)
    with pytest.raises(ValueError, match=r"'score_function'.*'laplace'"):
        GradPCADetector(model, score_function="closeness_toy").fit(X, y)
