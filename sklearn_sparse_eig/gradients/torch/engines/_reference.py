"""The gradient of one weighted sum over samples by automatic differentiation, to compare with."""

from collections.abc import Sequence

import numpy as np
import torch

from .._layers import Layer
from .._settings import usable
from .._tensors import derivatives, to_numpy


class Reference:
    """Derivatives with respect to some layers of a sum over samples, whose weights differ.

    They differ so that it matters which sample a gradient is taken to be of.

    Parameters
    ----------
    layers : sequence of Layer
        All layers of a module.
    indices : sequence of int
        Those to differentiate by.

    Attributes
    ----------
    leaves : dict of str to Tensor
        Stand in for the parameters, in the forward pass that is differentiated.
    """

    def __init__(self, layers: Sequence[Layer], indices: Sequence[int]) -> None:
        self._layers, self._indices = layers, tuple(indices)
        self.leaves = {
            name: usable(value.detach()).requires_grad_()
            for i in indices
            for name, value in layers[i].parameters.items()
        }
        self._found: dict[str, torch.Tensor | None] = {}

    def differentiate(self, raw: torch.Tensor, weights: torch.Tensor) -> None:
        """Take the derivatives of what the module returned.

        Raises
        ------
        ValueError
            If it does not depend on a layer, so that its gradient would be taken for zero.
        """
        if not self.leaves:
            return
        weighing = self.weighing(weights)[:, None]
        found = derivatives(raw, list(self.leaves.values()), weights * weighing)
        self._found = dict(zip(self.leaves, found, strict=True))
        idle = [i for i in self._indices if self._is_idle(i)]
        if idle:
            raise ValueError(describe_idle([layer.name for layer in self._layers], idle))

    def _is_idle(self, i):
        return all(self._found[name] is None for name in self._layers[i].parameters)

    @staticmethod
    def weighing(weights: torch.Tensor) -> torch.Tensor:
        """Return the weight of each sample, (n,)."""
        return torch.linspace(0.5, 1.5, len(weights)).to(weights)

    def matrix(self, i: int) -> np.ndarray:
        """Return the gradient of the sum with respect to a layer, (p, q)."""
        layer = self._layers[i]
        parts = [
            torch.zeros_like(value) if (found := self._found[name]) is None else found
            for name, value in layer.parameters.items()
        ]
        return to_numpy(layer.matrix([part[None] for part in parts]))[0]


def describe_idle(names: Sequence[str], idle: Sequence[int]) -> str:
    """Return what to tell about layers, by index, that the logits do not depend on."""
    lost = ", ".join(repr(names[i]) for i in idle)
    used = [name for i, name in enumerate(names) if i not in idle]
    what = f"The logits do not depend on layer{'s' * (len(idle) > 1)} {lost}. "
    if used:
        return f"{what}Leave out what is not used: params={used!r}."
    return (
        f"{what}Its forward method turns gradients off (torch.no_grad, torch.inference_mode or "
        "detach): give a module whose forward method does not."
    )
