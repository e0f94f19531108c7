"""Names of few among very many features."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

# How a text is found and decoded, which makes no difference to its terms.
_OF_FILES = {"input", "encoding", "decode_error"}


class TermNames(Sequence):
    """Names of features of which few are known: ``names[id]`` is the term, or the id as a text.

    It is what ``describe(names)`` takes for any number of features. As the attribute
    ``term_names_`` of a :class:`~sklearn_sparse_eig.SketchedSparsePCA` it is used by ``describe()``
    without names, saved and loaded with the estimator, and merged with it.

    Parameters
    ----------
    terms : mapping of int to str
        The terms that are known, by their ids.
    n_features : int
        The length of the sequence.
    vectorizer : HashedTextVectorizer or None, default=None
        What makes rows of documents. It is kept for those who meet a saved model.
    """

    terms: dict[int, str]
    n_features: int
    vectorizer: Any

    def __init__(self, terms: Mapping[int, str], n_features: int, vectorizer: Any = None) -> None:
        self.terms = dict(terms)
        self.n_features = int(n_features)
        self.vectorizer = vectorizer

    def merge(self, other: "TermNames") -> Self:
        """Add the terms that another object knows.

        Parameters
        ----------
        other : TermNames
            It is not changed.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the two are of different numbers of features, or of vectorizers that make different
            terms of a text.
        """
        if other.n_features != self.n_features:
            raise ValueError(
                f"Names of {self.n_features} features cannot take those of {other.n_features}."
            )
        _check_same_terms(self.vectorizer, other.vectorizer)
        self.terms = dict(other.terms) | self.terms
        return self

    def __len__(self) -> int:
        return self.n_features

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.n_features:
            raise IndexError(f"There are {self.n_features} features, got {index}.")
        return self.terms.get(int(index), f"id {index}")

    def __repr__(self) -> str:
        return f"TermNames({len(self.terms)} terms, n_features={self.n_features})"


def _check_same_terms(mine: Any, theirs: Any) -> None:
    """Raise ValueError if two vectorizers that are known make different rows of one text."""
    here, there = _settings(mine), _settings(theirs)
    if here is None or there is None:
        return
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name):
            raise ValueError(
                "Texts were read in different ways, so that their rows do not add up: "
                f"{name}={_short(here.get(name))} here and {name}={_short(there.get(name))} there. "
                "Read all texts with the same vectorizer."
            )


def _settings(vectorizer: Any) -> dict[str, Any] | None:
    if not hasattr(vectorizer, "get_params"):
        return None
    params = vectorizer.get_params(deep=False).items()
    settings = {name: _of_any_order(value) for name, value in params if name not in _OF_FILES}
    return {"type": type(vectorizer).__name__} | settings


def _of_any_order(value: Any) -> Any:
    """Return lists of words as sets: their order and what holds them mean nothing."""
    words = isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(word, str) for word in value
    )
    return frozenset(value) if words else value


def _short(value: Any) -> str:
    return f"{len(value)} words" if isinstance(value, frozenset) else repr(value)
