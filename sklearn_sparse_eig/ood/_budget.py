"""What a detector may take: forward passes a row, or bytes; and the layers that fit into it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .._base.messages import warn_user
from ..gradients import Outline
from ._plan import DetectorPlan

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BINARY = {"": 1.0, "K": 2.0**10, "M": 2.0**20, "G": 2.0**30, "T": 2.0**40}
_SIZE = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([KMGT]?)(i?)B\s*", re.IGNORECASE)
# Layers that a warning names.
_NAMED = 3


@dataclass(frozen=True)
class Budget:
    """Bounds on what a plan takes.

    Parameters
    ----------
    value : float or str
        As the user gave it.
    passes : float or None
        Most forward passes a row, to fit and to score.
    bytes : float or None
        Most bytes of the state.
    """

    value: float | str
    passes: float | None
    bytes: float | None

    @classmethod
    def of(cls, value: float | str | None) -> "Budget | None":
        """Return the budget for a number of forward passes, or a size such as ``"2 GB"``.

        Raises
        ------
        ValueError
            If it is neither.
        """
        if value is None:
            return None
        if not isinstance(value, str):
            return cls(value, float(value), None)
        match = _SIZE.fullmatch(value)
        if match is None or not float(match[1]):
            raise ValueError(
                f"budget must be a number of forward passes a row, or a size such as '2 GB' or "
                f"'500 MB'; got {value!r}."
            )
        units = _BINARY if match[3] else _UNITS
        return cls(value, None, float(match[1]) * units[match[2].upper()])

    def holds(self, plan: DetectorPlan) -> bool:
        """Whether a plan keeps to it. What nobody knows does."""
        if self.passes is not None:
            return not max(plan.fit, plan.score) > self.passes
        return not plan.bytes > (self.bytes or 0.0)

    def warn(self, plan: DetectorPlan) -> None:
        """Warn if a plan takes more: once, with the names of three layers and a count."""
        if self.holds(plan):
            return
        if self.passes is None:
            by, taken = "bytes", f"{plan.bytes / 1e6:.3g} MB of state"
        else:
            by = "score" if plan.score >= plan.fit else "fit"
            taken = f"{max(plan.fit, plan.score):.1f} forward passes a row to {by}"
        names = [repr(layer.name) for layer in plan.costliest(by)]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        warn_user(
            f"The chosen layers take {taken}, more than budget={self.value!r}: most of it "
            f"{', '.join(names[:_NAMED])}{more}. params='auto' takes as many layers as the budget "
            "allows, and the head in any case; plan(X[:16]) tells what each takes."
        )


def affordable(
    outline: Outline,
    chosen: Sequence[int],
    head: int,
    make: Callable[[Sequence[int]], DetectorPlan],
    budget: Budget,
) -> tuple[int, ...]:
    """Return the head and as many of the layers before it as a budget allows, from the last back.

    Parameters
    ----------
    outline : Outline
    chosen : sequence of int
        Layers that may be taken.
    head : int
        Taken in any case.
    make : callable
        Returns the plan for some layers, by their indices.
    budget : Budget
    """
    taken = [head]
    for i in reversed(outline.order):
        if i == head or i not in chosen:
            continue
        try:
            fits = budget.holds(make(sorted([*taken, i])))
        except ValueError:  # of a kind of subspace that takes no more parameters
            fits = False
        if not fits:
            break
        taken.append(i)
    return tuple(sorted(taken))
