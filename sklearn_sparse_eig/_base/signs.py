"""The sign of a vector that is determined up to its sign."""

import numpy as np

# Entries tie with the largest within this share of it.
_TIE = 1e-6


def with_canonical_signs(vectors: np.ndarray) -> np.ndarray:
    """Return columns whose entry of largest magnitude is positive, the first of those that tie.

    Entries tie within a tolerance: which of two equal ones is larger would be left to rounding, and
    with it the sign.
    """
    size = np.abs(vectors)
    first = np.argmax(size >= (1.0 - _TIE) * size.max(axis=0, initial=0.0), axis=0)
    leading = vectors[first, np.arange(vectors.shape[1])]
    return vectors * np.where(leading < 0.0, -1.0, 1.0)
