"""Scores by the length of the gradient; its angle to the subspace takes no part."""

import numpy as np

from ._place import Place
from ._registry import register_score


@register_score("snr")
def _snr(f: np.ndarray, place: Place) -> np.ndarray:
    return f / place.distance


@register_score("laplace")
def _laplace(f: np.ndarray, place: Place) -> np.ndarray:
    return f / place.norm
