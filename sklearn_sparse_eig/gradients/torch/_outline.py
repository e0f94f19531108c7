"""What the gradients of a torch module will consist of, from one forward pass of a few rows."""

from collections.abc import Sequence

import torch

from .._outline import Form, LayerOutline
from .._places import are_few
from ._layers import Layer
from .engines import Batch, Engine
from .engines._parts import ORDERS, Parts
from .engines._passes import note


def outline_layers(
    batch: Batch, layers: Sequence[Layer], engines: Sequence[Engine]
) -> tuple[LayerOutline, ...]:
    """Return the outlines of all layers; that forms hold, as will be seen, is taken for granted."""
    with torch.no_grad():
        noted = note(batch, layers, range(len(layers)), differentiates=False)
    # A module whose parameters are all fixed was fixed after training.
    trained = [any(v.requires_grad for v in layer.parameters.values()) for layer in layers]
    trained = trained if any(trained) else [True] * len(trained)
    return tuple(
        _outline(i, layers, noted, len(batch), engines, trained[i]) for i in range(len(layers))
    )


def _outline(i, layers, noted, n, engines, is_trained):
    layer = layers[i]
    parts = next((p for order in ORDERS if (p := noted.parts(i, n, order)) is not None), None)
    engine = next((e for e in engines if e.foresees(i, parts)), engines[-1])
    form = _form(layer, parts, engine)
    names = noted.functions(i)
    what = f"{engine.name}: {', '.join(names)}" if names and engine.uses_forms else engine.name
    places = None if parts is None else parts.n_places
    return LayerOutline(
        layer.name,
        layer.shape,
        places,
        form,
        what,
        noted.multiplications(i) / n,
        is_trained,
        engine.uses_forms,
    )


def _form(layer: Layer, parts: Parts | None, engine: Engine) -> Form:
    if parts is not None and parts.is_rank_one:
        return "factors"
    if parts is None or parts.n_places is None or not engine.uses_forms:
        return "matrices"
    return "places" if are_few(parts.n_places, *layer.shape) else "matrices"
