"""In which order the layers of a module are run, and which of them its output depends on."""

from collections.abc import Sequence
from contextlib import ExitStack

import torch

from ._inputs import Inputs, run
from ._layers import Layer
from ._settings import usable_state
from ._tensors import derivatives
from ._twins import twin
from .engines import Capture


def execution_order(
    module: torch.nn.Module, layers: Sequence[Layer], rows: Inputs
) -> tuple[int, ...]:
    """Return the indices of layers by the start of their last use, those in vain before all others.

    Parameters of a module that is not called itself, as the inner ones of attention, come where the
    module around it starts.

    Parameters
    ----------
    module : torch.nn.Module
    layers : sequence of Layer
    rows : Inputs
        A few rows of X.
    """
    copy = twin(module)
    modules = dict(copy.named_modules())
    names = {id(part): name for name, part in modules.items()}
    started: dict[str, int] = {}
    left: dict[str, list[torch.Tensor]] = {}

    def start(part, args):
        started[names[id(part)]] = len(calls)
        calls.append(part)

    def end(part, args, output):
        # One tensor, or none of several: what cannot be followed counts as used.
        if not torch.is_tensor(output) or not output.is_floating_point():
            return None
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        left.setdefault(names[id(part)], []).append(output)
        return output.clone()  # what follows may work in place

    calls: list[torch.nn.Module] = []
    originals = {id(part): name for name, part in module.named_modules()}
    owners = [originals[id(layer.module)] for layer in layers]
    with ExitStack() as stack:
        for name, part in modules.items():
            stack.callback(part.register_forward_pre_hook(start).remove)
            if name and name in owners:
                stack.callback(part.register_forward_hook(end).remove)
        state = usable_state(module)
        capture = Capture({**dict(module.named_parameters()), **state}, differentiates=False)
        with capture:
            raw = run(copy, rows, state)
    idle = _idle(raw, left)

    def place(i):
        name = owners[i]
        while name and name not in started:
            name = name.rpartition(".")[0]
        # Where one module has several layers, these go by the functions that it calls with them.
        called = max(capture.last.get(key, 0) for key in layers[i].parameters)
        return name not in idle, started.get(name, -1), called, i

    return tuple(sorted(range(len(layers)), key=place))


def _idle(raw, left):
    """Return the names of modules whose output is called for nothing."""
    if not torch.is_tensor(raw) or not raw.requires_grad:
        return set()
    outputs = [output for outputs in left.values() for output in outputs]
    found = iter(derivatives(raw.sum(), outputs))
    return {name for name, outputs in left.items() if all([next(found) is None for _ in outputs])}
