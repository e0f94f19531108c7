"""The one place that touches scikit-learn internals, so that a change there breaks one file."""

from typing import Any

import numpy as np
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as take_rows
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight
from sklearn.utils.validation import _num_samples as n_rows

__all__ = ["Interval", "StrOptions", "check_sample_weight", "fit_context", "n_rows", "take_rows"]


def check_sample_weight(sample_weight: Any, X: Any) -> np.ndarray:
    """Return sample_weight as a float64 vector of non-negative numbers, one for each row of X."""
    return _check_sample_weight(sample_weight, X, dtype="float64", ensure_non_negative=True)
