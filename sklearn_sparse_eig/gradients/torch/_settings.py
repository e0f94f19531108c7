"""Settings of torch under which modules run: gradients on, nothing fused, one user at a time.

Imported only when a torch module is given.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Lock

import torch

from ..._base.locks import locked

try:
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError:  # torch before 2.3
    sdpa_kernel = None  # type: ignore[assignment]  # a function where there is one


class ProcessSetting:
    """A setting of the whole process: the first user changes it, the last one puts it back.

    Were each user to put back what they found, two threads could leave it changed for good.

    Parameters
    ----------
    change : callable
        Returns a context manager that changes the setting.
    """

    def __init__(self, change: Callable[[], AbstractContextManager]) -> None:
        self._change, self._lock = change, Lock()
        self._n_users, self._stack = 0, ExitStack()

    @contextmanager
    def changed(self) -> Iterator[None]:
        """Have the setting changed within a ``with`` block."""
        with self._lock:
            if self._n_users == 0:
                self._stack.enter_context(self._change())
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if self._n_users == 0:
                    self._stack.close()


@contextmanager
def _without_fused_attention():
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            if sdpa_kernel is not None:
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")
_ATTENTION = ProcessSetting(_without_fused_attention)
_RECURRENT = ProcessSetting(lambda: torch.backends.cudnn.flags(enabled=False))
# By its name, for what has compiled nothing should not import the compiler.
_COMPILED = ProcessSetting(lambda: torch.compiler.set_stance("force_eager"))


@contextmanager
def eager(module: torch.nn.Module) -> Iterator[None]:
    """Keep out fused and compiled code that lacks a derivative, or what hooks could see."""
    with ExitStack() as stack:
        stack.enter_context(_ATTENTION.changed())
        if any(isinstance(layer, torch.nn.RNNBase) for layer in module.modules()):
            # cuDNN differentiates recurrent layers in training mode only.
            stack.enter_context(_RECURRENT.changed())
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(_COMPILED.changed())
        yield


@contextmanager
def in_full_precision() -> Iterator[None]:
    """Leave autocast and inference mode, where derivatives are rounded or missing."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        for device in _AUTOCAST_DEVICES:
            # Only what is on is left: entering warns where there is no such device.
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def differentiable(module: torch.nn.Module) -> Iterator[None]:
    """Run a module so that its output can be differentiated, whatever the caller's settings are.

    Hooks and replaced parameters are those of the module, so it has one user at a time; other
    modules that hold some of the same layers wait too.
    """
    owners = [layer for layer in module.modules() if layer._parameters]
    with locked(*owners), eager(module), in_full_precision(), torch.enable_grad():
        yield


def usable(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that may be kept for a backward pass: a copy of one of inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def usable_state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of those parameters and buffers that were made in inference mode."""
    state = [*module.named_parameters(), *module.named_buffers()]
    return {name: value.detach().clone() for name, value in state if value.is_inference()}
