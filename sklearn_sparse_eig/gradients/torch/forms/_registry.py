"""Closed forms of the gradients of layers by the class of the layer, and how these are laid out.

For classes whose ``forward`` does not call functions that have a closed form themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class ClosedForm:
    """How the gradient of a kind of layer follows from what enters it and leaves it.

    Parameters
    ----------
    kind : type
        Class of the module.
    matrix : callable
        ``(module, inputs, delta) -> (n, p, q)`` for one use of the module: inputs by outputs, as
        its layout says.
    places : callable or None
        ``(module, inputs, delta) -> (n, n_places, p), (n, n_places, q)``, if the gradient is the
        sum over places of their outer products.
    applies : callable
        Whether it holds for a module of that class, as it was configured.
    parameters : tuple of str
        Names of parameters that the module must own: not computed from others.
    """

    kind: type[nn.Module]
    matrix: Callable
    places: Callable | None
    applies: Callable[[Any], bool]
    parameters: tuple[str, ...]


_FORMS: list[ClosedForm] = []
_LAYOUTS: dict[type[nn.Module], str] = {}


def _always(module: nn.Module) -> bool:
    return True


def closed_form(
    *kinds: type[nn.Module],
    layout: str | None = None,
    applies: Callable[[Any], bool] = _always,
    parameters: tuple[str, ...] = ("weight",),
) -> Callable[[Callable], Callable]:
    """Decorate a function ``(module, inputs, delta) -> (n, p, q)``.

    Parameters
    ----------
    *kinds : type
        Classes of modules. A subclass with a ``forward`` of its own is another kind.
    layout : {"stack", "rows", "channels", "column"} or None, default=None
        How parameters form a matrix, as in :class:`Layer`; None for what their shapes say.
    applies : callable, optional
        Whether it holds for a module of these classes, as it was configured.
    parameters : tuple of str, default=("weight",)
        Parameters that the module must own, for the form to hold.
    """

    def register(function):
        for kind in kinds:
            if layout is not None:
                _LAYOUTS[kind] = layout
            _FORMS.append(ClosedForm(kind, function, None, applies, parameters))
        return function

    return register


def sum_over_places(
    *kinds: type[nn.Module],
    applies: Callable[[Any], bool] = _always,
    parameters: tuple[str, ...] = ("weight",),
) -> Callable[[Callable], Callable]:
    """Decorate a function ``(module, inputs, delta) -> (n, n_places, p), (n, n_places, q)``.

    The gradient of sample i is ``first[i].T @ second[i]``, the bias as its last row.
    """

    def register(function):
        def matrix(module, inputs, delta):
            inputs, delta = function(module, inputs, delta)
            return inputs.swapaxes(1, 2) @ delta

        _FORMS.extend(ClosedForm(kind, matrix, function, applies, parameters) for kind in kinds)
        return function

    return register


def find_form(module: nn.Module) -> ClosedForm | None:
    """Return the closed form of a module, None if none is known."""
    for form in reversed(_FORMS):
        # Not only of that class: what it computes must be the same.
        same = isinstance(module, form.kind) and type(module).forward is form.kind.forward
        owns = all(module._parameters.get(name) is not None for name in form.parameters)
        if same and owns and form.applies(module):
            return form
    return None


def register_layout(layout: str, *kinds: type[nn.Module]) -> None:
    """Say how the parameters of modules form a matrix, as in :class:`Layer`."""
    _LAYOUTS.update(dict.fromkeys(kinds, layout))


def registered_layout(module: nn.Module) -> str | None:
    """Return the layout that was registered for the class of a module."""
    return next((_LAYOUTS[kind] for kind in type(module).__mro__ if kind in _LAYOUTS), None)
