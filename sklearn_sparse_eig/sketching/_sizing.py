"""How large a sketch should be: the choice of regime under a memory budget."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from .._base.typed import Auto
from ._memory import Needs, moments_bytes, most_candidates, row_buffer
from .measurements import Measurement, MeasurementName, find_measurement

SketchKind = Literal["auto", "two_sided", "mam"]

# Up to this many features the exact covariance is also the most accurate in little time: its update
# is one symmetric product.
_EXACT_FEATURES = 4096
# Share of the budget within which the moments of the features are kept though nothing needs them.
_MOMENTS_SHARE = 1 / 12
_BLOCKS = 8
# Share of the budget for the identification of features, where it is kept.
_IDENTIFICATION_SHARE = 1 / 2
# How closely the least budget that is enough is looked for.
_BUDGET_STEP = 1.01
# Buckets of the identification for each feature looked for: more leave less noise in a bucket.
_BUCKETS_PER_FEATURE = 48
_LEAST_BUCKETS, _MOST_BUCKETS = 12288, 49152


@dataclass(frozen=True)
class SketchSize:
    """The settings of an EigenSketch.

    Attributes
    ----------
    measurement : str or Measurement
    n_measurements : int or None
        None for the identity.
    range_size : int or None
        None for the same measurement on both sides.
    feature_moments : bool
        Whether exact feature means and variances fit besides.
    identification : (int, int) or None
        Buckets and width of the bit-test side sketch, if there is one.
    row_buffer : int or None
        Floats that a block of rows may take while it is added; None where nothing limits them.
    """

    measurement: MeasurementName | Measurement
    n_measurements: int | None
    range_size: int | None
    feature_moments: bool
    identification: tuple[int, int] | None = None
    row_buffer: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of an EigenSketch of this size."""
        return {name: value for name, value in vars(self).items() if name != "row_buffer"}


def choose_size(
    n_features: int,
    n_components: int,
    n_nonzero: int,
    *,
    sketch: SketchKind = "auto",
    measurement: MeasurementName | Measurement = "sparse_sign",
    n_measurements: int | Auto = "auto",
    range_size: int | Auto = "auto",
    feature_moments: bool = False,
    identification: bool = False,
    memory_budget: float = 256e6,
) -> SketchSize:
    """Choose the sketch for given data and memory.

    Three regimes of one law S = M A Omega^T, with N = n_features:

    * *exact*, M = Omega = I, while N is at most 4096 and the N x N covariance fits;
    * *range*, M = I and Omega compressed to k rows, while N x k fits for a k that holds the
      components several times over: more accurate than compressing M at equal memory;
    * *compressed*, both sides hashed, beyond. The error falls with the product m k, so both grow
      to 16384 x 256 where the budget allows: there a row of 100 nonzeros still costs no more than
      reading it from disk.

    A sketch fits if the budget holds all that is in memory at a time: while rows are added, the
    sketch, a copy by which an interrupted update is taken back, and the buffers of a block of
    rows; in a recovery, the sketch and work arrays, as `_memory` counts them. So a sketch takes
    up to 45 % of the budget.

    Parameters
    ----------
    n_features, n_components : int
    n_nonzero : int
        Expected nonzeros per component.
    sketch : {"auto", "two_sided", "mam"}
        "two_sided" takes the exact regime only where compressing saves nothing (k >= N); "mam"
        takes M on both sides.
    measurement : str or Measurement
        For the compressed regimes; "identity" forces M = I.
    n_measurements, range_size : int or "auto"
        Override m and k, and the budget.
    feature_moments : bool
        Whether the noise model needs them.
    identification : bool
        Whether the decoder reads the ids of features from a side sketch, which then takes half of
        the budget. A measurement that keeps the features needs none.
    memory_budget : float
        Bytes.

    Returns
    -------
    SketchSize

    Raises
    ------
    ValueError
        If the budget cannot hold even the smallest sketch for these components, or a size asked
        for is too small to tell them apart.
    """
    request = int(n_features), int(n_components), int(n_nonzero)
    wanted = sketch, measurement, n_measurements, range_size
    budget = _Budget(memory_budget, *request, feature_moments, identification)
    if budget.spares_moments:
        # Moments that nothing needs are given up where no sketch has room beside them.
        with suppress(ValueError):
            return _choose(budget, *request, *wanted, identification)
        budget = _Budget(memory_budget, *request, feature_moments, identification, spare=False)
    return _choose(budget, *request, *wanted, identification)


def _choose(budget, N, r, s, sketch, measurement, n_measurements, range_size, identification):
    """Return the size that a budget holds."""
    m = None if n_measurements == "auto" else int(n_measurements)
    k = None if range_size == "auto" else int(range_size)
    identity = find_measurement(measurement).keeps_features
    needs = budget.needs
    ids = _identification_size(N, r, s, budget.reserved) if identification else None

    exact = budget.size("identity", m, None, False, None)
    if sketch == "mam":
        if not isinstance(measurement, str):
            return budget.size(measurement, None, None, budget.holds_moments, ids)
        if identity:
            budget.check(Needs.exact, keeps_features=True)
            return exact
        if m is None:
            least, most = _measurement_bounds(N, s, max(2048, 4 * r * s))
            found = budget.largest_or_none(needs.symmetric, least, most, _BLOCKS)
            if found is None:
                budget.check(lambda needs: needs.symmetric(least))
            m = found
        _check_rank(r, m, m)
        return budget.size(measurement, m, None, budget.holds_moments, ids)

    least_range, most_range = _multiple(4 * r + 16), _multiple(max(256, 8 * r))

    def smallest(needs: Needs) -> float:
        return needs.exact() if N <= least_range else needs.ranged(least_range)

    keeps_features = identity or (measurement == "sparse_sign" and m is None)
    if keeps_features:
        # Where as many numbers as features could be kept of each, nothing is to be compressed.
        limit = _EXACT_FEATURES if sketch == "auto" else most_range
        if k is None and N <= limit and budget.holds(needs.exact()):
            return exact
        if identity and k is None:
            budget.check(smallest, keeps_features=True)
        width = k
        if k is None and N > least_range:
            most = min(most_range, N)
            width = budget.largest_or_none(needs.ranged, least_range, most, _BLOCKS)
        if width is not None and width >= N:
            return exact
        if identity or (width is not None if k is None else budget.holds(needs.ranged(k))):
            _check_rank(r, N, width)
            return budget.size("identity", m, width, budget.holds_moments, None)

    least, most = _measurement_bounds(N, s, max(16384, 8 * r * s))
    if k is None:
        # As many rows of Omega as leave room for the measurements that the supports need.
        if isinstance(measurement, str):
            wanted = m or max(least, min(8 * r * s, most))
        else:
            wanted = measurement.n_measurements
        found = budget.largest_or_none(
            lambda width: needs.hashed(wanted, width), least_range, most_range, _BLOCKS
        )
        k = least_range if found is None else found
    if not isinstance(measurement, str):
        _check_rank(r, measurement.n_measurements, k)
        return budget.size(measurement, None, k, budget.holds_moments, ids)
    if m is None:
        height = budget.largest_or_none(lambda m: needs.hashed(m, k), least, most, _BLOCKS)
        if height is None and range_size == "auto":
            narrow = k

            def needed(needs: Needs) -> float:
                hashed = needs.hashed(least, narrow)
                return min(hashed, smallest(needs)) if keeps_features else hashed

            budget.check(needed)
        m = least if height is None else height
    _check_rank(r, m, k)
    return budget.size(measurement, m, k, budget.holds_moments, ids)


class _Budget:
    """What a number of bytes holds."""

    def __init__(
        self,
        n_bytes: float,
        n_features: int,
        n_components: int,
        n_nonzero: int,
        needs_moments: bool,
        identification: bool,
        spare: bool = True,
    ) -> None:
        self._bytes = n_bytes
        self._request = n_features, n_components, n_nonzero, needs_moments
        self._identification = identification
        self.needs = Needs(*self._request, most_candidates(n_bytes))
        self.reserved = identification * _IDENTIFICATION_SHARE * n_bytes
        moments = moments_bytes(n_features)
        fit = spare and moments <= _MOMENTS_SHARE * n_bytes
        self.holds_moments = needs_moments or fit
        self.spares_moments = fit and not needs_moments
        self._room = n_bytes - self.reserved - self.spares_moments * moments

    def holds(self, needed: float) -> bool:
        return needed <= self._room

    def check(self, needed: Callable[[Needs], float], keeps_features: bool = False) -> None:
        """Raise an error that names a budget which is enough, unless this one is."""
        if self.holds(needed(self.needs)):
            return
        # What is needed grows with a budget itself, by what is kept and tried where there is room.
        low, enough = self._bytes, 2.0 * self._bytes
        while not self._is_enough(enough, needed):
            low, enough = enough, 2.0 * enough
        while enough > _BUDGET_STEP * low:
            middle = (low * enough) ** 0.5
            if self._is_enough(middle, needed):
                enough = middle
            else:
                low = middle
        raise ValueError(
            f"memory_budget={self._bytes:.3g} bytes is too small: the smallest sketch for "
            f"these components needs {1.01 * enough:.3g}. {self._advice(keeps_features)}"
        )

    def _advice(self, keeps_features):
        n_features, *_, needs_moments = self._request
        if not (needs_moments or keeps_features) or 8.0 * n_features <= self._bytes:
            return "Raise memory_budget, or ask for fewer components or nonzeros."
        asked = "noise='diagonal' (feature_moments)" if needs_moments else "measurement='identity'"
        return (
            f"Raise memory_budget, or leave {asked} at its default: it keeps numbers for each of "
            f"the {n_features} features."
        )

    def _is_enough(self, n_bytes, needed):
        other = _Budget(n_bytes, *self._request, self._identification, spare=False)
        return other.holds(needed(other.needs))

    def largest_or_none(
        self, needed: Callable[[int], float], least: int, most: int, multiple: int = 1
    ) -> int | None:
        """Return the largest multiple between two bounds for which there is room, or None."""
        if not self.holds(needed(least)):
            return None
        low, high = least // multiple, max(most // multiple, least // multiple)
        while low < high:  # there is room for low
            middle = (low + high + 1) // 2
            if self.holds(needed(middle * multiple)):
                low = middle
            else:
                high = middle - 1
        return low * multiple

    def size(
        self,
        measurement: MeasurementName | Measurement,
        m: int | None,
        k: int | None,
        moments: bool,
        ids: tuple[int, int] | None,
    ) -> SketchSize:
        """Return the size, and what its rows may take while they are added."""
        N = self.needs.n_features
        if m is not None:
            height = m
        else:
            height = N if isinstance(measurement, str) else measurement.n_measurements
        state = 8.0 * (height * (height if k is None else k) + 4 * height)
        return SketchSize(measurement, m, k, moments, ids, row_buffer(self._room, state))


def _identification_size(N, r, s, n_bytes):
    """Return the buckets and the width of an identification for r supports of s features."""
    # Room for the components, for others that are followed beside them, and for their mean.
    width = max(32, -(-(3 * r // 2 + 8) // 8) * 8)
    # Its cells, the copy of them while rows are added, and the few columns that a recovery reads.
    affordable = int(n_bytes / (16 * (width + r) * (1 + (N - 1).bit_length())))
    wanted = min(max(_BUCKETS_PER_FEATURE * r * s, _LEAST_BUCKETS), _MOST_BUCKETS)
    return max(min(wanted, affordable), 3) // 3 * 3, width


def _measurement_bounds(N, s, usual):
    """Return the least and the most measurements of use for supports of s among N features."""
    # Supports are found up to m / 3 features: 4 N measurements are enough for all N of them. The
    # floor leaves room for ensembles that have a least size of their own.
    most = _multiple(min(usual, max(4 * N, 256)))
    return min(_multiple(max(64, 4 * s)), most), most


def _multiple(m):
    return -(-m // _BLOCKS) * _BLOCKS


def _check_rank(r, m, k):
    """Refuse sizes that leave no room beside the components, which could not be told apart."""
    if min(m, k) < 2 * r and min(m, k) > 1:
        name, size = ("n_measurements", m) if m <= k else ("range_size", k)
        raise ValueError(
            f"n_components={r} needs {name} >= {2 * r}, got {size}: a compressed sketch tells at "
            "most half as many components apart as it has rows."
        )
