"""What enters and leaves modules whose class has a closed form, caught by hooks."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch

from .._layers import Layer
from ._parts import ModuleUse


@contextmanager
def catching(twin: torch.nn.Module, names: dict[int, str]) -> Iterator[dict[int, list[ModuleUse]]]:
    """Catch what enters and leaves some modules, at each use, within a ``with`` block.

    Parameters
    ----------
    twin : torch.nn.Module
        A copy that nobody else runs.
    names : dict of int to str
        Of modules inside it, by the index of their layer.
    """
    calls: dict[int, list[ModuleUse]] = {i: [] for i in names}
    with ExitStack() as stack:
        for i, name in names.items():
            module = twin.get_submodule(name)
            stack.callback(module.register_forward_hook(_catch(calls[i]), with_kwargs=True).remove)
        yield calls


def module_names(
    module: torch.nn.Module, layers: Sequence[Layer], indices: Sequence[int]
) -> dict[int, str]:
    """Return the names of those modules among the layers whose class has a closed form."""
    found = {i: layers[i].module for i in indices if layers[i].form is not None}
    if not found:
        return {}
    names = {id(part): name for name, part in module.named_modules()}
    return {i: names[id(part)] for i, part in found.items()}


def _catch(calls):
    def hook(layer, args, kwargs, output):
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        inputs = args[0] if args else kwargs["input"]
        # Copies: what follows may work in place, on what came in or on what goes out.
        calls.append((inputs.detach().clone(), output))
        return output.clone()

    return hook
