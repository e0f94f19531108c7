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
    """A score by its formula.

    Parameters
    ----------
    formula : callable
        Of the outputs, an ndarray (n_samples,), and their Place.
    uses_output : bool
        Whether it changes with the output; others can be had where only gradients are known.
    """

    formula: Formula
    uses_output: bool


SCORES: dict[str, Score] = {}


def register_score(name: str, *, uses_output: bool = True) -> Callable[[Formula], Formula]:
    """Make a formula available as ``score_function=name``; a decorator of the function.

    Parameters
    ----------
    name : str
    uses_output : bool, default=True
        As in Score. The formula of one that does not must not read its first argument.
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
        Of a registered score. With f the output, u = g - centre and theta the angle of u to the
        subspace, ``"snr_ratio"`` is (f / |u|) cot(theta), with tan(theta) where f <= 0;
        ``"ratio"`` cos(theta); ``"snr"`` f / |u|; ``"laplace"`` f / |g|.
    values : ndarray of shape (n_samples,)
        The output.
    layers : sequence of layers of gradients
    subspace : Span

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    return SCORES[name].formula(values, Place(subspace, layers))
