"""A recorder of terms keeps what is loud, in bounded memory, and says what it has lost."""

import copy
import pickle
import warnings

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.streams import load
from sklearn_sparse_eig.text import HashedTextVectorizer, TermNames, TermRecorder, term_id

HASHER = HashedTextVectorizer()


def documents(n, seed=0, n_rare=5000):
    """Texts in which three words are in every other document, among many that are rare."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(
            [*(["sea", "ship", "sail"] * (i % 2)), *(f"w{j}" for j in rng.integers(n_rare, size=4))]
        )
        for i in range(n)
    ]


def squares(texts):
    """Return the exact sum of squares of each term."""
    rows, exact = HASHER.transform(texts), {}
    for feature, value in zip(rows.indices.tolist(), rows.data, strict=True):
        exact[feature] = exact.get(feature, 0.0) + value**2
    return exact


def test_rows_are_those_of_the_vectorizer():
    texts = documents(50)
    words = TermRecorder(HASHER)
    assert (words.transform(texts) != HASHER.transform(texts)).nnz == 0
    assert words.terms == HASHER.names_of(texts, squares(texts)).terms
    assert len(words) == 2**62 and words[term_id("sea")] == "sea"


@pytest.mark.parametrize("order", ["as they come", "loud first", "loud last"])
@pytest.mark.parametrize("max_terms", [20, 100])
def test_terms_above_the_bound_are_never_lost(order, max_terms):
    texts = documents(1000)
    if order != "as they come":
        texts.sort(key=lambda text: ("sea" in text) == (order == "loud last"))
    exact = squares(texts)
    total = sum(exact.values())
    assert total == pytest.approx(1000)  # rows of unit length
    parts = [TermRecorder(HASHER, max_terms) for _ in range(3)]
    for low in range(0, 1000, 25):
        parts[low % 3].transform(texts[low : low + 25])
        assert len(parts[low % 3].terms) <= 2 * max_terms
    merged = copy.deepcopy(parts[0]).merge(parts[1]).merge(parts[2])
    loud = {feature for feature, value in exact.items() if value > total / (max_terms + 1)}
    assert len(loud) >= 3 and loud <= merged.terms.keys()
    assert len(merged.terms) <= 2 * max_terms
    for feature, value in merged._sums.items():  # too small at most by the bound, never too large
        assert exact[feature] - total / (max_terms + 1) <= value + 1e-9 <= exact[feature] + 2e-9


def test_lost_terms_are_told_of_once():
    words = TermRecorder(HASHER, 3)
    words.transform(documents(400))
    lost = [feature for feature in squares(documents(400)) if feature not in words.terms][:3]
    with pytest.warns(UserWarning, match="larger max_terms"):
        assert words[lost[0]] == f"id {lost[0]}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert words[lost[1]] == f"id {lost[1]}" and words.terms.get(lost[1]) is None


def fitted(texts):
    words = TermRecorder(HASHER, 1000)
    pca = SketchedSparsePCA(1, n_nonzero_coefs=3, memory_budget=8e6, random_state=0)
    pca.partial_fit(words.transform(texts))
    pca.term_names_ = words
    return pca


def test_names_go_with_the_model(tmp_path):
    first, second = fitted(documents(150)), fitted(documents(150, seed=1))
    n_terms = len(first.term_names_.terms)
    merged = first + second
    assert {name for name, _ in merged.describe()[0]} == {"sea", "ship", "sail"}
    assert len(merged.term_names_.terms) > n_terms == len(first.term_names_.terms)
    merged.save(tmp_path / "model")
    read = load(tmp_path / "model")
    assert read.describe() == merged.describe()
    assert read.term_names_.terms == merged.term_names_.terms
    assert read.term_names_._sums == merged.term_names_._sums
    assert pickle.loads(pickle.dumps(merged)).describe() == merged.describe()
    texts = documents(5)
    rows = read.term_names_.vectorizer.transform(texts)
    np.testing.assert_array_equal(read.transform(rows), merged.transform(HASHER.transform(texts)))
    # Other rows have other names, or none.
    refit = merged.fit(np.random.default_rng(0).normal(size=(20, 5)) * [9, 9, 9, 1, 1])
    assert isinstance(refit.describe()[0][0][0], int) and not hasattr(refit, "term_names_")


def test_names_merge_with_names():
    names = TermNames({1: "one"}, 2**62).merge(TermNames({2: "two"}, 2**62))
    assert names.terms == {1: "one", 2: "two"}
    words = TermRecorder(HASHER, 2).merge(names)
    words.transform(documents(50))
    assert words[1] == "one" and len(words.terms) <= 4 + 2
    with pytest.raises(ValueError, match="cannot take those"):
        names.merge(TermNames({}, 5))
    with pytest.raises(ValueError, match="max_terms"):
        TermRecorder(HASHER, 0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_the_middle_counts_nothing(error, monkeypatch):
    words = TermRecorder(HASHER, max_terms=50)
    words.transform(documents(20))
    before = dict(words._sums), dict(words.terms)

    class Failing:
        def __radd__(self, _):
            raise error

    ids = HASHER.transform(documents(5, seed=1)).indices.tolist()
    other = TermNames(dict.fromkeys(ids, "w"), 2**62)
    other._sums = dict.fromkeys(ids, 1.0) | {ids[-1]: Failing()}
    with pytest.raises(error):
        words.merge(other)
    assert (words._sums, words.terms) == before

    def fail(*_):
        raise error

    monkeypatch.setattr(words, "_without_smallest", fail)
    with pytest.raises(error):
        words.transform(documents(200, seed=2))
    assert (words._sums, words.terms) == before
