"""Whether sums of rows can be worked with: finite, and a variance that numbers can tell."""

from typing import Any

import numpy as np

from .._base.rows import check_finite_rows
from ._implicit import ImplicitMatrix
from ._limits import ROUNDING
from ._state import Side, SketchState

# Variances beyond this, or below its inverse, have squares that are infinite, or zero.
_LARGEST = 1e140
# Values below this have squares that vanish.
_SMALLEST = 1e-150


def check_sums(state: SketchState, X: Any) -> None:
    """Raise ValueError if rows X were added that are not finite, or too large to be squared.

    Every product in C is bounded by the powers of the two sides, so that C is not looked at.
    """
    if not are_usable(state):
        check_finite_rows(X)
        raise ValueError(
            "X has values that cannot be squared and added in floating point: their mean square "
            f"is beyond {_LARGEST:g}. Remove them if they are errors; else multiply X by a "
            "constant, or scale its features (MaxAbsScaler)."
        )


def are_usable(state: SketchState) -> bool:
    """Return whether the sums of rows are finite and small enough to be squared.

    A value that is not finite leaves no total finite that it is part of.
    """
    power = np.trace(state._cross) if state.is_symmetric else state._power
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        squares = [_square(side.shift) for side in state._sides]
        if state.weight:
            squares.append(power / abs(state.weight))
            squares += [_square(side.total / state.weight) for side in state._sides]
        squares += [np.abs(side.total).max() * 0.0 for side in state._sides]
    return all(square <= _LARGEST for square in squares)  # no NaN either


def _square(vector):
    """Return |vector|^2 without BLAS, whose threads take longer to wake than this takes."""
    return np.einsum("i,i->", vector, vector)


def check_variance(state: SketchState, S: ImplicitMatrix) -> None:
    """Raise ValueError unless S, the sketch of some rows, is more than rounding."""
    largest = S.largest()
    level = max(np.abs(side.shift + side.total / state.weight).max() for side in state._sides)
    if largest == 0.0 and 0.0 < level < _SMALLEST:
        raise ValueError(
            f"The values of X, about {level:.3g}, are so small that their squares vanish in "
            "floating point. Multiply X by a constant, or scale its features (MaxAbsScaler)."
        )
    if _is_rounding(state, S, largest):
        raise ValueError(
            "X has no variance: every row is the same, so there are no components to find. Check "
            "the input, or use center=False if the mean itself is of interest."
        )
    if not 1.0 / _LARGEST < largest < _LARGEST:
        raise ValueError(
            f"The variances of X, up to {largest:.3g}, cannot be squared in floating point. "
            "Multiply X by a constant, or scale its features (MaxAbsScaler)."
        )


def _is_rounding(state, S, largest):
    """Whether every entry of S is what rounding may leave where there is no variance.

    Of the product of two means that lie by d and e from their shifts that is a share of d e, and
    of the rows themselves, before they were shifted, a share of each.
    """
    if not state.center:
        return largest == 0.0
    left_drift, left_level = _levels(state._left, state.weight)
    right_drift, right_level = _levels(state._right, state.weight)
    most = ROUNDING * left_drift.max() * right_drift.max()
    most += ROUNDING**2 * left_level.max() * right_level.max()
    if largest > most:  # beyond the bound of every entry: they need not be looked at one by one
        return False
    for part, rows in S.chunks():
        bound = ROUNDING * left_drift[part, None] * right_drift
        bound += ROUNDING**2 * left_level[part, None] * right_level
        if not (np.abs(rows) <= bound).all():
            return False
    return True


def _levels(side: Side, weight: float):
    """Return the distance of the mean from its shift and from zero, for each measurement."""
    drift = np.abs(side.total / weight)
    level = np.abs(side.shift + side.total / weight)
    if not side.measurement.keeps_features:
        # Each measurement is a sum over many features, of rounding like any other.
        level = np.full(len(level), level.max())
    return drift, level


def check_products(products: np.ndarray) -> None:
    """Raise ValueError if products with a matrix are too large to be added, or read."""
    largest = np.abs(products).max(initial=0.0)
    if not largest <= _LARGEST:
        raise ValueError(
            f"The matrix has products up to {largest:.3g}, which leave no room for sums and "
            "products in floating point. Multiply it by a constant."
        )
