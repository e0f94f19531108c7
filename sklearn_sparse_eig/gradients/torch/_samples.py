"""Per-sample gradients by automatic differentiation, for torch layers of any kind.

Imported only when a torch module is given.
"""

from contextlib import ExitStack, contextmanager

import torch
from torch.func import functional_call

from ..._base.batches import is_out_of_memory
from ..._base.messages import warn_user

try:
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError:  # torch before 2.3
    sdpa_kernel = None  # type: ignore[assignment]  # asked for before it is called


def by_samples(module, parameters, rows, weights, engine):
    """Return the gradients of weighted logits, each (n, *shape of the parameter).

    Parameters
    ----------
    module : torch.nn.Module
    parameters : dict of str to Tensor
        Those to differentiate; all others are constants.
    rows : Tensor of shape (n, ...)
    weights : Tensor of shape (n, n_logits)
    engine : {"vmap", "loop", "auto"}
        ``"auto"``: the loop where vmap fails, with a warning.

    Returns
    -------
    gradients : dict of str to Tensor
    engine : {"vmap", "loop"}
        Which was used.
    """
    constants = {name: value.detach() for name, value in parameters.items()}

    def scalar(parameters, row, weight):
        return (functional_call(module, parameters, (row[None],))[0] * weight).sum()

    if engine != "loop":
        try:
            each = torch.func.vmap(torch.func.grad(scalar), in_dims=(None, 0, 0))
            return each(constants, rows, weights), "vmap"
        except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
            if engine == "vmap" or is_out_of_memory(error):
                raise
            warn_user(
                "torch.func.vmap does not work for this module, so gradients are computed one "
                f"sample at a time, which is slow. It says: {str(error)[:300]}",
            )
    leaves = {name: value.requires_grad_() for name, value in constants.items()}
    out = {name: value.new_zeros(len(rows), *value.shape) for name, value in constants.items()}
    for i, (row, weight) in enumerate(zip(rows, weights, strict=True)):
        with torch.enable_grad():
            value = scalar(leaves, row, weight)
        for name, gradient in zip(leaves, derivatives(value, leaves.values()), strict=True):
            if gradient is not None:
                out[name][i] = gradient
    return out, "loop"


def derivatives(value, inputs, weights=None, retain_graph=False):
    """Return derivatives of a (weighted) value, None where it does not depend on an input."""
    inputs = list(inputs)
    if not value.requires_grad or not inputs:
        return [None] * len(inputs)
    return torch.autograd.grad(value, inputs, weights, retain_graph, allow_unused=True)


@contextmanager
def differentiable(module):
    """Keep out fused kernels that lack a derivative, or what hooks could see."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            if sdpa_kernel is not None:
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            if any(isinstance(layer, torch.nn.RNNBase) for layer in module.modules()):
                # cuDNN differentiates recurrent layers in training mode only.
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
