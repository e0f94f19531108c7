"""Names of few among very many features."""

from collections.abc import Mapping, Sequence
from typing import Any, Self


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
            If the two are of different numbers of features.
        """
        if other.n_features != self.n_features:
            raise ValueError(
                f"Names of {self.n_features} features cannot take those of {other.n_features}."
            )
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
