"""Text as rows of 2**62 features, by hashing, and back from ids to terms in a second pass."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from .._base.compat import Interval, StrOptions, fit_context
from .._base.typed import BaseEstimator, TransformerMixin
from ._names import TermNames

_BITS = 2**62 - 1
# Terms whose ids are remembered: most of a text is few words. It changes no result.
_REMEMBERED = 1 << 18
# What is handed on to scikit-learn's analysis of text.
_ANALYSIS = (
    "input",
    "encoding",
    "decode_error",
    "strip_accents",
    "lowercase",
    "preprocessor",
    "tokenizer",
    "stop_words",
    "token_pattern",
    "ngram_range",
    "analyzer",
)


@lru_cache(maxsize=_REMEMBERED)
def term_id(term: str) -> int:
    """Return the id of a term, in [0, 2**62): the first 62 bits of its BLAKE2b hash.

    Parameters
    ----------
    term : str

    Returns
    -------
    int
        The same on all machines and in all releases.
    """
    digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") & _BITS


class HashedTextVectorizer(TransformerMixin, BaseEstimator):
    """Documents as CSR rows of hashed term counts, for up to 2**62 ids.

    It takes documents as scikit-learn's ``HashingVectorizer`` does, whose hash ends at 2**31: with
    62 bits terms do not collide (the probability that any two of a million do is 1e-7), so that
    each id stands for one term. No vocabulary is kept. When a model has chosen its features,
    :meth:`names_of` finds their terms in a second pass over the documents, or over a sample.

    Parameters
    ----------
    input, encoding, decode_error, strip_accents, lowercase, preprocessor, tokenizer, stop_words, \
token_pattern, ngram_range, analyzer
        Parameters of ``sklearn.feature_extraction.text.CountVectorizer``, with its defaults.
    n_features : int, default=2**62
        Number of ids. Fewer are for comparison: terms collide then.
    binary : bool, default=False
        Whether a term counts once in a document.
    sublinear_tf : bool, default=False
        Whether a count c becomes 1 + log(c).
    norm : {"l1", "l2"} or None, default="l2"
        Norm to which rows are scaled.

    See Also
    --------
    sklearn.feature_extraction.text.HashingVectorizer : Signed counts of up to 2**31 features.

    Notes
    -----
    Nothing is learned, so all shards of a stream have the same ids and can be merged. Weights that
    need counts over all documents, such as idf, are not known in one pass; leave frequent words out
    by ``stop_words``.

    Examples
    --------
    >>> from sklearn_sparse_eig.text import HashedTextVectorizer
    >>> vectorizer = HashedTextVectorizer(norm=None)
    >>> X = vectorizer.transform(["one fish two fish", "red fish"])
    >>> X.shape == (2, 2**62), X.nnz
    (True, 5)
    >>> (twice,) = X.indices[X.data == 2]
    >>> vectorizer.names_of(["one fish two fish"], [twice])[twice]
    'fish'
    """

    _parameter_constraints: dict = {
        "n_features": [Interval(Integral, 1, 2**62, closed="both")],
        "binary": ["boolean"],
        "sublinear_tf": ["boolean"],
        "norm": [StrOptions({"l1", "l2"}), None],
    }

    def __init__(
        self,
        *,
        input: Literal["content", "filename", "file"] = "content",
        encoding: str = "utf-8",
        decode_error: Literal["strict", "ignore", "replace"] = "strict",
        strip_accents: Literal["ascii", "unicode"] | Callable | None = None,
        lowercase: bool = True,
        preprocessor: Callable | None = None,
        tokenizer: Callable | None = None,
        stop_words: str | list[str] | None = None,
        token_pattern: str | None = r"(?u)\b\w\w+\b",
        ngram_range: tuple[int, int] = (1, 1),
        analyzer: Literal["word", "char", "char_wb"] | Callable = "word",
        n_features: int = 2**62,
        binary: bool = False,
        sublinear_tf: bool = False,
        norm: Literal["l1", "l2"] | None = "l2",
    ) -> None:
        self.input = input
        self.encoding = encoding
        self.decode_error = decode_error
        self.strip_accents = strip_accents
        self.lowercase = lowercase
        self.preprocessor = preprocessor
        self.tokenizer = tokenizer
        self.stop_words = stop_words
        self.token_pattern = token_pattern
        self.ngram_range = ngram_range
        self.analyzer = analyzer
        self.n_features = n_features
        self.binary = binary
        self.sublinear_tf = sublinear_tf
        self.norm = norm

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the parameters; nothing is learned.

        Parameters
        ----------
        X : Ignored
        y : Ignored

        Returns
        -------
        self : object
        """
        self._analyzer()
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any = None, y: Any = None) -> Self:
        """Check the parameters, as :meth:`fit`.

        Parameters
        ----------
        X : Ignored
        y : Ignored

        Returns
        -------
        self : object
        """
        return self.fit(X, y)

    def transform(self, X: Iterable[Any]) -> sp.csr_array:
        """Return a row of weights for each document.

        Parameters
        ----------
        X : iterable of str, bytes, path-like or file
            Documents, as ``input`` says.

        Returns
        -------
        csr_array of float64, shape (n_documents, n_features)
            With int64 indices.

        Raises
        ------
        ValueError
            If X is one text, or a parameter is out of range.
        """
        return self._rows(X)

    def _rows(self, X: Iterable[Any], seen: dict[int, str] | None = None) -> sp.csr_array:
        """Return rows, and note their terms by their ids in `seen`, if given."""
        self._validate_params()
        indices: list[int] = []
        counts: list[int] = []
        indptr = [0]
        for terms in self._terms(X):
            found = Counter(terms)
            ids = [self._id(term) for term in found]
            if seen is not None:
                seen.update(zip(ids, map(str, found), strict=True))
            indices.extend(ids)
            counts.extend(found.values())
            indptr.append(len(indices))
        data = np.ones(len(counts)) if self.binary else np.asarray(counts, dtype=np.float64)
        if self.sublinear_tf:
            data = 1.0 + np.log(data)
        parts = (data, np.asarray(indices, dtype=np.int64), np.asarray(indptr, dtype=np.int64))
        rows = sp.csr_array(parts, shape=(len(indptr) - 1, self.n_features))
        rows.sum_duplicates()
        return rows if self.norm is None else _scaled(rows, self.norm)

    def names_of(self, X: Iterable[Any], ids: Iterable[int]) -> TermNames:
        """Find the terms of some ids in documents: the second pass.

        Parameters
        ----------
        X : iterable of documents
            Those of the first pass, or a sample. Reading ends when all ids are found.
        ids : iterable of int
            Such as ``support_`` of a :class:`~sklearn_sparse_eig.SketchedSparsePCA`.

        Returns
        -------
        TermNames
            For ``describe``. Ids whose terms do not occur keep their numbers.
        """
        self._validate_params()
        missing, found = {int(i) for i in ids}, dict[int, str]()
        for terms in self._terms(X):
            for term in set(terms):
                place = self._id(term)
                if place in missing:
                    missing.discard(place)
                    found[place] = str(term)
            if not missing:
                break
        return TermNames(found, self.n_features, self)

    def _id(self, term: Any) -> int:
        return term_id(term if isinstance(term, str) else str(term)) % self.n_features

    def _analyzer(self) -> Callable[[Any], list[Any]]:
        return CountVectorizer(**{name: getattr(self, name) for name in _ANALYSIS}).build_analyzer()

    def _terms(self, X: Iterable[Any]) -> Iterable[list[Any]]:
        if isinstance(X, str | bytes):
            raise ValueError("An iterable of documents is needed, got one text: put it in a list.")
        return map(self._analyzer(), X)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.requires_fit = False
        return tags


def _scaled(rows: sp.csr_array, norm: str) -> sp.csr_array:
    """Return rows of unit norm; scikit-learn divides what is not zero."""
    # As many columns as there are nonzeros: a norm does not depend on where they are.
    narrow = sp.csr_array(
        (rows.data, np.arange(rows.nnz), rows.indptr), shape=(rows.shape[0], max(rows.nnz, 1))
    )
    data = normalize(narrow, norm=norm).data
    return sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
