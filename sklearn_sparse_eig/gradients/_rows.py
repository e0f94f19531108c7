"""Rows of X for a model: validated where X is an array, untouched where a pipeline takes it."""

from collections.abc import Mapping
from functools import partial

import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from .._base.compat import n_rows
from .._base.messages import warn_user
from .._base.rows import admit, validate_array, validate_rows
from ._arrays import from_torch
from ._columns import Columns
from ._loaders import LoaderRows, is_loader
from ._make import is_torch, unwrap
from ._model import takes_any_input


def check_rows(owner, X, reset, keeps_order=False):
    """Return X, checked on behalf of an estimator that has a parameter ``estimator``.

    With `keeps_order` a DataLoader that shuffles gets a warning: results come in its order.
    """
    if is_torch(unwrap(owner.estimator)) or getattr(owner.estimator, "takes_any_shape", False):
        if is_loader(X):
            return _check_loader(owner, X, reset, keeps_order)
        return _check_any_shape(owner, X, reset)
    X = from_torch(X)
    if takes_any_input(owner.estimator):
        # Text, frames, missing values: the first step of the pipeline knows what it takes.
        if n_rows(X) == 0:
            raise ValueError("Found 0 sample(s), but at least one is needed.")
        # Rows are taken by index, which only some formats can.
        X = admit(X).tocsr() if sp.issparse(X) else X
        return validate_data(owner, X, reset=reset, skip_check_array=True)
    return validate_rows(owner, X, reset=reset, accept_sparse="csr", dtype=["float64", "float32"])


def _check_loader(owner, X, reset, keeps_order):
    rows = LoaderRows(X, partial(_check_any_shape, owner, reset=False))
    if reset:  # for the others to be compared with
        rows.begin(partial(_check_any_shape, owner, reset=True))
    if keeps_order and not rows.is_ordered:
        warn_user(
            "The DataLoader shuffles, and results come in the order in which it gives the rows "
            "this time, which nothing tells. Give one with shuffle=False."
        )
    return rows


def _check_any_shape(owner, X, reset):
    if isinstance(X, Mapping):
        X = Columns(kwargs=X)
    if hasattr(X, "kwargs"):
        return _check_columns(owner, X, reset)
    # Images and the like: as many axes as the module takes.
    X = validate_array(from_torch(X), allow_nd=True, dtype=["float64", "float32"])
    known = vars(owner).get("_column_names")
    if reset:
        vars(owner).pop("_column_names", None)
    elif known:
        raise ValueError(f"X has one array, but {', '.join(map(repr, known))} were seen in fit.")
    return validate_data(owner, X, reset=reset, skip_check_array=True)


def _check_columns(owner, X, reset):
    if len(X) == 0:
        raise ValueError("Found 0 sample(s), but at least one is needed.")
    if reset:
        # There is no number of features of several arrays.
        for name in ("n_features_in_", "feature_names_in_"):
            vars(owner).pop(name, None)
        owner._column_names = X.names
        return X
    known = vars(owner).get("_column_names", ("one array",))
    if set(known) != set(X.names):
        raise ValueError(
            f"X has {', '.join(map(repr, X.names))}, but {', '.join(map(repr, known))} were seen "
            "in fit."
        )
    return X
