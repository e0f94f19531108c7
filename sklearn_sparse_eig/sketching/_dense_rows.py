"""Adding dense rows whose features are kept: strip by strip, with what is small and whole exact.

One read of the rows serves the shift, the sums and the product. Strips, tiles and the order within
them depend on the shapes alone and each belongs to one thread, so no bit depends on their number.
"""

from typing import Any

import numpy as np

from .. import kernels
from .._base.threads import run_ranges
from ._accumulate import add_tiles
from ._state import SketchState

# Columns of a strip: their sums stay in the fastest cache while all rows pass.
STRIP = 512
# Entries of a centred strip, about one and a half megabytes, which a product reads from the cache.
_PANEL = 3 << 16
# Entries of X, times the width of the product, below which plain calls are the fastest.
_FEW = 1 << 22
# Rows that are centred at a time, and of which sums and sums of squares are known.
_UNIT = 128
# Whole numbers up to this are float32, and so is each sum of products that is bounded by it.
_EXACT = 2.0**24
# Rows that are looked at before all are.
_LOOK = 16
# Rows below which neither strips nor threads pay.
FEW_ROWS = 16


def is_large(state: SketchState, X: np.ndarray) -> bool:
    """Whether so many rows are added that strips and threads pay."""
    return X.shape[0] >= FEW_ROWS and float(X.size) * state.shape[1] > _FEW


def add_symmetric(state: SketchState, X: np.ndarray, weights: float | np.ndarray) -> None:
    """Add rows to the exact second moment: C += (X - a)^T diag(w) (X - a)."""
    side = state._left
    state._keep_sums(None)
    if np.ndim(weights) == 0 and may_be_whole(X, side.shift):
        total = _add_whole(state._cross, X, side.shift, float(weights))
        if total is not None:
            side.total += float(weights) * total
            return
    Y, total = _centred(X, side.shift)
    if np.ndim(weights) == 0:
        side.total += float(weights) * total
    else:
        side.total += weights @ Y
    add_tiles(state._cross, Y, None, weights)


def _centred(X, shift):
    """Return X - shift and the sums of its columns."""
    Y, totals = np.empty(X.shape), _sums_of_units(X)

    def unit(index, rows):
        _centre(X[rows], shift, Y[rows])
        Y[rows].sum(axis=0, out=totals[index])

    _for_units(X, unit)
    return Y, totals.sum(axis=0)


def _centre(rows, shift, out):
    """Write rows - shift: copied first, which is faster than converting one by one."""
    if rows.dtype == np.float64:
        np.subtract(rows, shift, out=out)
    else:
        out[...] = rows
        out -= shift


def _sums_of_units(X):
    return np.empty((-(-X.shape[0] // _UNIT), X.shape[1]))


def _for_units(X, function):
    """Call a function of its number and its rows for each unit of rows, on threads.

    In NumPy: beside the product nothing is gained by what would have to be compiled first. Sums
    are kept for each unit, so that they do not depend on the number of threads.
    """
    n = X.shape[0]

    def part(first, last):
        with np.errstate(over="ignore", invalid="ignore"):
            for index in range(first, last):
                function(index, slice(index * _UNIT, min(n, (index + 1) * _UNIT)))

    run_ranges(part, -(-n // _UNIT), work=X.size)


# ---------------------------------------------------------------------------------- whole numbers


def may_be_whole(X: np.ndarray, shift: np.ndarray) -> bool:
    """Whether the first rows, centred, are whole numbers that float32 adds without rounding."""
    first = np.subtract(X[:_LOOK], shift, dtype=np.float64)
    limit = np.sqrt(_EXACT / _UNIT)
    return bool((np.abs(first) <= limit).all() and (first == np.rint(first)).all())


def _add_whole(C, X, shift, weight):
    """Add X^T X of centred whole numbers by products in float32; the sums of columns, or None.

    Nothing is added, and None returned, where float32 would round. A sum of products of two columns
    is bounded by the larger of their sums of squares, whatever part of the rows it runs over, and
    whole numbers up to 2**24 are exact in float32: so are then all products, in any order.
    """
    Y, totals, squares = np.empty(X.shape, dtype=np.float32), _sums_of_units(X), _sums_of_units(X)
    is_integer = X.dtype.kind in "biu" and bool((shift == np.rint(shift)).all())
    is_whole = []

    def unit(index, rows):
        exact = np.empty((rows.stop - rows.start, X.shape[1]))
        _centre(X[rows], shift, exact)
        Y[rows] = exact
        exact.sum(axis=0, out=totals[index])
        is_whole.append(is_integer or bool((exact == np.rint(exact)).all()))
        exact *= exact
        exact.sum(axis=0, out=squares[index])

    _for_units(X, unit)
    ends = _ends(squares, len(X)) if all(is_whole) else None
    if ends is None:
        return None
    add_tiles(C, Y, None, weight, ends)
    return totals.sum(axis=0)


def _ends(squares, n):
    """Cut the rows where a sum of squares would pass the bound; None if one unit does."""
    if not squares.max() <= _EXACT:
        return None
    ends, running = [], np.zeros(squares.shape[1])
    for unit, more in enumerate(squares):
        running += more
        if unit and running.max() > _EXACT:
            ends.append(unit * _UNIT)
            running = more.copy()
    return [*ends, n]


# ------------------------------------------------------------------------------ kept, times hashed


def add_kept(
    state: SketchState,
    X: np.ndarray,
    W: np.ndarray,
    weights: float | np.ndarray,
    total_weight: float,
) -> None:
    """Add rows that are kept on the left and measured on the right, and their moments.

    C += (X - a)^T diag(w) (V - b), where W is V - b. Each strip of columns is centred, summed and
    multiplied while it is in the cache.
    """
    state._keep_sums(None)
    weighted = W * (np.asarray(weights)[:, None] if np.ndim(weights) else weights)
    moments = state._moments
    if moments is not None:
        moments.begin(X, weights, total_weight)
    width = max(64, min(STRIP, _PANEL // X.shape[0] // 64 * 64))

    def part(low, high):
        strip = np.empty((X.shape[0], width))
        with np.errstate(over="ignore", invalid="ignore"):
            for left in range(low, high, width):
                _add_strip(state, X, weights, weighted, left, min(left + width, high), strip)

    # Each thread has a strip and its product, of which two buffers of rows hold some.
    most = 2 * state.row_buffer // (width * (X.shape[0] + W.shape[1]))
    run_ranges(part, X.shape[1], work=X.size * W.shape[1], multiple=width, most_threads=most)
    if moments is not None:
        moments.weight += total_weight
    state._right.total += weighted.sum(axis=0)
    state._power += float(np.vdot(W, weighted))


def _add_strip(state, X, weights, weighted, left, right, strip):
    """Add columns left..right-1, through the array `strip`, and their moments."""
    side, moments = state._left, state._moments
    is_scalar = np.ndim(weights) == 0
    shift = side.shift[left:right]
    total, squares = np.zeros(right - left), None
    if is_scalar and moments is not None and np.array_equal(shift, moments.shift[left:right]):
        squares = np.zeros(right - left)
    kernels.centre_columns(X, left, right, shift, strip, 0, total, squares)
    rows = strip[:, : right - left]
    total = float(weights) * total if is_scalar else weights @ rows
    side.total[left:right] += total
    state._cross[left:right] += rows.T @ weighted
    if squares is not None:
        moments.add_sums(left, right, total, float(weights) * squares)
    elif moments is not None:
        moments.add_columns(X, left, right, weights)


# ------------------------------------------------------------------------------- hashed, both sides


def measures_at_once(state: SketchState, X: Any) -> bool:
    """Whether one pass over X gives both measurements and the moments."""
    hashes = [side.measurement.hash_settings for side in state._sides]
    can = len(hashes) == 2 and None not in hashes
    return can and isinstance(X, np.ndarray) and is_large(state, X)


def measure_at_once(
    state: SketchState, X: np.ndarray, weights: float | np.ndarray, total_weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return both measurements of rows, whose moments are added."""
    keys = state.measurement.hash_settings, state.test.hash_settings
    assert keys[0] is not None and keys[1] is not None  # or they are not measured at once
    moments = state._moments
    is_scalar = np.ndim(weights) == 0
    if moments is None or not is_scalar:
        if moments is not None:
            moments.update(X, weights, total_weight)
        return kernels.sketch_dense_twice(X, keys[0], keys[1])[:2]
    moments.begin(X, weights, total_weight)
    Y, W, *sums = kernels.sketch_dense_twice(X, keys[0], keys[1], moments.shift)
    moments.add_sums(0, X.shape[1], *(float(weights) * values for values in sums))
    moments.weight += total_weight
    return Y, W
