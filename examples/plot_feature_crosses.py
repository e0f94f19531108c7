"""
====================================
Words that go together, by the three
====================================

Interactions of features are features too, but too many to keep a number for each: two and a half
thousand words make six million pairs and fifteen billion triples. A linear sketch needs none of
them one by one. Each sentence in the documentation of NumPy, SciPy and scikit-learn becomes a row
of all pairs, or triples, of its words, is added to a sketch of a few megabytes and forgotten. From
the sketch come eight directions of five crosses each, by name: the technical terms.
"""

import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from docstrings import TOKEN_PATTERN, iter_batches, load_docstrings
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer
from sklearn.preprocessing import normalize

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.plotting import ComponentsDisplay


# %%
# The cross of the features i < j gets the id ``i * V + j``, where V is the number of features; a
# further feature is appended in the same way. Divisions turn an id back into names.
def crosses(X, order):
    """Return the products of all sets of `order` nonzeros in each row.

    Parameters
    ----------
    X : csr_array of shape (n, V)
        Indices increase in each row, and so do those of the result.
    order : int
        2 for pairs, 3 for triples. ``V**order`` must not pass 2**62.

    Returns
    -------
    csr_array of shape (n, V**order)
    """
    row_end = np.repeat(X.indptr[1:], np.diff(X.indptr))
    ids, values, indptr = X.indices.astype(np.int64), X.data, X.indptr
    last = np.arange(X.nnz)  # where in X the last factor of each product stands
    for _ in range(order - 1):
        # Every product so far, times each nonzero that follows in its row.
        count = row_end[last] - last - 1
        indptr = np.concatenate([[0], np.cumsum(count)])[indptr]
        parent = np.repeat(np.arange(len(last)), count)
        offset = np.arange(len(parent)) - np.repeat(np.cumsum(count) - count, count)
        last = last[parent] + 1 + offset
        ids = ids[parent] * X.shape[1] + X.indices[last]
        values = values[parent] * X.data[last]
    return sp.csr_array((values, ids, indptr), shape=(X.shape[0], X.shape[1] ** order))


class CrossNames(Sequence):
    """The names of all crosses, made when they are asked for."""

    def __init__(self, names, order):
        self.names, self.order = names, order

    def __len__(self):
        return len(self.names) ** self.order

    def factors(self, cross):
        """Return the features that a cross is made of."""
        V = len(self.names)
        return [int(cross) // V**power % V for power in reversed(range(self.order))]

    def __getitem__(self, cross):
        return " & ".join(self.names[i] for i in self.factors(cross))


# %%
# Sentences, no two alike. The first ten thousand fix the vocabulary.
started = time.perf_counter()
_, texts = load_docstrings()
sentences = sorted({s for text in texts for s in re.split(r"(?<=[.!?:;])\s+|\n\n", text)})
random.Random(0).shuffle(sentences)
print(f"{len(sentences)} sentences collected in {time.perf_counter() - started:.1f} s")

first = sentences[:10_000]
counter = CountVectorizer(
    token_pattern=TOKEN_PATTERN, stop_words=sorted(ENGLISH_STOP_WORDS), binary=True, min_df=3
)
share = np.asarray(counter.fit_transform(first).mean(axis=0)).ravel()
words = counter.get_feature_names_out()

# %%
# Left as they are, the products of frequent words would lead: their pairs are frequent even where
# the words have nothing to do with each other. If word i is in a share p_i of the sentences, give
# it the value ``1 / sqrt(p_i)``. Then a pair has the second moment ``p_ij / (p_i p_j)``, which is
# how many times more often the two are together than they would be by chance: one for any two
# independent words, frequent or not. Rows are scaled to unit length, so that a long sentence, with
# its many pairs, has no more say than a short one; those of fewer than four words are left out.
MIN_WORDS = 4


def rows_of(batch):
    """Return the words of each sentence that is long enough, as zeros and ones."""
    X = sp.csr_array(counter.transform(batch), dtype=np.float64)
    X.sort_indices()
    return X[np.diff(X.indptr) >= MIN_WORDS]


def weighted_crosses(X, order):
    """Return the crosses of these rows, weighted and of unit length."""
    weighted = (X.data / np.sqrt(share[X.indices]), X.indices, X.indptr)
    return normalize(crosses(sp.csr_array(weighted, shape=X.shape), order))


# %%
# One pass over four fifths of the sentences; the others are held out.
cut = len(sentences) * 4 // 5
held_out = rows_of(sentences[cut:])
frequency = held_out.mean(axis=0)


def fit_crosses(order):
    """Stream the crosses of the sentences, print and return what was found."""
    names = CrossNames(words, order)
    pca = SketchedSparsePCA(n_components=8, n_nonzero_coefs=5, memory_budget=64e6, random_state=0)
    streaming, nonzeros = time.perf_counter(), 0
    for batch in iter_batches(sentences[:cut], 2000):
        X = weighted_crosses(rows_of(batch), order)
        pca.partial_fit(X)
        nonzeros += X.nnz
    print(
        f"\ncrosses of {order} words: {pca.n_samples_seen_} sentences, {nonzeros:,} nonzeros among "
        f"{len(names):,} features in {time.perf_counter() - streaming:.1f} s"
    )
    print(
        f"the sketch {pca.sketch_.nbytes / 1e6:.1f} MB, whatever the number of sentences; "
        f"the rows {16e-6 * nonzeros:.0f} MB so far; "
        f"dense components {8e-6 * len(names) * pca.n_components:,.0f} MB"
    )

    recovering = time.perf_counter()
    components = pca.describe()
    print(f"recovered in {time.perf_counter() - recovering:.1f} s\n")
    for component, ratio in zip(components, pca.explained_variance_ratio_, strict=True):
        print(f"{ratio:6.2%}  " + ", ".join(f"{names[c]} {value:+.2f}" for c, value in component))
        # Is it an interaction? Counted in sentences that were not seen.
        factors = names.factors(component[0][0])
        together = held_out[:, factors].sum(axis=1) == order
        chance = held_out.shape[0] * frequency[factors].prod()
        print(f"        {names[component[0][0]]}: {together.sum()} times, {chance:.2g} by chance")
    share = pca.explained_variance_score(weighted_crosses(held_out, order))
    print(f"\n{share:.2%} of the variance of held-out sentences")
    return pca, names


fit_crosses(2)

# %%
# Triples are the same with another number. They are too many to look at each: beyond ``2**27``
# features, a side sketch spells the ids of those that stand out.
pca, names = fit_crosses(3)

# %%
# The shares of variance are small, and rightly so: most crosses occur in a handful of sentences,
# and no few directions hold them. Some sentences follow a template that others share, on both
# sides of the split, so documentation by other authors would score less.

print(f"\n{time.perf_counter() - started:.1f} s in all")

# %%
# The same as a picture.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, axes = plt.subplots(4, 2, figsize=(11, 9), layout="constrained")
    ComponentsDisplay(pca.describe(names)).plot(ax=axes)
    figure.suptitle("Three words that go together in the docstrings")
    figure.savefig("feature_crosses.png", dpi=150)
    print(f"Plot saved as {Path('feature_crosses.png').resolve()}")

# %%
# **Conclusion.** No vector of fifteen billion numbers was ever made, and the strongest triples are
# terms of the trade: on sentences that were held out they occur hundreds of times as often as they
# would by chance.
