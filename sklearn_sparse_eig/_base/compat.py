"""The one place that touches scikit-learn internals, so that a change there breaks one file."""

from typing import Any

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import _num_samples as n_rows

__all__ = ["Interval", "RealNotInt", "StrOptions", "fit_context", "n_rows", "take_rows"]


def take_rows(X: Any, rows: Any) -> Any:
    """Return some rows of X, by a slice or an array of indices.

    What has rows but is no array takes them by a method ``take_rows`` of its own.
    """
    take = getattr(X, "take_rows", None)
    return _safe_indexing(X, rows) if take is None else take(rows)
