"""What the layers of a torch module are, and per-sample gradients of those with a closed form.

Imported only when a torch module is given.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import nn
from torch.nn import functional as F

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMALISATIONS = tuple(
    getattr(nn, name)
    for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "RMSNorm")
    if hasattr(nn, name)
)


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
    layout : {"stack", "rows", "column"}
        How the matrix is made. ``"stack"``: each parameter (q, ...) becomes columns of length q,
        as weight and bias of a dense layer. ``"rows"``: (p, q) as it is. ``"column"``: q = 1.
    closed_form : callable or None
        ``(module, input, delta) -> (n, p, q)`` for one use of the module.
    """

    name: str
    module: nn.Module
    parameters: dict
    layout: str
    closed_form: object

    @property
    def shape(self):
        """Rows and columns of the matrix."""
        first = next(iter(self.parameters.values()))
        size = sum(value.numel() for value in self.parameters.values())
        q = {"stack": first.shape[:1].numel(), "rows": first.shape[-1], "column": 1}[self.layout]
        return size // q, q

    @property
    def is_normalisation(self):
        """Whether it only scales and shifts."""
        return isinstance(self.module, _NORMALISATIONS)

    def matrix(self, gradients):
        """Return (n, p, q) from a list of gradients, each (n, *shape of the parameter)."""
        n = len(gradients[0])
        if self.layout == "stack":
            q = self.shape[1]
            return torch.cat([g.reshape(n, q, -1).swapaxes(1, 2) for g in gradients], dim=1)
        return torch.cat([g.reshape(n, -1, self.shape[1]) for g in gradients], dim=1)

    def tangents(self, matrix):
        """Return a matrix (p, q) as one tensor for each parameter: the inverse of ``matrix``."""
        q, out, start = self.shape[1], [], 0
        for value in self.parameters.values():
            rows = matrix[start : start + value.numel() // q]
            start += len(rows)
            if getattr(self.module, "padding_idx", None) is not None:
                # Backward passes leave it out, forward ones do not.
                rows = rows.clone()
                rows[self.module.padding_idx] = 0.0
            out.append((rows.T if self.layout == "stack" else rows).reshape(value.shape))
        return out


def find_layers(module):
    """Return the layers of a module in the order of definition; each parameter is in one."""
    groups = {}
    for name, value in module.named_parameters():
        groups.setdefault(name.rpartition(".")[0], {})[name] = value
    modules, shared = dict(module.named_modules()), _shared(module)
    return [layer for owner in groups for layer in _layers(modules[owner], groups[owner], shared)]


def _layers(module, parameters, shared):
    name = next(iter(parameters)).rpartition(".")[0]
    own = {full.rpartition(".")[2]: value for full, value in parameters.items()}
    closed_form = _closed_form(module)
    # Parameters computed from others, or in several modules, are not those of one use.
    if set(own) != {n for n, p in module._parameters.items() if p is not None} or any(
        id(value) in shared for value in own.values()
    ):
        closed_form = None
    if closed_form is not None and "weight" not in own:
        closed_form = None
    layout = _layout(module, list(own.values()))
    if layout is not None:
        name = name or type(module).__name__
        return [Layer(name, module, parameters, layout, closed_form)]
    return [
        Layer(full, module, {full: value}, _layout(None, [value]), None)
        for full, value in parameters.items()
    ]


def _layout(module, values):
    """Return how the parameters fit into one matrix, or None if they do not."""
    if isinstance(module, nn.Embedding):
        return "rows"
    if isinstance(module, _NORMALISATIONS) or all(value.ndim < 2 for value in values):
        return "column"
    q = {value.shape[0] if value.ndim else 1 for value in values}
    return "stack" if len(q) == 1 else None


def _shared(module):
    """Return the ids of parameters that belong to several modules."""
    names = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(value), set()).add(name)
    return {key for key, value in names.items() if len(value) > 1}


# ------------------------------------------------------------------------------- closed forms


def _closed_form(module):
    kinds = {nn.Linear: _linear, nn.Embedding: _embedding}
    kinds |= dict.fromkeys(_CONVOLUTIONS, _convolution)
    kinds |= dict.fromkeys(_NORMALISATIONS, _normalisation)
    for kind, function in kinds.items():
        # Not only of that class: what it computes must be the same.
        if isinstance(module, kind) and type(module).forward is kind.forward:
            # Both change the gradient, or the weight itself, on the way.
            odd = kind is nn.Embedding and (module.max_norm or module.scale_grad_by_freq)
            return None if odd else function
    return None


def _linear(module, inputs, delta):
    inputs, delta = places(module, inputs, delta)
    return inputs.swapaxes(1, 2) @ delta


def _embedding(module, inputs, delta):
    n, q = len(inputs), delta.shape[-1]
    inputs, delta = inputs.reshape(n, -1), delta.reshape(n, -1, q)
    if module.padding_idx is not None:
        delta = delta * (inputs != module.padding_idx)[:, :, None]
    out = delta.new_zeros(n, module.num_embeddings, q)
    return out.scatter_add_(1, inputs[:, :, None].expand_as(delta), delta)


def _convolution(module, inputs, delta):
    """Each place is a dense layer from a patch to the channels: sum over places."""
    inputs, delta = places(module, inputs, delta)
    if module.groups == 1:
        return inputs.swapaxes(1, 2) @ delta
    n, q = len(delta), delta.shape[2]
    patches = inputs if module.bias is None else inputs[:, :, :-1]
    patches, blocks = (x.unflatten(2, (module.groups, -1)).swapaxes(1, 2) for x in (patches, delta))
    weight = (patches.swapaxes(2, 3) @ blocks).swapaxes(1, 2).reshape(n, -1, q)
    if module.bias is None:
        return weight
    return torch.cat([weight, delta.sum(dim=1, keepdim=True)], dim=1)


def are_places(module):
    """Whether the gradient of a module is a sum over places of outer products."""
    return isinstance(module, (nn.Linear, *_CONVOLUTIONS)) and getattr(module, "groups", 1) == 1


def places(module, inputs, delta):
    """Return what enters and leaves a layer at each place, (n, places, p) and (n, places, q).

    The last column of what enters is ones if the layer has a bias.
    """
    n = len(inputs)
    if isinstance(module, nn.Linear):
        patches, delta = (x.reshape(n, -1, x.shape[-1]) for x in (inputs, delta))
        if module.bias is None:
            return patches, delta
        return torch.cat([patches, torch.ones_like(patches[:, :, :1])], dim=2), delta
    windows = _windows(module, inputs)
    # (n, *places, channels, *kernel)
    axes = inputs.ndim - 2
    windows = windows.permute(0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
    delta = delta.flatten(2).swapaxes(1, 2)
    p = windows[0].numel() // delta.shape[1]
    out = windows.new_ones(n, delta.shape[1], p + (module.bias is not None))
    patches = out[:, :, :p].view(windows.shape)
    # One entry of the kernel after the other: long loops inside, several times faster than one
    # copy whose innermost axis has three entries.
    for entry in product(*map(range, module.kernel_size)):
        patches[(..., *entry)] = windows[(..., *entry)]
    return out, delta


def _windows(module, inputs):
    """Return all patches as a view, (n, channels, *places, *kernel)."""
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    windows = F.pad(inputs, module._reversed_padding_repeated_twice, mode=mode)
    for axis in range(inputs.ndim - 2):
        kernel, dilation = module.kernel_size[axis], module.dilation[axis]
        windows = windows.unfold(2 + axis, dilation * (kernel - 1) + 1, module.stride[axis])
        windows = windows[..., ::dilation]
    return windows


def _normalisation(module, inputs, delta):
    """A scale and a shift of what is normalised: products and sums of delta, place by place."""
    shape, eps, bias = None, module.eps, getattr(module, "bias", None)
    if isinstance(module, nn.GroupNorm):
        normalised = F.group_norm(inputs, module.num_groups, eps=eps)
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        normalised = F.batch_norm(inputs, module.running_mean, module.running_var, eps=eps)
    else:
        shape = module.normalized_shape
        function = F.layer_norm if isinstance(module, nn.LayerNorm) else F.rms_norm
        normalised = function(inputs, shape, eps=eps)
    n = len(inputs)
    if shape is None:
        # Channels are axis 1.
        products, delta = [x.reshape(n, x.shape[1], -1).sum(2) for x in (normalised * delta, delta)]
    else:
        size = torch.Size(shape).numel()
        products, delta = [x.reshape(n, -1, size).sum(1) for x in (normalised * delta, delta)]
    return (products if bias is None else torch.cat([products, delta], dim=1))[:, :, None]
