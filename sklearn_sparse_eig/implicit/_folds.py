"""Folds that depend on the rows alone: not on their order, their units or how often they occur.

Distinct rows are ranked by their targets, then by their features from the first on, and are dealt
to the folds there and back: all folds have targets alike. Copies of a row share its fold, so that a
row of weight 2 is the row twice, and none is predicted by its own copy.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

N_FOLDS = 5
# Features by which rows of equal targets are compared at a time.
_BLOCK = 64


def fold_numbers(X: Any, Y: np.ndarray) -> np.ndarray:
    """Return the number of the fold of each row, of shape (n,)."""
    ranks = ranks_of_rows(X, Y)
    n_folds = min(N_FOLDS, int(ranks.max(initial=0)) + 1)
    place = ranks % (2 * n_folds)
    return np.minimum(place, 2 * n_folds - 1 - place)


def ranks_of_rows(X: Any, Y: np.ndarray) -> np.ndarray:
    """Return the rank of each row among the distinct ones, by targets first."""
    ranks = _ranked(Y)
    for low in range(0, X.shape[1], _BLOCK):
        if ranks.max(initial=-1) + 1 == len(Y):
            break
        block = X[:, low : low + _BLOCK]
        block = block.toarray() if sp.issparse(block) else block
        ranks = _ranked(np.column_stack([ranks, block]))
    return ranks


def _ranked(columns):
    return np.unique(columns, axis=0, return_inverse=True)[1].ravel()
