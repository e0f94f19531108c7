"""Where to shift sums of squares to, so that a mean that is large against the spread costs nothing.

A variance does not depend on a shift, but its rounding does: of sums about a shift that lies d from
the mean, d^2 / variance times the rounding unit is lost. A mean need not be subtracted where it is
small, which leaves sparse rows sparse: the zeros of a feature bound its mean by its spread, so only
features that are never, or next to never, zero have a shift.
"""

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np
import scipy.sparse as sp

from .._base.threads import run_ranges

# Squared mean, in variances, from which sums are shifted: it costs four of sixteen digits.
FAR = 1e4
# Squared mean, in variances, below which sums are not shifted; smaller, lest shifts come and go.
_NEAR = FAR / 16.0
# Share of rows that are not zero in a feature, or more, if it needs a shift.
_FULL = 0.99
# A centre of earlier rows is good for all while these weigh at least this share of the later ones.
_SHARE = 1e-2
# Rows after which the mean is looked at anew.
_STEP = 256
# Dense rows are read in tiles of these columns and rows; below so many entries, in one product.
_STRIP, _ROWS = 512, 64
_FEW = 1 << 18
# Dense rows that are looked at together.
_LOOK = 16


def is_outweighed(weight: float, later: float) -> bool:
    """Whether later rows weigh so much that a centre of the earlier ones is none for all."""
    return abs(weight) < _SHARE * abs(later)


def is_due(before: int, after: int) -> bool:
    """Whether so many rows were added, or deleted, that the mean should be looked at anew.

    It depends on the numbers of rows alone: a state that was saved and read goes on like another.
    """
    return before // _STEP != after // _STEP or before.bit_length() != after.bit_length()


def centre(rows: np.ndarray | sp.csr_array, weights: float | np.ndarray) -> np.ndarray:
    """Return the mean of some rows, or, where they are sparse, of the columns that need a shift.

    Of dense rows of whole numbers it is the whole number next to the mean, about which they are
    whole numbers still, and their sums exact.

    Parameters
    ----------
    rows : ndarray or csr_array of shape (n, m)
        Duplicates add.
    weights : float or ndarray of shape (n,)
        Their signs do not matter: deleted rows have the centre of those they delete.

    Returns
    -------
    ndarray of shape (m,)
    """
    n = rows.shape[0]
    weights = np.broadcast_to(np.abs(weights), n)
    share = weights / weights.sum()
    if not sp.issparse(rows):
        mean = share @ rows if rows.size < _FEW else _mean(rows, share)
        return np.rint(mean) if _are_whole(rows) else mean
    columns, values = _full_columns(rows, share)
    out = np.zeros(rows.shape[1])
    if not len(columns):
        return out
    mean = share @ values
    spread = share @ (values - mean) ** 2
    out[columns] = np.where(mean**2 > FAR * spread, mean, 0.0)
    return out


def _are_whole(rows):
    """Whether all entries are whole numbers, as counts and the values of pixels are."""
    if rows.dtype.kind in "biu":
        return True
    steps = range(0, len(rows), _LOOK)
    return all((rows[i : i + _LOOK] == np.rint(rows[i : i + _LOOK])).all() for i in steps)


def _mean(rows, share):
    """Return share @ rows for many entries of any type, of which a tile at a time is converted."""
    mean = np.zeros(rows.shape[1])

    def part(low, high):
        tiles = product(range(low, high, _STRIP), range(0, len(rows), _ROWS))
        with np.errstate(over="ignore", invalid="ignore"):  # a thread knows of no other's
            for left, top in tiles:
                columns = slice(left, min(left + _STRIP, high))
                tile = rows[top : top + _ROWS, columns].astype(np.float64, copy=False)
                mean[columns] += share[top : top + _ROWS] @ tile

    run_ranges(part, rows.shape[1], work=rows.size, multiple=_STRIP)
    return mean


def first_rows(weights: float | np.ndarray, n: int) -> int:
    """Return how many of n rows tell whether a column of all can be next to never zero.

    Of such a column the rows where it is zero weigh less than a hundredth of all, and so leave at
    least 84 % of rows that weigh a sixteenth.
    """
    if np.ndim(weights) == 0:
        return -(-n // 16)
    heavy = np.cumsum(np.abs(weights))
    return min(n, int(np.searchsorted(heavy, heavy[-1] / 16.0)) + 1)


def may_be_full(
    measurement: Any,
    some: sp.csr_array,
    weights: float | np.ndarray,
    all_weights: float | np.ndarray,
    n: int,
) -> bool:
    """Whether a measurement of n rows, of which these are some, can be next to never zero.

    ``False`` is certain.

    Parameters
    ----------
    measurement : Measurement
    some : csr_array of shape (n_some, n_features)
    weights : float or ndarray of shape (n_some,)
    all_weights : float or ndarray of shape (n,)
    n : int
    """
    share = np.broadcast_to(np.abs(weights), some.shape[0]) / _absolute_sum(all_weights, n)
    columns = measurement.columns(some.indices)
    shares = np.repeat(np.repeat(share, np.diff(some.indptr)), np.diff(columns.indptr))
    present = np.bincount(columns.indices, shares, measurement.n_measurements)
    return bool(present.max(initial=0.0) > share.sum() - (1.0 - _FULL) * (1.0 + 1e-9))


def _absolute_sum(weights, n):
    return float(abs(weights)) * n if np.ndim(weights) == 0 else float(np.abs(weights).sum())


def _full_columns(rows, share):
    """Return the columns of CSR rows that are next to never zero, and their values as an array.

    Among them are all that need a shift: of a constant with a share of p zeros the squared mean is
    (1 - p) / p variances.
    """
    shares = np.repeat(share, np.diff(rows.indptr))
    is_full = np.bincount(rows.indices, shares, rows.shape[1]) > _FULL
    columns = np.flatnonzero(is_full)
    if not len(columns):
        return columns, np.empty((len(share), 0))
    inside = is_full[rows.indices]
    row = np.repeat(np.arange(len(share)), np.diff(rows.indptr))[inside]
    column = np.searchsorted(columns, rows.indices[inside])
    size = len(share) * len(columns)
    values = np.bincount(row * len(columns) + column, rows.data[inside], size)
    return columns, values.reshape(len(share), len(columns))


def better_shifts(
    sides: Iterable, weight: float, spreads: Iterable[np.ndarray], fewest: bool
) -> list[np.ndarray]:
    """Return the shifts that sums should have, mostly those that they do have.

    Parameters
    ----------
    sides : iterable of objects with arrays ``total`` and ``shift``
        Sums of the deviations from the shifts.
    weight : float
        Of all that was summed.
    spreads : iterable of ndarray
        The variance of each summand.
    fewest : bool
        Whether to give up shifts that are not needed, for the sake of sparse rows.
    """
    shifts = []
    for side, spread in zip(sides, spreads, strict=True):
        drift = side.total / weight
        mean = side.shift + drift
        shift = np.where(drift**2 > FAR * spread, mean, side.shift)
        if fewest:
            shift[mean**2 <= _NEAR * spread] = 0.0
        shifts.append(shift)
    return shifts
