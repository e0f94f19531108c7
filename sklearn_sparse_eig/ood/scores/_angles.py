"""Scores by the angle to the subspace."""

import numpy as np

from ._place import Place
from ._registry import register_score


@register_score("snr_ratio")
def _snr_ratio(f: np.ndarray, place: Place) -> np.ndarray:
    # For a negative output a small angle must not make the score smaller still.
    odds = np.where(f > 0.0, place.cotangent, 1.0 / np.maximum(place.cotangent, 1e-12))
    return f / place.distance * odds


@register_score("ratio", uses_output=False)
def _ratio(f: np.ndarray, place: Place) -> np.ndarray:
    return place.cosine
