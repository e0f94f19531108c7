"""What the gradients of a network consist of and take, foreseen from a few rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ._layers import LayerGradients

Form = Literal["factors", "places", "matrices"]


@dataclass(frozen=True)
class LayerOutline:
    """What is known of the gradients of one layer before they are computed.

    Parameters
    ----------
    name : str
    shape : tuple of (int, int)
        Of the gradient of a sample, inputs by outputs.
    places : int or None
        How many outer products make it; None if it is not a sum of such.
    form : {"factors", "places", "matrices"}
        As what it is kept: one outer product, factors for each place, or a matrix.
    engine : str
        How it is computed.
    multiplications : float
        Of its forward pass for one row, with its parameters.
    is_trained : bool, default=True
        Whether any of its parameters requires a gradient.
    has_form : bool, default=True
        Whether gradients follow from a closed form, by one pass for all layers.
    """

    name: str
    shape: tuple[int, int]
    places: int | None
    form: Form
    engine: str
    multiplications: float
    is_trained: bool = True
    has_form: bool = True


@dataclass(frozen=True)
class Outline:
    """Layers of a network with what they take.

    Parameters
    ----------
    layers : tuple of LayerOutline
        All layers, by their indices.
    order : tuple of int
        Indices in the order in which they are run.
    is_single : bool, default=False
        Whether gradients come in single precision.
    """

    layers: tuple[LayerOutline, ...]
    order: tuple[int, ...]
    is_single: bool = False

    @property
    def forward(self) -> float:
        """Multiplications of a forward pass of one row with parameters."""
        return sum(layer.multiplications for layer in self.layers)

    def backward(self, indices: Sequence[int]) -> float:
        """Return those of the backward pass to some layers: with all that are run after them."""
        first = min(self.order.index(i) for i in indices)
        return sum(self.layers[i].multiplications for i in self.order[first + 1 :])


def outline_of_gradients(
    name: str, shape: tuple[int, int], gradients: LayerGradients, engine: str
) -> LayerOutline:
    """Return the outline of a layer whose gradients at a few rows are known."""
    inputs: Any = getattr(gradients, "inputs", None)
    p, q = shape
    if not gradients.is_explicit:
        return LayerOutline(name, shape, 1, "factors", engine, float(p * q))
    if inputs is None:
        return LayerOutline(name, shape, None, "matrices", engine, float(p * q))
    places = inputs.shape[1]
    return LayerOutline(name, shape, places, "places", engine, float(places * p * q))
