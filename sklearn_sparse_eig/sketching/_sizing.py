"""How large a sketch should be: the choice of regime under a memory budget."""

from dataclasses import dataclass
from typing import Any, Literal

from .._base.typed import Auto
from .measurements import Measurement, MeasurementName, find_measurement

SketchKind = Literal["auto", "two_sided", "mam"]

# Up to this many features the exact covariance is also the fastest: its update is one symmetric
# product, and no recovery is needed.
_EXACT_FEATURES = 4096
# Peak memory of a recovery in matrices of the sketch's size, the sketch included (measured).
_EXACT_COPIES = 5
_COPIES = 8
# Share of the budget within which the moments of the features are kept though nothing needs them.
_MOMENTS_SHARE = 1 / 16
# Vectors of length N that the moments take, with the temporaries of their use.
_MOMENT_VECTORS = 6
_BLOCKS = 8
# Share of the budget for the identification of features, where it is kept.
_IDENTIFICATION_SHARE = 1 / 2
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
    """

    measurement: MeasurementName | Measurement
    n_measurements: int | None
    range_size: int | None
    feature_moments: bool
    identification: tuple[int, int] | None = None

    def arguments(self) -> dict[str, Any]:
        return vars(self).copy()


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

    A matrix fits if the budget holds the copies of it that a recovery makes.

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
    N, r, s = int(n_features), int(n_components), int(n_nonzero)
    m = None if n_measurements == "auto" else int(n_measurements)
    k = None if range_size == "auto" else int(range_size)
    identity = find_measurement(measurement).keeps_features
    reserved = _IDENTIFICATION_SHARE if identification else 0.0
    budget = _Budget(memory_budget, N, feature_moments, reserved)
    ids = _identification_size(N, r, s, reserved * memory_budget) if identification else None
    moments = budget.holds_moments

    exact = SketchSize("identity", m, None, False)
    whole = N * (N + 4)  # the covariance, and the sums and shifts of both sides
    if sketch == "mam":
        if not isinstance(measurement, str):
            return SketchSize(measurement, None, None, moments, ids)
        if identity:
            budget.check(whole, _EXACT_COPIES)
            return exact
        if m is None:
            least, most = _measurement_bounds(N, s, max(2048, 4 * r * s))
            m = _between(least, most, budget.floats() ** 0.5)
            budget.check(m * m)
        _check_rank(r, m, m)
        return SketchSize(measurement, m, None, moments, ids)

    least_range, most_range = 4 * r + 16, max(256, 8 * r)
    smallest = N * min(N, least_range)
    keeps_features = identity or (measurement == "sparse_sign" and m is None)
    if keeps_features:
        small = N <= _EXACT_FEATURES and whole <= budget.floats(_EXACT_COPIES)
        if sketch == "auto" and k is None and small:
            return exact
        if identity and k is None:
            budget.check(smallest)
        width = min(most_range, int(budget.floats() // N)) if k is None else k
        if width >= N:
            return exact
        if identity or (width >= least_range if k is None else N * k <= budget.floats()):
            _check_rank(r, N, width)
            return SketchSize("identity", m, width, moments)

    least, most = _measurement_bounds(N, s, max(16384, 8 * r * s))
    if k is None:
        # As many rows of Omega as leave room for the measurements that the supports need.
        if isinstance(measurement, str):
            wanted = m or max(least, min(8 * r * s, most))
        else:
            wanted = measurement.n_measurements
        k = int(max(least_range, min(most_range, budget.floats() // wanted)))
    if not isinstance(measurement, str):
        _check_rank(r, measurement.n_measurements, k)
        return SketchSize(measurement, None, k, moments, ids)
    if m is None:
        m = _between(least, most, budget.floats() / k)
        if range_size == "auto":
            budget.check(m * k, smallest=min(m * k, smallest) if keeps_features else m * k)
    _check_rank(r, m, k)
    return SketchSize(measurement, m, k, moments, ids)


class _Budget:
    """What a number of bytes holds, for N features."""

    def __init__(
        self, n_bytes: float, n_features: int, needs_moments: bool, reserved: float
    ) -> None:
        self._bytes = n_bytes
        self._share = 1.0 - _MOMENTS_SHARE - reserved
        self._vectors = 8 * _MOMENT_VECTORS * n_features
        self._needs_moments = needs_moments
        self.holds_moments = needs_moments or self._vectors <= _MOMENTS_SHARE * n_bytes

    def floats(self, copies: float = _COPIES) -> float:
        """Return the largest matrix of which `copies` fit, in floats."""
        rest = self._share * self._bytes
        return max(rest - self._needs_moments * self._vectors, 0.0) / (8 * copies)

    def check(self, state: float, copies: float = _COPIES, smallest: float | None = None) -> None:
        if state > self.floats(copies):
            needed = 8 * copies * (smallest or state) + self._needs_moments * self._vectors
            raise ValueError(
                f"memory_budget={self._bytes:.3g} bytes is too small: the smallest sketch for "
                f"these components needs {1.01 * needed / self._share:.3g}. Raise "
                "memory_budget, or ask for fewer components or nonzeros."
            )


def _identification_size(N, r, s, n_bytes):
    """Return the buckets and the width of an identification for r supports of s features."""
    # Room for the components, for others that are followed beside them, and for their mean.
    width = max(32, -(-(3 * r // 2 + 8) // 8) * 8)
    # Its cells, and the few columns of them that a recovery reads.
    affordable = int(n_bytes / (8 * (width + 2 * r) * (1 + (N - 1).bit_length())))
    wanted = min(max(_BUCKETS_PER_FEATURE * r * s, _LEAST_BUCKETS), _MOST_BUCKETS)
    return max(min(wanted, affordable), 3) // 3 * 3, width


def _measurement_bounds(N, s, usual):
    """Return the least and the most measurements of use for supports of s among N features."""
    # Supports are found up to m / 3 features: 4 N measurements are enough for all N of them. The
    # floor leaves room for ensembles that have a least size of their own.
    most = _multiple(min(usual, max(4 * N, 256)))
    return min(_multiple(max(64, 4 * s)), most), most


def _between(least, most, affordable):
    return max(least, min(most, int(affordable) // _BLOCKS * _BLOCKS))


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
