"""What a sketch holds, and all that is linear in it: adding, scaling and shifting sums."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .._base.atomic import all_or_nothing
from .._base.linear import LinearState
from .._base.messages import warn_user
from ._centring import better_shifts, is_outweighed
from ._feature_moments import FeatureMoments
from ._identification import IdentificationSketch
from ._implicit import steps
from ._memory import BUFFER
from .measurements import Measurement

# Sum of squares that rows leave when others are deleted, as a share of what it was: below this,
# fewer than three of its digits are more than rounding.
_CANCELLED = 1e-13


@dataclass(eq=False)
class Side:
    """One side of S = M A Omega^T: how rows are measured there, and the sum of what was measured.

    Attributes
    ----------
    measurement : Measurement
    total : ndarray
        The sum of w (y - shift) over the rows, y their measurements.
    shift : ndarray
        Close to the mean of y where that is large against the spread of y, else anything close to
        zero. Exact results do not depend on it, rounding does.
    """

    measurement: Measurement
    total: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, measurement: Measurement) -> Self:
        """Return a side that has seen nothing."""
        m = measurement.n_measurements
        return cls(measurement, np.zeros(m), np.zeros(m))


class SketchState(LinearState):
    """The sums that make up a sketch.

    They are C = sum of w (y - a)(v - b)^T for the measurements y = M x and v = Omega x of the rows
    and the shifts a and b, the totals and shifts of both sides, and the weights. Where both sides
    measure alike, the right side *is* the left one, and only the upper triangle of C is kept up to
    date; every formula here then holds as it stands.
    """

    content: str | None  # None while empty, then "rows" or "entries"
    center: bool
    n_samples: int
    weight: float
    row_buffer: int  # floats that measured rows may take while they are added
    _left: Side
    _right: Side
    _cross: np.ndarray
    _weight_squares: float
    _power: float  # sum of w |v - b|^2; zero where both sides are one, for C holds it then
    _moments: FeatureMoments | None
    _identification: IdentificationSketch | None

    def _start(
        self,
        measurement: Measurement,
        test: Measurement,
        center: bool,
        feature_moments: bool,
        identification: IdentificationSketch | None = None,
    ) -> None:
        """Set up the empty state for given matrices."""
        self.center = center
        self.content = None
        self._cross = np.zeros((measurement.n_measurements, test.n_measurements))
        self._left = self._right = Side.of(measurement)
        if measurement != test:
            self._right = Side.of(test)
        self.weight = self._weight_squares = self._power = 0.0
        self.n_samples = 0
        self._moments = FeatureMoments(measurement.n_features) if feature_moments else None
        self._identification = identification
        if "row_buffer" not in vars(self):
            self.row_buffer = BUFFER

    def _start_like(self, other: Self) -> None:
        """Set up the empty state for the settings of a state, which may be this one."""
        identification = other._identification and other._identification.empty()
        moments = other._moments is not None
        self.row_buffer = other.row_buffer
        self._start(other.measurement, other.test, other.center, moments, identification)

    @property
    def measurement(self) -> Measurement:
        """M, of shape (m, n_features)."""
        return self._left.measurement

    @property
    def test(self) -> Measurement:
        """Omega, of shape (k, n_features)."""
        return self._right.measurement

    @property
    def n_features(self) -> int:
        """N, the length of a row."""
        return self.measurement.n_features

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, k) of S."""
        return self._cross.shape

    @property
    def is_symmetric(self) -> bool:
        """Whether both sides measure alike, so that S is symmetric."""
        return self._right is self._left

    @property
    def _sides(self) -> tuple[Side, ...]:
        """The sides that differ: two, or one."""
        return (self._left,) if self.is_symmetric else (self._left, self._right)

    @property
    def identifies(self) -> bool:
        """Whether the sketch holds the ids of features, for ``decoder="bit_test"``."""
        return self._identification is not None

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays of the state by name, in the order in which they are saved."""
        named = {"cross": self._cross}
        for name, side in zip(("left", "right"), self._sides, strict=False):
            named |= {f"{name}_sum": side.total, f"{name}_shift": side.shift}
        if self._moments is not None:
            named |= {f"moments_{n}": getattr(self._moments, n) for n in FeatureMoments.fields}
        if self._identification is not None:
            named["identification"] = self._identification.cells
        return named

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # joblib maps large arrays read-only into workers, where BLAS would write to them and
        # crash.
        owners: list[tuple[Any, str]] = [(self, "_cross")]
        owners += [(side, name) for side in self._sides for name in ("total", "shift")]
        if self._moments is not None:
            owners += [(self._moments, name) for name in FeatureMoments.fields]
        if self._identification is not None:
            owners.append((self._identification, "cells"))
        for owner, name in owners:
            setattr(owner, name, np.require(getattr(owner, name), requirements=["C", "W"]))

    def empty(self) -> Self:
        """Return an empty sketch that measures in the same way."""
        new = object.__new__(type(self))
        new._start_like(self)
        return new

    def settings(self) -> dict[str, Any]:
        """Return all that must agree between sketches that are merged, as a JSON-able dict."""
        identification = self._identification
        return {
            "measurement": self.measurement.spec(),
            "test": self.test.spec(),
            "center": self.center,
            "feature_moments": self._moments is not None,
            "identification": None if identification is None else identification.spec(),
        }

    def _check_content(self, kind: str) -> None:
        if self.content not in (None, kind):
            raise ValueError(
                f"This sketch holds matrix {self.content}, so {kind} cannot be added: a covariance "
                "is divided by its weight and a matrix is not. Use a second sketch."
            )

    def _check_not_empty(self) -> None:
        if self.content is None or (self.content == "rows" and self.weight <= 0.0):
            raise ValueError("The sketch is empty: call update with at least one row first.")

    # ----------------------------------------------------------------------------------- linear

    def _add(self, other: Self, sign: float) -> None:
        if other.content is None:
            return
        self._check_content(other.content)
        self._keep_sums(None)
        squares_before = self._sum_of_squares()
        is_first = self.content is None
        if is_first:
            self._set_shifts(*(side.shift for side in other._sides))
        elif is_outweighed(self.weight, other.weight):
            self._move_shifts(*(side.shift for side in other._sides))
        self.content = other.content
        a = self._left.shift - other._left.shift
        b = self._right.shift - other._right.shift
        self._cross += sign * other._cross
        self._subtract_moved(other, a, b, sign)
        self._power += sign * (other._power + other._power_moved(b))
        for side, theirs in zip(self._sides, other._sides, strict=True):
            side.total += sign * (theirs.total - other.weight * (side.shift - theirs.shift))
        self.weight += sign * other.weight
        self._weight_squares += sign * other._weight_squares
        self.n_samples += int(sign) * other.n_samples
        if self._moments is not None and other._moments is not None:
            self._moments.merge(other._moments, sign)
        if self._identification is not None and other._identification is not None:
            self._identification.merge(other._identification, sign)
        if sign < 0.0:
            self._reset_if_deleted(abs(other.weight))
            self._warn_if_cancelled(squares_before)
        if not is_first:  # what was taken over as it is stays as it is, bit for bit
            self._follow_mean()

    @all_or_nothing
    def scale(self, factor: float) -> Self:
        """Multiply the weight of A by `factor` in (0, inf); ``scale(0.99)`` forgets a little.

        For rows, this leaves the covariance unchanged and makes later rows count more. The sketch
        itself is returned.
        """
        if not (np.isfinite(factor) and factor > 0):
            raise ValueError(f"factor must be positive and finite, got {factor}.")
        self._keep_sums(None)
        self._cross *= factor
        for side in self._sides:
            side.total *= factor
        self.weight *= factor
        self._weight_squares *= factor**2
        self._power *= factor
        if self._moments is not None:
            self._moments.scale(factor)
        if self._identification is not None:
            self._identification.scale(factor)
        self._follow_mean()
        return self

    def _reset_if_deleted(self, weight_deleted: float) -> None:
        """Start afresh where all rows were deleted: only rounding is left, and no mean."""
        if self.content == "rows" and abs(self.weight) <= 1e-12 * weight_deleted:
            self._start_like(self)

    def _sum_of_squares(self) -> float:
        """Return the squared lengths of all rows as measured on the right, from the shifts."""
        return float(np.trace(self._cross) if self.is_symmetric else self._power)

    def _warn_if_cancelled(self, squares_before: float) -> None:
        """Warn where rows were deleted whose squares leave little but rounding of what remains."""
        if self.content != "rows" or self.weight <= 0.0:
            return
        left = self._sum_of_squares()
        if self.center:
            left -= float(self._right.total @ self._right.total) / self.weight
        if left < _CANCELLED * squares_before:
            warn_user(
                "Rows were deleted that are so much larger than the others that the rounding of "
                f"their squares, some {1e-16 * squares_before:.2g}, remains beside the sum of "
                f"squares of all others, {max(left, 0.0):.2g}. Sketch the remaining rows anew."
            )

    def _keep_sums(self, rows: np.ndarray | None) -> None:
        """Note in the journal the sums and the rows of C that are about to change; None for all."""
        self.journal.keep(self._cross, rows)
        for side in self._sides:
            self.journal.keep(side.total)

    # ----------------------------------------------------------------------------------- shifts

    def _set_shifts(self, *shifts: np.ndarray) -> None:
        """Measure later rows from these shifts."""
        for side, shift in zip(self._sides, shifts, strict=True):
            self.journal.keep(side.shift)
            side.shift[:] = shift

    def _move_shifts(self, *shifts: np.ndarray) -> None:
        """Bring the sums to other shifts: they describe the same rows as before."""
        moves = [shift - side.shift for side, shift in zip(self._sides, shifts, strict=True)]
        if self.weight == 0.0 and not any(side.total.any() for side in self._sides):
            return self._set_shifts(*shifts)  # there is nothing to be moved
        if not any(move.any() for move in moves):
            return
        self._keep_sums(None if moves[-1].any() else np.flatnonzero(moves[0]))
        self._subtract_moved(self, moves[0], moves[-1])
        self._power += self._power_moved(moves[-1])
        for side, move in zip(self._sides, moves, strict=True):
            side.total -= self.weight * move
        self._set_shifts(*shifts)

    def _subtract_moved(self, other: Self, a: np.ndarray, b: np.ndarray, sign: float = 1.0) -> None:
        """Bring another state's part of C from its shifts to some that lie further by a and b.

        That is, sum of w (y - a)(v - b)^T = C - a (right total - weight b)^T - (left total) b^T for
        y and v as the other state measures them. Only where a shift moves is anything written.
        """
        rows, columns = np.flatnonzero(a), np.flatnonzero(b)
        if len(rows):
            right = other._right.total - other.weight * b
            _subtract_outer(self._cross, rows, sign * a[rows], right)
        if len(columns):
            _subtract_outer_columns(self._cross, columns, other._left.total, sign * b[columns])

    def _power_moved(self, b: np.ndarray) -> float:
        """Return by how much the power changes where the right shift lies further by b."""
        if self.is_symmetric or not b.any():
            return 0.0
        return float(self.weight * (b @ b) - 2.0 * (self._right.total @ b))

    def _follow_mean(self, *, fewest: bool = False) -> None:
        """Move the shifts to where the mean of the rows is by now, if that is far from them."""
        if self.center and self.content == "rows" and self.weight > 0.0:
            self._move_shifts(*better_shifts(self._sides, self.weight, self._spreads(), fewest))
            if self._moments is not None:
                self._moments.follow_mean(fewest=fewest)

    def _spreads(self) -> list[np.ndarray]:
        """Return the variance of each measurement on each side that differs.

        Where the sides differ it is the same for all measurements of a side: what they have
        together is |Omega x|^2, of which |M x|^2 differs by little.
        """
        drift = self._right.total / self.weight
        if self.is_symmetric:
            variance = np.diagonal(self._cross) / self.weight - drift**2
            return [np.maximum(variance, 0.0)]
        power = max(self._power / self.weight - float(drift @ drift), 0.0)
        return [np.full(len(side.total), power / len(side.total)) for side in self._sides]


def _subtract_outer(
    array: np.ndarray, rows: np.ndarray, left: np.ndarray, right: np.ndarray
) -> None:
    """Subtract left right^T from some rows of an array, without another array of their size."""
    for low, high in steps(len(rows), len(right)):
        part = slice(low, high) if len(rows) == len(array) else rows[low:high]
        array[part] -= left[low:high, None] * right


def _subtract_outer_columns(
    array: np.ndarray, columns: np.ndarray, left: np.ndarray, right: np.ndarray
) -> None:
    """Subtract left right^T from some columns of an array, in the order of its memory."""
    part = slice(None) if len(columns) == array.shape[1] else columns
    for low, high in steps(len(array), len(columns)):
        array[low:high, part] -= left[low:high, None] * right
