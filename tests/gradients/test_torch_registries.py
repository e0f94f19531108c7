"""Whatever is registered, a closed form or an engine, gives the gradients of autograd."""

import re
from pathlib import Path

import numpy as np
import pytest

from sklearn_sparse_eig.gradients import make_network

torch = pytest.importorskip("torch")
nn = torch.nn

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
from sklearn_sparse_eig.gradients.torch.forms import _registry as _forms  # noqa: E402 - needs torch
from sklearn_sparse_eig.gradients.torch.forms._linear import linear  # noqa: E402 - needs torch


class Bias(nn.Module):
    """Adds a vector to each place, times a number: a kind of layer that nobody knows."""

    def __init__(self, size):
        super().__init__()
        self.shift, self.factor = nn.Parameter(torch.randn(size)), 2.0

    def forward(self, input):
        return input + self.factor * self.shift


class Kernel(nn.Linear):
    """A dense layer of the squares of what enters."""

    def forward(self, input):
        return super().forward(input**2)


def bias(module, inputs, delta):
    """Return the sum of delta over all places, (n, size, 1)."""
    return module.factor * delta.reshape(len(delta), -1, delta.shape[-1]).sum(dim=1)[:, :, None]


def kernel(module, inputs, delta):
    """Return squares and a one beside delta, place by place."""
    return linear(module, inputs**2, delta)


# A layer of each registered kind, and the shape of what enters it for one sample.
EXAMPLES = {
    nn.Linear: [(lambda: nn.Linear(4, 3), (5, 4)), (lambda: nn.Linear(4, 3, bias=False), (4,))],
    nn.Embedding: [(lambda: nn.Embedding(7, 3, padding_idx=1), (5,))],
    nn.Conv1d: [
        (lambda: nn.Conv1d(2, 4, 3, stride=2), (2, 9)),
        (lambda: nn.Conv1d(4, 6, 2, groups=2), (4, 5)),
    ],
    nn.Conv2d: [
        (lambda: nn.Conv2d(2, 4, 3, padding=1), (2, 4, 5)),
        (lambda: nn.Conv2d(2, 2, 2, groups=2, bias=False), (2, 4, 3)),
    ],
    nn.Conv3d: [
        (lambda: nn.Conv3d(2, 3, 2), (2, 3, 2, 3)),
        (lambda: nn.Conv3d(2, 4, 2, groups=2), (2, 3, 2, 3)),
    ],
    nn.BatchNorm1d: [(lambda: nn.BatchNorm1d(3), (3, 4))],
    nn.BatchNorm2d: [(lambda: nn.BatchNorm2d(3), (3, 4, 2))],
    nn.BatchNorm3d: [(lambda: nn.BatchNorm3d(3), (3, 2, 2, 2))],
    nn.LayerNorm: [(lambda: nn.LayerNorm(4), (5, 4)), (lambda: nn.LayerNorm((3, 4)), (3, 4))],
    nn.GroupNorm: [(lambda: nn.GroupNorm(2, 4), (4, 5))],
    Bias: [(lambda: Bias(4), (5, 4))],
    Kernel: [(lambda: Kernel(4, 3), (5, 4)), (lambda: Kernel(4, 3), (4,))],
}
if hasattr(nn, "RMSNorm"):
    EXAMPLES[nn.RMSNorm] = [(lambda: nn.RMSNorm(4), (5, 4))]


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
    """The law of a closed form: what it gives is what a backward pass of each sample gives."""
    network, rows = _network(layer, shape)
    expected = _autograd(network, rows)
    np.testing.assert_allclose(network.gradients(rows).dense(), expected, atol=1e-12)
    p, q = network.layer_shapes[0]
    assert np.linalg.norm(expected[:, : p * q]) > 1e-3


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_registered_forms_give_the_gradients_of_autograd(kind, toys):
    for layer, shape in EXAMPLES[kind]:
        assert _forms.find_form(layer()).kind is kind
        check_form(layer, shape)


def test_every_registered_kind_has_an_example(toys):
    assert {form.kind for form in _forms._FORMS} == set(EXAMPLES)
    used = {_forms.find_form(layer()) for pairs in EXAMPLES.values() for layer, _ in pairs}
    assert used == set(_forms._FORMS)


def test_unregistered_kinds_and_subclasses_have_no_form():
    for kind in (Bias, Kernel):
        layer, shape = EXAMPLES[kind][0]
        assert _forms.find_form(layer()) is None
        with pytest.raises(ValueError, match="engine='hooks' does not work for 'layer'"):
            check_form(layer, shape)


def test_forms_that_are_wrong_are_not_used(toys):
    closed_form(Bias, parameters=("shift",))(lambda *args: 1.01 * bias(*args))
    layer, shape = EXAMPLES[Bias][0]
    network, rows = _network(layer, shape, "auto")
    with pytest.warns(UserWarning, match="No closed form is known.*'layer'"):
        found = network.gradients(rows).dense()
    np.testing.assert_allclose(found, _autograd(network, rows), atol=1e-12)
    with pytest.raises(ValueError, match="engine='hooks' does not work for 'layer'"):
        check_form(layer, shape)


PAGE = Path(__file__).parents[2] / "doc" / "extending.md"


def test_the_layer_of_the_page(toys):
    (block,) = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
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
    for kind in (nn.Linear, nn.Conv2d, nn.Embedding, nn.BatchNorm1d):
        network, rows = _network(*EXAMPLES[kind][0], name)
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
    layer, shape = EXAMPLES[nn.Linear][0]
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
    network, rows = _network(*EXAMPLES[nn.Linear][0], "auto")
    with pytest.warns(UserWarning, match="it does not work") as told:
        found = [network.gradients(rows).dense() for _ in range(2)]
    assert len(told) == 1 and told[0].filename == __file__
    np.testing.assert_allclose(found[0], _autograd(network, rows), atol=1e-12)
    np.testing.assert_allclose(found[1], found[0])
    network, rows = _network(*EXAMPLES[nn.Linear][0], "failing")
    with pytest.raises(KeyError, match="why"):
        network.gradients(rows)
