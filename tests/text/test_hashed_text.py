"""Hashed text: scikit-learn's terms at ids of 62 bits, and the terms of the ids that matter."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.pipeline import make_pipeline

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.text import HashedTextVectorizer, TermNames, term_id

TEXTS = [
    "The cat sat on the mat, and the cat slept.",
    "Dogs and cats: a café, an ÜBER-dog?",
    "",
    "Numbers 12 12 12 and words words",
]
ANALYSES = [
    {},
    {"ngram_range": (1, 3)},
    {"analyzer": "char", "ngram_range": (2, 4)},
    {"analyzer": "char_wb", "ngram_range": (3, 3), "lowercase": False},
    {"stop_words": "english", "strip_accents": "unicode"},
    {"token_pattern": r"[a-z]+", "binary": True},
    {"analyzer": str.split},
    {"tokenizer": str.split, "token_pattern": None},
]


@pytest.mark.parametrize("analysis", ANALYSES)
def test_terms_are_those_of_scikit_learn(analysis):
    reference = CountVectorizer(**analysis)
    expected = reference.fit_transform(TEXTS)
    terms = reference.get_feature_names_out()
    vectorizer = HashedTextVectorizer(norm=None, **analysis)
    X = vectorizer.transform(TEXTS)
    assert X.shape == (4, 2**62) and X.indices.dtype == np.int64
    names = vectorizer.names_of(TEXTS, X.indices)
    for i in range(4):
        row = slice(*X.indptr[i : i + 2])
        mine = {names[j]: x for j, x in zip(X.indices[row], X.data[row], strict=True)}
        theirs = expected[[i]].tocoo()
        assert mine == {terms[j]: x for j, x in zip(theirs.col, theirs.data, strict=True)}


@pytest.mark.parametrize("norm", [None, "l1", "l2"])
@pytest.mark.parametrize("sublinear_tf", [False, True])
def test_weights_are_those_of_scikit_learn(norm, sublinear_tf):
    reference = TfidfVectorizer(use_idf=False, norm=norm, sublinear_tf=sublinear_tf)
    expected = reference.fit_transform(TEXTS)
    X = HashedTextVectorizer(norm=norm, sublinear_tf=sublinear_tf).transform(TEXTS)
    for i in range(4):
        mine, theirs = X.data[slice(*X.indptr[i : i + 2])], expected[[i]].tocsr().data
        np.testing.assert_allclose(np.sort(mine), np.sort(theirs), rtol=1e-12)


def test_ids_are_a_format():
    # Models that were saved know their features by these.
    assert term_id("fish") == 2181778298187258992
    assert 0 <= min(map(term_id, map(str, range(2000))))
    ids = [term_id(str(i)) for i in range(2000)]
    assert max(ids) < 2**62 and len(set(ids)) == 2000 and max(ids) > 2**61


def test_fewer_features_fold_the_ids():
    X = HashedTextVectorizer(norm=None, n_features=7).transform(TEXTS)
    assert X.shape == (4, 7) and X.sum() == CountVectorizer().fit_transform(TEXTS).sum()
    with pytest.raises(ValueError, match="n_features"):
        HashedTextVectorizer(n_features=2**63).transform(TEXTS)


def test_files_are_read(tmp_path):
    for i, text in enumerate(TEXTS):
        (tmp_path / f"{i}.txt").write_text(text, encoding="utf-8")
    paths = sorted(tmp_path.iterdir())
    read = HashedTextVectorizer(input="filename").transform(paths)
    assert (read != HashedTextVectorizer().transform(TEXTS)).nnz == 0


def test_it_is_stateless():
    vectorizer = HashedTextVectorizer(ngram_range=(1, 2))
    rows = vectorizer.transform(TEXTS)
    for other in (clone(vectorizer), pickle.loads(pickle.dumps(vectorizer)), vectorizer.fit()):
        assert (other.transform(TEXTS) != rows).nnz == 0
    assert (vectorizer.fit_transform(TEXTS) != rows).nnz == 0
    with pytest.raises(ValueError, match="got one text"):
        vectorizer.transform("one text")
    with pytest.raises(ValueError, match="norm"):
        HashedTextVectorizer(norm="l3").fit(TEXTS)


def test_reading_ends_when_all_names_are_found():
    def documents():
        yield from TEXTS[:2]
        raise AssertionError("read on")

    vectorizer = HashedTextVectorizer()
    names = vectorizer.names_of(documents(), [term_id("cat"), term_id("dogs")])
    assert names.terms == {term_id("cat"): "cat", term_id("dogs"): "dogs"}
    unknown = vectorizer.names_of(TEXTS, [5])
    assert unknown[5] == "id 5" and len(unknown) == 2**62
    with pytest.raises(IndexError):
        TermNames({}, 3)[3]


def test_planted_topics_are_named():
    rng = np.random.default_rng(0)
    topics = [["sea", "ship", "sail"], ["snow", "ski", "ice"]]
    texts = [
        " ".join([*rng.choice(topics[i % 2], 6), *(f"word{j}" for j in rng.integers(0, 100, 3))])
        for i in range(200)
    ]
    vectorizer = HashedTextVectorizer(ngram_range=(1, 1))
    pca = SketchedSparsePCA(1, n_nonzero_coefs=6, memory_budget=8e6, random_state=0)
    for low in range(0, 200, 100):
        pca.partial_fit(vectorizer.transform(texts[low : low + 100]))
    described = pca.describe(vectorizer.names_of(texts, pca.support_))
    assert {name for name, _ in described[0]} == {*topics[0], *topics[1]}
    signs = {name: np.sign(loading) for name, loading in described[0]}
    assert len({signs[word] for word in topics[0]}) == 1


def test_it_goes_into_a_pipeline():
    pipeline = make_pipeline(
        HashedTextVectorizer(n_features=64), SketchedSparsePCA(1, n_nonzero_coefs=3, random_state=0)
    )
    assert pipeline.fit_transform(TEXTS * 3).shape == (12, 1)
