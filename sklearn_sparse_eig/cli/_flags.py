"""Messages of the library, in the words of the command line."""

import re

# What the library says, and what is typed here instead; the longer ones first.
SPOKEN = {
    "Read all texts with the same vectorizer.": "Give the same options to each fit.",
    "such as latin-1, or decode_error='replace'": "by --encoding, such as --encoding latin-1",
    "columns={'ids': 'values'}": "--columns ids=values",
    "lists of ids give columns": "lists of ids give --columns",
    "give columns as integers": "give --columns as integers",
    "give text_column= if": "give --text-column if",
    "lines (lines=True) or one column (text_column=)": "lines (--lines) or one column "
    "(--text-column)",
    "Name it by format=": "Name it by --format",
    "by drop= or columns=": "by --drop or --columns",
    "by dataset=": "by --dataset",
    "need n_features=": "need --n-features",
    "Raise memory_budget": "Raise --memory",
    "raise memory_budget": "raise --memory",
    "(memory_budget, n_measurements and range_size)": "(--memory)",
    "(memory_budget, n_measurements, range_size)": "(--memory)",
    "verbose=1 tells how far it is; ": "",
    "noise='diagonal' (feature_moments)": "--noise diagonal",
    "fit with refine='data' compares the features": "fit in Python, with refine='data', compares "
    "the features",
    "use fit with refine='data', or measurement='identity'": "use fit in Python, with "
    "refine='data'",
    "use fit with refine='data'": "use fit in Python, with refine='data'",
    "Give a larger max_terms, or find the others by names_of of the vectorizer, in a second pass "
    "over the documents.": "Give a larger --max-terms to fit.",
}
# Parameters, wherever they are named.
_PARAMETERS = {
    "n_nonzero_coefs": "--nonzeros",
    "n_components": "--components",
    "memory_budget": "--memory",
    "random_state": "--seed",
    "stop_words": "--stop-words",
    "ngram_range": "--ngrams",
    "sublinear_tf": "--sublinear",
    "max_terms": "--max-terms",
    "max_features": "--top",
    "noise": "--noise",
    "positive": "--positive",
    "every": "--every",
    "checkpoint": "--checkpoint",
}
# As names of parameters, not of attributes or of words of a sentence.
_OF_CODE = "|".join(name for name in _PARAMETERS if "_" in name)
_OF_WORDS = "|".join(name for name in _PARAMETERS if "_" not in name)
_NAMED = re.compile(rf"(?<![\w.-])(?:(?:{_OF_CODE})(?!\w)|(?:{_OF_WORDS})(?==| must be ))")
# Scikit-learn's advice on missing values, of which nothing helps here.
_SUPERVISED = re.compile(r" For supervised learning, you might want to consider .*$")


def in_flags(text: str) -> str:
    """Return a message with options of the command in place of what Python calls them."""
    text = " ".join(text.split())
    for said, typed in SPOKEN.items():
        text = text.replace(said, typed)
    text = _SUPERVISED.sub("", text)
    return _NAMED.sub(lambda found: _PARAMETERS[found[0]], text)
