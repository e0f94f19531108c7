"""What enters and leaves the functions that a module calls with its parameters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from inspect import getattr_static
from typing import Any

import torch
from torch.autograd.graph import get_gradient_edge
from torch.overrides import TorchFunctionMode

from .._modes import OPENED, opened
from ..forms import FunctionForm, function_form


def _getter(name: str) -> Any:
    """Return what torch passes to a mode when a property of a tensor is read."""
    return getattr_static(torch.Tensor, name).__get__


_TRANSPOSES = (torch.t, torch.Tensor.t, _getter("T"), _getter("mT"))
# The same numbers, of which nothing is differentiated.
_HARMLESS = (torch.Tensor.detach, _getter("data"))


@dataclass(frozen=True)
class Use:
    """One call of a function with a parameter.

    Parameters
    ----------
    form : FunctionForm
    inputs : Tensor
        What entered; a one, where there is no weight.
    left : Tensor or GradientEdge
        What left: the place of it in the graph of derivatives; later the derivative itself.
    weight, bias : str or None
        Names of parameters in the whole network.
    shapes : dict of str to torch.Size
        Of the parameters, as the function had them.
    options : object
    is_transposed : bool
        Whether the transpose of the weight was used.
    version : int
        Counts changes in place of what entered.
    n_left : int
        How many numbers left.
    """

    form: FunctionForm
    inputs: torch.Tensor
    left: Any
    weight: str | None
    bias: str | None
    shapes: dict[str, torch.Size]
    options: Any
    is_transposed: bool
    version: int
    n_left: int

    @property
    def is_intact(self) -> bool:
        """Whether what entered was not changed in place later."""
        return _version(self.inputs) == self.version

    def with_derivative(self, delta: torch.Tensor) -> "Use":
        """Return the use with the derivative with respect to what left."""
        return replace(self, left=delta)

    @property
    def names(self) -> set[str]:
        """Names of the parameters."""
        return set(self.shapes)


class Capture(TorchFunctionMode):
    """Notes all calls with parameters, in the thread that has entered it.

    No module is changed, and none has to call its layers as modules: functions are seen wherever
    they are called, also by subclasses with a ``forward`` of their own.

    Parameters
    ----------
    parameters : mapping of str to Tensor
        Those that are looked for, by name, as the module has them in this pass.
    differentiates : bool, default=True
        Whether derivatives will be taken with respect to what leaves; it is kept itself otherwise.

    Attributes
    ----------
    uses : list of Use
        Calls of functions with a closed form.
    others : set of str
        Names of parameters that went into other functions.
    last : dict of str to int
        When each parameter was used last.
    """

    def __init__(
        self,
        parameters: Mapping[str, torch.Tensor],
        differentiates: bool = True,
    ) -> None:
        super().__init__()
        self._names = {id(value): name for name, value in parameters.items()}
        # Transposed parameters, kept so that no other tensor gets their id.
        self._transposed: dict[int, tuple[str, torch.Tensor]] = {}
        self._differentiates, self._n_calls = differentiates, 0
        self.uses: list[Use] = []
        self.others: set[str] = set()
        self.last: dict[str, int] = {}

    def __torch_function__(
        self, func: Callable, types: Any, args: Any = (), kwargs: dict | None = None
    ) -> Any:
        """Call a function and note it, if a parameter is among what it is given."""
        kwargs = kwargs or {}
        found = {name for value in _tensors((args, kwargs)) if (name := self._name(value))}
        if not found:
            return func(*args, **kwargs)
        if func in OPENED:
            with self:
                return opened(func)(*args, **kwargs)
        out = func(*args, **kwargs)
        if not any(map(torch.is_tensor, _tensors((out,)))):
            return out  # a shape, or the like
        if func in _HARMLESS:
            return out
        if func in _TRANSPOSES and args[0].ndim == 2 and id(args[0]) in self._names:
            self._transposed[id(out)] = self._names[id(args[0])], out
            return out
        self._n_calls += 1
        self.last |= dict.fromkeys(found, self._n_calls)
        return self._note(func, args, kwargs, out, found)

    def _name(self, value):
        key = id(value)
        return self._names.get(key) or self._transposed.get(key, (None,))[0]

    def _note(self, func, args, kwargs, out, found):
        form = function_form(func)
        read = None if form is None else form.read(self._is_parameter, *args, **kwargs)
        if read is None or not torch.is_tensor(out) or not out.ndim:
            self.others |= found
            return out
        weight, bias = (None if v is None else self._name(v) for v in (read.weight, read.bias))
        is_transposed = id(read.weight) in self._transposed
        named = {weight: read.weight, bias: read.bias}
        shapes = {name: value.shape for name, value in named.items() if name is not None}
        if out.is_inference():
            self.others |= found  # it can have no derivative
            return out
        if set(shapes) != found or len(shapes) < (weight is not None) + (bias is not None):
            self.others |= found  # also in the place of something else, or as both
            return out
        out, left = self._leaving(out)
        # Of a shift nobody needs what it is added to, which may well change.
        inputs = out.new_ones(()) if weight is None else read.inputs.detach()
        self.uses.append(
            Use(
                form,
                inputs,
                left,
                weight,
                bias,
                shapes,
                read.options,
                is_transposed,
                _version(inputs),
                out.numel(),
            )
        )
        return out

    def _leaving(self, out):
        """Return what leaves, and its place in the graph of derivatives."""
        if not self._differentiates:
            return out, out.detach()
        if not out.requires_grad:
            # Returned as a copy, for what follows may work in place, which a leaf does not allow.
            leaf = out.detach().requires_grad_()
            return leaf.clone(), get_gradient_edge(leaf)
        # Work in place on a view would put another node in the place of its own.
        out = out.clone() if out._is_view() else out
        return out, get_gradient_edge(out)

    def _is_parameter(self, value):
        return self._name(value) is not None


def _version(tensor):
    # Of tensors of inference mode torch keeps no count.
    return 0 if tensor.is_inference() else tensor._version


def _tensors(items: Any) -> Iterator[Any]:
    """Yield all entries of nested lists, tuples and dicts."""
    for item in items.values() if isinstance(items, dict) else items:
        if isinstance(item, list | tuple | dict):
            yield from _tensors(item)
        else:
            yield item
