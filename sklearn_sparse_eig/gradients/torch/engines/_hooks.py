"""Closed forms from what enters and leaves the functions that a module calls, in one pass."""

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import torch

from ..._factors import LayerFactors
from ..._layers import LayerGradients
from ..._matrices import LayerMatrices
from ..._places import LayerPlaces, are_few
from .._layers import Layer
from .._settings import in_full_precision
from .._tensors import to_numpy
from ._base import Batch, Engine, Maker
from ._parts import ORDERS, Parts
from ._passes import Noted, note
from ._reference import Reference
from ._registry import register

# Largest difference between closed forms and automatic differentiation that is rounding; single
# precision includes the shortened products of some accelerators.
_TOLERANCES = {torch.float32: 2e-2, torch.float64: 1e-6}
# Multiples of the precision, relative to products of all that enters and all derivatives.
_ROUNDING = 4.0
# Floats of patches and deltas, or of their products, at a time (64 MB).
_BLOCK = 2**24


@register
class HooksEngine(Engine):
    """One forward and one backward pass; compared with automatic differentiation when it starts.

    Calls of functions such as ``F.linear`` are noted with the parameters that they are given,
    whichever module calls them. Only layers whose class has a registered form are caught by hooks.
    """

    name = "hooks"
    rank = 0.0
    uses_forms = True

    def __init__(self, module: torch.nn.Module, layers: Sequence[Layer]) -> None:
        super().__init__(module, layers)
        # Layers without a closed form, and for those for which it was compared and holds, how
        # samples lie along the axes of what enters.
        self._unseen: set[int] = set()
        self._orders: dict[int, str] = {}

    def takes(self, i: int) -> bool:
        """Whether the layer has a closed form that holds, as far as is known."""
        return i not in self._unseen

    def foresees(self, i: int, parts: Parts | None) -> bool:
        """Whether there are closed forms for the layer, as far as is known."""
        return parts is not None and self.takes(i)

    def makers(self, batch: Batch, indices: Sequence[int]) -> dict[int, Maker]:
        """Return makers for the layers whose closed form holds in this module."""
        new = [i for i in indices if i not in self._orders]
        # Compared once, on rows that can be told apart.
        reference = Reference(self.layers, new)
        noted = note(batch, self.layers, indices, reference.leaves)
        noted.differentiate(batch.weights, retain_graph=bool(reference.leaves))
        reference.differentiate(noted.raw, batch.weights)
        known = [i for i in indices if i in self._orders]
        self._refuse_changes(noted, known)
        makers: dict[int, Maker] = {}
        for i in known:
            parts = noted.parts(i, len(batch), self._orders[i])
            if parts is None:
                raise ValueError(_describe_change(self.layers[i].name))
            makers[i] = partial(_make, self.layers[i], parts, batch)
        for i in new:
            maker = self._compared(i, noted, reference, batch)
            if maker is not None:
                makers[i] = maker
        # For good: the form of its gradients must not change from batch to batch.
        self._unseen.update(set(new) - set(makers))
        return makers

    def _compared(self, i, noted, reference, batch):
        """Return the maker of a layer in an order of its samples that gives the right sum."""
        for order in ORDERS:
            parts = noted.parts(i, len(batch), order)
            if parts is None:
                continue
            maker = partial(_make, self.layers[i], parts, batch)
            if _agrees(maker(), reference, i, batch, noted.magnitude(i)):
                if len(batch) > 1:
                    self._orders[i] = order
                return maker
        return None

    def _refuse_changes(self, noted: Noted, known: Iterable[int]) -> None:
        silent = [self.layers[i].name for i in known if not noted.is_used(i)]
        if silent:
            raise ValueError(
                f"The logits of a batch do not depend on layer {', '.join(map(repr, silent))}, "
                "though those of an earlier batch did. Leave it out by params, or give "
                "TorchNetwork(module, engine='loop'), which goes its own way for each sample."
            )

    def floats_per_row(self, batch: Batch, indices: Sequence[int]) -> int:
        """Return what is caught of a row, and what the largest layer takes in turn."""
        with torch.no_grad():
            noted = note(batch, self.layers, indices, differentiates=False)
        floats = largest = 0
        for i in indices:
            layer, size = self.layers[i], int(np.prod(self.layers[i].shape))
            floats += noted.floats(i) // len(batch)
            parts = noted.parts(i, len(batch), self._orders.get(i, ORDERS[0]))
            if parts is None:
                floats += 2 * size
            elif not parts.is_rank_one:
                # Matrices, and what they are made of, before and after whitening.
                few = (parts.n_places or 0) * sum(layer.shape) if _are_few(layer, parts) else 0
                largest = max(largest, 3 * size + 2 * few)
        return floats + largest

    def refusal(self, names: Sequence[str]) -> str:
        """Return why layers have no closed form in this module."""
        return (
            f"engine='hooks' does not work for {', '.join(map(repr, names))}: no closed form "
            "is known, parameters go into other functions too, or the axis of samples in what "
            "enters cannot be told. Use engine='auto'."
        )


def _agrees(made, reference, i, batch, magnitude):
    """Whether the weighted sum of gradients is the one that automatic differentiation gives."""
    right, weighing = reference.matrix(i), to_numpy(reference.weighing(batch.weights))
    scale = max(np.linalg.norm(right), np.sqrt(made.squared_norms().sum()))
    error = np.linalg.norm(made.weighted_sum(weighing) - right)
    dtype = batch.weights.dtype
    # Gradients that cancel, as of a shift before a normalisation, consist of rounding alone.
    return error <= _TOLERANCES[dtype] * scale + _ROUNDING * torch.finfo(dtype).eps * magnitude


def _describe_change(name):
    return (
        f"Layer {name!r} is used in another way in a batch than in an earlier one, so that its "
        "gradients have another form. Leave it out by params, or give TorchNetwork(module, "
        "engine='loop')."
    )


# ------------------------------------------------------------------ how gradients are kept


def _are_few(layer, parts):
    return parts.n_places is not None and are_few(parts.n_places, *layer.shape)


def _make(layer: Layer, parts: Parts, batch: Batch) -> LayerGradients:
    """Return the gradients of a layer, as what takes the fewest products."""
    # Called whenever the layer is asked for, under whatever settings the caller has then.
    return in_full_precision(_made, layer, parts, batch)


def _made(layer, parts, batch):
    if parts.is_rank_one:
        inputs, delta = (to_numpy(x[:, 0]) for x in parts.factors())
        return LayerFactors(inputs, delta, batch.codes_of(delta))
    if _are_few(layer, parts):
        return LayerPlaces(*map(to_numpy, parts.factors()))
    return LayerMatrices(_matrices(layer, parts, len(batch)), layer.has_separate_outputs)


def _matrices(layer, parts, n):
    floats = max(int(np.prod(layer.shape)), (parts.n_places or 0) * sum(layer.shape))
    step = max(1, _BLOCK // floats)
    if step >= n:
        return to_numpy(parts.matrices(slice(0, n)))
    out = None
    for start in range(0, n, step):
        stop = min(start + step, n)
        block = to_numpy(parts.matrices(slice(start, stop)))
        out = np.empty((n, *layer.shape), block.dtype) if out is None else out
        out[start:stop] = block
    return out
