"""Closed forms from what enters and leaves each layer, caught by hooks in one forward pass."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from ..._factors import LayerFactors
from ..._layers import LayerGradients
from ..._matrices import LayerMatrices
from ..._places import LayerPlaces, are_few
from .._layers import Layer
from .._settings import in_full_precision
from .._tensors import derivatives, to_numpy
from ._base import Batch, Engine, Maker
from ._calls import Use, catching, has_rank_one
from ._reference import Reference
from ._registry import register

# Largest difference between hooks and automatic differentiation that is rounding; single
# precision includes the shortened products of some accelerators.
_TOLERANCES = {torch.float32: 2e-2, torch.float64: 1e-6}
# Floats of patches and deltas, or of their products, at a time (64 MB).
_BLOCK = 2**24


@register
class HooksEngine(Engine):
    """One forward and one backward pass; compared with automatic differentiation when it starts."""

    name = "hooks"
    rank = 0.0

    def __init__(self, module: torch.nn.Module, layers: Sequence[Layer]) -> None:
        super().__init__(module, layers)
        # Layers without a closed form, and those for which it was compared and holds.
        self._unseen = {i for i, layer in enumerate(layers) if layer.form is None}
        self._checked: set[int] = set()

    def takes(self, i: int) -> bool:
        """Whether the layer has a closed form that holds, as far as is known."""
        return i not in self._unseen

    def makers(self, batch: Batch, indices: Sequence[int]) -> dict[int, Maker]:
        """Return makers for the layers whose closed form holds in this module."""
        # Compared once, on rows that can be told apart.
        reference = Reference(self.layers, [i for i in indices if i not in self._checked])
        with catching(self.layers, indices) as calls:
            raw = batch.forward(reference.leaves)
        caught = [z for i in indices for _, z in calls[i]]
        deltas = iter(derivatives(raw, caught, batch.weights, bool(reference.leaves)))
        found = {i: [(a, next(deltas)) for a, _ in calls[i]] for i in indices}
        uses: dict[int, list[Use]] = {
            i: [(a, delta) for a, delta in found[i] if delta is not None] for i in indices
        }
        reference.differentiate(raw, batch.weights)
        self._refuse_silent([i for i in self._checked if i in uses and not uses[i]])
        makers: dict[int, Maker] = {
            i: partial(_make, self.layers[i], uses[i], batch)
            for i in indices
            if uses[i] and all(len(a) == len(batch) for a, _ in uses[i])
        }
        for i in [i for i in makers if i not in self._checked]:
            if not _agrees(makers[i](), reference, i, batch):
                del makers[i]
            elif len(batch) > 1:
                self._checked.add(i)
        # For good: the form of its gradients must not change from batch to batch.
        self._unseen.update(set(indices) - set(makers))
        return makers

    def _refuse_silent(self, silent):
        if silent:
            names = ", ".join(repr(self.layers[i].name) for i in silent)
            raise ValueError(
                f"The logits of a batch do not depend on layer {names}, though those of an earlier "
                "batch did. Leave it out by params, or give TorchNetwork(module, engine='loop'), "
                "which goes its own way for each sample."
            )

    def floats_per_row(self, batch: Batch, indices: Sequence[int]) -> int:
        """Return what is caught of a row, and what the largest layer takes in turn."""
        with torch.no_grad(), catching(self.layers, indices) as calls:
            batch.run({})
        floats = largest = 0
        for i, uses in calls.items():
            layer = self.layers[i]
            floats += sum(a.numel() + z.numel() for a, z in uses) // len(batch)
            if not has_rank_one(layer, uses):
                # Matrices, and what they are made of, before and after whitening.
                few = _n_places(layer, uses) * sum(layer.shape) if _are_few(layer, uses) else 0
                largest = max(largest, 3 * int(np.prod(layer.shape)) + 2 * few)
        return floats + largest

    def refusal(self, names: Sequence[str]) -> str:
        """Return why layers have no closed form in this module."""
        return (
            f"engine='hooks' does not work for {', '.join(map(repr, names))}: no closed form "
            "is known, parameters are used elsewhere too, or the first axis of what enters is "
            "not that of the samples. Use engine='auto'."
        )


def _agrees(made, reference, i, batch):
    """Whether the weighted sum of gradients is the one that automatic differentiation gives."""
    right, weighing = reference.matrix(i), to_numpy(reference.weighing(batch.weights))
    scale = max(np.linalg.norm(right), np.sqrt(made.squared_norms().sum()))
    error = np.linalg.norm(made.weighted_sum(weighing) - right)
    return error <= _TOLERANCES[batch.weights.dtype] * scale


# ------------------------------------------------------------------ how gradients are kept


def _n_places(layer, uses):
    return sum(delta[0].numel() for _, delta in uses) // layer.shape[1]


def _are_few(layer, uses):
    return layer.form.places is not None and are_few(_n_places(layer, uses), *layer.shape)


def _make(layer: Layer, uses: Sequence[Use], batch: Batch) -> LayerGradients:
    """Return the gradients of a layer from its uses, as what takes the fewest products."""
    # Called whenever the layer is asked for, under whatever settings the caller has then.
    with in_full_precision():
        if has_rank_one(layer, uses):
            return _factors(layer, uses, batch)
        return _by_places(layer, uses) if _are_few(layer, uses) else _matrices(layer, uses)


def _factors(layer, uses, batch):
    inputs, delta = (to_numpy(x[:, 0]) for x in layer.form.places(layer.module, *uses[0]))
    return LayerFactors(inputs, delta, batch.codes_of(delta))


def _by_places(layer, uses):
    pairs = [layer.form.places(layer.module, inputs, delta) for inputs, delta in uses]
    return LayerPlaces(*(to_numpy(torch.cat(x, dim=1)) for x in zip(*pairs, strict=True)))


def _matrices(layer, uses):
    n, floats = len(uses[0][1]), int(np.prod(layer.shape))
    out = np.zeros((n, *layer.shape), to_numpy(uses[0][1][:0]).dtype)
    if layer.form.places is not None:
        floats = max(floats, _n_places(layer, uses) * sum(layer.shape))
    step = max(1, _BLOCK // floats)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        for inputs, delta in uses:
            out[rows] += to_numpy(layer.form.matrix(layer.module, inputs[rows], delta[rows]))
    return LayerMatrices(out)
