"""Parameters that are added to numbers, or multiply them: shifts, scales, embeddings of places."""

import torch

from ._functions import FunctionForm, Reading, register_function


class _Elementwise(FunctionForm):
    # Axes are those of the result, against which parameters are broadcast from behind.
    has_channels_last = False

    def read(self, is_parameter, input, other):
        """Return what a call is given: one parameter, and a tensor with at least its axes."""
        if is_parameter(input):
            input, other = other, input
        both = is_parameter(input) or not torch.is_tensor(input)
        # A first axis of the parameter must not be that of the samples.
        if both or not _has_one_for_all(other.shape, input.ndim):
            return None
        return self._reading(input, other)


@register_function(torch.add, torch.Tensor.add, torch.Tensor.add_)
class AdditionForm(_Elementwise):
    """A shift."""

    def _reading(self, input, other):
        return Reading(input, None, other)

    def bias(self, delta, shape):
        """Return delta, summed over what the shift is the same for."""
        return _sum_to(delta, shape)


@register_function(torch.mul, torch.Tensor.mul)
class ScalingForm(_Elementwise):
    """A factor."""

    def _reading(self, input, other):
        return Reading(input, other, None)

    def weight(self, inputs, delta, shape, options):
        """Return products with what enters, summed over what the factor is the same for."""
        return _sum_to(inputs * delta, shape)


@register_function(torch.Tensor.expand)
class ExpansionForm(FunctionForm):
    """The same numbers for all samples, such as a token before their words."""

    has_channels_last = False

    def read(self, is_parameter, input, *sizes):
        """Return what a call is given."""
        shape = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
        return Reading(input, None, input) if _has_one_for_all(input.shape, len(shape)) else None

    def bias(self, delta, shape):
        """Return delta, summed over what the numbers are the same for."""
        return _sum_to(delta, shape)


def _has_one_for_all(shape, ndim):
    return len(shape) < ndim or (len(shape) == ndim and shape[0] == 1)


def _sum_to(x, shape):
    full = (1,) * (x.ndim - len(shape)) + tuple(shape)
    axes = [i for i in range(1, x.ndim) if full[i] == 1]
    return (x.sum(dim=axes) if axes else x).reshape(len(x), *shape)
