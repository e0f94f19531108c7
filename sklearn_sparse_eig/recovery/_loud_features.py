"""Which features vary more than noise of one variance would let them: a second look at candidates.

A row of a small sketch is a blurred covariance with everything, but where variances are tracked
they are exact. In white noise of variance d a feature of a component of variance l has the variance
d + l v_i^2, while idle ones stay within a few d sqrt(2 / n) of d.
"""

from typing import Any

import numpy as np
from scipy.stats import norm

from .decoders._null import FALSE_ALARMS

# Loud features for each one wanted, below which variances are taken to be alike.
_SHARE = 0.25


def loud_features(sketch: Any, n_wanted: int) -> np.ndarray | None:
    """Return a mask of the features louder than noise, None where variances say nothing.

    The noise is the median of the variances: most features are idle, or are no quieter than those
    that are.

    Parameters
    ----------
    sketch : EigenSketch
        Of rows.
    n_wanted : int
        Features of all components. The loudest fill up twice as many.

    Returns
    -------
    ndarray of bool, shape (n_features,), or None
    """
    variance = sketch.feature_variance()
    if variance is None:
        return None
    z = norm.isf(FALSE_ALARMS / len(variance))
    idle = np.median(variance) * (1.0 + z * np.sqrt(2.0 / sketch.effective_samples))
    loud = variance > idle
    n_loud = np.count_nonzero(loud)
    if n_loud < _SHARE * n_wanted:
        return None
    if n_loud < 2 * n_wanted < len(variance):
        loud[np.argpartition(-variance, 2 * n_wanted)[: 2 * n_wanted]] = True
    return loud
