"""Which seeds of a deterministic generator lead where: labels, confidence and separability."""

from ._filter import SeedConfidenceFilter
from ._separability import fisher_separability

__all__ = [
    "fisher_separability",
]
