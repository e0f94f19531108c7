"""What engines share that differentiate the module at one sample."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import torch

from ..._factors import LayerFactors
from ..._layers import LayerGradients
from ..._matrices import LayerMatrices
from .._inputs import Inputs, run
from .._layers import Layer
from .._settings import in_full_precision, usable
from .._tensors import to_numpy
from ._base import Batch, Engine, Maker
from ._parts import ORDERS
from ._passes import note

# Largest relative distance to a product of rank one that is rounding.
_TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-8}


class BySamplesEngine(Engine):
    """Gradients with respect to parameters, whatever the layers do with them.

    Those of a dense layer that is used once, on one vector for each sample, are kept as factors as
    by other engines: factors and matrices have different metrics, and an engine must not change
    scores.
    """

    def __init__(self, module: torch.nn.Module, layers: Sequence[Layer]) -> None:
        super().__init__(module, layers)
        # Whether the gradients of a layer are kept as factors: decided once, on its first batch.
        self._are_factors: dict[int, bool] = {}

    @abstractmethod
    def gradients(
        self, batch: Batch, parameters: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the gradients at all rows, each (n, *shape of the parameter)."""

    def scalar(self, batch: Batch) -> Callable[..., torch.Tensor]:
        """Return the function that is differentiated: of parameters, a row's tree and weights."""

        def scalar(parameters, row, weight):
            state = {**batch.state, **parameters}
            one = Inputs(*row).map(lambda tensor: tensor[None])
            return (run(batch.twin, one, state)[0] * weight).sum()

        return scalar

    def makers(self, batch: Batch, indices: Sequence[int]) -> dict[int, Maker]:
        """Return makers for all these layers."""
        self.probe(batch, indices)
        layers = {i: self.layers[i] for i in indices}
        found = self.gradients(
            batch,
            {
                name: usable(value.detach())
                for layer in layers.values()
                for name, value in layer.parameters.items()
            },
        )
        parts = {i: [found[name] for name in layer.parameters] for i, layer in layers.items()}
        entering = self._entering(batch, indices)
        makers: dict[int, Maker] = {}
        for i, layer in layers.items():
            if i in entering and i not in self._are_factors:
                self._are_factors[i] = _distance(layer, parts[i], entering[i])[1]
            if not self._are_factors.setdefault(i, False):
                makers[i] = partial(_matrices, layer, parts[i])
            elif i in entering:
                makers[i] = partial(_factors, layer, parts[i], entering[i], batch)
            else:
                raise ValueError(_describe_change(layer))
        return makers

    def _entering(self, batch, indices):
        """Return what enters each layer that may have factors, with ones for its bias."""
        left = [i for i in indices if self._are_factors.get(i, True)]
        if not left:
            return {}
        with torch.no_grad():
            noted = note(batch, self.layers, left, differentiates=False)
        parts = {i: noted.parts(i, len(batch), ORDERS[0]) for i in left}
        return {
            i: found.factors()[0][:, 0]
            for i, found in parts.items()
            if found is not None and found.is_rank_one
        }


def _distance(layer, parts, inputs):
    """Return factors' deltas for given inputs, and whether their products are the gradients."""
    matrices = layer.matrix(parts)
    squares = (inputs * inputs).sum(dim=1, keepdim=True)
    # The nearest product; where nothing enters, the gradient is zero and so is this.
    delta = (inputs[:, None] @ matrices)[:, 0] / squares.clamp_min(torch.finfo(inputs.dtype).tiny)
    error = torch.linalg.vector_norm(matrices - inputs[:, :, None] * delta[:, None])
    size = torch.linalg.vector_norm(matrices)
    return delta, bool(error <= _TOLERANCES[matrices.dtype] * size)


def _matrices(layer: Layer, parts: list[torch.Tensor]) -> LayerGradients:
    matrices = to_numpy(in_full_precision(layer.matrix, parts))
    return LayerMatrices(matrices, layer.has_separate_outputs)


def _factors(
    layer: Layer, parts: list[torch.Tensor], inputs: torch.Tensor, batch: Batch
) -> LayerGradients:
    delta, fits = in_full_precision(_distance, layer, parts, inputs)
    if not fits:
        raise ValueError(_describe_change(layer))
    return LayerFactors(to_numpy(inputs), to_numpy(delta), batch.codes_of(to_numpy(delta)))


def _describe_change(layer):
    return (
        f"Layer {layer.name!r} was used once, on one vector for each sample, in the first batch, "
        "but not in a later one, where its gradients have another form. Leave it out by params."
    )
