"""Smooth interpolation by weighted trigonometric polynomials, and its exact risk."""

from ._regressor import WeightedFourierRegressor
from ._risk import trigonometric_risk

__all__ = [
    "trigonometric_risk",
]
