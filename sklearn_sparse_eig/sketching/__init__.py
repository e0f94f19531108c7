"""Measure: from rows or entries to a small linear sketch, S = M A Omega^T."""

from ._eigen_sketch import EigenSketch
from ._recommend import SketchRecommendation, recommend_sketch
from .measurements import (
    GaussianMeasurement,
    IdentityMeasurement,
    Measurement,
    PrimeResidueMeasurement,
    SparseSignMeasurement,
    register,
)

__all__ = [
    "EigenSketch",
    "GaussianMeasurement",
    "IdentityMeasurement",
    "Measurement",
    "PrimeResidueMeasurement",
    "SketchRecommendation",
    "SparseSignMeasurement",
    "recommend_sketch",
    "register",
]
