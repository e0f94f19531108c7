"""When power steps end: where they repeat, explain all, or bring no more than earlier ones."""

import numpy as np

from ..sketching import ImplicitMatrix
from ._lifting import orthonormal_range
from ._support_model import SupportModel

# Smallest principal cosine at which the joint steps hand over to the sparse ones, and the change
# of the variance captured at which those end.
_SAME_SPAN = 0.99
_SAME_VARIANCE = 5e-3
# Changes from rise to fall, or back, of the variance captured, after which it is said to oscillate.
_MAX_TURNS = 2


class CapturedVariance:
    """What the rounds capture, one after another, and whether another is of use.

    It may fall as well as rise, because noise that the vectors lose has been counted too. Where
    eigenvalues are close, supports of nearly the same variance take turns for ever: it rises and
    falls.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._rose: bool | None = None
        self._best, self._n_turns = -np.inf, 0
        self.repeats = False

    def add(self, captured: float) -> bool:
        """Note what a round captures; return whether it is the most so far."""
        if self._last is not None:
            change = captured - self._last
            self.repeats = abs(change) <= _SAME_VARIANCE * captured
            self._n_turns += self._rose is not None and self._rose != (change > 0.0)
            self._rose = change > 0.0
        self._last = captured
        is_best, self._best = captured > self._best, max(captured, self._best)
        return is_best

    @property
    def takes_turns(self) -> bool:
        return self._n_turns >= _MAX_TURNS


def explains_all(S: ImplicitMatrix, model: SupportModel) -> bool:
    """Whether the model leaves nothing of S but rounding."""
    return bool(model.distance(S) <= 1e-13 * np.sqrt(S.squared_norm))


def same_span(first: SupportModel, second: SupportModel, r: int) -> bool:
    """Whether the leading r vectors of two models span nearly the same space."""
    _, i, j = np.intersect1d(first.ids, second.ids, assume_unique=True, return_indices=True)
    cosines = np.linalg.svd(first.basis[i, :r].T @ second.basis[j, :r], compute_uv=False)
    return bool(len(i)) and bool(cosines.min(initial=1.0) >= _SAME_SPAN)


def captured_trace(model: SupportModel, vectors: np.ndarray) -> float:
    """Return the trace of the model on the span of the vectors."""
    return float(model.quadratic(orthonormal_range(vectors)).sum())
