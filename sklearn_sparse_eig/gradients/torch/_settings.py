"""Settings of torch under which modules run: gradients on, in full precision, nothing compiled.

Those of the thread are put back, and those of the whole process when their last user leaves, also
where an interrupt comes between any two lines. Imported only when a torch module is given.
"""

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import torch
from torch.overrides import _pop_mode

from ._modes import Plain

_AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class ProcessSetting:
    """A setting of the whole process: the first user changes it, the last one puts it back.

    Were each user to put back what they found, two threads could leave it changed for good.

    Parameters
    ----------
    get : callable
    set : callable
    value : object
        To be set while there are users; a callable that returns it, so as to be made late.
    """

    def __init__(
        self, get: Callable[[], Any], set: Callable[[Any], Any], value: Callable[[], Any]
    ) -> None:
        self._get, self._set, self._value = get, set, value
        self._lock, self._before = Lock(), None
        self._users: dict[int, object] = {}

    def enter(self, user: object) -> None:
        """Have the setting changed until the user leaves."""
        with self._lock:
            if not self._users:
                self._before = self._get()
            self._users[id(user)] = user
            self._set(self._value())

    def leave(self, user: object) -> None:
        """Put the setting back, if the user is the last one; any number of times."""
        with self._lock:
            if id(user) not in self._users:
                return
            if len(self._users) == 1:
                self._set(self._before)
            # Last, so that leaving again does what was interrupted.
            self._users.pop(id(user), None)


def _dynamo():
    return sys.modules["torch._dynamo"].eval_frame


_RECURRENT = ProcessSetting(torch._C._get_cudnn_enabled, torch._C._set_cudnn_enabled, lambda: False)
_COMPILED = ProcessSetting(
    lambda: _dynamo()._stance,
    lambda stance: _dynamo()._set_stance(stance),
    lambda: _dynamo().DynamoStance("force_eager"),
)


def _n_transforms():
    """Return how many transforms, as vmap, this thread is in; 0 for a torch that does not say."""
    depth = getattr(torch._C._functorch, "get_dynamic_layer_stack_depth", None)
    return 0 if depth is None else depth()


class _Setting(Protocol):
    def enter(self, user: object) -> None: ...
    def leave(self, user: object) -> None: ...


class _Changes:
    """Settings of this thread, and shared ones, that are to be put back."""

    def __init__(self, shared: tuple[_Setting, ...] = ()) -> None:
        self._shared = shared
        self._gradients = torch.is_grad_enabled()
        self._n_modes = torch._C._len_torch_function_stack()
        self._n_transforms = _n_transforms()
        # Only what is on is left: changing warns where there is no such device.
        self._casting = [d for d in _AUTOCAST_DEVICES if torch.is_autocast_enabled(d)]
        self._inference: Any = None

    def leave_inference_and_autocast(self) -> None:
        """Leave what rounds derivatives, or gives none."""
        if torch.is_inference_mode_enabled():
            self._inference = torch._C._InferenceMode(False)
        for device in self._casting:
            torch.set_autocast_enabled(device, False)

    def enter(self) -> None:
        """Have gradients on, and nothing fused or compiled."""
        for setting in self._shared:
            setting.enter(self)
        self.leave_inference_and_autocast()
        torch._C._set_grad_enabled(True)
        Plain().__enter__()

    def restore(self) -> None:
        """Put all back; any number of times."""
        while torch._C._len_torch_function_stack() > self._n_modes:
            _pop_mode()
        if _n_transforms() > self._n_transforms:
            torch._C._functorch.pop_dynamic_layer_stack_and_undo_to_depth(self._n_transforms)
        for device in self._casting:
            torch.set_autocast_enabled(device, True)
        if self._inference is not None:
            self._inference.__exit__(None, None, None)
        torch._C._set_grad_enabled(self._gradients)
        for setting in self._shared:
            setting.leave(self)


def in_full_precision(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Call a function outside autocast and inference mode, and without gradients."""
    changes = _Changes()
    try:
        # Twice, so that the second goes on where an interrupt ends the first.
        try:
            changes.leave_inference_and_autocast()
            torch._C._set_grad_enabled(False)
            return function(*args, **kwargs)
        finally:
            changes.restore()
    finally:
        changes.restore()


Method = Callable[Concatenate[Any, Parameters], Result]


def differentiable(method: Method) -> Method:
    """Decorate a method that runs ``self.module`` so that its output can be differentiated.

    Whatever the settings of the caller are. What is compiled runs uncompiled, for compiled code
    hides what enters layers; recurrent layers run without cuDNN, which differentiates them in
    training mode only.
    """

    @wraps(method)
    def run(self, *args, **kwargs):
        changes = _Changes(_shared_settings(self.module))
        try:
            # Twice, so that the second goes on where an interrupt ends the first.
            try:
                changes.enter()
                return method(self, *args, **kwargs)
            except BaseException as error:
                _close_frames(error)
                raise
            finally:
                changes.restore()
        finally:
            changes.restore()

    return run


def _close_frames(error):
    """Close what an interrupt has left half done, such as torch's own context managers.

    Otherwise they would close when the traceback is forgotten, and change settings then.
    """
    if isinstance(error, Exception):
        return  # they have closed, and the frames are of use to whoever looks for the cause
    seen: BaseException | None = error
    while seen is not None:
        traceback.clear_frames(seen.__traceback__)
        seen = seen.__context__


def _shared_settings(module):
    """Return those settings of the process that matter for a module."""
    settings = []
    if any(_is_recurrent_on_device(part) for part in module.modules()):
        settings.append(_RECURRENT)
    # By its name, for what has compiled nothing should not import the compiler.
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
        settings.append(_COMPILED)
    return tuple(settings)


def _is_recurrent_on_device(part):
    return isinstance(part, torch.nn.RNNBase) and any(p.is_cuda for p in part.parameters())


def usable(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor that may be kept for a backward pass: a copy of one of inference mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def usable_state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of those parameters and buffers that were made in inference mode."""
    state = [*module.named_parameters(), *module.named_buffers()]
    return {name: value.detach().clone() for name, value in state if value.is_inference()}
