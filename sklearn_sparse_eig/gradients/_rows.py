"""Rows of X for a model: validated where X is an array, untouched where a pipeline takes it."""

import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from .._base.compat import n_rows
from .._base.rows import admit, validate_array, validate_rows
from ._arrays import from_torch
from ._make import is_torch, unwrap
from ._model import takes_any_input


def check_rows(owner, X, reset):
    """Return X, checked on behalf of an estimator that has a parameter ``estimator``."""
    X = from_torch(X)
    if takes_any_input(owner.estimator):
        # Text, frames, missing values: the first step of the pipeline knows what it takes.
        if n_rows(X) == 0:
            raise ValueError("Found 0 sample(s), but at least one is needed.")
        # Rows are taken by index, which only some formats can.
        X = admit(X).tocsr() if sp.issparse(X) else X
        return validate_data(owner, X, reset=reset, skip_check_array=True)
    if is_torch(unwrap(owner.estimator)) or getattr(owner.estimator, "takes_any_shape", False):
        # Images and the like: as many axes as the module takes.
        X = validate_array(X, allow_nd=True, dtype=["float64", "float32"])
        return validate_data(owner, X, reset=reset, skip_check_array=True)
    return validate_rows(owner, X, reset=reset, accept_sparse="csr", dtype=["float64", "float32"])
