"""Layers that normalise, then scale and shift."""

import torch
from torch import nn
from torch.nn import functional as F

from ._registry import closed_form

NORMALISATIONS = tuple(
    getattr(nn, name)
    for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "RMSNorm")
    if hasattr(nn, name)
)


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
