"""Automatic differentiation of one sample after the other, for whatever vmap cannot do."""

import torch

from .._tensors import derivatives
from ._base import Batch
from ._by_samples import BySamplesEngine
from ._registry import register


@register
class LoopEngine(BySamplesEngine):
    """A forward and a backward pass for each sample."""

    name = "loop"
    rank = 2.0

    def gradients(self, batch: Batch, parameters: dict[str, torch.Tensor]) -> dict:
        """Return the gradients at all rows, each (n, *shape of the parameter)."""
        scalar, n = self.scalar(batch), len(batch)
        leaves = {name: value.requires_grad_() for name, value in parameters.items()}
        out = {name: value.new_zeros(n, *value.shape) for name, value in parameters.items()}
        for i, (row, weight) in enumerate(zip(batch.rows, batch.weights, strict=True)):
            value = scalar(leaves, row, weight)
            for name, gradient in zip(leaves, derivatives(value, leaves.values()), strict=True):
                if gradient is not None:
                    out[name][i] = gradient
        return out
