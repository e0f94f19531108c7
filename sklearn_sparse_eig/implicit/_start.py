"""A cheap guess of a sparse solution, from which Newton's method needs few steps."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky

# Rounds of selection: each reads A once.
_ROUNDS = 15
# Columns are taken together whose correlation is at least this share of the largest.
_TOGETHER = 0.6
# Of M equations no more than this share may be spent on columns: beyond, any support fits.
_LARGEST_SHARE = 0.6
# A residual smaller than this share of y counts as zero, and so does such a coefficient.
_ZERO = 1e-9
_ZERO_COEFFICIENT = 1e-7


@dataclass(frozen=True)
class Guess:
    """A sparse solution of A x = y: its support, values, and columns with their Gram factor."""

    support: np.ndarray
    values: np.ndarray
    columns: np.ndarray
    factor: np.ndarray

    def least_norm_dual(self, target):
        """Return the least nu with A_S^T nu = target."""
        return self.columns @ cho_solve((self.factor, True), target)


def greedy_guess(design, y, positive=False):
    """Look for a sparse exact solution by stagewise pursuit.

    Orthogonal matching pursuit that takes many columns in a round; with an exact fit in hand, the
    columns of zero coefficients are dropped. It need not succeed, nor be optimal: what comes of it
    is a point to start from. O(M N) per round.

    Returns
    -------
    Guess or None
        None where no fit by few columns was found, or a sign is wrong.
    """
    M = design.shape[0]
    norm = np.linalg.norm(y)
    limit = max(1, int(_LARGEST_SHARE * M))
    taken, residual = np.empty(0, dtype=np.int64), y
    for _ in range(_ROUNDS):
        correlation = design.rmatvec(residual)
        correlation = np.array(correlation) if positive else np.abs(correlation)
        correlation[taken] = 0.0
        level = _TOGETHER * correlation.max()
        room = limit - len(taken)
        if level <= 0 or room <= 0:
            return None
        new = np.flatnonzero(correlation >= level)
        if len(new) > room:
            new = new[np.argpartition(-correlation[new], room - 1)[:room]]
        taken = np.concatenate([taken, new])
        fit = _fit(design.columns(taken), y)
        if fit is None:
            return None
        values, residual, _ = fit
        if np.linalg.norm(residual) <= _ZERO * norm:
            break
    else:
        return None
    support = np.sort(taken[np.abs(values) > _ZERO_COEFFICIENT * np.abs(values).max()])
    columns = design.columns(support)
    values, residual, factor = _fit(columns, y)
    if np.linalg.norm(residual) > 10 * _ZERO * norm or (positive and values.min() <= 0):
        return None
    return Guess(support, values, columns, factor)


def _fit(columns, y):
    """Return coefficients, residual and Gram factor; None for nearly dependent columns."""
    try:
        factor = cholesky(columns.T @ columns, lower=True, check_finite=False)
    except LinAlgError:
        return None
    diagonal = factor.diagonal()
    if diagonal.min() <= 1e-6 * diagonal.max():
        return None
    values = cho_solve((factor, True), columns.T @ y)
    values += cho_solve((factor, True), columns.T @ (y - columns @ values))
    return values, y - columns @ values, factor
