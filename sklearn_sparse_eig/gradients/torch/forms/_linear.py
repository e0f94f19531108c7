"""Dense layers, and products with a matrix."""

import torch
from torch.nn import functional as F

from ._functions import FunctionForm, Reading, register_function


@register_function(F.linear)
class LinearForm(FunctionForm):
    """Rows that leave beside rows that enter."""

    is_dense = True

    def read(self, is_parameter, input, weight, bias=None):
        """Return what a call is given."""
        return Reading(input, weight, bias)

    def has_factors(self, options):
        """Each place gives a product."""
        return True

    def multiplications(self, n_entered, n_left, shape):
        """Return how many multiplications with the weight a call takes."""
        return n_left * shape[-1]

    def outer(self, inputs, delta, shape, options):
        """Return deltas and inputs, place by place."""
        return _rows(delta), _rows(inputs)


@register_function(torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm)
class ProductForm(FunctionForm):
    """``x @ weight``: rows that enter beside rows that leave."""

    def read(self, is_parameter, input, other):
        """Return what a call is given; the parameter comes second and is a matrix."""
        if is_parameter(input) or other.ndim != 2 or input.ndim < 2:
            return None
        return Reading(input, other, None)

    def has_factors(self, options):
        """Each place gives a product."""
        return True

    def multiplications(self, n_entered, n_left, shape):
        """Return how many multiplications with the weight a call takes."""
        return n_left * shape[0]

    def outer(self, inputs, delta, shape, options):
        """Return inputs and deltas, place by place."""
        return _rows(inputs), _rows(delta)


def _rows(x):
    return x.reshape(len(x), -1, x.shape[-1])
