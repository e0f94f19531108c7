"""What an engine is: it gives the gradients of some layers for a batch of rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import torch

from ..._layers import LayerGradients
from .._inputs import Inputs, run
from .._layers import Layer
from .._settings import usable_state
from .._tensors import to_numpy
from .._twins import twin
from ._reference import Reference

if TYPE_CHECKING:
    from ._parts import Parts

Maker = Callable[[], LayerGradients]


class EngineFailure(RuntimeError):
    """An engine does not work for a module; the cause says why, and another one may be tried."""


class Batch:
    """Rows on their way through a module, with what the first forward pass says of their output.

    Parameters
    ----------
    module : torch.nn.Module
    rows : Inputs
    output : {"max", "logsumexp", "sum", "loss"} or int
    scalar : callable
        From what the module returns, the rows and the output to the scalars, the logits and the
        derivative of the scalars with respect to what is returned.

    Attributes
    ----------
    state : dict of str to Tensor
        Stands in for parameters and buffers that cannot be differentiated as they are.
    raw : Tensor of shape (n, n_outputs)
        What the module returns.
    values, logits : ndarray
    weights : Tensor of shape (n, n_outputs)
        Derivatives of the values with respect to what the module returns.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        rows: Inputs,
        output: str | int,
        scalar: Callable[..., tuple],
    ) -> None:
        self.module, self.rows, self.output, self._scalar = module, rows, output, scalar
        self.state = usable_state(module)
        self.raw: torch.Tensor
        self.values: np.ndarray
        self.logits: np.ndarray
        self._weights: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def twin(self) -> torch.nn.Module:
        """A copy of the module for this batch, to be changed in its place."""
        return twin(self.module)

    def run(self, parameters: dict[str, torch.Tensor], on_twin: bool = False) -> torch.Tensor:
        """Return what the module returns, with other parameters in the place of its own.

        The module itself is run only as it is: its twin has other parameters, or hooks.
        """
        state = {**self.state, **parameters}
        on_twin = on_twin or getattr(self.module, "needs_twin", False)
        if not state and not on_twin:
            return run(self.module, self.rows)
        return run(self.twin, self.rows, state)

    def forward(self, parameters: dict[str, torch.Tensor], on_twin: bool = False) -> torch.Tensor:
        """Return what the module returns, having taken the scalars from it the first time."""
        raw = self.run(parameters, on_twin)
        if self._weights is None:
            self.raw = raw.detach() if torch.is_tensor(raw) else raw
            self.values, self.logits, self._weights = self._scalar(raw, self.rows, self.output)
        return raw

    def complete(self) -> None:
        """Run a forward pass if there was none."""
        if self._weights is None:
            with torch.no_grad():
                self.forward({})

    @property
    def weights(self) -> torch.Tensor:
        """Derivatives of the scalars, from a forward pass of their own if there was none."""
        self.complete()
        return cast(torch.Tensor, self._weights)

    def codes_of(self, delta: np.ndarray) -> np.ndarray | None:
        """Return numbers that are equal where rows of delta are, or None if there are none known.

        At the head the largest logit has one derivative for each class.
        """
        is_head = self.output == "max" and np.array_equal(delta, to_numpy(self.weights))
        return self.logits.argmax(axis=1) if is_head else None


class Engine(ABC):
    """A way to compute the gradients of layers for each row of a batch.

    A subclass has a ``name``, is decorated with :func:`register`, and implements :meth:`makers`. It
    is run with gradients on. Other threads may run the module meanwhile, so whatever changes it is
    for the twin of the batch.

    Parameters
    ----------
    module : torch.nn.Module
    layers : sequence of Layer
        All layers of the module; those that are asked for come by index.

    Attributes
    ----------
    name : str
        The value of ``engine``.
    rank : float or None
        Its place in ``engine="auto"``, where a layer goes to the first engine that takes it; None
        for an engine that is used only if asked for.
    note : str
        What ``engine="auto"`` warns of, once, when it uses this engine; empty for nothing.
    uses_forms : bool
        Whether gradients follow from closed forms.
    """

    name: ClassVar[str]
    rank: ClassVar[float | None] = None
    note: ClassVar[str] = ""
    uses_forms: ClassVar[bool] = False

    def __init__(self, module: torch.nn.Module, layers: Sequence[Layer]) -> None:
        self.module, self.layers = module, layers
        self._probed: set[int] = set()

    def takes(self, i: int) -> bool:
        """Whether a layer is one for this engine, as far as it knows by now."""
        return True

    def foresees(self, i: int, parts: "Parts | None") -> bool:
        """Whether a layer is expected to be one for this engine.

        Parameters
        ----------
        i : int
        parts : Parts or None
            What its gradients are made of by closed forms; None if they are not.
        """
        return self.takes(i)

    @abstractmethod
    def makers(self, batch: Batch, indices: Sequence[int]) -> dict[int, Maker]:
        """Return for each layer, by its index, a function without arguments that gives gradients.

        A layer that turns out not to be for this engine is left out, and :meth:`takes` says so
        from then on.

        Raises
        ------
        EngineFailure
            If the engine does not work for this module.
        ValueError
            If the output does not depend on a layer.
        """

    def floats_per_row(self, batch: Batch, indices: Sequence[int]) -> int:
        """Return how many numbers the gradients of these layers take for a row."""
        return 2 * sum(int(np.prod(self.layers[i].shape)) for i in indices)

    def refusal(self, names: Sequence[str]) -> str:
        """Return what to tell about layers that this engine, asked for by name, does not take."""
        return (
            f"engine={self.name!r} does not work for {', '.join(map(repr, names))}. "
            "Use engine='auto'."
        )

    def probe(self, batch: Batch, indices: Sequence[int]) -> None:
        """Make sure, when layers come for the first time, that the output depends on them.

        An engine that differentiates cannot tell a gradient that is zero from one that was lost.
        """
        new = [i for i in indices if i not in self._probed]
        if not new:
            return
        reference = Reference(self.layers, new)
        raw = batch.forward(reference.leaves)
        reference.differentiate(raw, batch.weights)
        self._probed.update(new)
