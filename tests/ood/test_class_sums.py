"""Class sums: classes that do not come take nothing, and one-hot heads a few columns a class."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.diagnostics import class_mean_share
from sklearn_sparse_eig.gradients import DenseNetwork, LayerFactors, LayerMatrices
from sklearn_sparse_eig.ood.subspaces._class_sums import MatrixSums
from sklearn_sparse_eig.ood.subspaces._pair_means import PairMeans
from sklearn_sparse_eig.ood.subspaces._pair_sums import PairSums
from sklearn_sparse_eig.ood.subspaces._sums_by_key import SumsByKey

# A score that goes by the subspace, to show what becomes of it.
Detector = partial(GradPCADetector, score_function="snr_ratio")

pytestmark = pytest.mark.filterwarnings("ignore:The model predicts the given label")


class WithoutCodes(DenseNetwork):
    """The same gradients, which do not tell where their derivatives are equal."""

    def gradients(self, X, output="max", layers=None):
        found = super().gradients(X, output, layers)
        return replace(found, layers=tuple(replace(g, codes=None) for g in found.layers))


def make(n_classes, n_features, n, hidden=None, noise=0.7, seed=0):
    """Return weights, rows and labels of which a model is right for most."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(hidden or n_features, n_classes)) / np.sqrt(n_features)
    weights = [W] if hidden is None else [rng.normal(size=(n_features, hidden)), W]
    y = np.arange(n) % n_classes
    X = W.T[y] if hidden is None else rng.normal(size=(n_classes, n_features))[y]
    X = X * np.sqrt(n_features) / 2.0 + noise * rng.normal(size=(n, n_features))
    return weights, X, y


def both(weights, **options):
    arguments = weights, [np.full(w.shape[1], 0.1) for w in weights]
    classes = np.arange(weights[-1].shape[1])
    return [
        Detector(kind(*arguments, classes=classes), **options)
        for kind in (DenseNetwork, WithoutCodes)
    ]


@pytest.mark.parametrize("hidden", [None, 15])
@pytest.mark.parametrize("metric", ["kfac", "diag", "euclidean"])
@pytest.mark.parametrize("mean_rank", [None, 2, 16])
def test_a_one_hot_head_is_the_exact_one(metric, mean_rank, hidden):
    weights, X, y = make(30, 20, 300, hidden)
    found, exact = (
        d.fit(X, y) for d in both(weights, metric=metric, mean_rank=mean_rank, batch_size=70)
    )
    assert isinstance(found._state.layer_sums[-1], PairSums)
    assert all(isinstance(sums, MatrixSums) for sums in exact._state.layer_sums)
    Z = np.vstack([X[:30], 3.0 * np.random.default_rng(1).normal(size=(30, 20))])
    np.testing.assert_allclose(found.score_samples(Z), exact.score_samples(Z), rtol=1e-10)
    np.testing.assert_allclose(found.eigenvalues_, exact.eigenvalues_, rtol=1e-10)
    for mine, theirs in zip(found._state.class_sums, exact._state.class_sums, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)
    assert np.isclose(class_mean_share(found), class_mean_share(exact), rtol=1e-10)
    sparse = [d.set_params(sparsity=0.2).fit(X, y).score_samples(Z) for d in (found, exact)]
    if metric != "kfac":  # whose eigenvectors come in another order, which breaks ties
        np.testing.assert_allclose(*sparse, rtol=1e-8)


@pytest.mark.parametrize("metric", ["kfac", "euclidean"])
def test_sums_of_both_forms_add_up(metric):
    weights, X, y = make(12, 10, 240)
    whole, matrices = both(weights, metric=metric)
    whole.fit(X, y)
    first, last = slice(0, 120), slice(120, None)
    for start, end in [(first, last), (last, first)]:
        pairs = both(weights, metric=metric)[0].partial_fit(X[start], y[start])
        other = both(weights, metric=metric)[1].partial_fit(X[end], y[end])
        for into, added in [(pairs, other), (other, pairs)]:
            merged = pickle.loads(pickle.dumps(into)).merge(added)
            assert isinstance(merged._state.layer_sums[0], MatrixSums)
            np.testing.assert_allclose(merged.score_samples(X), whole.score_samples(X), rtol=1e-9)
    # Gradients of one stream may change their form too, and what fails changes nothing.
    state = both(weights, metric=metric)[0].partial_fit(X[first], y[first])._state
    before = pickle.dumps(state.class_sums)
    more = matrices.estimator.gradients(X[last]).layers

    def failing():
        yield more, y[last]
        raise OSError

    with pytest.raises(OSError):
        state.extend(failing())
    assert isinstance(state.layer_sums[0], PairSums) and pickle.dumps(state.class_sums) == before
    state.extend([(more, y[last])])
    np.testing.assert_allclose(state.class_sums, whole._state.class_sums, atol=1e-12)


def test_a_head_of_a_thousand_classes_takes_few_floats():
    n_classes, n_features = 1000, 100
    (W,), X, y = make(n_classes, n_features, 4000, noise=0.3)
    detector, _ = both([W], params="head")
    detector.fit(X, y)
    assert detector.subspace_ == "exact"
    assert detector._state.n_floats <= 3 * n_classes * (n_features + 1)
    assert (detector.score_samples(X[:100]) > detector.score_samples(X[:100] @ -np.eye(100))).all()


def test_auto_looks_whether_the_head_is_one_hot(monkeypatch):
    weights, X, y = make(30, 20, 300)
    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_SUMS", 8 * 30 * 21 * 4)
    kinds = [d.fit(X, y).subspace_ for d in both(weights, random_state=0)]
    assert kinds[0] == "exact" and kinds[1] != "exact"
    assert both(weights, output="logsumexp", random_state=0)[0].fit(X, y).subspace_ != "exact"


def test_classes_that_do_not_come_take_nothing(monkeypatch):
    weights, X, y = make(200, 20, 400)
    few = y < 4
    X, y = np.tile(X[few], (5, 1)), np.tile(y[few], 5)
    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_SUMS", 8 * 4 * 21 * 200)
    for detector in both(weights, output="logsumexp"):
        state = detector.fit(X, y)._state
        assert detector.subspace_ == "exact" and len(state.counts) == 200
        assert state.n_floats == 4 * 21 * 200 + 21**2 + 200**2
        assert detector.n_components_ == 3
    sketched = Detector(detector.estimator, subspace="sketched", n_measurements=64, random_state=0)
    sketched.fit(X, y)
    assert sorted(sketched._state.sums.sums) == [0, 1, 2, 3]
    assert sketched._state.class_sums.shape == (200, 64)


def test_states_with_one_array_for_all_classes_still_load():
    weights, X, y = make(8, 10, 160)
    for options in ({}, {"subspace": "sketched", "n_measurements": 64, "random_state": 0}):
        detector = both(weights, **options)[1].fit(X, y)
        state = detector._state
        old = dict(vars(state))
        for name in ("layer_sums", "sums"):
            old.pop(name, None)
        old["class_sums"] = state.class_sums
        loaded = object.__new__(type(state))
        loaded.__setstate__(old)
        np.testing.assert_array_equal(loaded.class_sums, state.class_sums)
        loaded.merge(state)
        np.testing.assert_allclose(loaded.class_sums, 2.0 * np.array(state.class_sums))


def test_sums_are_replaced_and_not_written_by_others():
    sums = SumsByKey()
    sums.add("a", np.ones(2))
    changed = sums.writable()
    changed.add("a", np.ones(2))
    changed.add("b", np.ones(2))
    assert list(sums.sums) == ["a"] and sums.sums["a"].tolist() == [1.0, 1.0]
    assert changed.stacked(["b", "c", "a"], (2,)).tolist() == [[1, 1], [0, 0], [2, 2]]


def test_pair_means_take_products_with_any_form_of_gradients():
    rng = np.random.default_rng(0)
    means = PairMeans(
        rng.normal(size=(5, 6)),
        np.eye(4)[[0, 2, 3]],
        np.array([0, 0, 1, 2, 2]),
        np.array([0, 1, 1, 0, 2]),
        3,
    )
    whole = np.zeros((3, 6, 4))
    for left, owner, code in zip(means.lefts, means.owners, means.codes, strict=True):
        whole[owner] += np.outer(left, means.rights[code])
    flat = whole.reshape(3, -1)
    np.testing.assert_allclose(means.gram(), flat @ flat.T)
    combinations = rng.normal(size=(2, 3))
    factors = LayerFactors(rng.normal(size=(7, 6)), rng.normal(size=(7, 4)))
    expected = factors.dense() @ flat.T @ combinations.T
    directions = means.combined(combinations)
    sparse = LayerFactors(sp.csr_array(factors.inputs), factors.deltas)
    for layer in (factors, sparse, LayerMatrices(factors.dense().reshape(7, 6, 4))):
        np.testing.assert_allclose(directions.products(layer), expected)
