"""The parameters of a diagonal network, as they are handed inward."""

from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np

from .._base.compat import Interval, StrOptions
from ._design import Design
from ._potential import Potential

# Weights at the start where they are chosen, for a solution of size 1.
RELATIVE_SCALE = 0.03

# What the parameters of the estimator may be.
CONSTRAINTS: dict = {
    "depth": [Interval(Integral, 2, None, closed="left")],
    "init_scale": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "positive": ["boolean"],
    "joint": ["boolean"],
    "groups": ["array-like", None],
    "solver": [StrOptions({"auto", "limit", "mirror", "gd"})],
    "weight_normalization": ["boolean"],
    "lr_ratio": [Interval(Real, 0, None, closed="neither")],
    "learning_rate": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "stopping": [
        StrOptions({"discrepancy", "validation"}),
        Interval(Real, 0, None, closed="both"),
        None,
    ],
    "average": ["boolean", StrOptions({"auto"})],
    "noise_level": [Interval(Real, 0, None, closed="left"), None],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "refit_support": ["boolean"],
    "fit_intercept": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}


@dataclass(frozen=True)
class NetworkOptions:
    """The parameters of :class:`DiagonalNetworkRegressor`, read once.

    Attributes
    ----------
    init_scale : float, "auto" or ndarray of shape (n_targets,)
        An array once the targets are known, see :meth:`for_equations`.
    """

    depth: int
    init_scale: Any
    positive: bool
    joint: bool
    groups: Any
    solver: str
    weight_normalization: bool
    lr_ratio: float
    learning_rate: float | str
    max_iter: int
    tol: float
    stopping: str | float | None
    average: bool | str
    noise_level: float | None
    validation_fraction: float
    refit_support: bool
    fit_intercept: bool

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the parameters of an estimator, after a check that they go together."""
        options = cls(**{field.name: getattr(estimator, field.name) for field in fields(cls)})
        options = options._with_solver()
        options._check_compatible()
        return options

    @property
    def is_grouped(self) -> bool:
        """Whether coefficients share gates."""
        return self.joint or self.groups is not None

    @property
    def stops_at_time(self) -> bool:
        """Whether the time at which to stop is given."""
        return isinstance(self.stopping, Real)

    def for_operators(self) -> Self:
        """Return the options with the solver that "auto" is for an operator: it has no rows."""
        if self.stops_at_time:
            raise ValueError(
                f"stopping={self.stopping:g} needs X as an array or sparse matrix, got a "
                "LinearOperator, whose columns cannot be made comparable. Use solver='mirror'."
            )
        return replace(self, solver="limit")

    def for_equations(self, design: Design, Y: np.ndarray) -> Self:
        """Return the options with a number for the weights of each target at the start."""
        if not isinstance(self.init_scale, str):
            return replace(self, init_scale=np.full(Y.shape[1], float(self.init_scale)))
        sizes = _solution_sizes(design, Y, self.joint)
        scales = RELATIVE_SCALE * np.where(sizes > 0, sizes, 1.0) ** (1.0 / self.depth)
        return replace(self, init_scale=scales)

    def potential(self, target: int | slice | list = 0) -> Potential:
        """Return the potential of a target, or of several at once."""
        if isinstance(target, list):
            target = target[0]
        return Potential.from_init(self.depth, self.init_scale[target], self.positive)

    def _with_solver(self):
        """Return the options with the solver that others among them imply, for "auto"."""
        if self.solver != "auto":
            return self
        if self.weight_normalization:
            return replace(self, solver="limit")
        if self.stopping is None or self.stops_at_time:
            return self
        return replace(self, solver="mirror")

    def _check_compatible(self):
        if self.is_grouped:
            for name, value in (("positive", False), ("weight_normalization", False)):
                if getattr(self, name) != value:
                    raise ValueError(f"joint=True and groups need {name}={value}.")
            explicit = self.solver == "mirror" and self.learning_rate != "auto"
            if self.solver == "gd" or explicit:
                raise ValueError(
                    "joint=True and groups need solver='auto' or 'limit', or 'mirror' with "
                    f"learning_rate='auto'; got {self.solver!r}, {self.learning_rate!r}."
                )
        if self.weight_normalization and self.solver != "limit":
            raise ValueError(
                f"weight_normalization=True needs solver='limit', got solver={self.solver!r}."
            )
        if self.stops_at_time and self.solver != "auto":
            raise ValueError(
                f"stopping={self.stopping:g}, a time, needs solver='auto', got {self.solver!r}."
            )
        if self.stopping is not None and self.solver == "limit":
            raise ValueError(
                f"stopping={self.stopping!r} needs solver='mirror' or 'gd': a limit is not stopped."
            )
        if self.stopping == "discrepancy" and self.noise_level is None:
            raise ValueError(
                "stopping='discrepancy' needs noise_level, the deviation of the noise."
            )


def _solution_sizes(design, Y, joint):
    """Return the coefficient that the feature most in line with each target would have alone.

    It has the units of the coefficients, whatever those of the data. Where targets are joint, it is
    the norm of the coefficients of one feature for all of them. 0 where no feature says anything.
    """
    products = np.abs(design.rmatvec(Y))
    if joint:
        products = np.repeat(np.linalg.norm(products, axis=1, keepdims=True), Y.shape[1], axis=1)
    best = products.argmax(axis=0)
    squares = (design.columns(best) ** 2).sum(axis=0)
    largest = products[best, np.arange(len(best))]
    return np.divide(largest, squares, out=np.zeros(len(best)), where=squares > 0)
