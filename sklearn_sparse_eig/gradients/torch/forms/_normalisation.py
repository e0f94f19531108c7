"""Layers that normalise, then scale and shift."""

from torch import nn
from torch.nn import functional as F

from ._functions import FunctionForm, Reading, register_function
from ._registry import register_layout

NORMALISATIONS = tuple(
    getattr(nn, name)
    for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "RMSNorm")
    if hasattr(nn, name)
)
# A scale and a shift for each channel, whose covariance then needs no factor of twice the channels.
register_layout(
    "channels", *NORMALISATIONS, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d
)


class _Normalisation(FunctionForm):
    # Options are the function without scale and shift.

    def weight(self, inputs, delta, shape, options):
        """Return the products of delta with what is normalised, summed over places."""
        normalised = options(inputs)
        # In place, for what enters is large; but autocast may have made it half as precise.
        same = normalised.dtype == delta.dtype
        return self.bias(normalised.mul_(delta) if same else normalised * delta, shape)


@register_function(F.batch_norm)
class BatchNormForm(_Normalisation):
    """A channel is shifted and scaled by fixed numbers first."""

    has_channels_last = False

    def read(
        self,
        is_parameter,
        input,
        running_mean,
        running_var,
        weight=None,
        bias=None,
        training=False,
        momentum=0.1,
        eps=1e-5,
    ):
        """Return what a call in evaluation mode is given."""
        if training or running_mean is None:
            return None
        return Reading(
            input, weight, bias, lambda x: F.batch_norm(x, running_mean, running_var, eps=eps)
        )


@register_function(F.group_norm)
class GroupNormForm(_Normalisation):
    """Groups of channels are normalised."""

    has_channels_last = False

    def read(self, is_parameter, input, num_groups, weight=None, bias=None, eps=1e-5):
        """Return what a call is given."""
        return Reading(input, weight, bias, lambda x: F.group_norm(x, num_groups, eps=eps))


@register_function(F.instance_norm)
class InstanceNormForm(_Normalisation):
    """Channels are normalised one by one."""

    has_channels_last = False

    def read(
        self,
        is_parameter,
        input,
        running_mean=None,
        running_var=None,
        weight=None,
        bias=None,
        use_input_stats=True,
        momentum=0.1,
        eps=1e-5,
    ):
        """Return what a call is given that reads no running statistics, or changes none."""
        if use_input_stats and running_mean is not None:
            return None

        def normalise(x):
            return F.instance_norm(
                x, running_mean, running_var, None, None, use_input_stats, momentum, eps
            )

        return Reading(input, weight, bias, normalise)


@register_function(F.layer_norm)
class LayerNormForm(_Normalisation):
    """The last axes are normalised."""

    def read(self, is_parameter, input, normalized_shape, weight=None, bias=None, eps=1e-5):
        """Return what a call is given."""
        return Reading(input, weight, bias, lambda x: F.layer_norm(x, normalized_shape, eps=eps))


if hasattr(F, "rms_norm"):

    @register_function(F.rms_norm)
    class RMSNormForm(_Normalisation):
        """The last axes are scaled, and not shifted."""

        def read(self, is_parameter, input, normalized_shape, weight=None, eps=None):
            """Return what a call is given."""
            return Reading(input, weight, None, lambda x: F.rms_norm(x, normalized_shape, eps=eps))
