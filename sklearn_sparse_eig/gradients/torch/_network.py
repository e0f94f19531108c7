"""Torch modules as networks: closed forms caught by hooks, and automatic differentiation.

Imported only when a torch module is given.
"""

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from ..._base.batches import BATCH_BYTES
from ..._base.messages import warn_user
from .._choices import OutputName
from .._factors import Gradients, LayerFactors
from .._matrices import LayerMatrices, LazyLayers
from .._network import Network
from .._outputs import scalar_output
from .._places import LayerPlaces, are_few
from ._layers import are_places, find_layers, places
from ._samples import by_samples, derivatives, differentiable

_NORMALISATION = torch.nn.modules.batchnorm._BatchNorm
_ENGINES = ("auto", "hooks", "vmap", "loop")
_DROPOUT = torch.nn.modules.dropout._DropoutNd
# Largest difference between hooks and automatic differentiation that is rounding; single
# precision includes the shortened products of some accelerators.
_TOLERANCES = {torch.float32: 2e-2, torch.float64: 1e-6}
# Floats of patches and deltas, or of their products, at a time (64 MB).
_BLOCK = 2**24
# A batch has at least so many rows, however large their gradients.
_LEAST_ROWS = 16


class TorchNetwork(Network):
    """A ``torch.nn.Module`` from inputs to logits.

    All its parameters count, whether they require a gradient or not; those of one module are a
    layer of its name. Each parameter is in one layer, with the sum over all its uses.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, in float32 or float64.
    classes : ndarray, default=None
        Labels of the logits; None for 0, 1, ..., as many as the last ``Linear`` layer or
        convolution has outputs. A single logit f has the labels 0 and 1, with the logits -f/2 and
        f/2.
    engine : {"auto", "hooks", "vmap", "loop"}, default="auto"
        How gradients are computed. ``"hooks"``: one forward and one backward pass, from what
        enters and leaves ``Linear``, convolutions, normalisation and ``Embedding``; on the first
        batch they are compared with automatic differentiation. ``"vmap"``: any layers, by
        ``torch.func.vmap(grad)``. ``"loop"``: one sample at a time. ``"auto"``: hooks, and for
        layers where these do not apply vmap, or the loop where that fails, with a warning.

    Raises
    ------
    TypeError
        If the module has no parameters.
    ValueError
        If the number of logits cannot be told, or there is no such engine.
    """

    takes_any_shape = True

    def __init__(self, module, classes=None, engine="auto"):
        self._layers = find_layers(module)
        if not self._layers:
            raise TypeError(
                f"No gradients are known for {type(module).__name__}, for it has no parameters."
            )
        if engine not in _ENGINES:
            raise ValueError(f"engine must be one of {', '.join(_ENGINES)}, got {engine!r}.")
        self.module, self.engine = module, engine
        self.layer_names = tuple(layer.name for layer in self._layers)
        self.layer_shapes = tuple(layer.shape for layer in self._layers)
        # Layers that hooks do not see, and those for which they have been checked.
        self._unseen = {i for i, layer in enumerate(self._layers) if layer.closed_form is None}
        self._checked, self._sizes, self._warned = set(), {}, False
        # Of layers that hooks do not see; for good, once vmap has failed.
        self._fallback = "auto" if engine == "hooks" else engine
        n_logits = self._n_logits(classes)
        self._readout = np.array([[-0.5, 0.5]]) if n_logits == 1 else np.eye(n_logits)
        self.classes = np.arange(len(self._readout.T)) if classes is None else np.asarray(classes)

    def _n_logits(self, classes):
        weighted = [
            layer
            for layer in self._layers
            if isinstance(layer.module, torch.nn.Linear | torch.nn.modules.conv._ConvNd)
        ]
        found = getattr(weighted[-1].module, "out_features", None) if weighted else None
        found = getattr(weighted[-1].module, "out_channels", found) if weighted else None
        if classes is not None and not (found == 1 and len(classes) == 2):
            return len(classes)
        if found is None:
            raise ValueError(
                f"The number of logits of {type(self.module).__name__} cannot be told, for it has "
                "neither a Linear layer nor a convolution. Give gradients.TorchNetwork(module, "
                "classes=...)."
            )
        return found

    def select(self, params):
        """Return the indices of layers. Parameters as in Network.

        A name stands for all layers inside the module of that name, ``"dense"`` for all that are
        ``Linear``. ``"head"`` and
        ``"last_hidden"`` are the last layer and the one before it, not counting normalisation.
        """
        if isinstance(params, str) and params in ("head", "last_hidden"):
            every = range(len(self._layers))
            weighted = [i for i in every if not self._layers[i].is_normalisation] or list(every)
            return (weighted[-1 if params == "head" else max(len(weighted) - 2, 0)],)
        if isinstance(params, str) and params == "dense":
            dense = [
                i
                for i, layer in enumerate(self._layers)
                if isinstance(layer.module, torch.nn.Linear)
            ]
            if not dense:
                raise ValueError("params='dense' finds no Linear layer. Use 'all', or names.")
            return tuple(dense)
        if isinstance(params, str) and params == "all":
            return super().select(params)
        names = []
        for asked in [params] if isinstance(params, str) else params:
            inside = [n for n in self.layer_names if n == asked or n.startswith(f"{asked}.")]
            # What is not found stays, for the message.
            names += inside or [asked]
        return super().select(names)

    def gradients(
        self, X: Any, output: OutputName | int = "max", layers: Sequence[int] | None = None
    ) -> Gradients:
        """Return the gradients of a scalar output at each row of X. Parameters as in Network.

        Raises
        ------
        ValueError
            In training mode with BatchNorm or Dropout; if the logits do not depend on a layer; if
            the module does not return one row of logits for each row of X.
        TypeError
            In half precision.
        """
        self._check_mode()
        indices = tuple(range(len(self._layers)) if layers is None else layers)
        self._check_engine(indices)
        rows = self._rows(X)
        with differentiable(self.module):
            seen = [i for i in indices if self._is_seen(i)]
            values, logits, weights, makers = self._hooked(rows, output, seen)
            rest = [i for i in indices if i not in makers]
            makers.update(zip(rest, self._by_samples(rows, weights, rest), strict=True))
        return Gradients(values, logits, LazyLayers(makers[i] for i in indices))

    def products(self, X, directions, output="max", layers=None):
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
        self._check_mode()
        layers = [self._layers[i] for i in (range(len(self._layers)) if layers is None else layers)]
        rows, out = self._rows(X), []
        names = [name for layer in layers for name in layer.parameters]
        values = [v.detach() for layer in layers for v in layer.parameters.values()]

        def forward(*values):
            return functional_call(self.module, dict(zip(names, values, strict=True)), (rows,))

        with differentiable(self.module), torch.no_grad():
            for k in range(directions[0].shape[1]):
                tangents = [
                    tangent
                    for layer, array in zip(layers, directions, strict=True)
                    for tangent in layer.tangents(torch.as_tensor(array[:, k]).to(values[0]))
                ]
                with warnings.catch_warnings():
                    # What torch itself has deprecated and uses the first time.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    raw, change = torch.func.jvp(forward, tuple(values), tuple(tangents))
                _, _, weights = self._scalar(raw, rows, output)
                out.append(_numpy((change * weights).sum(dim=1)))
        return np.column_stack(out)

    def floats_per_row(self, layers: Sequence[int], rows: Any) -> int:
        """Return what gradients of one row take, from a forward pass of a few rows."""
        self._check_mode()
        layers = tuple(layers)
        if layers not in self._sizes:
            tensor = self._rows(rows)
            seen = [i for i in layers if self._is_seen(i)]
            with differentiable(self.module), torch.no_grad(), self._catching(seen) as calls:
                self.module(tensor)
            sizes = [int(np.prod(shape)) for shape in self.layer_shapes]
            floats = 2 * sum(sizes[i] for i in layers if i not in seen)
            largest = 0
            for i, uses in calls.items():
                floats += sum(a.numel() + z.numel() for a, z in uses) // len(tensor)
                if not self._has_rank_one(i, uses):
                    # Matrices, and what they are made of, before and after whitening.
                    few = self._has_few_places(i, uses)
                    places = self._n_places(i, uses) * sum(self.layer_shapes[i]) if few else 0
                    largest = max(largest, 3 * sizes[i] + 2 * places)
            floats += largest + 1
            self._sizes[layers] = min(floats, BATCH_BYTES // (8 * _LEAST_ROWS))
        return self._sizes[layers]

    # --------------------------------------------------------------------------------- hooks

    def _is_seen(self, i):
        return self.engine in ("auto", "hooks") and i not in self._unseen

    def _check_engine(self, indices):
        wrong = [self.layer_names[i] for i in indices if i in self._unseen]
        if wrong and self.engine == "hooks":
            raise ValueError(
                f"engine='hooks' does not work for {', '.join(map(repr, wrong))}: no closed form "
                "is known, parameters are used elsewhere too, or the first axis of what enters is "
                "not that of the samples. Use engine='auto'."
            )

    @contextmanager
    def _catching(self, indices):
        calls = {i: [] for i in indices}
        hooks = [
            self._layers[i].module.register_forward_hook(_catch(calls[i]), with_kwargs=True)
            for i in indices
        ]
        try:
            yield calls
        finally:
            for hook in hooks:
                hook.remove()

    def _hooked(self, rows, output, seen):
        """Run the module; return the output and a maker for each layer that hooks see."""
        # Checked once, on rows that can be told apart.
        check = [i for i in seen if i not in self._checked]
        leaves = {
            name: value.detach().requires_grad_()
            for i in check
            for name, value in self._layers[i].parameters.items()
        }
        with torch.enable_grad(), self._catching(seen) as calls:
            raw = functional_call(self.module, leaves, (rows,))
        values, logits, weights = self._scalar(raw, rows, output)
        predicted = logits.argmax(axis=1) if output == "max" else None
        deltas = iter(
            derivatives(raw, [z for i in seen for _, z in calls[i]], weights, bool(check))
        )
        makers = {}
        for i in seen:
            uses = [(a, next(deltas)) for a, _ in calls[i]]
            uses = [(a, delta) for a, delta in uses if delta is not None]
            if all(len(a) == len(rows) for a, _ in uses):
                makers[i] = self._maker(i, uses, weights, predicted)
        self._check(raw, weights, check, leaves, makers)
        # For good: the form of its gradients must not change from batch to batch.
        self._unseen.update(set(seen) - set(makers))
        self._check_engine(seen)
        return values, logits, weights, makers

    def _check(self, raw, weights, check, leaves, makers):
        """Compare with automatic differentiation, and drop makers that do not agree.

        Weighted sums over samples, so that it matters which sample a gradient is taken to be of.
        """
        if not check:
            return
        n = len(raw)
        weighing = torch.linspace(0.5, 1.5, n).to(raw)
        expected = derivatives(raw, list(leaves.values()), weights * weighing[:, None])
        expected = dict(zip(leaves, expected, strict=True))
        idle = []
        for i in check:
            layer = self._layers[i]
            parts = [expected[name] for name in layer.parameters]
            if all(part is None for part in parts):
                idle.append(self.layer_names[i])
            if i not in makers:
                continue
            parts = [
                torch.zeros_like(value) if part is None else part
                for part, value in zip(parts, layer.parameters.values(), strict=True)
            ]
            right = _numpy(layer.matrix([part[None] for part in parts]))[0]
            made = makers[i]()
            found = _weighted_sum(made, _numpy(weighing))
            scale = max(np.linalg.norm(right), np.sqrt(made.squared_norms().sum()))
            if np.linalg.norm(found - right) > _TOLERANCES[raw.dtype] * scale:
                del makers[i]
            elif n > 1:
                self._checked.add(i)
        if idle:
            raise ValueError(
                f"The logits do not depend on layer{'s' * (len(idle) > 1)} "
                f"{', '.join(map(repr, idle))}. Leave out what is not used: params="
                f"{[name for name in self.layer_names if name not in idle]!r}."
            )

    def _has_rank_one(self, i, uses):
        dense = isinstance(self._layers[i].module, torch.nn.Linear)
        return dense and len(uses) == 1 and uses[0][0].ndim == 2

    def _n_places(self, i, uses):
        return sum(delta[0].numel() for _, delta in uses) // self.layer_shapes[i][1]

    def _has_few_places(self, i, uses):
        return are_places(self._layers[i].module) and are_few(
            self._n_places(i, uses), *self.layer_shapes[i]
        )

    def _maker(self, i, uses, weights, predicted):
        """Return what makes the gradients of a layer from [(inputs, deltas), ...]."""
        layer, n = self._layers[i], len(weights)
        dtype = np.float64 if weights.dtype == torch.float64 else np.float32

        def factors():
            inputs, delta = map(_numpy, uses[0])
            if layer.module.bias is not None:
                inputs = np.hstack([inputs, np.ones((n, 1), inputs.dtype)])
            # At the head the largest logit has one derivative for each class.
            is_head = np.array_equal(delta, _numpy(weights))
            return LayerFactors(inputs, delta, predicted if is_head else None)

        def by_places():
            pairs = [places(layer.module, inputs, delta) for inputs, delta in uses]
            return LayerPlaces(*(_numpy(torch.cat(x, dim=1)) for x in zip(*pairs, strict=True)))

        def matrices():
            out = np.zeros((n, *layer.shape), dtype)
            floats = int(np.prod(layer.shape))
            if are_places(layer.module):
                floats = max(floats, self._n_places(i, uses) * sum(layer.shape))
            step = max(1, _BLOCK // floats)
            for start in range(0, n, step):
                rows = slice(start, start + step)
                for inputs, delta in uses:
                    out[rows] += _numpy(layer.closed_form(layer.module, inputs[rows], delta[rows]))
            return LayerMatrices(out)

        if self._has_rank_one(i, uses):
            return factors
        return by_places if uses and self._has_few_places(i, uses) else matrices

    # ---------------------------------------------------------------- automatic differentiation

    def _by_samples(self, rows, weights, indices):
        """Return makers for layers of any kind."""
        if not indices:
            return []
        layers = [self._layers[i] for i in indices]
        self._tell(layers)
        gradients, self._fallback = by_samples(
            self.module,
            {name: value for layer in layers for name, value in layer.parameters.items()},
            rows,
            weights,
            self._fallback,
        )
        return [
            lambda layer=layer: LayerMatrices(
                _numpy(layer.matrix([gradients[name] for name in layer.parameters]))
            )
            for layer in layers
        ]

    def _tell(self, layers):
        if self._warned or self.engine != "auto":
            return
        self._warned = True
        names = ", ".join(f"{layer.name!r} ({type(layer.module).__name__})" for layer in layers)
        size = sum(value.numel() for layer in layers for value in layer.parameters.values())
        warn_user(
            f"No closed form is known for the gradient of {names}: it is computed by "
            f"torch.func.vmap, a second backward pass and {size:,} numbers for each row of a "
            "batch. Leave them out by params, or set batch_size, if that is too slow or large.",
        )

    # --------------------------------------------------------------------------------- input

    def _rows(self, X):
        value = next(iter(self._layers[-1].parameters.values()))
        return torch.as_tensor(np.asarray(X), dtype=value.dtype, device=value.device)

    def _scalar(self, raw, rows, output):
        """Return values, logits and the derivative of the values with respect to what is raw."""
        if not torch.is_tensor(raw) or raw.shape != (len(rows), len(self._readout)):
            shape = tuple(raw.shape) if torch.is_tensor(raw) else type(raw).__name__
            raise ValueError(
                f"The module must return logits of shape {(len(rows), len(self._readout))}, one "
                f"for each output of its last layer or each of classes; got {shape}."
            )
        if output == "sum" and len(self._readout) == 1:
            raise ValueError("output='sum' is zero everywhere for a single logit. Use 'max'.")
        logits = _numpy(raw).astype(np.float64) @ self._readout
        values, derivatives = scalar_output(logits, output)
        return values, logits, torch.as_tensor(derivatives @ self._readout.T).to(raw)

    def _check_mode(self):
        for name, layer in self.module.named_modules():
            # Recurrent layers and attention have a rate of their own.
            rate = getattr(layer, "dropout", 0.0)
            random = isinstance(layer, _DROPOUT) or (isinstance(rate, float) and rate > 0.0)
            if layer.training and (random or isinstance(layer, _NORMALISATION)):
                raise ValueError(
                    f"Layer {name!r} ({type(layer).__name__}) is in training mode, where the "
                    "output of a sample depends on others or on chance. Call model.eval() first."
                )
            if isinstance(layer, _NORMALISATION) and layer.running_mean is None:
                raise ValueError(
                    f"Layer {name!r} ({type(layer).__name__}) has no running statistics, so the "
                    "output of a sample depends on others. Use track_running_stats=True."
                )
        for name, parameter in self.module.named_parameters():
            if parameter.dtype in (torch.float16, torch.bfloat16):
                raise TypeError(
                    f"{name} is in half precision, in which gradients underflow. Use model.float()."
                )

    def head(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return weights and biases of the last layer, if that is Linear. Shapes as in Network."""
        head = self._head()
        return _numpy(head.weight).T, None if head.bias is None else _numpy(head.bias)

    def features(self, X: Any) -> np.ndarray:
        """Return what enters the last layer, (n_samples, n_hidden)."""
        self._check_mode()
        with differentiable(self.module), torch.no_grad():
            found = _Features(self.module, self._head())(self._rows(X))
        if found.ndim != 2:
            raise ValueError(
                f"The last layer, {self.layer_names[self.select('head')[0]]!r}, gets arrays of "
                f"shape {tuple(found.shape)}, not one vector for each sample."
            )
        return _numpy(found)

    def feature_network(self) -> "Network":
        """Return the module up to its last Linear layer."""
        head = self._head()
        network = TorchNetwork(_Features(self.module, head), engine=self.engine)
        # One feature is one, not two logits.
        network._readout = np.eye(head.in_features)
        return network

    def _head(self):
        i = self.select("head")[0]
        if not isinstance(self._layers[i].module, torch.nn.Linear):
            raise TypeError(f"The last layer, {self.layer_names[i]!r}, is not a Linear layer.")
        return self._layers[i].module

    def parameters(self) -> list[Any]:
        """Return all parameters and buffers."""
        return [value.detach().cpu().numpy() for value in self.module.state_dict().values()]


class _Features(torch.nn.Module):
    """What enters the head of a module, as the logits of another; both have the same layers."""

    def __init__(self, module, head):
        super().__init__()
        self.module = module
        # Stands in for the head as the last layer; its parameters, not even random, are never used.
        self.identity = torch.nn.utils.skip_init(
            torch.nn.Linear,
            head.in_features,
            head.in_features,
            bias=False,
            device=head.weight.device,
            dtype=head.weight.dtype,
        )
        self._head = [head]  # in a list, so as not to be registered twice

    def forward(self, x):
        caught = []
        hook = self._head[0].register_forward_pre_hook(
            lambda layer, inputs: caught.append(inputs[0])
        )
        try:
            self.module(x)
        finally:
            hook.remove()
        return caught[0]


def _catch(calls):
    def hook(layer, args, kwargs, output):
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        inputs = args[0] if args else kwargs["input"]
        # Copies: what follows may work in place, on what came in or on what goes out.
        calls.append((inputs.detach().clone(), output))
        return output.clone()

    return hook


def _weighted_sum(layer, weights):
    if isinstance(layer, LayerFactors):
        return LayerFactors(layer.inputs * weights[:, None], layer.deltas).sum(slice(None))
    return np.tensordot(weights, layer.matrices, 1)


def _numpy(tensor):
    return tensor.detach().cpu().numpy()
