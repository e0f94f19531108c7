"""
===================================
Topics in a stream of documentation
===================================

What is the documentation of NumPy, SciPy and scikit-learn about? Its docstrings, some four
thousand, are read in batches, each seen once: it is added to a sketch of fixed size and forgotten.
From the sketch come eight topics of eight words each.
"""

import random
import time
from pathlib import Path

from docstrings import TOKEN_PATTERN, common_words, iter_batches, load_docstrings
from sklearn.feature_extraction.text import (
    ENGLISH_STOP_WORDS,
    CountVectorizer,
    TfidfTransformer,
)

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.plotting import ComponentsDisplay

started = time.perf_counter()
_, texts = load_docstrings()
random.Random(0).shuffle(texts)
print(f"{len(texts)} docstrings collected in {time.perf_counter() - started:.1f} s")

# %%
# The first thousand documents fix the vocabulary. English stop words are left out, and so are
# words found in one docstring of ten, such as "array". A document becomes a row on its own:
# 1 + log(count) for each of its words, scaled to unit length.
first = texts[:1000]
counter = CountVectorizer(
    token_pattern=TOKEN_PATTERN, stop_words=sorted(ENGLISH_STOP_WORDS.union(common_words(first)))
).fit(first)
words = counter.get_feature_names_out()
weigher = TfidfTransformer(use_idf=False, sublinear_tf=True, norm="l2")

# %%
# One pass over the stream.
pca = SketchedSparsePCA(n_components=8, n_nonzero_coefs=8, random_state=0)
streaming = time.perf_counter()
for batch in iter_batches(texts, 250):
    pca.partial_fit(weigher.fit_transform(counter.transform(batch)))
    seen = pca.n_samples_seen_
    rate = seen / (time.perf_counter() - streaming)
    print(f"\rsketched {seen / len(texts):4.0%}, {rate:,.0f} rows/s ", end="", flush=True)
print(f"\n{pca.sketch_}, {pca.sketch_.nbytes / 1e6:.0f} MB")

# %%
# The components are recovered from the sketch when they are first looked at.
recovering = time.perf_counter()
topics = pca.describe(words)
n_loadings = sum(map(len, topics))
print(f"{n_loadings} loadings recovered in {time.perf_counter() - recovering:.1f} s\n")
for topic, share in zip(topics, pca.explained_variance_ratio_, strict=True):
    print(f"{share:6.2%}  " + "  ".join(f"{word} {loading:+.2f}" for word, loading in topic))
total = pca.explained_variance_ratio_.sum()
print(f"\n{total:.1%} of the variance in {n_loadings} loadings for {len(words)} words")
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# The same as a picture. Loadings of opposite signs (orange) are words which a document has less of
# where it has more of the others.
try:
    display = ComponentsDisplay.from_estimator(pca, words)
except ImportError as error:
    print(f"No plot. {error}")
else:
    display.figure_.suptitle("Topics in the docstrings of NumPy, SciPy and scikit-learn")
    display.figure_.savefig("docstring_topics.png", dpi=150)
    print(f"Plot saved as {Path('docstring_topics.png').resolve()}")

# %%
# **Conclusion.** The components read as topics, in the order of their variance. Together they hold
# some six percent of it: text varies in many more directions than eight. Orange words are those
# that a topic has less of; ``positive=True`` leaves them out.
