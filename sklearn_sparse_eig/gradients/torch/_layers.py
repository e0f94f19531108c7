"""The parameters of a torch module as layers: one for each module that has some.

Imported only when a torch module is given.
"""

from dataclasses import dataclass

import torch
from torch import nn

from .forms import NORMALISATIONS, ClosedForm, find_form, registered_layout


@dataclass(frozen=True)
class Layer:
    """Parameters of one module, and their gradient as a matrix, inputs by outputs.

    Parameters
    ----------
    name : str
        Of the module; of the parameter, where those of a module do not fit into one matrix.
    module : torch.nn.Module
    parameters : dict of str to Tensor
        By their names in the whole network.
    layout : {"stack", "rows", "channels", "column"}
        How the matrix is made. ``"stack"``: each parameter (q, ...) becomes columns of length q,
        as weight and bias of a dense layer. ``"rows"``: (p, q) as it is. ``"channels"``: a column
        for each parameter, with a row for each channel. ``"column"``: all in one column.
    has_form : bool
        Whether the closed form of its kind holds for its parameters.
    """

    name: str
    module: nn.Module
    parameters: dict[str, torch.Tensor]
    layout: str
    has_form: bool

    @property
    def form(self) -> ClosedForm | None:
        """Closed form of the gradient, None if none is known. Looked up, so that layers pickle."""
        return find_form(self.module) if self.has_form else None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix."""
        first = next(iter(self.parameters.values()))
        size = sum(value.numel() for value in self.parameters.values())
        # Slices, for a parameter may be a single number without axes.
        q = {
            "stack": first.shape[:1].numel(),
            "rows": first.shape[-1:].numel(),
            "channels": len(self.parameters),
            "column": 1,
        }[self.layout]
        return size // q, q

    @property
    def is_normalisation(self) -> bool:
        """Whether it only scales and shifts."""
        return isinstance(self.module, NORMALISATIONS)

    @property
    def is_dense(self) -> bool:
        """Whether it is a Linear layer."""
        return isinstance(self.module, nn.Linear)

    @property
    def has_separate_outputs(self) -> bool:
        """Whether each output has inputs of its own, as in a convolution channel by channel."""
        module = self.module
        return (
            isinstance(module, nn.modules.conv._ConvNd)
            and not module.transposed
            and module.groups == module.out_channels > 1
        )

    @property
    def n_outputs(self) -> int | None:
        """How many numbers leave a Linear layer or convolution at a place; None for others."""
        if isinstance(self.module, nn.modules.conv._ConvNd):
            return self.module.out_channels
        return getattr(self.module, "out_features", None) if self.is_dense else None

    def matrix(self, gradients: list[torch.Tensor]) -> torch.Tensor:
        """Return (n, p, q) from a list of gradients, each (n, *shape of the parameter)."""
        n = len(gradients[0])
        if self.layout == "channels":
            return torch.stack([g.reshape(n, -1) for g in gradients], dim=2)
        if self.layout == "stack":
            q = self.shape[1]
            return torch.cat([g.reshape(n, q, -1).swapaxes(1, 2) for g in gradients], dim=1)
        return torch.cat([g.reshape(n, -1, self.shape[1]) for g in gradients], dim=1)

    def tangents(self, matrix: torch.Tensor) -> list[torch.Tensor]:
        """Return a matrix (p, q) as one tensor for each parameter: the inverse of ``matrix``."""
        if self.layout == "channels":
            columns = zip(self.parameters.values(), matrix.T, strict=True)
            return [column.reshape(value.shape) for value, column in columns]
        q, out, start = self.shape[1], [], 0
        unused = getattr(self.module, "padding_idx", None)
        for value in self.parameters.values():
            rows = matrix[start : start + value.numel() // q]
            start += len(rows)
            if unused is not None:
                # Backward passes leave it out, forward ones do not.
                rows = rows.clone()
                rows[unused] = 0.0
            out.append((rows.T if self.layout == "stack" else rows).reshape(value.shape))
        return out


def find_layers(module: nn.Module) -> list[Layer]:
    """Return the layers of a module in the order of definition; each parameter is in one."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in module.named_parameters():
        groups.setdefault(name.rpartition(".")[0], {})[name] = value
    modules, shared = dict(module.named_modules()), _shared(module)
    return [layer for owner in groups for layer in _layers(modules[owner], groups[owner], shared)]


def _layers(module, parameters, shared):
    name = next(iter(parameters)).rpartition(".")[0]
    own = {full.rpartition(".")[2]: value for full, value in parameters.items()}
    # Parameters computed from others, or in several modules, are not those of one use.
    has_form = find_form(module) is not None and (
        set(own) == {n for n, p in module._parameters.items() if p is not None}
        and not any(id(value) in shared for value in own.values())
    )
    layout = _layout(module, list(own.values()))
    if layout is not None:
        name = name or type(module).__name__
        return [Layer(name, module, parameters, layout, has_form)]
    return [
        Layer(full, module, {full: value}, _layout(None, [value]), False)
        for full, value in parameters.items()
    ]


def _layout(module, values):
    """Return how the parameters fit into one matrix, or None if they do not."""
    registered = None if module is None else registered_layout(module)
    # Channels are those of all parameters: a subclass may have more of other sizes.
    if registered == "channels" and len({value.numel() for value in values}) > 1:
        registered = None
    if registered is not None:
        return registered
    if all(value.ndim < 2 for value in values):
        return "column"
    q = {value.shape[0] if value.ndim else 1 for value in values}
    return "stack" if len(q) == 1 else None


def _shared(module):
    """Return the ids of parameters that belong to several modules."""
    names = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), set()).add(name)
    return {key for key, value in names.items() if len(value) > 1}
