"""Torch modules as networks: the factors of their linear layers, caught by hooks.

Imported only when a torch module is given.
"""

import numpy as np
import torch

from ._factors import Gradients, LayerFactors
from ._network import Network
from ._outputs import scalar_output

_NORMALISATION = torch.nn.modules.batchnorm._BatchNorm
_DROPOUT = torch.nn.modules.dropout._DropoutNd


class TorchNetwork(Network):
    """A ``torch.nn.Module`` from inputs to logits.

    The parameters that count are those of its ``Linear`` layers, whether they require a gradient
    or not. Gradients pass through all other layers, whose own parameters do not count.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, in float32 or float64.
    classes : ndarray, default=None
        Labels of the logits; None for 0, 1, ... A single logit f has the labels 0 and 1, with the
        logits -f/2 and f/2.
    """

    def __init__(self, module, classes=None):
        linear = {
            name: layer
            for name, layer in module.named_modules()
            if isinstance(layer, torch.nn.Linear)
        }
        if not linear:
            raise TypeError(
                f"No gradients are known for {type(module).__name__}, for it has no Linear layer."
            )
        self.module = module
        self._linear = list(linear.values())
        self.layer_names = tuple(linear)
        self.layer_shapes = tuple(
            (layer.in_features + (layer.bias is not None), layer.out_features)
            for layer in self._linear
        )
        n_logits = self._linear[-1].out_features
        self._readout = np.array([[-0.5, 0.5]]) if n_logits == 1 else np.eye(n_logits)
        self.classes = np.arange(len(self._readout.T)) if classes is None else np.asarray(classes)

    def gradients(self, X, output="max", layers=None):
        """Return the gradients of a scalar output at each row of X. Parameters as in Network.

        Raises
        ------
        ValueError
            In training mode with BatchNorm or Dropout; if a layer is used twice, not at all, or
            on sequences; if the module does not return one row of logits for each row of X.
        TypeError
            In half precision.
        """
        self._check_mode()
        indices = range(len(self._linear)) if layers is None else layers
        caught = {i: [] for i in indices}
        hooks = [self._linear[i].register_forward_hook(_catch(caught[i])) for i in indices]
        weight = self._linear[-1].weight
        try:
            with torch.enable_grad():
                rows = torch.as_tensor(np.asarray(X), dtype=weight.dtype, device=weight.device)
                raw = self.module(rows)
        finally:
            for hook in hooks:
                hook.remove()
        for i, calls in caught.items():
            self._check_calls(i, calls)
        if not torch.is_tensor(raw) or raw.shape != (len(rows), len(self._readout)):
            shape = tuple(raw.shape) if torch.is_tensor(raw) else type(raw).__name__
            raise ValueError(
                f"The module must return logits of shape {(len(rows), len(self._readout))}, as its "
                f"last Linear layer, {self.layer_names[-1]!r}, does; got {shape}."
            )
        logits = _numpy(raw) @ self._readout
        if output == "sum" and len(self._readout) == 1:
            raise ValueError("output='sum' is zero everywhere for a single logit. Use 'max'.")
        values, derivatives = scalar_output(logits, output)
        deltas = torch.autograd.grad(
            raw,
            [caught[i][0][1] for i in indices],
            torch.as_tensor(derivatives @ self._readout.T).to(raw),
            allow_unused=True,
        )
        return Gradients(
            values, logits, tuple(map(self._factors, indices, caught.values(), deltas))
        )

    def _factors(self, i, calls, delta):
        if delta is None:
            raise ValueError(f"The logits do not depend on layer {self.layer_names[i]!r}.")
        inputs = _numpy(calls[0][0])
        if self._linear[i].bias is not None:
            inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
        return LayerFactors(inputs, _numpy(delta))

    def _check_mode(self):
        for name, layer in self.module.named_modules():
            if layer.training and isinstance(layer, _NORMALISATION | _DROPOUT):
                raise ValueError(
                    f"Layer {name!r} ({type(layer).__name__}) is in training mode, where the "
                    "output of a sample depends on others or on chance. Call model.eval() first."
                )
        for name, parameter in self.module.named_parameters():
            if parameter.dtype in (torch.float16, torch.bfloat16):
                raise TypeError(
                    f"{name} is in half precision, in which gradients underflow. Use model.float()."
                )

    def _check_calls(self, i, calls):
        if len(calls) != 1 or calls[0][1].ndim != 2:
            how = f"used {len(calls)} times" if len(calls) != 1 else "applied to sequences"
            others = [name for j, name in enumerate(self.layer_names) if j != i]
            raise ValueError(
                f"Layer {self.layer_names[i]!r} is {how}, so its gradient is not of rank one. "
                f"Leave it out: params={others!r}."
            )

    def head(self):
        """Return weights and biases of the last Linear layer. Shapes as in Network."""
        weight, bias = self._linear[-1].weight, self._linear[-1].bias
        return _numpy(weight).T, None if bias is None else _numpy(bias)

    def feature_network(self):
        """Return the module up to its last Linear layer."""
        network = TorchNetwork(_Features(self.module, self._linear[-1]))
        # One feature is one, not two logits.
        network._readout = np.eye(self._linear[-1].in_features)
        return network

    def parameters(self):
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
    def hook(layer, inputs, output):
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        # Copies: what follows may work in place, on what came in or on what goes out.
        calls.append((inputs[0].detach().clone(), output))
        return output.clone()

    return hook


def _numpy(tensor):
    return tensor.detach().cpu().numpy().astype(np.float64)
