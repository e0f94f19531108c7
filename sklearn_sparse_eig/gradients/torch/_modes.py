"""Functions of torch in the place of others, for the thread that has entered a mode."""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# What these call is seen by a mode too.
OPENED = (F.multi_head_attention_forward,)


@lru_cache
def opened(function: Any) -> Callable:
    """Return a copy of a Python function of torch that calls others as if it were the user's.

    Within a mode the function itself would hand over to the mode, instead of running.
    """
    names = {**function.__globals__, "has_torch_function": lambda *args: False}
    copy = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class Plain(TorchFunctionMode):
    """Computes attention by products of matrices, which have derivatives of all kinds.

    In the thread that has entered it. Fused code for whole layers, which has no derivative, is not
    used by torch itself where there is such a mode.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: Any = (), kwargs: dict | None = None
    ) -> Any:
        """Call a function, or what stands in its place."""
        kwargs = kwargs or {}
        if func in OPENED:
            with self:
                return opened(func)(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            func = _attention
        return func(*args, **kwargs)


def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """Return attention as the documentation of torch defines it."""
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(times, -3) for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    # Each gets the root, which cannot overflow where the product does not.
    weights = (query * scale**0.5) @ (key.transpose(-2, -1) * scale**0.5)
    if is_causal:
        seen = torch.ones(weights.shape[-2:], dtype=torch.bool, device=query.device).tril()
        weights = weights.masked_fill(~seen, float("-inf"))
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            weights = weights.masked_fill(~attn_mask, float("-inf"))
        else:
            weights = weights + attn_mask
    weights = weights.softmax(dim=-1)
    return (F.dropout(weights, dropout_p) if dropout_p else weights) @ value
