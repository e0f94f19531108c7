"""How large a sketch should be: the choice of regime under a memory budget."""

from dataclasses import dataclass

# Up to this many features the exact covariance is also the fastest: its update is one symmetric
# product, and no recovery is needed.
_EXACT_FEATURES = 4096
# Share of the budget for the state; the rest is for buffers and temporaries of the recovery.
_STATE_SHARE = 0.6
_BLOCKS = 8


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
    """

    measurement: object
    n_measurements: int | None
    range_size: int | None
    feature_moments: bool

    def arguments(self):
        return vars(self).copy()


def choose_size(
    n_features,
    n_components,
    n_nonzero,
    *,
    sketch="auto",
    measurement="sparse_sign",
    n_measurements="auto",
    range_size="auto",
    feature_moments=False,
    memory_budget=256e6,
):
    """Choose the sketch for given data and memory.

    Three regimes of one law S = M A Omega^T. With N = n_features and a budget of F floats:

    * *exact*, M = Omega = I, while N <= 4096 and N^2 <= F: the covariance itself;
    * *range*, M = I and Omega compressed to k rows, while N k <= F for a k that holds the
      components several times over: more accurate than compressing M at equal memory;
    * *compressed*, both sides hashed, beyond. The error falls with the product m k, so both grow
      to 16384 x 256 where the budget allows: there a row of 100 nonzeros still costs no more than
      reading it from disk.

    Parameters
    ----------
    n_features, n_components : int
    n_nonzero : int
        Expected nonzeros per component.
    sketch : {"auto", "two_sided", "mam"}
        "two_sided" refuses the exact regime unless asked by measurement="identity"; "mam" takes a
        compressed M on both sides.
    measurement : str or Measurement
        For the compressed regimes; "identity" forces M = I.
    n_measurements, range_size : int or "auto"
        Override m and k.
    feature_moments : bool
        Whether the noise model needs them.
    memory_budget : float
        Bytes.

    Returns
    -------
    SketchSize

    Raises
    ------
    ValueError
        If the budget cannot hold even the smallest sketch for these components.
    """
    N, r = int(n_features), int(n_components)
    floats = _STATE_SHARE * memory_budget / 8
    moments = feature_moments or 3 * N <= floats / 8
    if moments:
        floats -= 3 * N
    smallest_range = min(4 * r + 16, N)
    fixed_m = n_measurements != "auto"
    fixed_k = range_size != "auto"
    given = not isinstance(measurement, str)
    default_measurement = not given and measurement == "sparse_sign" and not fixed_m

    if sketch == "mam":
        if given:
            return SketchSize(measurement, None, None, moments)
        if measurement == "identity":
            return SketchSize("identity", None, None, False)
        m = int(n_measurements) if fixed_m else _mam_size(N, r, n_nonzero, floats)
        _check_budget(m * m, floats, memory_budget, fixed_m)
        return SketchSize(measurement, m, None, moments)

    if sketch == "auto" and default_measurement and not fixed_k:
        if N <= _EXACT_FEATURES and N * N <= floats:
            return SketchSize("identity", None, None, False)
    if (default_measurement or measurement == "identity") and (
        not fixed_k or N * int(range_size) <= floats
    ):
        k = int(range_size) if fixed_k else _range_size(r, floats // N, N)
        if k >= smallest_range or (fixed_k and N * k <= floats) or measurement == "identity":
            _check_budget(N * k, floats, memory_budget, fixed_k)
            return SketchSize("identity", None, k, moments)

    k = int(range_size) if fixed_k else _range_size(r, floats // (8 * r * n_nonzero), N)
    if given:
        return SketchSize(measurement, None, k, moments)
    m = int(n_measurements) if fixed_m else _compressed_size(N, r, n_nonzero, floats // k)
    _check_budget(m * k, floats, memory_budget, fixed_m and fixed_k)
    return SketchSize(measurement, m, k, moments)


def _range_size(r, affordable, N):
    """Return k: 256 or 8 r where affordable, else what is, but enough for r components."""
    wanted = max(256, 8 * r)
    return int(min(max(min(wanted, affordable), 4 * r + 16, 32), N))


def _compressed_size(N, r, n_nonzero, affordable):
    wanted = max(16384, 8 * r * n_nonzero)
    m = int(min(wanted, max(affordable, 64)))
    return max(m - m % _BLOCKS, _BLOCKS)


def _mam_size(N, r, n_nonzero, floats):
    # 2048 keeps the m^3 eigenproblem at a second.
    wanted = max(2048, 4 * r * n_nonzero)
    m = int(min(wanted, floats**0.5))
    return max(m - m % _BLOCKS, _BLOCKS)


def _check_budget(state, floats, memory_budget, asked):
    if state > floats and not asked:
        raise ValueError(
            f"memory_budget={memory_budget:.3g} bytes is too small: the smallest sketch for these "
            f"components needs about {8 * state / _STATE_SHARE:.3g}. Raise memory_budget, or ask "
            "for fewer components or nonzeros."
        )
