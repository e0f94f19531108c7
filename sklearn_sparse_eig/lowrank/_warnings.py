"""What a user should know about a completed or denoised matrix that cannot be trusted."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from .._base.messages import warn_user

# Completed entries beyond this many times the largest known one are taken for a failure.
_FAR = 10.0
# Share of the only component's squared length that constant rows or columns make up.
_MEAN_SHARE = 0.9


def warn_if_unlinked(observed: np.ndarray, center: str | None) -> None:
    """Warn where known entries fall into parts without a common row or column."""
    if observed.all() or center is not None:
        return
    n, m = observed.shape
    rows, columns = np.nonzero(observed)
    edges = csr_array((np.ones(len(rows)), (rows, n + columns)), shape=(n + m, n + m))
    n_parts, _ = connected_components(edges, directed=False)
    if n_parts > 1:
        warn_user(
            f"The known entries of X fall into {n_parts} parts that share no row and no column. "
            "A low rank says nothing of the entries between two parts: complete them one by one, "
            'or give center="effects".',
            UserWarning,
        )


def warn_if_running_away(X: np.ndarray, observed: np.ndarray, model: Any) -> None:
    """Warn where missing entries are completed by numbers far beyond the known ones."""
    if observed.all():
        return
    found = model.inverse_transform(model._coordinates(X))
    largest, known = np.abs(found).max(), np.abs(X[observed]).max()
    if not largest <= _FAR * known:
        warn_user(
            f"Missing entries were completed by numbers up to {largest:.3g}, where known ones are "
            f"at most {known:.3g}: too little is known for rank {model.n_components_}. Give "
            'stopping="validation", or a smaller rank.',
            UserWarning,
        )


def warn_if_only_mean(X: np.ndarray, observed: np.ndarray, model: Any) -> None:
    """Warn where all that was learned is that the entries have a mean."""
    if model.n_components_ != 1 or model.mean_.any():
        return
    component = model.components_[0]
    coordinates = model._coordinates(X)[:, 0]
    flat = [
        vector.sum() ** 2 / max(len(vector) * (vector @ vector), np.finfo(float).tiny)
        for vector in (component, coordinates)
    ]
    if min(flat) >= _MEAN_SHARE and len(component) > 1 and len(coordinates) > 1:
        warn_user(
            "The only component that was found is the mean of all entries, which hides what is "
            'smaller. Give center="columns" to subtract the mean of each column before, or, for '
            'tables with missing entries, stopping="validation".',
            UserWarning,
        )
