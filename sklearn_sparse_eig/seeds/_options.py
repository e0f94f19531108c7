"""The parameters of a filter of seeds, as they are handed inward."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Self

from .._base.compat import Interval, StrOptions
from .._base.typed import Auto

# What the parameters of the estimator may be.
CONSTRAINTS: dict = {
    "generator": "no_validation",
    "classifier": "no_validation",
    "probe": "no_validation",
    "threshold": [Interval(Real, 0, 1, closed="both"), None],
    "quantile": [Interval(Real, 0, 1, closed="left")],
    "n_bins": [Interval(Integral, 1, None, closed="left")],
    "evaluator": "no_validation",
    "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "state": [callable, None],
    "train_on": [StrOptions({"confident", "all"})],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


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
