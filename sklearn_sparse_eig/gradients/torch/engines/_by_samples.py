"""What engines share that differentiate the module at one sample."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch.func import functional_call

from ..._matrices import LayerMatrices
from .._settings import usable
from .._tensors import to_numpy
from ._base import Batch, Engine, Maker


class BySamplesEngine(Engine):
    """Gradients with respect to parameters, whatever the layers do with them."""

    @abstractmethod
    def gradients(
        self, batch: Batch, parameters: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the gradients at all rows, each (n, *shape of the parameter)."""

    def scalar(self, batch: Batch) -> Callable[..., torch.Tensor]:
        """Return the function that is differentiated, of parameters, a row and its weights."""

        def scalar(parameters, row, weight):
            state = {**batch.state, **parameters}
            return (functional_call(self.module, state, (row[None],))[0] * weight).sum()

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

        def maker(layer):
            parts = [found[name] for name in layer.parameters]
            return lambda: LayerMatrices(to_numpy(layer.matrix(parts)))

        return {i: maker(layer) for i, layer in layers.items()}
