"""Closed forms of gradients by the function that a module calls with its parameters."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch

IsParameter = Callable[[Any], bool]


@dataclass(frozen=True)
class Reading:
    """What one call of a function was given.

    Parameters
    ----------
    inputs : Tensor
        What enters, the samples along its first axis.
    weight, bias : Tensor or None
        Parameters, if any.
    options : object, default=None
        Whatever else the form needs.
    """

    inputs: torch.Tensor
    weight: torch.Tensor | None
    bias: torch.Tensor | None
    options: Any = None


class FunctionForm(ABC):
    """How gradients of the parameters of a function follow from what enters and leaves it.

    A subclass is decorated with :func:`register_function`. It implements :meth:`read` and either
    :meth:`outer` or :meth:`weight`. Arrays come with N entries along their first axis: samples, or
    places of samples where these were flattened into one axis.

    Attributes
    ----------
    is_dense : bool
        Whether it is a dense layer, with one place for each vector.
    has_channels_last : bool
        Whether channels are the last axis of what enters and leaves, so that all axes before are
        places; otherwise they are the second one.
    """

    is_dense: ClassVar[bool] = False
    has_channels_last: ClassVar[bool] = True

    @abstractmethod
    def read(self, is_parameter: IsParameter, *args: Any, **kwargs: Any) -> Reading | None:
        """Return what a call is given; None for a call to which the form does not apply."""

    def has_factors(self, options: Any) -> bool:
        """Whether the gradient of the weight is a sum over places of products of :meth:`outer`."""
        return False

    def outer(
        self, inputs: torch.Tensor, delta: torch.Tensor, shape: torch.Size, options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (N, T, a) and (N, T, b): factors for the first axis of the weight and the rest.

        Called only where :meth:`has_factors` is true, so forms without factors leave it out.
        """
        raise NotImplementedError(f"{type(self).__name__} has no factors.")

    @property
    def name(self) -> str:
        """What it is called where layers are listed."""
        return type(self).__name__.removesuffix("Form").lower()

    def multiplications(self, n_entered: int, n_left: int, shape: torch.Size) -> float:
        """Return how many multiplications with the weight a call takes: one for what leaves.

        Parameters
        ----------
        n_entered, n_left : int
            How many numbers enter and leave.
        shape : torch.Size
            Of the weight, as the function gets it.
        """
        return n_left

    def n_places(self, delta: torch.Tensor) -> int:
        """Return T for one entry along the first axis."""
        return delta[0].numel() // delta.shape[-1 if self.has_channels_last else 1]

    def weight(
        self, inputs: torch.Tensor, delta: torch.Tensor, shape: torch.Size, options: Any
    ) -> torch.Tensor:
        """Return the gradients of a weight of some shape, (N, *shape)."""
        left, right = self.outer(inputs, delta, shape, options)
        return (left.swapaxes(1, 2) @ right).reshape(len(delta), *shape)

    def bias(self, delta: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Return the gradients of a bias of some shape, (N, *shape)."""
        if self.has_channels_last:
            return delta.reshape(len(delta), -1, *shape).sum(dim=1)
        return delta.flatten(2).sum(dim=2) if delta.ndim > 2 else delta


_FUNCTIONS: dict[Callable, FunctionForm] = {}


Maker = TypeVar("Maker", bound=Callable[[], FunctionForm])


def register_function(*functions: Callable) -> Callable[[Maker], Maker]:
    """Make a form known for some functions of torch: a class decorator."""

    def register(make):
        _FUNCTIONS.update(dict.fromkeys(functions, make()))
        return make

    return register


def function_form(function: Callable) -> FunctionForm | None:
    """Return the closed form of a function, None if none is known."""
    return _FUNCTIONS.get(function)
