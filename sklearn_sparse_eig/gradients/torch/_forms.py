"""Closed forms of the gradients of layers, registered by the class of the layer.

To add one: a function decorated with :func:`closed_form` or :func:`sum_over_places`. On the first
batch of any network it is compared with automatic differentiation.

Imported only when a torch module is given.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMALISATIONS = tuple(
    getattr(nn, name)
    for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "RMSNorm")
    if hasattr(nn, name)
)


@dataclass(frozen=True)
class ClosedForm:
    """How the gradient of a kind of layer follows from what enters it and leaves it.

    Parameters
    ----------
    kind : type
        Class of the module.
    matrix : callable
        ``(module, inputs, delta) -> (n, p, q)`` for one use of the module: inputs by outputs, as
        its layout says.
    places : callable or None
        ``(module, inputs, delta) -> (n, n_places, p), (n, n_places, q)``, if the gradient is the
        sum over places of their outer products.
    applies : callable
        Whether it holds for a module of that class, as it was configured.
    parameters : tuple of str
        Names of parameters that the module must own: not computed from others.
    """

    kind: type[nn.Module]
    matrix: Callable
    places: Callable | None
    applies: Callable[[Any], bool]
    parameters: tuple[str, ...]


_FORMS: list[ClosedForm] = []
_LAYOUTS: dict[type[nn.Module], str] = {nn.EmbeddingBag: "rows"}


def _always(module: nn.Module) -> bool:
    return True


def closed_form(
    *kinds: type[nn.Module],
    layout: str | None = None,
    applies: Callable[[Any], bool] = _always,
    parameters: tuple[str, ...] = ("weight",),
) -> Callable[[Callable], Callable]:
    """Decorate a function ``(module, inputs, delta) -> (n, p, q)``.

    Parameters
    ----------
    *kinds : type
        Classes of modules. A subclass with a ``forward`` of its own is another kind.
    layout : {"stack", "rows", "column"} or None, default=None
        How parameters form a matrix, as in :class:`Layer`; None for what their shapes say.
    applies : callable, optional
        Whether it holds for a module of these classes, as it was configured.
    parameters : tuple of str, default=("weight",)
        Parameters that the module must own, for the form to hold.
    """

    def register(function):
        for kind in kinds:
            if layout is not None:
                _LAYOUTS[kind] = layout
            _FORMS.append(ClosedForm(kind, function, None, applies, parameters))
        return function

    return register


def sum_over_places(
    *kinds: type[nn.Module],
    applies: Callable[[Any], bool] = _always,
    parameters: tuple[str, ...] = ("weight",),
) -> Callable[[Callable], Callable]:
    """Decorate a function ``(module, inputs, delta) -> (n, n_places, p), (n, n_places, q)``.

    The gradient of sample i is ``first[i].T @ second[i]``, the bias as its last row.
    """

    def register(function):
        def matrix(module, inputs, delta):
            inputs, delta = function(module, inputs, delta)
            return inputs.swapaxes(1, 2) @ delta

        _FORMS.extend(ClosedForm(kind, matrix, function, applies, parameters) for kind in kinds)
        return function

    return register


def find_form(module: nn.Module) -> ClosedForm | None:
    """Return the closed form of a module, None if none is known."""
    for form in reversed(_FORMS):
        # Not only of that class: what it computes must be the same.
        same = isinstance(module, form.kind) and type(module).forward is form.kind.forward
        owns = all(module._parameters.get(name) is not None for name in form.parameters)
        if same and owns and form.applies(module):
            return form
    return None


def registered_layout(module: nn.Module) -> str | None:
    """Return the layout that was registered for the class of a module."""
    return next((_LAYOUTS[kind] for kind in type(module).__mro__ if kind in _LAYOUTS), None)


@sum_over_places(nn.Linear)
def linear(module, inputs, delta):
    """Return rows that enter and leave, with a column of ones for the bias."""
    n = len(inputs)
    inputs, delta = (x.reshape(n, -1, x.shape[-1]) for x in (inputs, delta))
    if module.bias is None:
        return inputs, delta
    return torch.cat([inputs, torch.ones_like(inputs[:, :, :1])], dim=2), delta


def _is_plain_lookup(module):
    # Both change the gradient, or the weight itself, on the way.
    return not (module.max_norm or module.scale_grad_by_freq)


@closed_form(nn.Embedding, layout="rows", applies=_is_plain_lookup)
def embedding(module, inputs, delta):
    """Add delta at each place to the row of the word there."""
    n, q = len(inputs), delta.shape[-1]
    inputs, delta = inputs.reshape(n, -1).long(), delta.reshape(n, -1, q)
    if module.padding_idx is not None:
        delta = delta * (inputs != module.padding_idx)[:, :, None]
    out = delta.new_zeros(n, module.num_embeddings, q)
    return out.scatter_add_(1, inputs[:, :, None].expand_as(delta), delta)


@sum_over_places(*CONVOLUTIONS, applies=lambda module: module.groups == 1)
def convolution(module, inputs, delta):
    """Each place is a dense layer from a patch to the channels."""
    windows = _windows(module, inputs)
    # (n, *places, channels, *kernel)
    axes, n = inputs.ndim - 2, len(inputs)
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


@closed_form(*CONVOLUTIONS, applies=lambda module: module.groups > 1)
def grouped_convolution(module, inputs, delta):
    """A convolution for each group of channels, side by side."""
    inputs, delta = convolution(module, inputs, delta)
    n, q = len(delta), delta.shape[2]
    patches = inputs if module.bias is None else inputs[:, :, :-1]
    patches, blocks = (x.unflatten(2, (module.groups, -1)).swapaxes(1, 2) for x in (patches, delta))
    weight = (patches.swapaxes(2, 3) @ blocks).swapaxes(1, 2).reshape(n, -1, q)
    if module.bias is None:
        return weight
    return torch.cat([weight, delta.sum(dim=1, keepdim=True)], dim=1)


def _windows(module, inputs):
    """Return all patches as a view, (n, channels, *places, *kernel)."""
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    windows = F.pad(inputs, module._reversed_padding_repeated_twice, mode=mode)
    for axis in range(inputs.ndim - 2):
        kernel, dilation = module.kernel_size[axis], module.dilation[axis]
        windows = windows.unfold(2 + axis, dilation * (kernel - 1) + 1, module.stride[axis])
        windows = windows[..., ::dilation]
    return windows


@closed_form(*NORMALISATIONS, layout="column")
def normalisation(module, inputs, delta):
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
