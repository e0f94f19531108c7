"""Whether the rows of a sketch have a variance that numbers can tell."""

import numpy as np

from ..sketching import EigenSketch

# Relative size of what rounding leaves of a sum that should vanish.
ROUNDING = 64 * np.finfo(np.float64).eps
# Variances beyond this, or below its inverse, have squares that are infinite, or zero.
_LARGEST = 1e140
# Values below this have squares that vanish.
_SMALLEST = 1e-150


def check_variance(sketch: EigenSketch) -> None:
    """Raise ValueError unless a sketch of rows holds a variance that can be worked with."""
    largest = np.abs(sketch.matrix()).max()
    # What centring leaves of a constant: rounding of the mean where rows were shifted by one like
    # it beforehand, of its square where not.
    shift, mean = np.abs(sketch._left_shift).max(), sketch.measured_mean() - sketch._left_shift
    rounding = sketch.center * (ROUNDING * np.abs(mean).max() ** 2 + (ROUNDING * shift) ** 2)
    level = max(shift, np.abs(mean).max())
    if largest == 0.0 and 0.0 < level < _SMALLEST:
        raise ValueError(
            f"The values of X, about {level:.3g}, are so small that their squares vanish in "
            "floating point. Multiply X by a constant, or scale its features (MaxAbsScaler)."
        )
    if largest <= rounding:
        raise ValueError(
            "X has no variance: every row is the same, so there are no components to find. Check "
            "the input, or use center=False if the mean itself is of interest."
        )
    if not 1.0 / _LARGEST < largest < _LARGEST:
        raise ValueError(
            f"The variances of X, up to {largest:.3g}, cannot be squared in floating point. "
            "Multiply X by a constant, or scale its features (MaxAbsScaler)."
        )
