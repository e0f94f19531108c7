"""Scores by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .._evidence import Evidence
from ..subspaces import Span
from ._place import Place

# The names of those here. One that is registered elsewhere is passed by its name where types are
# not checked.
ScoreName = Literal["relative", "snr_ratio", "ratio", "snr", "laplace"]
Formula = Callable[[np.ndarray, Place], np.ndarray]


@dataclass(frozen=True)
class Score:
    """A score and its formula.

    Parameters
    ----------
    formula : callable
        Function of the outputs, an ndarray (n_samples,), and of the Place of their gradients.
    uses_output : bool
        Whether the score depends on the output. Scores that do not can be computed if only
        gradients are known.
    uses_features : bool, default=False
        Whether the score asks for the evidence of its Place: logits, features, and sums of these
        over known samples, which are kept only then.
    """

    formula: Formula
    uses_output: bool
    uses_features: bool = False


SCORES: dict[str, Score] = {}


def register_score(
    name: str, *, uses_output: bool = True, uses_features: bool = False
) -> Callable[[Formula], Formula]:
    """Return a decorator that makes a formula available as ``score_function=name``.

    Parameters
    ----------
    name : str
        The name of the score.
    uses_output : bool, default=True
        Whether the score depends on the output. If not, the formula must not read its first
        argument.
    uses_features : bool, default=False
        Whether the score asks for the ``evidence`` of its Place.
    """

    def register_formula(formula: Formula) -> Formula:
        SCORES[name] = Score(formula, uses_output, uses_features)
        return formula

    return register_formula


def score(
    name: str,
    values: np.ndarray,
    layers: Sequence,
    subspace: Span,
    evidence: Evidence | None = None,
) -> np.ndarray:
    """Return the score of each sample.

    Parameters
    ----------
    name : str
        Of a registered score. ``"relative"`` is derived in ``doc/gradpca.md``. With f the output,
        u = g - centre and theta the angle of u to the subspace, ``"snr_ratio"`` is
        (f / |u|) cot(theta), with tan(theta) where f <= 0; ``"ratio"`` cos(theta); ``"snr"``
        f / |u|; ``"laplace"`` f / |g|.
    values : ndarray of shape (n_samples,)
        The output.
    layers : sequence of layers of gradients
    subspace : Span
    evidence : Evidence or None, default=None
        For scores that use features.

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    return SCORES[name].formula(values, Place(subspace, layers, evidence))
