"""One forward pass of a batch in which the uses of layers are noted, and their derivatives."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from .._layers import Layer
from .._tensors import derivatives
from ._base import Batch
from ._calls import catching, module_names
from ._capture import Capture, Use
from ._parts import FunctionParts, ModuleParts, ModuleUse, Parts, in_order


@dataclass
class Noted:
    """Uses of layers in one pass.

    Parameters
    ----------
    layers : sequence of Layer
        All layers of the module.
    raw : Tensor
        What the module returned.
    uses : dict of int to list of Use
        Calls of functions with parameters of a layer, by its index.
    of_modules : dict of int to list of (Tensor, Tensor)
        Uses of layers whose class has a closed form.
    strange : set of int
        Layers with parameters that went into other functions.
    """

    layers: Sequence[Layer]
    raw: torch.Tensor
    uses: dict[int, list[Use]]
    of_modules: dict[int, list[ModuleUse]]
    strange: set[int]

    def differentiate(self, weights: torch.Tensor, retain_graph: bool) -> None:
        """Put derivatives in the place of what left; uses in vain are dropped."""
        calls = list({id(use): use for uses in self.uses.values() for use in uses}.values())
        left = [use.left for use in calls]
        left += [z for uses in self.of_modules.values() for _, z in uses]
        found = iter(derivatives(self.raw, left, weights, retain_graph))
        known = {id(use): next(found) for use in calls}
        self.uses = {
            i: [u.with_derivative(d) for u in uses if (d := known[id(u)]) is not None]
            for i, uses in self.uses.items()
        }
        pairs = {i: [(a, next(found)) for a, _ in uses] for i, uses in self.of_modules.items()}
        self.of_modules = {
            i: [(a, d) for a, d in uses if d is not None] for i, uses in pairs.items()
        }

    def is_used(self, i: int) -> bool:
        """Whether a layer was used at all, as far as is known."""
        return bool(self.uses.get(i) or self.of_modules.get(i))

    def floats(self, i: int) -> int:
        """Return how many numbers are kept of the uses of a layer, with as many derivatives."""
        pairs = [(a.numel(), z.numel()) for a, z in self.of_modules.get(i, ())]
        pairs += [(use.inputs.numel(), use.n_left) for use in self.uses.get(i, ())]
        return sum(map(sum, pairs))

    def functions(self, i: int) -> list[str]:
        """Return the names of the closed forms that a layer is used in."""
        if i in self.of_modules:
            return [type(self.layers[i].module).__name__]
        return list(dict.fromkeys(use.form.name for use in self.uses.get(i, ())))

    def multiplications(self, i: int) -> float:
        """Return how many multiplications with the parameters of a layer the pass has taken.

        Where no form tells, each parameter counts once for each sample.
        """
        if i not in self.strange and self.uses.get(i):
            weighted = [(u, u.shapes[u.weight]) for u in self.uses[i] if u.weight is not None]
            return sum(
                (
                    u.form.multiplications(u.inputs.numel(), u.n_left, shape)
                    for u, shape in weighted
                ),
                start=0.0,
            )
        size = int(np.prod(self.layers[i].shape))
        if i in self.of_modules:
            # A place for each vector that leaves.
            q = self.layers[i].shape[1]
            return sum(size * max(z[0].numel() // q, 1) * len(z) for _, z in self.of_modules[i])
        return size * len(self.raw) if self.is_used(i) or i in self.strange else 0.0

    def magnitude(self, i: int) -> float:
        """Return a bound on what rounding is relative to, also where gradients cancel."""
        pairs = [*self.of_modules.get(i, ()), *((u.inputs, u.left) for u in self.uses.get(i, ()))]
        return sum(float(_norm(inputs) * _norm(delta)) for inputs, delta in pairs)

    def parts(self, i: int, n: int, order: str) -> Parts | None:
        """Return what the gradients of a layer are made of; None if they cannot be.

        Parameters
        ----------
        i : int
        n : int
            Number of samples.
        order : str
            How they lie along the axes.
        """
        if i in self.strange or not self.is_used(i):
            return None
        layer = self.layers[i]
        if i in self.of_modules:
            pairs = self.of_modules[i]
            fits = order == "samples first" and all(len(a) == n for a, _ in pairs)
            return ModuleParts(layer, pairs, n) if fits else None
        uses = [in_order(use, n, order) for use in self.uses[i]]
        known = [use for use in uses if use is not None]
        return FunctionParts(layer, known, n) if len(known) == len(uses) else None


def note(
    batch: Batch,
    layers: Sequence[Layer],
    indices: Sequence[int],
    leaves: dict[str, torch.Tensor] | None = None,
    differentiates: bool = True,
) -> Noted:
    """Run a batch forward, and note what some layers are used for.

    Parameters
    ----------
    batch : Batch
    layers : sequence of Layer
    indices : sequence of int
    leaves : dict of str to Tensor, default=None
        Stand in for parameters.
    differentiates : bool, default=True
        Whether derivatives will be taken; otherwise what left stands in their place, for its shape.
    """
    leaves = leaves or {}
    names = module_names(batch.module, layers, indices)
    by_functions = [i for i in indices if i not in names]
    owners = {name: i for i in by_functions for name in layers[i].parameters}
    parameters = {
        name: leaves.get(name, batch.state.get(name, value))
        for i in by_functions
        for name, value in layers[i].parameters.items()
    }
    capture = Capture(parameters, differentiates)
    run = batch.forward if differentiates else batch.run
    of_modules: dict[int, list[ModuleUse]] = {}
    if names:
        with catching(batch.twin, names) as of_modules, capture:
            raw = run(leaves, on_twin=True)
    else:
        with capture:
            raw = run(leaves)
    changed = [use for use in capture.uses if not use.is_intact]
    if changed:
        names = ", ".join(sorted(repr(name) for use in changed for name in use.names))
        raise RuntimeError(
            f"What entered {names} was changed in place afterwards, so that there is no gradient. "
            "Work in place on what leaves a layer only, or not at all."
        )
    uses: dict[int, list[Use]] = {i: [] for i in by_functions}
    for use in capture.uses:
        if any(_share(use.inputs, rows) for rows in batch.rows.tensors()):
            # The caller's own array, who may write into it before the gradients are made.
            use = replace(use, inputs=use.inputs.clone())
        for i in {owners[name] for name in use.names}:
            uses[i].append(use)
    return Noted(layers, raw, uses, of_modules, {owners[name] for name in capture.others})


def _share(some, others):
    return some.untyped_storage().data_ptr() == others.untyped_storage().data_ptr()


def _norm(x):
    # Of words each counts as one.
    return torch.linalg.vector_norm(x) if x.is_floating_point() else x.numel() ** 0.5
