"""Tables in which words are looked up."""

from torch import nn
from torch.nn import functional as F

from ._functions import FunctionForm, Reading, register_function
from ._registry import register_layout

register_layout("rows", nn.Embedding, nn.EmbeddingBag)


@register_function(F.embedding)
class EmbeddingForm(FunctionForm):
    """Delta at each place is added to the row of the word there."""

    def read(
        self,
        is_parameter,
        input,
        weight,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
    ):
        """Return what a call is given."""
        if max_norm is not None or scale_grad_by_freq:
            return None  # both change the gradient, or the weight itself, on the way
        if padding_idx is not None and padding_idx < 0:
            padding_idx += len(weight)
        return Reading(input, weight, None, padding_idx)

    def multiplications(self, n_entered, n_left, shape):
        """Return none, for rows are looked up."""
        return 0.0

    def weight(self, inputs, delta, shape, options):
        """Return the gradients of the table, (N, *shape)."""
        n, q = len(inputs), shape[1]
        inputs, delta = inputs.reshape(n, -1).long(), delta.reshape(n, -1, q)
        if options is not None:
            delta = delta * (inputs != options)[:, :, None]
        return delta.new_zeros(n, *shape).scatter_add_(
            1, inputs[:, :, None].expand_as(delta), delta
        )
