"""Scores of a sample from where its gradient lies; high means like the known classes.

A score is a function of the output and the :class:`Place` of its gradient. Decorated with
:func:`register_score` its name is a value of ``score_function``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .subspaces import Coordinates, Span


@dataclass(frozen=True)
class Place:
    """Position of gradients relative to a subspace, computed on demand."""

    span: Span
    layers: Sequence

    @cached_property
    def norm(self) -> np.ndarray:
        """Norm of g; takes no directions."""
        return self.span.norms(self.layers)

    @cached_property
    def coordinates(self) -> Coordinates:
        """Coordinates of u = g - centre."""
        return self.span.coordinates(self.layers)

    @property
    def distance(self) -> np.ndarray:
        """Norm of u."""
        return self.coordinates.distance

    @property
    def cosine(self) -> np.ndarray:
        """Cosine of the angle of u to the subspace."""
        return self.coordinates.length / self.coordinates.distance

    @property
    def cotangent(self) -> np.ndarray:
        """Cotangent of the angle of u to the subspace."""
        return self.coordinates.length / self.coordinates.residual


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
    """

    formula: Formula
    uses_output: bool


SCORES: dict[str, Score] = {}


def register_score(name: str, *, uses_output: bool = True) -> Callable[[Formula], Formula]:
    """Return a decorator that makes a formula available as ``score_function=name``.

    Parameters
    ----------
    name : str
        The name of the score.
    uses_output : bool, default=True
        Whether the score depends on the output. If not, the formula must not read its first
        argument.
    """

    def register_formula(formula: Formula) -> Formula:
        SCORES[name] = Score(formula, uses_output)
        return formula

    return register_formula


@register_score("snr_ratio")
def _snr_ratio(f: np.ndarray, place: Place) -> np.ndarray:
    # For a negative output a small angle must not make the score smaller still.
    odds = np.where(f > 0.0, place.cotangent, 1.0 / np.maximum(place.cotangent, 1e-12))
    return f / place.distance * odds


@register_score("ratio", uses_output=False)
def _ratio(f: np.ndarray, place: Place) -> np.ndarray:
    return place.cosine


@register_score("snr")
def _snr(f: np.ndarray, place: Place) -> np.ndarray:
    return f / place.distance


@register_score("laplace")
def _laplace(f: np.ndarray, place: Place) -> np.ndarray:
    return f / place.norm


def score(name: str, values: np.ndarray, layers: Sequence, subspace: Span) -> np.ndarray:
    """Return the score of each sample.

    Parameters
    ----------
    name : str
        Name of a registered score. Let f be the output, u = g - centre, and theta the angle of u to
        the subspace. ``"snr_ratio"`` is (f / |u|) cot(theta), with tan(theta) if f <= 0;
        ``"ratio"`` is cos(theta); ``"snr"`` is f / |u|; and ``"laplace"`` is f / |g|.
    values : ndarray of shape (n_samples,)
        The output.
    layers : sequence of layers of gradients
    subspace : Span

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    return SCORES[name].formula(values, Place(subspace, layers))
