"""Tables in which words are looked up."""

from torch import nn

from ._registry import closed_form


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
