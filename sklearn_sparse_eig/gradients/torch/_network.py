"""Torch modules as networks: engines give the gradients of their layers.

Imported only when a torch module is given.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..._base.batches import BATCH_BYTES
from ..._base.locks import locks_of
from ..._base.messages import warn_user
from .._choices import OutputName
from .._gradients import Gradients
from .._lazy import LazyLayers
from .._network import Network
from .._outline import Outline
from .._outputs import scalar_output
from ._features import Features
from ._inputs import run
from ._layers import find_layers
from ._modules import check_mode, in_single, plain_module
from ._order import execution_order
from ._outline import outline_layers
from ._outputs import check_output, warn_if_no_logits
from ._rows import RowReader
from ._settings import differentiable, usable
from ._tensors import to_numpy
from ._twins import is_copyable, twin
from .engines import Batch, EngineFailure, make_engines

# A batch has at least so many rows, unless their gradients are more numbers than that (200 MB in
# single precision); and so many then, for products with fewer rows take longer.
_LEAST_ROWS, _LARGEST_BATCH, _FEWEST_ROWS = 16, 3 * 2**24, 4
# What torch says of rows of the wrong shape, for which it has no exception of their own.
_MISFIT = ("shape", "size", "dimension", "channels")


class TorchNetwork(Network):
    """A ``torch.nn.Module`` from inputs to logits.

    All its parameters count, whether they require a gradient or not; those of one module are a
    layer of its name. Each parameter is in one layer, with the sum over all its uses.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode. Of one in half precision a copy in float32 is used. What
        ``torch.compile`` or ``DataParallel`` made of a module stands for that module.
    classes : ndarray, default=None
        Labels of the logits; None for 0, 1, ..., as many as the last ``Linear`` layer or
        convolution has outputs. A single logit f has the labels 0 and 1, with the logits -f/2 and
        f/2.
    engine : {"auto", "hooks", "vmap", "loop"}, default="auto"
        How gradients are computed, to the same values. ``"hooks"``: one forward and one backward
        pass, from what enters and leaves functions that are called with a parameter: ``F.linear``,
        convolutions, normalisation, ``F.embedding``, products, sums, attention; on the first batch
        they are compared with automatic differentiation. ``"vmap"``: whatever is called, by
        ``torch.func.vmap(grad)``. ``"loop"``: one sample at a time. ``"auto"``: hooks, and for
        layers where these do not apply vmap, or the loop where that fails, with a warning.

    Raises
    ------
    TypeError
        If the module has no parameters, was made by ``torch.jit``, or is in half precision and
        cannot be copied.
    ValueError
        If the number of logits cannot be told, or there is no such engine.
    """

    takes_any_shape = True

    def __init__(
        self,
        module: torch.nn.Module,
        classes: np.ndarray | None = None,
        engine: str = "auto",
    ) -> None:
        self.module, self.engine = in_single(plain_module(module)), engine
        self._layers = find_layers(self.module)
        if not self._layers:
            raise TypeError(
                f"No gradients are known for {type(module).__name__}, for it has no parameters."
            )
        self._start()
        self.layer_names = tuple(layer.name for layer in self._layers)
        self.layer_shapes = tuple(layer.shape for layer in self._layers)
        self._reader = RowReader(self.module, next(iter(self._layers[-1].parameters.values())))
        self._sizes: dict[tuple, int] = {}
        self._has_warned = self._is_checked = self._is_ordered = False
        self._given_classes, self._gives_features = classes, False
        self._order = tuple(range(len(self._layers)))
        self._set_logits()

    def _start(self):
        """Have nothing compared yet."""
        self._engines = make_engines(self.engine, self.module, self._layers)
        # Layers whose gradients were computed before, so that nothing is found out about them now.
        self._settled: frozenset[int] = frozenset()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # What was found out is found again: an earlier version may have noted other things.
        self._start()

    def _set_logits(self):
        classes = self._given_classes
        n_logits = self._n_logits(classes)
        self._readout = np.array([[-0.5, 0.5]]) if n_logits == 1 else np.eye(n_logits)
        self.classes = np.arange(len(self._readout.T)) if classes is None else np.asarray(classes)

    def _n_logits(self, classes):
        sizes = [self._layers[i].n_outputs for i in self.order]
        found = next((size for size in reversed(sizes) if size is not None), None)
        if classes is not None and not (found == 1 and len(classes) == 2):
            return len(classes)
        if found is None:
            raise ValueError(
                f"The number of logits of {type(self.module).__name__} cannot be told, for it has "
                "neither a Linear layer nor a convolution. Give gradients.TorchNetwork(module, "
                "classes=...)."
            )
        return found

    # ------------------------------------------------------------------------------- layers

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the layers in the order of their last use; of definition, until rows come."""
        return self._order

    def look_at(self, X) -> None:
        """Run a few rows, to see the order in which layers are run, hence which is the head."""
        if not self._is_ordered:
            check_mode(self.module)
            with self._alone():
                self._look(X)

    @differentiable
    def _look(self, X):
        rows = self._reader.read(X)
        self._find_order(rows)
        check_output(self.module, rows)

    def _find_order(self, rows):
        if self._is_ordered:
            return
        try:
            self._order = execution_order(self.module, self._layers, rows[:2])
        except (RuntimeError, IndexError) as error:
            if not any(word in str(error) for word in _MISFIT):
                raise
            raise ValueError(
                f"{type(self.module).__name__} cannot be run on rows of {rows.describe()}: "
                f"{error}. Give X as its forward() takes it."
            ) from error
        if not self._gives_features:
            self._set_logits()
        self._is_ordered = True

    def select(self, params: str | Sequence[str]) -> tuple[int, ...]:
        """Return the indices of layers. Parameters as in Network.

        A name stands for all layers inside the module of that name, ``"dense"`` for all that are
        ``Linear``. ``"head"`` and ``"last_hidden"`` are the last layer that is run and the one
        before it, not counting normalisation; they go by the order of definition as long as no
        row was seen (:meth:`look_at`). ``"auto"`` is the head and all layers with a parameter that
        requires a gradient, or all layers if none does.
        """
        if isinstance(params, str) and params in ("head", "last_hidden"):
            weighted = [i for i in self.order if not self._layers[i].is_normalisation]
            weighted = weighted or list(self.order)
            return (weighted[-1 if params == "head" else max(len(weighted) - 2, 0)],)
        if isinstance(params, str) and params == "dense":
            dense = [i for i, layer in enumerate(self._layers) if layer.is_dense]
            if not dense:
                raise ValueError("params='dense' finds no Linear layer. Use 'all', or names.")
            return tuple(dense)
        if isinstance(params, str) and params == "auto":
            return self._trained()
        if isinstance(params, str) and params == "all":
            return super().select(params)
        names = []
        for asked in [params] if isinstance(params, str) else params:
            inside = [n for n in self.layer_names if n == asked or n.startswith(f"{asked}.")]
            # What is not found stays, for the message.
            names += inside or [asked]
        return super().select(names)

    def _trained(self):
        """Return the head and the layers of which a parameter requires a gradient, or all."""
        trained = {
            i
            for i, layer in enumerate(self._layers)
            if any(value.requires_grad for value in layer.parameters.values())
        }
        # All are fixed where a module was fixed as a whole, after training.
        return tuple(sorted(trained | set(self.select("head")))) if trained else self.select("all")

    def outline(self, X: Any) -> Outline:
        """Return what the gradients of all layers consist of and take, from a few rows."""
        self.look_at(X)
        check_mode(self.module)
        with self._alone():
            return Outline(self._outlines(X), self.order, self._reader.is_single)

    @differentiable
    def _outlines(self, X):
        batch = Batch(self.module, self._reader.read(X), "max", self._scalar)
        return outline_layers(batch, self._layers, self._engines)

    # ---------------------------------------------------------------------------- gradients

    def gradients(
        self, X: Any, output: OutputName | int = "max", layers: Sequence[int] | None = None
    ) -> Gradients:
        """Return the gradients of a scalar output at each row of X. Parameters as in Network.

        Raises
        ------
        ValueError
            In training mode with BatchNorm or Dropout; if the output is random, or that of a row
            depends on others; if the logits do not depend on a layer; if the module does not
            return one row of logits for each row of X.
        TypeError
            In half precision, if the module was brought to it later.
        """
        check_mode(self.module)
        indices = tuple(range(len(self._layers)) if layers is None else layers)
        if self._settled.issuperset(indices) and is_copyable(self.module):
            return self._gradients(X, output, indices)
        with self._alone():
            found = self._gradients(X, output, indices)
            if len(found.values) > 1:  # one row alone tells nothing of which sample is which
                self._settled |= frozenset(indices)
        return found

    def _alone(self):
        """Return a lock under which one thread at a time finds things out."""
        # Most modules are not changed by that, but their twins.
        return locks_of(self if is_copyable(self.module) else self.module)[0]

    @differentiable
    def _gradients(self, X, output, indices):
        rows = self._reader.read(X)
        self._find_order(rows)
        if not self._is_checked:
            check_output(self.module, rows)
        batch = Batch(self.module, rows, output, self._scalar)
        makers = self._makers(batch, indices)
        batch.complete()
        if not (self._is_checked or self._gives_features):
            warn_if_no_logits(to_numpy(batch.raw), type(self.module).__name__)
        self._is_checked = True
        return Gradients(batch.values, batch.logits, LazyLayers(makers[i] for i in indices))

    def _makers(self, batch, indices):
        """Return what makes the gradients of each layer, from the first engine that takes it."""
        makers, left = {}, list(indices)
        for engine in list(self._engines):
            mine = [i for i in left if engine.takes(i)]
            if mine:
                makers.update(self._run(engine, batch, mine))
                left = [i for i in left if i not in makers]
        if left:
            raise ValueError(engine.refusal([self.layer_names[i] for i in left]))
        return makers

    def _run(self, engine, batch, indices):
        self._warn_without_closed_form(engine, [self._layers[i] for i in indices])
        try:
            return engine.makers(batch, indices)
        except EngineFailure as failure:
            if engine is self._engines[-1]:
                raise failure.__cause__ or failure from None
            warn_user(str(failure))
        # For good: it would fail again.
        self._engines = [other for other in self._engines if other is not engine]
        return {}

    def _warn_without_closed_form(self, engine, layers):
        if self._has_warned or self.engine != "auto" or not engine.note:
            return
        self._has_warned = True
        names = ", ".join(f"{layer.name!r} ({type(layer.module).__name__})" for layer in layers)
        size = sum(value.numel() for layer in layers for value in layer.parameters.values())
        warn_user(
            f"No closed form is known for the gradient of {names}: it is computed by "
            f"{engine.note} and {size:,} numbers for each row of a "
            "batch. Leave them out by params, or set batch_size, if that is too slow or large.",
        )

    def floats_per_row(self, layers: Sequence[int], rows: Any) -> int:
        """Return what gradients of one row take, from a forward pass of a few rows."""
        check_mode(self.module)
        layers = tuple(layers)
        if layers not in self._sizes:
            with self._alone():
                floats = self._floats_per_row(layers, rows)
            n_rows = max(_FEWEST_ROWS, min(_LEAST_ROWS, _LARGEST_BATCH // floats))
            self._sizes[layers] = min(floats, BATCH_BYTES // (8 * n_rows))
        return self._sizes[layers]

    @differentiable
    def _floats_per_row(self, layers, rows):
        batch = Batch(self.module, self._reader.read(rows), "max", self._scalar)
        floats, left = 1, list(layers)
        for engine in list(self._engines):
            mine = [i for i in left if engine.takes(i)]
            left = [i for i in left if i not in mine]
            floats += engine.floats_per_row(batch, mine) if mine else 0
        return floats

    def products(self, X, directions, output="max", layers=None) -> np.ndarray:
        """Return the inner products of the gradient at each row of X with given directions.

        By forward-mode differentiation: one pass for each direction, and no gradient of a sample
        is computed. For few directions and many parameters, of whatever layers.

        Parameters
        ----------
        X : ndarray of shape (n_samples, ...)
        directions : sequence of ndarray of shape (p, k, q)
            For each layer k matrices, as in :meth:`LayerFactors.dot`.
        output : {"max", "logsumexp", "sum", "loss"}, default="max"
        layers : sequence of int, default=None
            Which layers, increasing; None for all.

        Returns
        -------
        ndarray of shape (n_samples, k)
        """
        check_mode(self.module)
        layers = [self._layers[i] for i in (range(len(self._layers)) if layers is None else layers)]
        with self._alone():
            return self._products(X, directions, output, layers)

    @differentiable
    def _products(self, X, directions, output, layers):
        torch._C._set_grad_enabled(False)
        names = [name for layer in layers for name in layer.parameters]
        batch = Batch(self.module, self._reader.read(X), output, self._scalar)
        values = [usable(v.detach()) for layer in layers for v in layer.parameters.values()]

        def forward(*values):
            return batch.run(dict(zip(names, values, strict=True)))

        out = []
        for k in range(directions[0].shape[1]):
            tangents = [
                tangent
                for layer, array in zip(layers, directions, strict=True)
                for tangent in layer.tangents(torch.as_tensor(array[:, k]).to(values[0]))
            ]
            with warnings.catch_warnings():
                # What torch itself has deprecated and uses the first time.
                warnings.simplefilter("ignore", DeprecationWarning)
                change = torch.func.jvp(forward, tuple(values), tuple(tangents))[1]
            out.append(to_numpy((change * batch.weights).sum(dim=1)))
        return np.column_stack(out)

    def _scalar(self, raw, rows, output):
        """Return values, logits and the derivative of the values with respect to what is raw."""
        if not torch.is_tensor(raw) or raw.shape != (len(rows), len(self._readout)):
            shape = tuple(raw.shape) if torch.is_tensor(raw) else type(raw).__name__
            raise ValueError(
                f"The module must return logits of shape {(len(rows), len(self._readout))}, one "
                f"for each output of its last layer or each of classes; got {shape}."
            )
        if raw.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"The module returns logits in {raw.dtype}, in which gradients underflow. Give one "
                "that runs in float32 or float64, without autocast in its forward method."
            )
        if output == "sum" and len(self._readout) == 1:
            raise ValueError("output='sum' is zero everywhere for a single logit. Use 'max'.")
        logits = to_numpy(raw).astype(np.float64) @ self._readout
        values, derivatives = scalar_output(logits, output)
        return values, logits, torch.as_tensor(derivatives @ self._readout.T).to(raw)

    # --------------------------------------------------------------------------------- head

    def head(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return weights and biases of the last layer, if that is Linear. Shapes as in Network."""
        head = self._head()
        return to_numpy(head.weight).T, None if head.bias is None else to_numpy(head.bias)

    def features(self, X: Any) -> np.ndarray:
        """Return what enters the last layer, (n_samples, n_hidden)."""
        self.look_at(X)
        check_mode(self.module)
        with self._alone():
            found = self._features(X)
        if found.ndim != 2:
            raise ValueError(
                f"The last layer, {self.layer_names[self.select('head')[0]]!r}, gets arrays of "
                f"shape {tuple(found.shape)}, not one vector for each sample."
            )
        return to_numpy(found)

    @differentiable
    def _features(self, X):
        torch._C._set_grad_enabled(False)
        return run(twin(Features(self.module, self._head())), self._reader.read(X))

    def feature_network(self) -> "TorchNetwork":
        """Return the module up to its last Linear layer."""
        head = self._head()
        network = TorchNetwork(Features(self.module, head), engine=self.engine)
        # One feature is one, not two logits; and features may sum to one.
        network._readout, network._gives_features = np.eye(head.in_features), True
        return network

    def _head(self):
        i = self.select("head")[0]
        if not self._layers[i].is_dense:
            raise TypeError(f"The last layer, {self.layer_names[i]!r}, is not a Linear layer.")
        return self._layers[i].module

    def parameters(self) -> list[np.ndarray]:
        """Return all parameters and buffers."""
        return [to_numpy(value) for value in self.module.state_dict().values()]
