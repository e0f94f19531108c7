"""What one call of a module is given for a batch of samples, and the logits that it returns."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch.func import functional_call

# Arguments by position, and by name; what torch's transforms take for one argument.
Tree: TypeAlias = tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Inputs:
    """Tensors with an entry for each sample along their first axis.

    Parameters
    ----------
    args : tuple of Tensor
        Passed by position.
    kwargs : dict of str to Tensor, optional
        Passed by name.
    """

    args: tuple[torch.Tensor, ...]
    kwargs: dict[str, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(self.tensors()))

    def __getitem__(self, rows: Any) -> "Inputs":
        return self.map(lambda tensor: tensor[rows])

    def __iter__(self) -> Iterator[Tree]:
        """Yield the tensors of each sample, as transforms get them."""
        return (self[i].tree for i in range(len(self)))

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Inputs":
        """Return a function of each tensor."""
        return Inputs(
            tuple(map(function, self.args)),
            {name: function(tensor) for name, tensor in self.kwargs.items()},
        )

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield all tensors."""
        yield from self.args
        yield from self.kwargs.values()

    @property
    def tree(self) -> Tree:
        """The tensors, for transforms that take one sample of them."""
        return self.args, self.kwargs

    def describe(self) -> str:
        """Return shapes of a row, and precisions, in words."""
        return ", ".join(f"shape {tuple(x.shape[1:])} and {x.dtype}" for x in self.tensors())


def run(
    module: torch.nn.Module, inputs: Inputs, state: dict[str, torch.Tensor] | None = None
) -> Any:
    """Return the logits that a module returns, with other parameters if a state is given."""
    if state is None:
        return logits_of(module(*inputs.args, **inputs.kwargs))
    return logits_of(functional_call(module, state, inputs.args, inputs.kwargs))


def logits_of(returned: Any) -> Any:
    """Return the logits among what a module has returned; a tensor is taken for logits.

    Some libraries return a dict, or a record, with an entry ``logits``.
    """
    if torch.is_tensor(returned):
        return returned
    found = returned.get("logits") if isinstance(returned, Mapping) else None
    found = getattr(returned, "logits", None) if found is None else found
    return found if torch.is_tensor(found) else returned
