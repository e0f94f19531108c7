"""Parameters wherever functions are called with them: attention, frames, tied weights."""

import warnings

import numpy as np
import pytest

from sklearn_sparse_eig import gradients
from sklearn_sparse_eig.gradients import make_network

torch = pytest.importorskip("torch")
checkpoint = pytest.importorskip("torch.utils.checkpoint").checkpoint
nn, F = torch.nn, torch.nn.functional
X = np.random.default_rng(0).normal(size=(7, 8))


class Around(nn.Module):
    """Parts that a function puts together, before a dense layer."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)
        self.head = nn.LazyLinear(3)

    def forward(self, x):
        return self.head(self.function(self, x).flatten(1))


def words(x):
    return x.reshape(len(x), 2, 4)


def attend(part, x, **options):
    return part(x, x, x, **options)[0]


def no_padding(x):
    return torch.zeros(len(x), 2, dtype=torch.bool)


def attention(**options):
    return nn.MultiheadAttention(4, 2, batch_first=True, **options)


def encoder(**options):
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 5, 0.0, **options), 2)


LATER = torch.ones(2, 2, dtype=torch.bool).triu(1)
# Modules, and the layers that automatic differentiation is left with.
CASES = {
    "attention": (lambda: Around(lambda m, x: attend(m.a, words(x)), a=attention()), []),
    "mask": (
        lambda: Around(
            lambda m, x: attend(m.a, words(x), attn_mask=LATER, need_weights=False), a=attention()
        ),
        [],
    ),
    "padding": (
        lambda: Around(
            lambda m, x: attend(m.a, words(x), key_padding_mask=no_padding(x)),
            a=attention(add_bias_kv=True),
        ),
        ["a.bias_k", "a.bias_v"],
    ),
    "two-sequences": (
        lambda: Around(lambda m, x: m.a(words(x), words(x).tanh(), words(x))[0], a=attention()),
        ["a"],
    ),
    "encoder": (
        lambda: Around(lambda m, x: m.a(words(x)), a=encoder(batch_first=True, norm_first=True)),
        [],
    ),
    "encoder-places-first": (
        lambda: Around(lambda m, x: m.a(words(x).swapaxes(0, 1)).swapaxes(0, 1), a=encoder()),
        [],
    ),
    "grouped-queries": (
        lambda: Around(
            lambda m, x: F.scaled_dot_product_attention(
                m.a(x).reshape(-1, 4, 2, 2),
                *m.b(x).reshape(-1, 2, 2, 2, 2).unbind(1),
                is_causal=True,
                enable_gqa=True,
            ),
            a=nn.Linear(8, 16),
            b=nn.Linear(8, 16),
        ),
        [],
    ),
    "frames": (
        lambda: Around(
            lambda m, x: m.b(torch.relu(m.a(x.reshape(-1, 1, 2, 2)))).reshape(len(x), -1),
            a=nn.Conv2d(1, 3, 2),
            b=nn.BatchNorm2d(3),
        ),
        [],
    ),
    "flat-words": (
        lambda: Around(
            lambda m, x: torch.tanh(m.b(m.a(x.reshape(-1, 2)))).reshape(len(x), -1),
            a=nn.Linear(2, 3),
            b=nn.LayerNorm(3),
        ),
        [],
    ),
    "tied-table": (
        lambda: Around(
            lambda m, x: F.linear(
                torch.tanh(m.a((2 * x.abs()).long().clamp(max=4))), m.a.weight
            ).sum(1),
            a=nn.Embedding(5, 4),
        ),
        [],
    ),
    "checkpoint": (
        lambda: Around(
            lambda m, x: checkpoint(m.a, x, use_reentrant=False),
            a=nn.Sequential(nn.Linear(8, 6), nn.Tanh()),
        ),
        [],
    ),
    "in-place": (
        lambda: Around(
            lambda m, x: m.a(x).add_(m.b).relu_(), a=nn.Linear(8, 6), b=nn.Parameter(torch.randn(6))
        ),
        [],
    ),
    "weight-norm": (
        lambda: Around(
            lambda m, x: m.a(x), a=nn.utils.parametrizations.weight_norm(nn.Linear(8, 6))
        ),
        ["a.parametrizations.weight"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_functions_are_seen_wherever_they_are_called(name):
    torch.manual_seed(0)
    make, left = CASES[name]
    module = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, on the way to what is tested
        module(torch.zeros(2, 8))
        module = module.double().eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 0.2 * torch.randn(parameter.shape).double()
        network = make_network(module)
        # All rows, and other numbers of them: as many as places, and one.
        found = {n: network.gradients(X[:n]).dense() for n in (7, 2, 1)}
    expected = []
    for row in torch.as_tensor(X):
        values = dict(module.named_parameters())
        gradients = torch.autograd.grad(module(row[None]).max(), list(values.values()))
        named = dict(zip(values, gradients, strict=True))
        parts = [x.matrix([named[key][None] for key in x.parameters]) for x in network._layers]
        expected.append(np.concatenate([part.ravel().numpy() for part in parts]))
    for n, each in found.items():
        np.testing.assert_allclose(each, expected[:n], atol=1e-12 * np.abs(expected).max())
    hooks = network._engines[0]
    assert [x for i, x in enumerate(network.layer_names) if not hooks.takes(i)] == left
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers without a closed form
        single = make_network(module.float()).gradients(X.astype(np.float32)).dense()
    expected = np.array(expected)
    np.testing.assert_allclose(single, expected, atol=1e-5 * np.abs(expected).max())


class Backwards(nn.Module):
    """A network of functions, whose head is defined first."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head, self.middle = nn.Parameter(torch.randn(3, 5)), nn.Parameter(torch.randn(5, 6))
        self.first = nn.Parameter(torch.randn(6, 8))

    def forward(self, x):
        x = torch.tanh(F.linear(torch.tanh(F.linear(x, self.first)), self.middle))
        return F.linear(x, self.head)


def test_functions_are_run_in_an_order():
    network = gradients.TorchNetwork(Backwards().double().eval(), classes=np.arange(3))
    network.look_at(X)
    assert [network.layer_names[i] for i in network.order] == ["first", "middle", "head"]
    assert network.select("head") == (0,) and network.select("last_hidden") == (1,)
