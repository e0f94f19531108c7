"""Gradients of one layer from its uses: places, matrices, or one product for each sample."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch

from .._layers import Layer
from ..forms import ClosedForm
from ._capture import Use

# How samples lie along the axes of what enters: before places, or after them.
ORDERS = ("samples first", "places first")
# What entered a module, and what left it or the derivative with respect to that.
ModuleUse = tuple[torch.Tensor, torch.Tensor]
Factors = tuple[torch.Tensor, torch.Tensor]


class Parts(ABC):
    """What the gradients of one layer are made of, for n samples.

    Attributes
    ----------
    is_rank_one : bool
        Whether it was used once, as a dense layer, on one vector for each sample.
    n_places : int or None
        Outer products in the gradient of a sample; None if it is not a sum of such.
    """

    is_rank_one: bool
    n_places: int | None

    @abstractmethod
    def factors(self) -> Factors:
        """Return (n, n_places, p) and (n, n_places, q), whose products make the gradients."""

    @abstractmethod
    def matrices(self, rows: slice) -> torch.Tensor:
        """Return the gradients of some samples, (n, p, q)."""


class FunctionParts(Parts):
    """From calls of functions.

    Parameters
    ----------
    layer : Layer
    uses : sequence of Use
        With derivatives, and samples first: n or multiples of it.
    n : int
    """

    def __init__(self, layer: Layer, uses: Sequence[Use], n: int) -> None:
        self._layer, self._uses, self._n = layer, uses, n
        first = uses[0]
        self.is_rank_one = (
            len(uses) == 1
            and first.weight is not None
            and first.form.is_dense
            and first.inputs.ndim == 2
            and len(first.inputs) == n
            and first.names == set(layer.parameters)
            and not first.is_transposed
        )
        self.n_places = None
        if all(map(self._has_factors, uses)):
            self.n_places = sum(len(u.left) // n * u.form.n_places(u.left) for u in uses)

    def _has_factors(self, use):
        names = self._layer.parameters
        if use.weight not in names or not use.form.has_factors(use.options):
            return False
        if self._layer.layout == "rows":
            return len(names) == 1
        return self._layer.layout == "stack" and not (use.is_transposed and use.bias in names)

    def factors(self) -> Factors:
        """Return inputs with a one for the bias, and deltas, place by place."""
        pairs = [self._factors(use) for use in self._uses]
        return cast(Factors, tuple(_joined(x, 1) for x in zip(*pairs, strict=True)))

    def _factors(self, use):
        pair = use.form.outer(use.inputs, use.left, use.shapes[use.weight], use.options)
        left, right = (x.reshape(self._n, -1, x.shape[2]) for x in pair)
        if use.is_transposed:
            left, right = right, left
        if self._layer.layout == "rows":
            return left, right
        # A column for each row of the other parameters: they are used here, or not.
        columns = []
        for name, value in self._layer.parameters.items():
            if name == use.weight:
                columns.append(right)
            else:
                new = right.new_ones if name == use.bias else right.new_zeros
                columns.append(new(*left.shape[:2], value.numel() // left.shape[2]))
        return _joined(columns, 2), left

    def matrices(self, rows: slice) -> torch.Tensor:
        """Return the gradients of some samples, (n, p, q)."""
        totals: dict[str, torch.Tensor] = {}
        for use in self._uses:
            times = len(use.left) // self._n
            some = slice(rows.start * times, rows.stop * times)
            inputs, delta = use.inputs[some], use.left[some]
            for name, gradient in self._each(use, inputs, delta):
                if times > 1:
                    gradient = gradient.unflatten(0, (-1, times)).sum(dim=1)
                totals[name] = totals[name] + gradient if name in totals else gradient
        like = next(iter(totals.values()))
        return self._layer.matrix(
            [
                totals[name] if name in totals else like.new_zeros(len(like), *value.shape)
                for name, value in self._layer.parameters.items()
            ]
        )

    def _each(self, use, inputs, delta):
        """Yield the names of parameters and their gradients."""
        if use.weight in self._layer.parameters:
            shape = use.shapes[use.weight]
            found = use.form.weight(inputs, delta, shape, use.options)
            yield use.weight, found.swapaxes(1, 2) if use.is_transposed else found
        if use.bias in self._layer.parameters:
            yield use.bias, use.form.bias(delta, use.shapes[use.bias])


class ModuleParts(Parts):
    """From uses of a module whose class has a closed form.

    Parameters
    ----------
    layer : Layer
    uses : sequence of (Tensor, Tensor)
    n : int
    """

    def __init__(self, layer: Layer, uses: Sequence[ModuleUse], n: int) -> None:
        self._uses, self._module = uses, layer.module
        self._form = cast(ClosedForm, layer.form)
        is_sum = self._form.places is not None
        self.is_rank_one = layer.is_dense and is_sum and len(uses) == 1 and uses[0][0].ndim == 2
        self.n_places = None
        if is_sum:
            self.n_places = sum(delta[0].numel() for _, delta in uses) // layer.shape[1]

    def factors(self) -> Factors:
        """Return what the form says, place by place."""
        places = self._form.places
        assert places is not None
        pairs = [places(self._module, inputs, delta) for inputs, delta in self._uses]
        return cast(Factors, tuple(_joined(x, 1) for x in zip(*pairs, strict=True)))

    def matrices(self, rows: slice) -> torch.Tensor:
        """Return the gradients of some samples, (n, p, q)."""
        found = [self._form.matrix(self._module, a[rows], d[rows]) for a, d in self._uses]
        return sum(found[1:], start=found[0])


def in_order(use: Use, n: int, order: str) -> Use | None:
    """Return a use with samples along the first axis, n or a multiple; None where they cannot be.

    Parameters
    ----------
    use : Use
        With a derivative.
    n : int
        Number of samples.
    order : str
        One of ``ORDERS``.
    """
    delta = use.left
    # What is added to a parameter has no part in its derivative.
    inputs = delta if use.weight is None else use.inputs
    if not delta.ndim or not inputs.ndim or len(inputs) != len(delta):
        return None
    if order == "places first":
        if use.form.has_channels_last and delta.ndim > 2 and delta.shape[1] == n:
            inputs, delta = (x.swapaxes(0, 1) for x in (inputs, delta))
        elif len(delta) > n and len(delta) % n == 0:
            inputs, delta = (_samples_first(x, n) for x in (inputs, delta))
        else:
            return None
    if len(delta) % n:
        return None
    return replace(use, inputs=inputs, left=delta)


def _samples_first(x, n):
    return x.unflatten(0, (-1, n)).swapaxes(0, 1).flatten(0, 1)


def _joined(tensors, dim):
    return tensors[0] if len(tensors) == 1 else torch.cat(tuple(tensors), dim=dim)
