"""Text as rows of hashed terms, and the terms of the few ids that matter."""

from ._names import TermNames
from ._recorder import TermRecorder
from ._vectorizer import HashedTextVectorizer, term_id

__all__ = ["HashedTextVectorizer", "TermNames", "TermRecorder", "term_id"]
