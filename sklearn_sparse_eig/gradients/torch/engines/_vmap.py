"""Automatic differentiation of all samples at once, for layers of any kind."""

import torch

from ...._base.batches import is_out_of_memory
from ._base import Batch, EngineFailure
from ._by_samples import BySamplesEngine
from ._registry import register


@register
class VmapEngine(BySamplesEngine):
    """``torch.func.vmap(grad)`` with respect to the parameters of the layers asked for."""

    name = "vmap"
    rank = 1.0
    note = "torch.func.vmap, a second backward pass"

    def gradients(self, batch: Batch, parameters: dict[str, torch.Tensor]) -> dict:
        """Return the gradients at all rows, each (n, *shape of the parameter)."""
        each = torch.func.vmap(torch.func.grad(self.scalar(batch)), in_dims=(None, 0, 0))
        try:
            return each(parameters, batch.rows.tree, batch.weights)
        # Which of these a module raises that vmap cannot trace is up to its own code; the message
        # is passed on, and the engine that follows runs the same module without vmap.
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            raise EngineFailure(
                "torch.func.vmap does not work for this module, so gradients are computed one "
                f"sample at a time, which is slow. It says: {str(error)[:300]}"
            ) from error
