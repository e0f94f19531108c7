"""Convolutions, whose places are dense layers of patches."""

from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch.nn import functional as F

from ._functions import FunctionForm, Reading, register_function


@dataclass(frozen=True)
class _Options:
    """Of a convolution, one number for each axis; padding before and behind."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def is_pointwise(self):
        """Whether a patch is a place, and all of them are used."""
        strided = any(s != 1 for s in self.stride) or any(any(pair) for pair in self.padding)
        return self.groups == 1 and set(self.kernel) <= {1} and not strided


class _Convolution(FunctionForm):
    has_channels_last = False

    def __init__(self, n_axes):
        self._n_axes = n_axes

    def _options(self, weight, stride, padding, dilation, groups):
        kernel, dilation = tuple(weight.shape[2:]), self._each(dilation)
        if padding == "same":
            totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
            pairs = tuple((total // 2, total - total // 2) for total in totals)
        else:
            pairs = tuple((p, p) for p in self._each(0 if padding == "valid" else padding))
        return _Options(kernel, self._each(stride), pairs, dilation, groups)

    def _each(self, number):
        if isinstance(number, int):
            return (number,) * self._n_axes
        # A tuple of one stands for all axes.
        return tuple(number) * (self._n_axes // len(number))

    def _is_batched(self, input):
        return input.ndim == self._n_axes + 2


class ConvolutionForm(_Convolution):
    """Each place is a dense layer from a patch to the channels."""

    def read(
        self, is_parameter, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1
    ):
        """Return what a call is given."""
        if not self._is_batched(input):
            return None
        return Reading(
            input, weight, bias, self._options(weight, stride, padding, dilation, groups)
        )

    def multiplications(self, n_entered, n_left, shape):
        """Return how many multiplications with the weight a call takes: a patch for what leaves."""
        return n_left * shape[1:].numel()

    def has_factors(self, options):
        """Each place gives a product of all channels, if these are one group."""
        return options.groups == 1

    def outer(self, inputs, delta, shape, options):
        """Return channels and patches, place by place; of groups see ``weight``."""
        return _places(delta), _patches(inputs, options)

    def weight(self, inputs, delta, shape, options):
        """Return the gradients of the weight, (N, *shape)."""
        if options.groups == 1:
            columns = _columns(inputs, options).swapaxes(1, 2)
            return (delta.flatten(2) @ columns).reshape(len(delta), *shape)
        if options.groups == inputs.shape[1]:
            return _channelwise(inputs, delta, options).reshape(len(delta), *shape)
        left, right = (
            x.unflatten(1, (options.groups, -1))
            for x in (delta.flatten(2), _columns(inputs, options))
        )
        return (left @ right.swapaxes(2, 3)).reshape(len(delta), *shape)


class TransposedConvolutionForm(_Convolution):
    """A convolution backwards: each place that enters is one from a patch of what leaves."""

    def read(
        self,
        is_parameter,
        input,
        weight,
        bias=None,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        dilation=1,
    ):
        """Return what a call without groups is given."""
        if not self._is_batched(input) or groups != 1:
            return None
        options = self._options(weight, stride, padding, dilation, groups)
        return Reading(input, weight, bias, options)

    def multiplications(self, n_entered, n_left, shape):
        """Return how many multiplications with the weight a call takes: a patch for what enters."""
        return n_entered * shape[1:].numel()

    def weight(self, inputs, delta, shape, options):
        """Return the gradients of the weight, (N, *shape)."""
        left, right = _places(inputs), _patches(delta, options)
        # Padding of the output adds places that no input reaches.
        counts = inputs.shape[2:]
        found = _counts(delta, options)
        right = right.unflatten(1, found)[(slice(None), *map(slice, counts))]
        return (left.swapaxes(1, 2) @ right.flatten(1, len(counts))).reshape(len(delta), *shape)


for _n_axes in (1, 2, 3):
    register_function(getattr(F, f"conv{_n_axes}d"))(partial(ConvolutionForm, _n_axes))
    register_function(getattr(F, f"conv_transpose{_n_axes}d"))(
        partial(TransposedConvolutionForm, _n_axes)
    )


def _channelwise(inputs, delta, options):
    """Return the gradients where each channel is a group: what entered, convolved with delta.

    All channels of all samples side by side; a step of the one is a gap in the other.
    """
    axes = range(len(options.kernel))
    x, n_groups = _padded(inputs, options), len(inputs) * inputs.shape[1]
    convolve = (F.conv1d, F.conv2d, F.conv3d)[len(axes) - 1]
    found = convolve(
        x.reshape(1, n_groups, *x.shape[2:]),
        delta.reshape(-1, 1, *delta.shape[2:]),
        stride=options.dilation,
        dilation=options.stride,
        groups=n_groups,
    )
    # A remainder that no step reaches adds entries at the end.
    return found[(0, slice(None), *(slice(options.kernel[axis]) for axis in axes))]


def _places(x):
    return x.flatten(2).swapaxes(1, 2)


def _counts(inputs, options):
    """Return how many patches there are along each axis."""
    found = []
    for axis, size in enumerate(inputs.shape[2:]):
        extent = options.dilation[axis] * (options.kernel[axis] - 1) + 1
        found.append((size + sum(options.padding[axis]) - extent) // options.stride[axis] + 1)
    return tuple(found)


def _patches(inputs, options):
    """Return the patch at each place, (n, places, channels * kernel)."""
    if options.is_pointwise:
        return _places(inputs)
    windows = _windows(inputs, options)
    # (n, *places, channels, *kernel)
    axes, n = inputs.ndim - 2, len(inputs)
    windows = windows.permute(0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
    out = torch.empty(windows.shape, dtype=windows.dtype, device=windows.device)
    # One entry of the kernel after the other: long loops inside, several times faster than one
    # copy whose innermost axis has three entries.
    for entry in product(*map(range, options.kernel)):
        out[(..., *entry)] = windows[(..., *entry)]
    return out.view(n, windows.shape[1 : 1 + axes].numel(), -1)


def _columns(inputs, options):
    """Return the transposed patches, (n, channels * kernel, places): for products of all places."""
    if options.is_pointwise:
        return inputs.flatten(2)
    windows = _windows(inputs, options)
    # (n, channels, *kernel, *places)
    axes = inputs.ndim - 2
    windows = windows.permute(0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes))
    out = torch.empty(windows.shape, dtype=windows.dtype, device=windows.device)
    for entry in product(*map(range, options.kernel)):
        out[(slice(None), slice(None), *entry)] = windows[(slice(None), slice(None), *entry)]
    return out.view(len(inputs), -1, windows.shape[2 + axes :].numel())


def _windows(inputs, options):
    """Return all patches as a view, (n, channels, *places, *kernel)."""
    windows = _padded(inputs, options)
    for axis in range(inputs.ndim - 2):
        kernel, dilation = options.kernel[axis], options.dilation[axis]
        windows = windows.unfold(2 + axis, dilation * (kernel - 1) + 1, options.stride[axis])
        windows = windows[..., ::dilation]
    return windows


def _padded(inputs, options):
    padding = [p for pair in reversed(options.padding) for p in pair]
    return F.pad(inputs, padding) if any(padding) else inputs
