"""Tensors as arrays, and derivatives of them."""

from collections.abc import Iterable

import numpy as np
import torch


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Return a tensor as an array, in single precision if it has less."""
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return tensor.numpy()


def derivatives(
    value: torch.Tensor,
    inputs: Iterable[torch.Tensor],
    weights: torch.Tensor | None = None,
    retain_graph: bool = False,
) -> list[torch.Tensor | None]:
    """Return derivatives of a (weighted) value, None where it does not depend on an input."""
    inputs = list(inputs)
    if not value.requires_grad or not inputs:
        return [None] * len(inputs)
    found = torch.autograd.grad(value, inputs, weights, retain_graph, allow_unused=True)
    # Embeddings may ask for sparse ones, which few operations take.
    return [g.to_dense() if g is not None and g.layout is not torch.strided else g for g in found]
