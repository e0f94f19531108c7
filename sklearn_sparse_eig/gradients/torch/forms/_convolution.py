"""Convolutions, whose places are dense layers of patches."""

from itertools import product

import torch
from torch import nn
from torch.nn import functional as F

from ._registry import closed_form, sum_over_places

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


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
