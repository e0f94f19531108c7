"""What size of sketch given data need: the choice of `_sizing`, and whether it is enough."""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from ._identification import N_BLOCKS
from ._limits import IDENTIFICATION_LIMIT, MAX_SUPPORT, SPELLED_FROM
from ._sizing import SketchKind, SketchSize, choose_size
from .measurements import MeasurementName, make_measurement

# The ratio of signal to noise from which the weakest component was always found where supports
# were no obstacle: in benchmarks/recovery/bench_phases.py that changes from never between 1 and
# 1.5.
_LEAST_RATIO = 2.0
# Measurements for each feature of the union of the supports, without noise, and the factor of what
# noise asks for. Both are for many components, which help each other: one needs twice as many.
# Set above what was needed in all sizes tried: 2000 to 100000 features, supports of 5 to 500.
_MEASUREMENTS_PER_FEATURE = 5
_NOISE_FACTOR = {"exact": 6, "range": 6, "compressed": 10}
# A budget beyond which the choice of a size does not change, and how closely one is looked for.
_ANY_MEMORY = 1e30
_MEMORY_STEP = 1.01


@dataclass(frozen=True)
class SketchRecommendation:
    """A recommended size of sketch, and whether it is enough. ``str`` explains it in words.

    Attributes
    ----------
    n_features : int
        Number of features N.
    regime : {"exact", "range", "compressed"}
        Whether the covariance itself is kept, its products N x k with a test matrix, or a sketch
        m x k with both sides hashed.
    measurement : str
        The measurement M. It is "identity" unless features are compressed.
    n_measurements : int or None
        Number of measurements m; None for the identity.
    range_size : int or None
        Size k of the other side; None if both sides have the same measurement.
    feature_moments : bool
        Whether the means and variances of all features fit as well.
    identification : (int, int) or None
        Number of buckets and width of the side sketch that finds features by their ids. It is used
        beyond 2**27 features.
    shape : tuple of int
        Shape (m, k) of the sketch.
    n_bytes : int
        Number of bytes of the sketch. Updates and recoveries take about as much again, which the
        budget covers.
    noise_ratio : float
        lambda_r sqrt(n) (m k)^(1/4) / (sigma^2 N), the ratio of the weakest component to what
        noise leaves in the sketch. It is infinite without noise.
    required_ratio : float
        The ratio from which such components were found in experiments, at least 2. It is infinite
        if the supports do not fit.
    supports_fit : bool
        Whether the features of all components can be told apart.
    sufficient : bool
        Whether the supports fit, there are more rows than components, and the noise ratio is as
        large as required.
    memory_needed : float
        The smallest sufficient budget in bytes, to a percent or two. It is infinite if no sketch is
        enough because there are too few rows.
    n_samples_needed : float
        The number of rows with which a sketch of this size would be enough. It is infinite if the
        supports do not fit.
    """

    n_features: int
    regime: Literal["exact", "range", "compressed"]
    measurement: MeasurementName
    n_measurements: int | None
    range_size: int | None
    feature_moments: bool
    identification: tuple[int, int] | None
    shape: tuple[int, int]
    n_bytes: int
    noise_ratio: float
    required_ratio: float
    supports_fit: bool
    sufficient: bool
    memory_needed: float
    n_samples_needed: float

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of an :class:`EigenSketch` of this size."""
        names = ("measurement", "n_measurements", "range_size", "feature_moments", "identification")
        return {name: getattr(self, name) for name in names}

    def __str__(self) -> str:
        m, k = self.shape
        what = {
            "exact": f"The exact covariance, {m} x {k}",
            "range": f"A sketch of the range, {m} x {k}",
            "compressed": f"A compressed sketch of {m} x {k}",
        }[self.regime]
        sentences = [f"{what}, {_size(self.n_bytes)}, {self._verdict()}."]
        if not self.supports_fit:
            sentences.append("It cannot tell the features of all components apart.")
        elif math.isfinite(self.noise_ratio):
            sentences.append(
                f"The weakest component stands at {self.noise_ratio:.2g} times the noise of the "
                f"sketch; {self.required_ratio:.2g} times are needed."
            )
        sentences.append(self._enough() if self.sufficient else self._missing())
        return "\n".join(sentences)

    def _enough(self):
        budget = f"budget of {_size(self.memory_needed)} would already do"
        if math.isfinite(self.noise_ratio):
            return f"A {budget}."
        return f"Without noise a {budget}; for rows with noise pass noise= and n_samples=."

    def _missing(self):
        ways = []
        if math.isfinite(self.memory_needed):
            ways.append(f"a budget of {_size(self.memory_needed)}")
        if math.isfinite(self.n_samples_needed):
            ways.append(f"{self.n_samples_needed:,} rows")
        return f"It takes {' or '.join(ways)}." if ways else "No sketch would be."

    def _verdict(self):
        return "should be enough" if self.sufficient else "is not expected to be enough"


def recommend_sketch(
    n_features: int,
    n_components: int,
    n_nonzero_coefs: int,
    noise: float = 0.0,
    memory: float = 256e6,
    *,
    n_samples: int | None = None,
    sketch: SketchKind = "auto",
) -> SketchRecommendation:
    """Recommend the size of a sketch, and say whether it is enough for the data.

    The size is the one that :class:`SketchedSparsePCA` chooses for the same memory: the largest
    useful size that fits. Whether it is enough depends on the supports, which the measurements
    must be able to tell apart, and on noise: what is left of it in a sketch of n rows must stay
    below the weakest component.

    Parameters
    ----------
    n_features : int
        Number of features N, up to 2**62.
    n_components : int
        Number of components r.
    n_nonzero_coefs : int
        Number of features s in each component.
    noise : float, default=0.0
        Variance of the noise in a feature relative to the variance of the weakest component,
        sigma^2 / lambda_r. All variance outside the components counts as noise.
    memory : float, default=256e6
        Budget in bytes for the sketch, its updates and its recovery, as ``memory_budget`` of
        :class:`SketchedSparsePCA`.
    n_samples : int or None, default=None
        Number of rows n that will be seen. It is needed if there is noise. Without noise, None
        means as many rows as are necessary, or a matrix that is given by entries.
    sketch : {"auto", "two_sided", "mam"}, default="auto"
        Form of the sketch, as in :class:`SketchedSparsePCA`.

    Returns
    -------
    SketchRecommendation
        The size, whether it is ``sufficient``, the expected ``noise_ratio``, the
        ``memory_needed``, and ``arguments()`` for an :class:`EigenSketch`.

    Raises
    ------
    ValueError
        If a number is out of range, if noise is given without n_samples, or if the memory cannot
        hold even the smallest sketch for these components; the message says how much memory would.

    See Also
    --------
    EigenSketch : Takes ``arguments()``.
    SketchedSparsePCA : Makes the same choice from its ``memory_budget``.

    Notes
    -----
    Noise of variance sigma^2 whose mean has been removed leaves entries of variance
    sigma^4 N^2 / (n m k) in the sketch; this is derived in ``doc/how_the_sketch_works.md``, and was
    measured. In a Gaussian matrix of that kind a component shows when it exceeds (m k)^(1/4)
    standard deviations [1]_, so the ratio must exceed 1 for any shape.

    The required ratio is larger, at least 2, and depends on the number of features in all supports;
    section 11 of that page has the formula and its origin. The recommendation is an expectation on
    the safe side for isotropic noise and dense rows, not a guarantee: noise of unequal or
    heavy-tailed features needs more. Where features are kept and their exact variances point at the
    components, as in isotropic noise that was not scaled away, less will do. Supports are assumed
    to be disjoint, which is the worst case, and one recovery looks at no more than 4000 features in
    all.

    This takes O(1) time and memory for all sizes.

    References
    ----------
    .. [1] F. Benaych-Georges, R. R. Nadakuditi, "The singular values and vectors of low rank
       perturbations of large rectangular random matrices", J. Multivariate Anal. 111, 2012.

    Examples
    --------
    A million features and 50 000 rows, noise of a thousandth of the weakest component in each:

    >>> from sklearn_sparse_eig import EigenSketch, recommend_sketch
    >>> found = recommend_sketch(10**6, 5, 20, noise=1e-3, memory=64e6, n_samples=50_000)
    >>> found.shape, found.sufficient
    ((11968, 256), True)
    >>> print(found)
    A compressed sketch of 11968 x 256, 24.7 MB, should be enough.
    The weakest component stands at 9.4 times the noise of the sketch; 2.6 times are needed.
    A budget of 11.2 MB would already do.
    >>> sketch = EigenSketch(10**6, **found.arguments(), random_state=0)
    >>> sketch.nbytes == found.n_bytes
    True
    """
    N = _check_int("n_features", n_features, 2**62)
    r = _check_int("n_components", n_components, N)
    s = _check_int("n_nonzero_coefs", n_nonzero_coefs, N)
    n = math.inf if n_samples is None else _check_int("n_samples", n_samples, math.inf)
    _check_number("memory", memory)
    _check_number("noise", noise)
    if noise > 0 and n_samples is None:
        raise ValueError(
            f"noise={noise:g} needs n_samples, the number of rows over which it is averaged."
        )
    if sketch not in ("auto", "two_sided", "mam"):
        raise ValueError(f"sketch must be 'auto', 'two_sided' or 'mam', got {sketch!r}.")
    need = _Need(N, r, s, float(noise), n, sketch)
    size = need.size(memory)
    sufficient = need.is_met(size)
    least = need.least_memory()
    m, k = _shape(size, N)
    sides = m if size.range_size is None else m + k
    buckets, width = size.identification or (0, 0)
    cells = buckets * width * (1 + (N - 1).bit_length())
    ratio, required = need.ratio(size), need.required_ratio(size)
    fit = math.isfinite(required)
    rows = n * (required / ratio) ** 2 if fit and noise > 0 else 0.0  # the ratio goes with sqrt(n)
    return SketchRecommendation(
        n_features=N,
        regime=_regime(size),
        shape=(m, k),
        n_bytes=8 * (m * k + 2 * sides + cells) + 24 * N * size.feature_moments,
        noise_ratio=ratio,
        required_ratio=required,
        supports_fit=fit,
        sufficient=sufficient,
        memory_needed=min(least, float(memory)) if sufficient else least,
        n_samples_needed=max(math.ceil(rows), r + 1) if fit else math.inf,
        **size.arguments(),
    )


@dataclass(frozen=True)
class _Need:
    """What the data ask of a sketch."""

    N: int
    r: int
    s: int
    noise: float
    n: float
    sketch: SketchKind

    def size(self, memory: float) -> SketchSize:
        return choose_size(
            self.N,
            self.r,
            self.s,
            sketch=self.sketch,
            identification=self.N > IDENTIFICATION_LIMIT,
            memory_budget=memory,
        )

    def ratio(self, size: SketchSize) -> float:
        """Return the weakest component over what noise leaves in the sketch."""
        if self.noise == 0.0:
            return math.inf
        m, k = _shape(size, self.N)
        return math.sqrt(self.n) * (m * k) ** 0.25 / (self.noise * self.N)

    def required_ratio(self, size: SketchSize) -> float:
        """Return the ratio that was enough in experiments, infinite if the supports do not fit.

        Multiplied by the right vectors of a component, the sketch holds its measured vector and
        noise of (m / k)^(1/4) / ratio times that length, over m measurements. As in compressed
        sensing, t log(1 + N / t) of them in proportion to the square of that tell t features
        apart from the others; without noise a number for each feature does.
        """

        m, k = _shape(size, self.N)
        regime, alone = _regime(size), 1 + 1 / self.r
        union = min(self.r * self.s, self.N)
        free: float = m
        if regime == "compressed":
            free -= _MEASUREMENTS_PER_FEATURE * alone * union
        if union > MAX_SUPPORT or free <= 0:
            return math.inf
        if self.noise == 0.0:
            return _LEAST_RATIO
        wanted = _NOISE_FACTOR[regime] * alone * union * math.log1p(self.N / union)
        required = max(_LEAST_RATIO, math.sqrt(wanted / free) * (m / k) ** 0.25)
        if size.identification is not None:
            n_buckets, width = size.identification
            cells = n_buckets / N_BLOCKS * min(width - 1, k)
            required = max(required, SPELLED_FROM * math.sqrt(self.s / cells) * (m * k) ** 0.25)
        return required

    def is_met(self, size: SketchSize) -> bool:
        required = self.required_ratio(size)
        return self.n > self.r and required < math.inf and self.ratio(size) >= required

    def is_met_within(self, memory: float) -> bool:
        try:
            size = self.size(memory)
        except ValueError:  # holds no sketch at all
            return False
        return self.is_met(size)

    def least_memory(self) -> float:
        """Return the smallest budget that is enough, by bisection of its logarithm."""
        low, high = 1.0, _ANY_MEMORY
        if not self.is_met_within(high):
            return math.inf
        while high > _MEMORY_STEP * low:
            middle = math.sqrt(low * high)
            if self.is_met_within(middle):
                high = middle
            else:
                low = middle
        return high


def _shape(size: SketchSize, n_features: int) -> tuple[int, int]:
    """Return the shape of the sketch, whose sides are rounded up to equal blocks."""
    m = make_measurement(size.measurement, n_features, size.n_measurements).n_measurements
    if size.range_size is None:
        return m, m
    return m, make_measurement("sparse_sign", n_features, size.range_size).n_measurements


def _regime(size: SketchSize) -> Literal["exact", "range", "compressed"]:
    if size.measurement != "identity":
        return "compressed"
    return "exact" if size.range_size is None else "range"


def _size(n_bytes):
    power = min(max(int(math.log10(n_bytes)) // 3, 0), 6)
    return f"{n_bytes / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB')[power]}"


def _check_int(name, value, most):
    if isinstance(value, bool) or not isinstance(value, Integral) or not 1 <= value <= most:
        raise ValueError(f"{name} must be an integer in [1, {most}], got {value!r}.")
    return int(value)


def _check_number(name, value):
    if not isinstance(value, Real) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number, not negative, got {value!r}.")
