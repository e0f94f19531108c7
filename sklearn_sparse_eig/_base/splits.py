"""Splits of cross-validation as indices of rows."""

from typing import Any

import numpy as np
from sklearn.model_selection import check_cv

Split = tuple[np.ndarray, np.ndarray]


def splits_that_count(
    cv: Any, X: Any, y: Any = None, groups: Any = None, *, weights: np.ndarray | None = None
) -> list[Split]:
    """Return the rows of training and those held out, as indices from 0, of each split.

    Splits may name rows by indices, which may be negative, or by masks, as for ``GridSearchCV``.

    Parameters
    ----------
    cv : int, splitter, iterable of (train, test) or None
    X, y, groups : array-like
        As splitters ask for them.
    weights : ndarray of shape (n_samples,) or None
        Rows of weight zero are left out.

    Raises
    ------
    ValueError
        If there is no split, if rows are named that are not there, or if there are none of positive
        weight to fit or to hold out.
    """
    rows = np.arange(X.shape[0])
    splits = []
    for i, pair in enumerate(check_cv(cv, y).split(X, y, groups)):
        training, held_out = (_indices(rows, part, i, cv) for part in pair)
        if weights is not None:
            training, held_out = (part[weights[part] > 0.0] for part in (training, held_out))
        if min(len(training), len(held_out)) == 0:
            raise ValueError(
                f"Split {i} of cv={cv!r} has {len(training)} rows to fit and {len(held_out)} rows "
                f"to hold out, of positive weight, of n_samples = {len(rows)}, and each needs one. "
                "Give more rows or other folds."
            )
        splits.append((training, held_out))
    if not splits:
        raise ValueError(f"At least one split is needed, but cv={cv!r} gives none.")
    return splits


def _indices(rows, part, i, cv):
    part = np.asarray(part)
    try:
        return rows[part if part.size else part.astype(np.int64)]
    except IndexError as error:
        raise ValueError(
            f"Split {i} of cv={cv!r} must name rows by indices below n_samples = {len(rows)}, or "
            f"by masks of that length: {error}."
        ) from error
