"""The parameters of a filter of seeds, as they are handed inward."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

from .._base.typed import Auto


@dataclass(frozen=True)
class SeedOptions:
    """The parameters of :class:`SeedConfidenceFilter`, read once.

    Attributes
    ----------
    classifier : classifier or callable
        Fitted.
    floats_per_sample : int
        Numbers that a sample holds, for batches of automatic size.
    """

    generator: Any
    classifier: Any
    probe: Any
    threshold: float | None
    quantile: float
    n_bins: int
    evaluator: Any
    batch_size: int | Auto
    state: Callable | None
    train_on: str
    floats_per_sample: int = 1

    @classmethod
    def of(cls, estimator: Any, classifier: Any, floats_per_sample: int) -> Self:
        """Return the parameters of an estimator, with a classifier that is fitted."""
        names = [field.name for field in fields(cls)]
        values = {name: getattr(estimator, name) for name in names if name != "floats_per_sample"}
        return cls(
            **values | {"classifier": classifier, "floats_per_sample": floats_per_sample},
        )
