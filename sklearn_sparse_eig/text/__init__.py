"""Text as rows of hashed terms, and the terms of the few ids that matter."""

from ._vectorizer import HashedTextVectorizer, TermNames, term_id

__all__ = ["HashedTextVectorizer", "TermNames", "term_id"]
