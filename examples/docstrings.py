"""A corpus which every reader already has: the docstrings of NumPy, SciPy and scikit-learn.

Some four thousand short documents, about everything from splines to random forests, read from the
installed packages: nothing to download, and topics which the reader can judge.
"""

import importlib
import inspect
import pkgutil
import re
import warnings
from collections import ChainMap, Counter

# Words of three letters and more. Names from code (n_samples, x0, _init) are left out whole rather
# than cut into pieces.
TOKEN_PATTERN = r"(?<![\w.])[a-zA-Z]{3,}(?![\w(=])"

# Modules for tests, builds, other array libraries, and names kept for old code.
_SKIPPED_MODULES = re.compile(
    r"^(_.*|core|tests?|conftest|setup|testing|externals|f2py|distutils|typing|array_api_.*|compat|"
    r"ctypeslib|misc|experimental)$"
)
# Written for every scikit-learn estimator alike.
_SKIPPED_NAMES = re.compile(r"^_|^set_\w*_request$|^get_metadata_routing$|^[gs]et_params$")
_COMMON_PARAGRAPH = 20
_NOT_PROSE = re.compile(
    r"""
    ^[ ]*>>>.*(\n.+)*               # an example with its output, up to the next empty line
    | ^[ ]*\.\.[ ]\[.*(\n.+)*       # a reference
    | ^.*\n[ ]*[-=~^]{3,}[-=~^ ]*$  # a heading, or the head of a table
    | ^[ ]*[\w*,. ]+[ ]:[ ].*$      # the name and type of a parameter
    | ^[ ]*\.\.[ ][\w-]+::.*$       # a directive
    | ^.*\\.*$                      # mathematics
    | (:[\w:]+:)?`+[^`]+`+_*        # code and links
    """,
    re.MULTILINE | re.VERBOSE,
)


def load_docstrings(packages=("numpy", "scipy", "sklearn"), *, min_words=20):
    """Collect the docstrings of public functions, classes and methods, as prose.

    Parameters
    ----------
    packages : sequence of str
        Names of installed packages. Their public modules are imported.
    min_words : int
        Shorter documents ("Pointer to start of data.") are left out: scaled to the same length as
        the others, their few words would weigh as much as a page.

    Returns
    -------
    names : list of str
        Where each document was found first, such as "scipy.signal.ShortTimeFFT.stft"; sorted.
    texts : list of str
        The documents, prose only: no two alike, no code, headings, types or references, and none of
        the paragraphs which stand in more than 20 documents.
    """
    found = {}
    # All imports come first: importing one module may add names to another.
    for module in list(_public_modules(packages)):
        for name, doc in _docstrings(module):
            found.setdefault(doc, name)
    named = {name: _paragraphs(doc) for doc, name in found.items()}

    count = Counter(p for paragraphs in named.values() for p in set(paragraphs))
    texts = {}
    for name in sorted(named):
        text = "\n\n".join(p for p in named[name] if count[p] <= _COMMON_PARAGRAPH)
        if len(re.findall(TOKEN_PATTERN, text)) >= min_words:
            texts.setdefault(text, name)
    return list(texts.values()), list(texts)


def iter_batches(texts, size):
    """Cut a sequence into consecutive pieces of `size`, the last one possibly shorter."""
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def common_words(texts, share=0.1):
    """The words which stand in more than this share of the documents: "array", "default", "value".

    In the documentation of software they are what "the" and "of" are in English. As `stop_words` of
    a vectorizer, together with the English ones, they leave the words which tell topics apart.
    """
    count = Counter(word for text in texts for word in set(re.findall(TOKEN_PATTERN, text.lower())))
    return sorted(word for word, n in count.items() if n > share * len(texts))


def _public_modules(packages):
    """Import and yield the public modules; those which warn or fail are left out."""
    for package in packages:
        stack = [package]
        while stack:
            name = stack.pop()
            try:
                with warnings.catch_warnings():
                    # Deprecated modules, which repeat what is elsewhere, say so by a warning, some
                    # when they are imported and some when they are first used.
                    warnings.simplefilter("error")
                    module = importlib.import_module(name)
                    getattr(module, "__all__", None)
            except Exception:
                continue
            yield module
            below = [m.name for m in pkgutil.iter_modules(getattr(module, "__path__", []))]
            below = [f"{name}.{m}" for m in below if not _SKIPPED_MODULES.search(m)]
            stack.extend(sorted(below, reverse=True))


def _docstrings(module):
    """Yield (name, docstring) of what a module offers, and of the methods of its classes."""
    package = module.__name__.partition(".")[0]
    for name in sorted(getattr(module, "__all__", vars(module))):
        item = inspect.getattr_static(module, name, None)
        if _SKIPPED_NAMES.search(name) or not callable(item):
            continue
        # Without __all__, a module also shows what it imported from elsewhere.
        if not (getattr(item, "__module__", None) or package).startswith(package):
            continue
        yield from _docstring(f"{module.__name__}.{name}", item)
        # Many a public method is written in a private base class.
        bases = item.__mro__ if inspect.isclass(item) else ()
        methods = ChainMap(*(vars(b) for b in bases if b.__module__.startswith(package)))
        for method in sorted(methods):
            if not _SKIPPED_NAMES.search(method):
                yield from _docstring(f"{module.__name__}.{name}.{method}", methods[method])


def _docstring(name, item):
    doc = getattr(item, "__doc__", None)
    if isinstance(doc, str) and doc.strip():
        yield name, inspect.cleandoc(doc)


def _paragraphs(doc):
    """The paragraphs of prose in a docstring, up to its references, each on one line."""
    doc = re.split(r"\n *References\n *-{3,}", doc)[0]
    paragraphs = (" ".join(p.split()) for p in re.split(r"\n\s*\n", _NOT_PROSE.sub(" ", doc)))
    return [p for p in paragraphs if re.search(TOKEN_PATTERN, p)]
