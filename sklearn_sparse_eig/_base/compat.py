"""The one place that touches scikit-learn internals, so that a change there breaks one file."""

from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as take_rows
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _num_samples as n_rows

__all__ = ["Interval", "StrOptions", "fit_context", "n_rows", "take_rows"]
