"""Whatever is registered, a closed form or an engine, gives the gradients of autograd."""

import re
from pathlib import Path

import numpy as np
import pytest

from sklearn_sparse_eig.gradients import make_network

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

from sklearn_sparse_eig.gradients.torch import (  # noqa: E402 - needs torch
    TorchNetwork,
    closed_form,
    sum_over_places,
)
from sklearn_sparse_eig.gradients.torch._layers import find_layers  # noqa: E402 - needs torch
from sklearn_sparse_eig.gradients.torch.engines import (  # noqa: E402 - needs torch
    BySamplesEngine,
    Engine,
    EngineFailure,
    _registry,
    engine_names,
    register,
)
from sklearn_sparse_eig.gradients.torch.forms import (  # noqa: E402 - needs torch
    FunctionForm,
    Reading,
    _functions,
    register_function,
)
from sklearn_sparse_eig.gradients.torch.forms import _registry as _forms  # noqa: E402 - needs torch


class Bias(nn.Module):
    """Adds a vector to each place, after a function of it: a layer that nobody knows."""

    def __init__(self, size):
        super().__init__()
        self.shift, self.factor = nn.Parameter(torch.rand(size) + 1.0), 2.0

    def forward(self, input):
        return input + self.factor * torch.relu(self.shift)


class Kernel(nn.Linear):
    """A dense layer of the squares of what enters, in words that nobody knows."""

    def forward(self, input):
        return torch.einsum("...p,qp->...q", input**2, self.weight) + 2 * self.bias - self.bias


def bias(module, inputs, delta):
    """Return the sum of delta over all places, (n, size, 1)."""
    return module.factor * delta.reshape(len(delta), -1, delta.shape[-1]).sum(dim=1)[:, :, None]


def kernel(module, inputs, delta):
    """Return squares and a one beside delta, place by place."""
    n = len(inputs)
    inputs, delta = (x.reshape(n, -1, x.shape[-1]) for x in (inputs**2, delta))
    return torch.cat([inputs, torch.ones_like(inputs[:, :, :1])], dim=2), delta


class Calls(nn.Module):
    """Calls a function with parameters of its own, as functional networks do."""

    def __init__(self, function, *shapes):
        super().__init__()
        self.function = function
        self.parts = nn.ParameterList(nn.Parameter(torch.randn(shape)) for shape in shapes)

    def forward(self, x):
        return self.function(x, *self.parts)


# Layers that call each function with a closed form, and the shape of what enters for one sample.
LAYERS = {
    F.linear: [
        (lambda: nn.Linear(4, 3), (5, 4)),
        (lambda: nn.Linear(4, 3, bias=False), (4,)),
        (lambda: Calls(lambda x, w: F.linear(x, w.T), (4, 3)), (5, 4)),
        (lambda: Calls(lambda x, w, b: F.linear(x, w, b) + F.linear(x, w), (3, 4), (3,)), (4,)),
    ],
    torch.matmul: [(lambda: Calls(torch.matmul, (4, 3)), (5, 4))],
    torch.mm: [(lambda: Calls(torch.mm, (4, 3)), (4,))],
    torch.Tensor.mm: [(lambda: Calls(lambda x, w: x.mm(w), (4, 3)), (4,))],
    torch.Tensor.matmul: [
        (lambda: Calls(lambda x, w: x.matmul(w.t()), (3, 4)), (5, 4)),
        (lambda: Calls(lambda x, w: x @ w, (4, 3)), (2, 5, 4)),
        (lambda: Calls(lambda x, w: torch.tanh(x @ w) @ w.mT, (4, 3)), (5, 4)),
    ],
    F.embedding: [
        (lambda: nn.Embedding(7, 3, padding_idx=1), (5,)),
        (lambda: nn.Embedding(7, 3, padding_idx=-1), (2, 3)),
    ],
    F.conv1d: [
        (lambda: nn.Conv1d(2, 4, 3, stride=2), (2, 9)),
        (lambda: nn.Conv1d(4, 6, 2, groups=2), (4, 5)),
        (lambda: nn.Conv1d(3, 6, 3, groups=3, stride=2, dilation=2, padding=3), (3, 10)),
    ],
    F.conv2d: [
        (lambda: nn.Conv2d(2, 4, 3, padding=1), (2, 4, 5)),
        (lambda: nn.Conv2d(2, 4, 1), (2, 4, 5)),
        (lambda: nn.Conv2d(2, 4, 1, stride=2), (2, 4, 5)),
        (lambda: nn.Conv2d(2, 2, 2, groups=2, bias=False), (2, 4, 3)),
        (lambda: nn.Conv2d(4, 4, 2, groups=2, padding="same"), (4, 4, 3)),
        (lambda: nn.Conv2d(3, 3, (3, 2), stride=(2, 3), groups=3, padding=(1, 2)), (3, 7, 8)),
        (lambda: PaddedConvolution(2, 4, 3, stride=2, bias=False), (2, 6, 5)),
    ],
    F.conv3d: [
        (lambda: nn.Conv3d(2, 3, 2), (2, 3, 2, 3)),
        (lambda: nn.Conv3d(2, 4, 2, groups=2), (2, 3, 2, 3)),
    ],
    F.conv_transpose1d: [
        (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2, output_padding=1, padding=1), (2, 4))
    ],
    F.conv_transpose2d: [(lambda: nn.ConvTranspose2d(2, 3, (2, 3), dilation=2), (2, 3, 4))],
    F.conv_transpose3d: [(lambda: nn.ConvTranspose3d(2, 3, 2, stride=2), (2, 2, 3, 2))],
    F.batch_norm: [
        (lambda: nn.BatchNorm1d(3), (3, 4)),
        (lambda: nn.BatchNorm1d(3), (3,)),
        (lambda: nn.BatchNorm2d(3), (3, 4, 2)),
        (lambda: nn.BatchNorm3d(3), (3, 2, 2, 2)),
    ],
    F.layer_norm: [
        (lambda: nn.LayerNorm(4), (5, 4)),
        (lambda: nn.LayerNorm((3, 4)), (3, 4)),
    ],
    F.group_norm: [(lambda: nn.GroupNorm(2, 4), (4, 5))],
    F.instance_norm: [
        (lambda: nn.InstanceNorm2d(3, affine=True), (3, 4, 2)),
        (lambda: nn.InstanceNorm1d(3, affine=True, track_running_stats=True), (3, 4)),
    ],
    torch.add: [(lambda: Calls(torch.add, (4,)), (5, 4))],
    torch.Tensor.add: [
        (lambda: Calls(lambda x, b: b.add(x), (5, 1)), (5, 4)),
        (lambda: Calls(lambda x, b: x + b, (1, 5, 4)), (5, 4)),
        (lambda: Calls(lambda x, b: x + b, ()), (5, 4)),
    ],
    torch.Tensor.add_: [(lambda: Calls(lambda x, b: torch.sin(x).add_(b), (4,)), (5, 4))],
    torch.mul: [(lambda: Calls(torch.mul, (4,)), (5, 4))],
    torch.Tensor.mul: [
        (lambda: Calls(lambda x, b: b.mul(x), (5, 1)), (5, 4)),
        (lambda: Calls(lambda x, b, c: x * b * c, (1, 5, 4), ()), (5, 4)),
    ],
    torch.Tensor.expand: [
        (lambda: Calls(lambda x, t: torch.cat([t.expand(len(x), -1, -1), x], 1), (1, 2, 4)), (5, 4))
    ],
}
if hasattr(F, "rms_norm"):
    LAYERS[F.rms_norm] = [(lambda: nn.RMSNorm(4), (5, 4))]
# Layers of kinds that are registered by their class.
KINDS = {
    Bias: [(lambda: Bias(4), (5, 4))],
    Kernel: [(lambda: Kernel(4, 3), (5, 4)), (lambda: Kernel(4, 3), (4,))],
}


class PaddedConvolution(nn.Conv2d):
    """Has a forward of its own, as of networks that were taken over from other libraries."""

    def forward(self, input):
        return self._conv_forward(F.pad(input, (0, 1, 0, 2)), self.weight, self.bias)


@pytest.fixture
def toys(monkeypatch):
    """Register two kinds of layers for the time of a test."""
    monkeypatch.setattr(_forms, "_FORMS", [*_forms._FORMS])
    monkeypatch.setattr(_forms, "_LAYOUTS", {**_forms._LAYOUTS})
    closed_form(Bias, parameters=("shift",))(bias)
    sum_over_places(Kernel)(kernel)


class _Around(nn.Module):
    """A layer between others, so that what leaves it matters in its own way for each sample."""

    def __init__(self, layer, shape):
        super().__init__()
        self.layer, self.shape = layer, shape
        self.head = nn.LazyLinear(3)

    def forward(self, x):
        x = x.reshape(len(x), *self.shape)
        x = x.abs().mul(2).long() if isinstance(self.layer, nn.Embedding) else x
        return self.head(torch.sin(self.layer(x)).flatten(1))


def _network(layer, shape, engine="hooks"):
    torch.manual_seed(0)
    module, rows = _Around(layer(), shape), torch.randn(7, int(np.prod(shape))).clamp(-3, 3)
    module(rows)
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.2 * torch.randn(parameter.shape).double()
    return TorchNetwork(module, engine=engine), rows.double()


def _autograd(network, rows):
    """Return gradients of the largest logit from a backward pass of its own for each row."""
    out = []
    for row in rows:
        value = network.module(row[None]).max()
        parameters = dict(network.module.named_parameters())
        found = dict(
            zip(parameters, torch.autograd.grad(value, [*parameters.values()]), strict=True)
        )
        out.append(
            np.concatenate(
                [
                    layer.matrix([found[name][None] for name in layer.parameters]).ravel()
                    for layer in find_layers(network.module)
                ]
            )
        )
    return np.array(out)


def check_form(layer, shape):
    """The law of a closed form: what it gives is what a backward pass of each sample gives.

    To 12 digits in double precision and 5 in single precision.
    """
    network, rows = _network(layer, shape)
    expected = _autograd(network, rows)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(network.gradients(rows).dense(), expected, atol=1e-12 * scale)
    n_inside = sum(p * q for p, q in network.layer_shapes[:-1])
    assert np.linalg.norm(expected[:, :n_inside]) > 1e-3
    single = TorchNetwork(network.module.float(), engine="hooks")
    found = single.gradients(rows.float()).dense()
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


def _pairs(examples):
    for key, pairs in examples.items():
        for i, pair in enumerate(pairs):
            yield pytest.param(key, *pair, id=f"{key.__name__}-{i}")


@pytest.mark.parametrize("function, layer, shape", list(_pairs(LAYERS)))
def test_functions_have_the_gradients_of_autograd(function, layer, shape):
    seen = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    network, rows = _network(layer, shape)
    with Watch():
        network.module(rows)
    assert function in seen
    check_form(layer, shape)


@pytest.mark.parametrize("kind, layer, shape", list(_pairs(KINDS)))
def test_registered_kinds_have_the_gradients_of_autograd(kind, layer, shape, toys):
    assert _forms.find_form(layer()).kind is kind
    check_form(layer, shape)


def test_every_registered_form_has_an_example(toys):
    assert set(_functions._FUNCTIONS) == set(LAYERS)
    assert {form.kind for form in _forms._FORMS} == set(KINDS)


def test_unregistered_kinds_have_no_form():
    for kind in (Bias, Kernel):
        layer, shape = KINDS[kind][0]
        assert _forms.find_form(layer()) is None
        with pytest.raises(ValueError, match="engine='hooks' does not work for 'layer'"):
            check_form(layer, shape)


@pytest.mark.parametrize(
    "function",
    [
        # What has no form, beside what has.
        lambda x, w: F.linear(x, w) + w.sum(),
        lambda x, w: F.linear(x, torch.tanh(w)),
        # As input and as weight.
        lambda x, w: x + F.linear(w, w).sum(),
        lambda x, w: x + torch.matmul(w, w).sum(),
        lambda x, w: x + w.expand(len(x), 2, 4, 4).sum((1, 2)) + w.mul(w).sum(),
    ],
)
def test_calls_without_a_form_are_not_mistaken(function):
    network, rows = _network(lambda: Calls(function, (4, 4)), (4,), "auto")
    with pytest.warns(UserWarning, match=r"No closed form is known.*'layer.parts"):
        found = network.gradients(rows).dense()
    np.testing.assert_allclose(found, _autograd(network, rows), atol=1e-12)


def test_functions_can_be_registered(monkeypatch):
    monkeypatch.setattr(_functions, "_FUNCTIONS", {**_functions._FUNCTIONS})

    @register_function(F.bilinear)
    class Bilinear(FunctionForm):
        def read(self, is_parameter, input1, input2, weight, bias=None):
            return Reading(input1, weight, bias, input2)

        def weight(self, inputs, delta, shape, options):
            return torch.einsum("na,nb,nq->nqab", inputs, options, delta)

    check_form(lambda: Calls(lambda x, w, b: F.bilinear(x, x, w, b), (3, 4, 4), (3,)), (4,))


def test_forms_that_are_wrong_are_not_used(toys):
    closed_form(Bias, parameters=("shift",))(lambda *args: 1.01 * bias(*args))
    layer, shape = KINDS[Bias][0]
    network, rows = _network(layer, shape, "auto")
    with pytest.warns(UserWarning, match="No closed form is known.*'layer'"):
        found = network.gradients(rows).dense()
    np.testing.assert_allclose(found, _autograd(network, rows), atol=1e-12)
    with pytest.raises(ValueError, match="engine='hooks' does not work for 'layer'"):
        check_form(layer, shape)


PAGE = Path(__file__).parents[2] / "doc" / "extending.md"


def test_the_layer_of_the_page(toys):
    blocks = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    (block,) = (block for block in blocks if "class Scale" in block)
    namespace = {"__name__": "extending"}
    exec(compile(block, str(PAGE), "exec"), namespace)
    check_form(lambda: namespace["Scale"](4), (5, 4))


# ------------------------------------------------------------------------------------- engines


class Backward(BySamplesEngine):
    """One backward pass after the other, over the module itself."""

    name = "toy"

    def gradients(self, batch, parameters):
        leaves = {name: value.requires_grad_() for name, value in parameters.items()}
        scalar, rows = self.scalar(batch), zip(batch.rows, batch.weights, strict=True)
        found = [
            torch.autograd.grad(scalar(leaves, *row), [*leaves.values()], materialize_grads=True)
            for row in rows
        ]
        return dict(zip(leaves, map(torch.stack, zip(*found, strict=True)), strict=True))


@pytest.fixture
def engines(monkeypatch):
    """Register an engine for the time of a test."""
    monkeypatch.setattr(_registry, "_REGISTRY", {**_registry._REGISTRY})
    register(Backward)


def check_engine(name):
    """The laws of an engine: gradients of autograd, in every batch, and layers in vain refused."""
    for function in (F.linear, F.conv2d, F.embedding, F.batch_norm):
        network, rows = _network(*LAYERS[function][0], name)
        expected = _autograd(network, rows)
        for batch in (slice(None), slice(2, 5), slice(3, 4)):
            found = network.gradients(rows[batch])
            np.testing.assert_allclose(found.dense(), expected[batch], atol=1e-12)
            some = network.gradients(rows[batch], layers=[1]).dense()
            np.testing.assert_allclose(some, expected[batch][:, -some.shape[1] :], atol=1e-12)
        assert network.floats_per_row([0, 1], rows[:2]) > 0
    module = network.module
    module.head.spare = nn.Linear(2, 2).double()
    with pytest.raises(ValueError, match="do not depend on layer 'head.spare'"):
        TorchNetwork(module, classes=[0, 1, 2], engine=name).gradients(rows)


@pytest.mark.parametrize("name", ["toy", *engine_names()])
def test_registered_engines_give_the_gradients_of_autograd(name, engines):
    assert name in engine_names()
    check_engine(name)


def test_an_engine_that_is_wrong_is_caught(engines):
    class Wrong(Backward):
        def gradients(self, batch, parameters):
            return {n: 1.001 * v for n, v in super().gradients(batch, parameters).items()}

    register(Wrong)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        check_engine("toy")


def test_engines_are_known_by_name(engines):
    assert engine_names() == ["auto", "hooks", "vmap", "loop", "toy"]
    layer, shape = LAYERS[F.linear][0]
    with pytest.raises(ValueError, match="auto, hooks, vmap, loop, toy, got 'none'"):
        _network(layer, shape, "none")
    # Without a rank it is used only if asked for.
    assert [e.name for e in make_network(nn.Linear(4, 3))._engines] == ["hooks", "vmap", "loop"]


def test_an_engine_that_fails_hands_over(engines, monkeypatch):
    class Failing(Engine):
        name, rank = "failing", -1.0

        def makers(self, batch, indices):
            raise EngineFailure("it does not work") from KeyError("why")

    register(Failing)
    network, rows = _network(*LAYERS[F.linear][0], "auto")
    with pytest.warns(UserWarning, match="it does not work") as told:
        found = [network.gradients(rows).dense() for _ in range(2)]
    assert len(told) == 1 and told[0].filename == __file__
    np.testing.assert_allclose(found[0], _autograd(network, rows), atol=1e-12)
    np.testing.assert_allclose(found[1], found[0])
    network, rows = _network(*LAYERS[F.linear][0], "failing")
    with pytest.raises(KeyError, match="why"):
        network.gradients(rows)
