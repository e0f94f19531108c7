"""What enters and leaves layers, caught by hooks."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch

from .._layers import Layer

# Of one use of a layer: what entered it, and what left it or the derivative with respect to that.
Use = tuple[torch.Tensor, torch.Tensor]


@contextmanager
def catching(layers: Sequence[Layer], indices: Sequence[int]) -> Iterator[dict[int, list[Use]]]:
    """Catch what enters and leaves some layers, at each use, within a ``with`` block."""
    calls: dict[int, list[Use]] = {i: [] for i in indices}
    with ExitStack() as stack:  # which goes on if it is interrupted while hooks are removed
        for i in indices:
            hook = _catch(calls[i])
            module = layers[i].module
            stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        yield calls


def _catch(calls):
    def hook(layer, args, kwargs, output):
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        inputs = args[0] if args else kwargs["input"]
        # Copies: what follows may work in place, on what came in or on what goes out.
        calls.append((inputs.detach().clone(), output))
        return output.clone()

    return hook


def has_rank_one(layer: Layer, uses: Sequence[Use]) -> bool:
    """Whether a layer is used once, on one vector for each sample."""
    form = layer.form if layer.is_dense else None
    one_place = form is not None and form.places is not None
    return one_place and len(uses) == 1 and uses[0][0].ndim == 2
