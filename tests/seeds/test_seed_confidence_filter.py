"""Confident seeds: laws of the filter, honest separability, choice of seeds, clear refusals."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from sklearn_sparse_eig import SeedConfidenceFilter
from sklearn_sparse_eig.datasets import make_gaussian_mixture_diffusion
from sklearn_sparse_eig.seeds import fisher_separability
from sklearn_sparse_eig.seeds._bins import confidence_bins
from sklearn_sparse_eig.seeds._separability import split_halves


@pytest.fixture(scope="module")
def toy():
    return make_gaussian_mixture_diffusion(4000, 16, 4, n_steps=50, random_state=0)


@pytest.fixture(scope="module")
def fitted(toy):
    model = SeedConfidenceFilter(
        toy.generator, toy.classifier, quantile=0.5, evaluator=toy.classifier, random_state=0
    )
    return model.fit(toy.seeds)


def make(toy, **options):
    return SeedConfidenceFilter(toy.generator, toy.classifier, random_state=0, **options)


# ------------------------------------------------------------------------------------ separability


def gaussian_classes(rng, n, d, k, gap):
    y = rng.integers(k, size=n)
    means = gap * np.eye(k, d)
    mixing = rng.normal(size=(d, d)) + 3 * np.eye(d)
    return (means[y] + rng.normal(size=(n, d))) @ mixing, y


def by_definition(X, y):
    classes, counts = np.unique(y, return_counts=True)
    means = np.array([X[y == c].mean(axis=0) for c in classes])
    within = sum((X[y == c] - m).T @ (X[y == c] - m) for c, m in zip(classes, means, strict=True))
    offset = means - X.mean(axis=0)
    between = (offset.T * counts) @ offset
    return np.trace(np.linalg.solve(within, between))


@settings(max_examples=30, deadline=None)
@given(d=st.integers(1, 6), k=st.integers(2, 4), seed=st.integers(0, 999))
def test_fisher_is_its_definition_and_does_not_depend_on_the_basis(d, k, seed):
    rng = np.random.default_rng(seed)
    X, y = gaussian_classes(rng, 80, d, k, 1.0)
    found = fisher_separability(X, y)
    assert found == pytest.approx(by_definition(X, y))
    moved = X @ (rng.normal(size=(d, d)) + 4 * np.eye(d)) + 7
    assert fisher_separability(moved, y) == pytest.approx(found, rel=1e-6)
    assert fisher_separability(X, y, X, y) <= found  # the correction shrinks


@pytest.mark.parametrize("gap", [0.0, 2.0])
def test_held_out_fisher_is_free_of_bias(gap):
    rng = np.random.default_rng(0)
    d, k, n = 10, 3, 60
    y = np.repeat(np.arange(k), n // k)
    means = gap * np.eye(k, d)
    true = np.sum((means - means.mean(axis=0)) ** 2) / k
    plain, held_out = [], []
    for _ in range(600):
        X, other = (means[y] + rng.normal(size=(n, d)) for _ in range(2))
        plain.append(fisher_separability(X, y))
        held_out.append(fisher_separability(X, y, other, y))
    error = np.std(held_out) / np.sqrt(len(held_out))
    assert np.mean(held_out) == pytest.approx(true, abs=4 * error)
    assert np.mean(plain) > true + 0.3


def test_fisher_where_it_is_not_defined():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 5)), np.array([0, 0, 0, 1, 1, 1])
    assert np.isnan(fisher_separability(X, y))
    assert np.isnan(fisher_separability(X, np.zeros(6)))
    assert fisher_separability(np.eye(2)[y], y) == np.inf
    assert np.isnan(fisher_separability(X[:, :1], y, X[:, :1], np.full(6, 2)))


@settings(max_examples=50, deadline=None)
@given(
    confidence=st.lists(st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]), min_size=1, max_size=60),
    n_bins=st.integers(1, 8),
)
def test_bins_are_ordered_and_never_split_ties(confidence, n_bins):
    confidence = np.array(confidence)
    edges, bins = confidence_bins(confidence, n_bins)
    assert len(edges) - 1 <= n_bins and bins.max() < len(edges) - 1
    assert np.all(edges[bins] <= confidence) and np.all(confidence <= edges[bins + 1])
    for value in np.unique(confidence):
        assert len(np.unique(bins[confidence == value])) == 1


def test_bins_are_equal_without_ties():
    confidence = np.random.default_rng(0).random(1000)
    edges, bins = confidence_bins(confidence, 5)
    assert np.bincount(bins).tolist() == [200] * 5
    assert edges[0] == confidence.min() and edges[-1] == confidence.max()


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 4), max_size=60), seed=st.integers(0, 99))
def test_halves_are_disjoint_and_alike(labels, seed):
    labels = np.array(labels, dtype=int)
    first, second = split_halves(labels, np.random.RandomState(seed))
    assert len(np.intersect1d(first, second)) == 0
    assert sorted(labels[first]) == sorted(labels[second])
    counts = np.bincount(labels, minlength=5)
    kept = np.bincount(labels[first], minlength=5)
    np.testing.assert_array_equal(kept, np.where(counts >= 4, counts // 2, 0))


def test_separability_rises_with_confidence_and_not_by_chance():
    toy = make_gaussian_mixture_diffusion(8000, n_steps=50, random_state=0)
    model = make(toy).fit(toy.seeds)
    assert np.all(np.diff(model.separability_) > 0)
    assert np.all(np.diff(model.bin_scores_) > 0)
    assert model.bin_scores_[-1] > 0.95 and model.bin_scores_[0] < 0.5
    np.testing.assert_allclose(model.separability_shuffled_, 0, atol=0.3)
    np.testing.assert_allclose(model.bin_scores_shuffled_, model.bin_majority_, atol=0.05)
    # Which seeds are tested matters more than which are trained on.
    transfer = model.transfer_scores_
    assert transfer[0, -1] > 0.85 > transfer[-1, 0] + 0.3
    np.testing.assert_array_equal(transfer.diagonal(), model.bin_scores_)


# ---------------------------------------------------------------------------------------------- fit


def test_labels_and_confidence_are_those_of_the_classifier(toy, fitted):
    found = toy.classifier.predict_proba(toy.generator(toy.seeds))
    np.testing.assert_allclose(fitted.confidence_, found.max(axis=1))
    np.testing.assert_array_equal(fitted.labels_, found.argmax(axis=1))
    np.testing.assert_array_equal(fitted.support_mask_, fitted.confidence_ >= fitted.threshold_)
    assert fitted.acceptance_rate_ == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_array_equal(
        fitted.bin_edges_[[0, -1]],
        fitted.confidence_[[fitted.confidence_.argmin(), fitted.confidence_.argmax()]],
    )
    # The evaluator of the fixture is the classifier.
    assert fitted.agreement_ == 1.0 and np.all(fitted.bin_agreement_ == 1.0)


@settings(max_examples=15, deadline=None)
@given(batch_size=st.integers(1, 300), seed=st.integers(0, 99))
def test_batches_and_order_do_not_matter(batch_size, seed):
    toy = make_gaussian_mixture_diffusion(200, 5, 3, n_steps=5, random_state=0)
    options = {"n_bins": 1, "quantile": 0.5}
    whole = make(toy, **options).fit(toy.seeds)
    order = np.random.default_rng(seed).permutation(200)
    parts = make(toy, batch_size=batch_size, **options).fit(toy.seeds[order])
    np.testing.assert_allclose(parts.confidence_, whole.confidence_[order], atol=1e-12)
    np.testing.assert_array_equal(parts.labels_, whole.labels_[order])
    np.testing.assert_allclose(
        parts.predict_proba(toy.seeds), whole.predict_proba(toy.seeds), atol=1e-8
    )


@settings(max_examples=15, deadline=None)
@given(low=st.floats(0.3, 0.9), high=st.floats(0.3, 0.9))
def test_a_higher_threshold_keeps_a_subset(low, high):
    toy = make_gaussian_mixture_diffusion(300, 5, 3, n_steps=10, random_state=0)
    low, high = sorted([low, high])
    wide, narrow = (make(toy, n_bins=1, threshold=t).fit(toy.seeds) for t in (low, high))
    assert np.all(wide.support_mask_ >= narrow.support_mask_)
    assert np.all(wide.confidence_[wide.support_mask_] >= low)
    np.testing.assert_array_equal(narrow.transform(toy.seeds), toy.seeds[narrow.support_mask_])


def test_a_classifier_that_is_not_fitted_learns_from_y(toy):
    samples = toy.generator(toy.seeds)
    names = np.array(["a", "b", "c", "d"])[toy.classifier.predict(samples)]
    unfitted = SeedConfidenceFilter(toy.generator, LogisticRegression(), random_state=0)
    alone = LogisticRegression().fit(samples, names)
    learned = unfitted.fit(toy.seeds, names)
    np.testing.assert_allclose(
        learned.confidence_, alone.predict_proba(samples).max(axis=1), atol=1e-8
    )
    assert learned.classes_.tolist() == ["a", "b", "c", "d"]
    assert not hasattr(unfitted.classifier, "coef_")
    given = SeedConfidenceFilter(toy.generator, alone, random_state=0).fit(toy.seeds)
    assert given.classifier_ is alone
    np.testing.assert_array_equal(given.labels_, learned.labels_)
    kept = clone(SeedConfidenceFilter(toy.generator, FrozenEstimator(alone), random_state=0))
    np.testing.assert_array_equal(kept.fit(toy.seeds).labels_, learned.labels_)


def test_functions_tuples_and_images(toy, fitted):
    def generator(Z):
        return toy.generator(Z).reshape(-1, 4, 4), "all states"

    def classifier(images):
        return toy.classifier.predict_proba(images.reshape(-1, 16)).tolist()

    def evaluator(images):
        return toy.classifier.predict(images.reshape(-1, 16))

    model = SeedConfidenceFilter(
        generator, classifier, quantile=0.5, evaluator=evaluator, random_state=0
    ).fit(toy.seeds)
    np.testing.assert_array_equal(model.confidence_, fitted.confidence_)
    np.testing.assert_array_equal(model.separability_, fitted.separability_)
    assert model.agreement_ == 1.0
    assert model.sample(3, random_state=0).samples.shape == (3, 4, 4)


def test_an_evaluator_may_disagree(toy):
    samples = toy.generator(toy.seeds)
    other = GaussianNB().fit(samples[:100], toy.classifier.predict(samples[:100]))
    model = make(toy, evaluator=other).fit(toy.seeds)
    agrees = other.predict(samples) == model.labels_
    assert model.agreement_ == pytest.approx(agrees[model.support_mask_].mean())
    assert model.bin_agreement_.mean() == pytest.approx(agrees.mean())
    assert model.bin_agreement_[0] < model.bin_agreement_[-1]
    predicted = model.predict(toy.seeds)
    assert model.score(toy.seeds) == pytest.approx(np.mean(predicted == other.predict(samples)))
    assert 0.8 < model.sample(100, random_state=0).agreement <= 1.0
    reversed_order = make(toy, evaluator=lambda X: toy.classifier.predict_proba(X)[:, ::-1])
    assert reversed_order.fit(toy.seeds[:500]).agreement_ == 0.0


def test_states_on_the_way_tell_more_than_seeds(toy):
    def half_way(Z):
        return toy.generator.state(Z, 0.5)

    new = np.random.default_rng(1).normal(size=(2000, 16))
    plain, states = make(toy).fit(toy.seeds), make(toy, state=half_way).fit(toy.seeds)
    np.testing.assert_array_equal(plain.labels_, states.labels_)
    assert states.score(new) > plain.score(new) + 0.01
    np.testing.assert_array_equal(
        states.predict(new), states.probe_.predict(toy.generator.state(new, 0.5))
    )
    with pytest.raises(ValueError, match="state returned 3 rows for 1024 seeds|1024 seeds"):
        make(toy, state=lambda Z: Z[:3]).fit(toy.seeds[:1024])


# -------------------------------------------------------------------------------- before generation


def test_new_seeds_are_predicted(toy, fitted):
    new = np.random.default_rng(1).normal(size=(1000, 16))
    labels = toy.classifier.predict(toy.generator(new))
    assert fitted.score(new) == pytest.approx(np.mean(fitted.predict(new) == labels))
    assert fitted.score(new, labels) == fitted.score(new) > 0.8
    truth = toy.classifier.predict_proba(toy.generator(new)).max(axis=1)
    assert np.corrcoef(fitted.predict_confidence(new), truth)[0, 1] > 0.7
    mask = fitted.get_support(new)
    np.testing.assert_array_equal(mask, truth >= fitted.threshold_)
    np.testing.assert_array_equal(fitted.get_support(new, indices=True), np.flatnonzero(mask))
    np.testing.assert_array_equal(fitted.transform(new), new[mask])
    np.testing.assert_array_equal(fitted.get_support(), fitted.support_mask_)


def test_classes_without_confident_seeds():
    def classifier(samples):
        # Never sure of class 1, and never of class 3 at all.
        x = samples[:, 0]
        found = np.full((len(x), 4), 0.01)
        rows = np.arange(len(x))
        label = np.where(x < -0.3, 0, np.where(x < 0.3, 1, 2))
        found[rows, label] = np.where(label == 1, 0.5, 0.97)
        found[rows, (label + 1) % 3] += 1 - found.sum(axis=1)
        return found

    Z = np.random.default_rng(0).normal(size=(500, 3))
    model = SeedConfidenceFilter(lambda Z: Z, classifier, threshold=0.9, n_bins=1)
    with pytest.warns(UserWarning, match=r"at least 0.9: classes \[1, 3\] have fewer than 2,"):
        model.fit(Z)
    assert model.classes_.tolist() == [0, 1, 2, 3] and model.probe_.classes_.tolist() == [0, 2]
    found = model.predict_proba(Z)
    assert found.shape == (500, 4) and np.all(found[:, [1, 3]] == 0)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    values = model.decision_function(Z)
    np.testing.assert_array_equal(model.classes_[values.argmax(axis=1)], model.predict(Z))
    np.testing.assert_array_equal(model.classes_[found.argmax(axis=1)], model.predict(Z))
    with pytest.raises(ValueError, match=r"target_class=3 had too few seeds .*: 0 of 500"):
        model.sample(1, 3)


def test_a_probe_of_all_seeds(toy):
    some, every, open_ = (
        make(toy, **options).fit(toy.seeds)
        for options in ({}, {"train_on": "all"}, {"quantile": 0.0})
    )
    assert every.threshold_ == some.threshold_ > open_.threshold_
    np.testing.assert_array_equal(every.predict(toy.seeds), open_.predict(toy.seeds))
    new = np.random.default_rng(1).normal(size=(2000, 16))
    assert every.score(new) > some.score(new)


def test_probes_without_probabilities(toy):
    model = make(toy, probe=RidgeClassifier())
    assert not hasattr(model, "predict_proba") and not hasattr(model, "predict_confidence")
    model.fit(toy.seeds)
    assert not hasattr(model, "predict_proba")
    assert model.decision_function(toy.seeds[:5]).shape == (5, 4)
    with pytest.raises(ValueError, match="RidgeClassifier has no predict_proba"):
        model.sample(5, 0)
    assert set(model.sample(5, 0, n_candidates=1, random_state=0).labels) == {0}


# ------------------------------------------------------------------------------------------- sample


@pytest.mark.parametrize("target", [None, 0, 3])
def test_samples_are_what_was_asked_for(toy, fitted, target):
    found = fitted.sample(50, target, random_state=0)
    again = fitted.sample(50, target, random_state=0)
    np.testing.assert_array_equal(found.seeds, again.seeds)
    np.testing.assert_allclose(found.samples, toy.generator(found.seeds), atol=1e-12)
    judged = toy.classifier.predict_proba(found.samples)
    np.testing.assert_allclose(found.confidence, judged.max(axis=1))
    np.testing.assert_array_equal(found.labels, judged.argmax(axis=1))
    assert found.confidence.min() >= fitted.threshold_ and len(found.seeds) == 50
    if target is not None:
        assert np.all(found.labels == target)
    assert found.calls_per_sample == found.n_generator_calls / 50


def test_generator_calls_are_counted_and_saved(toy):
    counted = []

    def generator(Z):
        counted.append(len(Z))
        return toy.generator(Z)

    model = SeedConfidenceFilter(generator, toy.classifier, batch_size=64, random_state=0)
    model.fit(toy.seeds)
    assert sum(counted) == len(toy.seeds) + 4  # four once more, to see that nothing is drawn
    assert max(counted) == 64
    calls = {}
    for n_candidates in (1, 60):
        counted.clear()
        found = model.sample(100, 2, n_candidates=n_candidates, random_state=0)
        assert sum(counted) == found.n_generator_calls >= 100
        calls[n_candidates] = found.calls_per_sample
    # Without choice, one seed in four is of the class and one in five of these is confident.
    assert 10 < calls[1] < 40
    assert calls[60] < 1.2


def test_batches_do_not_change_what_is_drawn(toy):
    parts, whole = (make(toy, batch_size=size).fit(toy.seeds) for size in (7, "auto"))
    first, second = (model.sample(30, 2, random_state=0) for model in (parts, whole))
    np.testing.assert_array_equal(first.seeds, second.seeds)
    assert first.n_generator_calls == second.n_generator_calls


def test_automatic_batches_hold_a_few_megabytes(toy):
    sizes = []

    def generator(Z):
        sizes.append(len(Z))
        return np.repeat(toy.generator(Z), 2**16, axis=1)  # 8 MiB a sample

    def classifier(samples):
        return toy.classifier.predict_proba(samples[:, :: 2**16])

    model = SeedConfidenceFilter(generator, classifier, n_bins=1, quantile=0.0)
    with pytest.warns(UserWarning, match="Too few seeds in bins"):
        model.fit(toy.seeds[:40])
    assert max(sizes) == 4


def test_seeds_from_another_law(toy, fitted):
    found = fitted.sample(5, draw=lambda rng, n: 0.5 * rng.standard_normal((n, 16)), random_state=0)
    assert np.linalg.norm(found.seeds, axis=1).max() < 4.0
    with pytest.raises(ValueError, match="3 features"):
        fitted.sample(5, draw=lambda rng, n: rng.standard_normal((n, 3)), random_state=0)


def test_a_class_that_is_never_reached(fitted):
    with pytest.raises(RuntimeError, match=r"0 of 3 samples of class 1 .* 7 generator calls"):
        fitted.sample(3, 1, max_calls=7, draw=lambda rng, n: np.zeros((n, 16)))
    with pytest.raises(ValueError, match=r"target_class=9 is none of the classes \[0, 1, 2, 3\]"):
        fitted.sample(3, 9)
    with pytest.raises(ValueError, match="n_candidates must be an integer of at least 1, got 0"):
        fitted.sample(3, n_candidates=0)


# ---------------------------------------------------------------------------------------- bad input


def batch_statistics(Z):
    return Z - Z.mean(axis=0)


class Noisy:
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def transform(self, Z):
        return Z + self.rng.normal(size=Z.shape)


def same_noise_in_each_call(Z):
    return Z + np.random.default_rng(0).normal(size=Z.shape)


@pytest.mark.parametrize(
    "generator, error, message",
    [
        (lambda Z: Z[:-1], ValueError, r"got 4 seeds and returned an array of shape \(3, 16\)"),
        (lambda Z: np.where(Z > 3, np.nan, Z), ValueError, r"seeds are not finite, first that of"),
        (Noisy(), ValueError, "not deterministic: the same 4 seeds"),
        (same_noise_in_each_call, ValueError, "not deterministic"),
        (batch_statistics, ValueError, "not deterministic"),
        (5, TypeError, "generator must be a function of seeds, or have transform; got int"),
    ],
)
def test_bad_generators(toy, generator, error, message):
    with pytest.raises(error, match=message):
        SeedConfidenceFilter(generator, toy.classifier).fit(toy.seeds[:300])


@pytest.mark.parametrize(
    "classifier, error, message",
    [
        (LinearSVC().fit(np.eye(16), np.arange(16) % 2), TypeError, "CalibratedClassifierCV"),
        (lambda X: X, ValueError, "did not return probabilities: .* apply a softmax"),
        (lambda X: X[:, 0], ValueError, r"array of shape \(300,\) for 300 samples"),
        (LogisticRegression(), ValueError, "LogisticRegression is not fitted, and fitting it req"),
        (lambda X: np.eye(2)[np.zeros(len(X), int)], ValueError, r"there are \{0: 300\}"),
    ],
)
def test_bad_classifiers(toy, classifier, error, message):
    with pytest.raises(error, match=message):
        SeedConfidenceFilter(toy.generator, classifier).fit(toy.seeds[:300])


def test_bad_evaluator(toy):
    three = toy.classifier.predict_proba
    with pytest.raises(ValueError, match="evaluator knows 3 classes and the classifier 4"):
        make(toy, evaluator=lambda X: three(X)[:, :3] / three(X)[:, :3].sum(1)[:, None]).fit(
            toy.seeds
        )


def test_few_seeds(toy):
    with pytest.warns(UserWarning, match=r"Too few seeds in bins \[0, 1, 2, 3, 4\] of 5"):
        model = make(toy).fit(toy.seeds[:120])
    assert np.isnan(model.separability_).all()
    with pytest.raises(ValueError, match="Seeds with a confidence of at least .* lower threshold"):
        make(toy, threshold=1.0).fit(toy.seeds[:120])


def test_a_classifier_that_is_sure_of_everything():
    def classifier(X):
        return np.eye(2)[(X[:, 0] > 0).astype(int)]

    Z = np.random.default_rng(0).normal(size=(200, 3))
    model = SeedConfidenceFilter(lambda Z: Z, classifier).fit(Z)
    assert model.bin_edges_.tolist() == [1.0, 1.0] and len(model.bin_scores_) == 1
    assert model.acceptance_rate_ == 1.0 and model.bin_scores_[0] > 0.9


def test_storage(fitted, toy):
    stored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(stored.predict_proba(toy.seeds), fitted.predict_proba(toy.seeds))


# -------------------------------------------------------------------------------------------- torch


def test_tensors(toy):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(16, 5).eval()

    def generator(Z):
        return torch.tanh(layer(torch.as_tensor(Z)))

    def classifier(samples):
        return torch.softmax(4 * torch.as_tensor(samples)[:, :3], dim=1)

    torch.manual_seed(0)
    layer.reset_parameters()
    model = SeedConfidenceFilter(generator, classifier, evaluator=classifier, random_state=0)
    seeds = toy.seeds.astype(np.float32)  # the layer takes no others
    model.fit(seeds)
    assert model.agreement_ == 1.0 and model.classes_.tolist() == [0, 1, 2]
    with torch.no_grad():
        expected = classifier(generator(seeds)).numpy()
    np.testing.assert_allclose(model.confidence_, expected.max(axis=1), rtol=1e-5)
    found = model.sample(20, 1, random_state=0)
    assert isinstance(found.samples, np.ndarray) and np.all(found.labels == 1)
    half = SeedConfidenceFilter(lambda Z: generator(Z).bfloat16(), classifier, random_state=0)
    np.testing.assert_allclose(half.fit(seeds).confidence_, model.confidence_, atol=0.05)
