"""Margin and probability: the weights that known samples without their class give them."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.ood._confidence import Confidence, logit_sums


def logits_of(sharpness, n=400, n_classes=6, noise=1.0, seed=0):
    """Logits that are larger by `sharpness` at the label, and the labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=n)
    logits = rng.normal(size=(n, n_classes)) * noise
    logits[np.arange(n), y] += sharpness * rng.gamma(4.0, 0.25, size=n)
    return logits, y


def pairs(logits):
    """Margins and largest probabilities, side by side."""
    return np.column_stack(
        [logits.max(axis=1) - logits.mean(axis=1), softmax(logits, axis=1).max(axis=1)]
    )


def without_class(logits, y):
    return np.array([np.delete(row, c) for row, c in zip(logits, y, strict=True)])


def fisher(known, other):
    """The discriminant of scikit-learn, at the same number of rows of both."""
    rows, labels = np.vstack([known, other]), np.repeat([1, 0], len(known))
    return LinearDiscriminantAnalysis(solver="lsqr").fit(rows, labels).coef_[0]


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_those_of_fishers_discriminant(seed):
    logits, y = logits_of(9.0, noise=2.0, seed=seed)
    known, other = pairs(logits), pairs(without_class(logits, y))
    weights = fisher(known, other)
    assert (weights > 0.0).all()
    weights[1] *= min(known[:, 1].var() / other[:, 1].var(), 1.0)
    expected = known @ weights
    found = Confidence.from_sums(logit_sums(logits, y), len(y)).of(logits)
    np.testing.assert_allclose(
        found, (expected - expected.mean()) / expected.std(), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("sharpness, noise", [(0.5, 1.0), (4.0, 1.0), (8.0, 3.0), (3.0, 0.1)])
def test_no_other_weights_that_are_not_negative_tell_more(sharpness, noise):
    logits, y = logits_of(sharpness, noise=noise)
    known, other = pairs(logits), pairs(without_class(logits, y))
    found = np.array(Confidence.from_sums(logit_sums(logits, y), len(y)).weights)
    if known[:, 1].var() < other[:, 1].var():
        found[1] *= other[:, 1].var() / known[:, 1].var()

    def separation(w):
        a, b = known @ w, other @ w
        return (a.mean() - b.mean()) / np.sqrt(a.var() + b.var())

    scales = known.std(axis=0)
    tried = [
        separation(np.array([np.cos(t), np.sin(t)]) / scales)
        for t in np.linspace(0.0, np.pi / 2, 500)
    ]
    assert (found >= 0.0).all()
    assert separation(found) >= max(tried) - 1e-9


def test_of_two_classes_the_margin_is_all():
    logits, y = logits_of(2.0, n_classes=2)
    confidence = Confidence.from_sums(logit_sums(logits, y), len(y))
    margins = pairs(logits)[:, 0]
    assert confidence.weights[1] == 0.0
    np.testing.assert_allclose(
        confidence.of(logits), (margins - margins.mean()) / margins.std(), rtol=1e-9, atol=1e-9
    )


def test_probabilities_that_are_learned_by_heart_count_for_nothing():
    logits, y = logits_of(60.0, noise=3.0)
    confidence = Confidence.from_sums(logit_sums(logits, y), len(y))
    assert pairs(logits)[:, 1].std() < 1e-2
    assert confidence.weights[0] * pairs(logits)[:, 0].std() == pytest.approx(1.0, abs=1e-3)


def test_what_does_not_vary_tells_nothing():
    logits = np.tile([3.0, 1.0, 0.0], (5, 1))
    found = Confidence.from_sums(logit_sums(logits, np.zeros(5, dtype=int)), 5).of(logits + 1.0)
    np.testing.assert_array_equal(found, 0.0)


def test_sums_add_up_and_do_not_depend_on_what_all_logits_share():
    logits, y = logits_of(2.0)
    whole = logit_sums(logits, y)
    parts = np.sum([logit_sums(logits[i::3], y[i::3]) for i in range(3)], axis=0)
    np.testing.assert_allclose(parts, whole, rtol=1e-12)
    np.testing.assert_allclose(logit_sums(logits + 40.0, y), whole, rtol=1e-9)


def test_states_that_were_saved_without_probabilities_go_on_with_margins():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2, 3], 40)
    X = rng.normal(size=(4, 6))[y] + rng.normal(size=(160, 6))
    model = LogisticRegression().fit(X, y)
    old, new = (GradPCADetector(model).partial_fit(X[:80], y[:80]) for _ in range(2))
    old._state.features.margins = old._state.features.margins[:2]
    whole = old.merge(new)
    sums = whole._state.features.margins
    assert len(sums) == 2
    margins = pairs(model.decision_function(X[:80]))[:, 0]
    confidence = whole._state.known_features().confidence
    np.testing.assert_allclose(confidence.weights, (1.0 / margins.std(), 0.0))
    assert confidence.mean == pytest.approx(margins.mean() / margins.std())
    assert np.isfinite(whole.partial_fit(X[80:], y[80:]).score_samples(X)).all()
