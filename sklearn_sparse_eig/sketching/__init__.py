"""Measure: from rows or entries to a small linear sketch, S = M A Omega^T."""

from ._centred_products import SymmetricProduct
from ._eigen_sketch import EigenSketch
from ._implicit import LEFT, Difference, ImplicitMatrix, Rows, ScaledMatrix, steps
from ._limits import (
    DENSE_EIGEN,
    IDENTIFICATION_LIMIT,
    MAX_CANDIDATES,
    MAX_SUPPORT,
    ROUNDING,
    SPELLED_FROM,
    SWEPT_AT_MOST,
)
from ._memory import most_candidates, polishing_bytes
from ._reading import SketchReading
from ._recommend import SketchRecommendation, recommend_sketch
from ._sizing import SketchKind, choose_size
from .measurements import (
    GaussianMeasurement,
    IdentityMeasurement,
    Measurement,
    MeasurementName,
    PrimeResidueMeasurement,
    SparseSignMeasurement,
    from_spec,
    make_measurement,
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
