"""Names of the loudest features of a stream, in bounded memory and without a second pass."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from .._base.atomic import all_or_nothing
from .._base.messages import warn_user
from ._names import TermNames
from ._vectorizer import HashedTextVectorizer


class TermRecorder(TermNames):
    """Rows of documents as of a vectorizer, and the terms of those features that carry most.

    It counts the squares of the entries of each feature and keeps the terms of the largest sums, at
    most ``2 * max_terms`` of them at a time (some 200 bytes each). A feature with more than one
    part in ``max_terms + 1`` of the squares of all rows is never lost, whatever the order of the
    rows; with rows of unit length, that is a mean square of ``1 / (max_terms + 1)``, and its
    variance is no larger. A term that is asked for and lost is named by its id, with one warning.

    Parameters
    ----------
    vectorizer : HashedTextVectorizer
    max_terms : int, default=65536
        How many terms are kept.

    Attributes
    ----------
    terms : dict of int to str
        The terms that are kept, by their ids.

    See Also
    --------
    HashedTextVectorizer.names_of : Names of any ids, in a second pass.

    Notes
    -----
    This is the algorithm of Misra and Gries for frequent items, with weights. When there are more
    than ``2 * max_terms`` sums, the largest but ``max_terms`` is subtracted from all, and those
    that are not positive are dropped. Each such step takes the same amount from more than
    ``max_terms`` sums, so that no sum can lose more than the total over ``max_terms + 1``. The
    bound holds for merged recorders too, which add their sums (Agarwal, Cormode, Huang, Phillips,
    Wei, Yi: Mergeable summaries, 2013). Deleted rows and sample weights are not counted.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.text import HashedTextVectorizer, TermRecorder
    >>> words = TermRecorder(HashedTextVectorizer(), max_terms=1000)
    >>> pca = SketchedSparsePCA(1, n_nonzero_coefs=2, memory_budget=4e6, random_state=0)
    >>> for texts in [["snow and ice"] * 9, ["sun and sand"] * 9]:
    ...     pca = pca.partial_fit(words.transform(texts))
    >>> {name for name, loading in pca.describe(words)[0]} < {"snow", "ice", "sun", "sand"}
    True
    """

    terms: dict[int, str]

    def __init__(self, vectorizer: HashedTextVectorizer, max_terms: int = 65536) -> None:
        if max_terms < 1:
            raise ValueError(f"max_terms must be at least 1, got {max_terms}.")
        super().__init__({}, vectorizer.n_features, vectorizer)
        self.max_terms = int(max_terms)
        self._sums: dict[int, float] = {}
        self._has_warned = False

    @all_or_nothing
    def transform(self, X: Iterable[Any]) -> sp.csr_array:
        """Return a row for each document, as the vectorizer does, and record the terms.

        Parameters
        ----------
        X : iterable of documents

        Returns
        -------
        csr_array of float64, shape (n_documents, n_features)
        """
        seen: dict[int, str] = {}
        rows = self.vectorizer._rows(X, seen)
        ids, places = np.unique(rows.indices, return_inverse=True)
        squares = np.bincount(places, weights=rows.data**2, minlength=len(ids))
        self._add(zip(ids.tolist(), squares.tolist(), strict=True), seen)
        return rows

    @all_or_nothing
    def merge(self, other: TermNames) -> Self:
        """Add what another recorder has counted, or the terms that other names know.

        Parameters
        ----------
        other : TermRecorder or TermNames
            It is not changed.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the two are of different numbers of features.
        """
        super().merge(other)
        self._add(list(getattr(other, "_sums", {}).items()), other.terms)
        return self

    def _add(self, squares: Iterable[tuple[int, float]], terms: dict[int, str]) -> None:
        squares, sums, known = list(squares), self._sums, self.terms
        before = {feature: sums.get(feature) for feature, _ in squares}
        new = [feature for feature in before if feature not in known]
        try:
            for feature, square in squares:
                sums[feature] = sums.get(feature, 0.0) + square
            known.update((feature, terms[feature]) for feature in new)
            if len(sums) > 2 * self.max_terms:
                self._sums, self.terms = self._without_smallest(sums, known)
        except BaseException:  # Ctrl-C too: attributes are put back, what they hold is not
            for feature, value in before.items():
                if value is None:
                    sums.pop(feature, None)
                else:
                    sums[feature] = value
            for feature in new:
                known.pop(feature, None)
            raise

    def _without_smallest(
        self, sums: dict[int, float], known: dict[int, str]
    ) -> tuple[dict[int, float], dict[int, str]]:
        values = np.fromiter(sums.values(), dtype=np.float64, count=len(sums))
        bound = np.partition(values, -self.max_terms - 1)[-self.max_terms - 1]
        lost = {feature for feature, value in sums.items() if value <= bound}
        kept = {feature: value - bound for feature, value in sums.items() if value > bound}
        return kept, {feature: term for feature, term in known.items() if feature not in lost}

    def __getitem__(self, index: Any) -> Any:
        name = super().__getitem__(index)
        if int(index) not in self.terms and not self._has_warned:
            self._has_warned = True
            warn_user(
                f"Some features have no name, such as id {index}: {self.max_terms} terms have been "
                "kept. Give a larger max_terms, or find the others by names_of of the vectorizer, "
                "in a second pass over the documents. Features of a component that does not stand "
                "out of noise may belong to no term at all.",
            )
        return name

    def __repr__(self) -> str:
        return f"TermRecorder({self.vectorizer!r}, max_terms={self.max_terms})"

    def to_archive(self) -> dict[str, Any]:
        """Return what :meth:`from_archive` needs."""
        return {
            "vectorizer": self.vectorizer,
            "max_terms": self.max_terms,
            "ids": np.array(list(self.terms), dtype=np.int64),
            "terms": list(self.terms.values()),
            "counted": np.array(list(self._sums), dtype=np.int64),
            "sums": np.array(list(self._sums.values()), dtype=np.float64),
        }

    @classmethod
    def from_archive(cls, content: dict[str, Any]) -> Self:
        """Return the recorder of :meth:`to_archive`."""
        made = cls(content["vectorizer"], content["max_terms"])
        made.terms = dict(zip(content["ids"].tolist(), content["terms"], strict=True))
        made._sums = dict(zip(content["counted"].tolist(), content["sums"].tolist(), strict=True))
        return made
