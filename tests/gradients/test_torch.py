"""Torch modules: gradients against autograd and against scikit-learn's, and what is refused."""

import copy
import pickle
import warnings
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradientFeatures, GradPCADetector, gradients
from sklearn_sparse_eig.gradients import (
    LayerFactors,
    LayerMatrices,
    LayerPlaces,
    make_network,
    scalar_output,
)
from sklearn_sparse_eig.gradients._make import on_device

torch = pytest.importorskip("torch")
nn = torch.nn
TorchNetwork = gradients.TorchNetwork

from sklearn_sparse_eig.gradients.torch._layers import find_layers  # noqa: E402 - needs torch


class Residual(nn.Module):
    """Works in place on what a layer gives, and uses it twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.first(x).relu_()
        return self.head(torch.tanh(x + self.second(x)))


def _modules():
    torch.manual_seed(0)
    convolution = nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.Conv1d(1, 3, 3),
        nn.BatchNorm1d(3),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(18, 5, bias=False),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(5, 3),
    )
    modules = {
        "linear": nn.Sequential(nn.Linear(8, 3)),
        "mlp": nn.Sequential(
            nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)
        ),
        "residual": Residual(),
        "convolution": convolution,
        "single-logit": nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 1)),
    }
    return {name: module.double().eval() for name, module in modules.items()}


NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm1d)
if hasattr(nn, "RMSNorm"):
    NORMALISATIONS += (nn.RMSNorm,)
MODULES = _modules()
X = np.random.default_rng(0).normal(size=(20, 8))


def _scalar(logits, output):
    if logits.shape[1] == 1:
        logits = torch.cat([-logits / 2, logits / 2], dim=1)
    return {
        "max": logits.max(),
        "logsumexp": logits.logsumexp(1).sum(),
        "sum": logits.sum(),
        "loss": -logits.log_softmax(1).max(),
    }[output]


def _autograd(module, row, output):
    """Return the gradient at one row from a backward pass of its own, in the documented layout."""
    parameters = list(module.parameters())
    f = _scalar(module(torch.as_tensor(row[None])), output)
    gradients = torch.autograd.grad(f, parameters, allow_unused=True)
    pairs = zip(parameters, gradients, strict=True)
    found = {id(p): torch.zeros_like(p) if g is None else g for p, g in pairs}
    parts = []
    for layer in module.modules():
        own = [found.pop(id(p), None) for p in layer.parameters(recurse=False)]
        own = [gradient for gradient in own if gradient is not None]  # not shared with one before
        if isinstance(layer, NORMALISATIONS) and own:
            # A row for each channel: scale and shift.
            parts.append(torch.stack([gradient.ravel() for gradient in own], dim=1).ravel())
            continue
        for gradient in own:
            # Inputs by outputs, row by row.
            rows = isinstance(layer, nn.Embedding) or gradient.ndim < 2
            parts.append(gradient.ravel() if rows else gradient.flatten(1).T.ravel())
    return torch.cat(parts).numpy()


@pytest.mark.parametrize("output", ["max", "logsumexp", "sum", "loss"])
@pytest.mark.parametrize("name", MODULES)
def test_gradients_are_those_of_autograd(name, output):
    module = MODULES[name]
    if (name, output) == ("single-logit", "sum"):
        with pytest.raises(ValueError, match="zero everywhere"):
            make_network(module).gradients(X, output)
        return
    expected = np.array([_autograd(module, row, output) for row in X])
    found = GradientFeatures(module, output=output).fit_transform(X)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.abs(expected).max() > 0.1


def test_module_is_left_as_it_was():
    module = MODULES["convolution"]
    before = [value.clone() for value in module.state_dict().values()]
    for parameter in module.parameters():
        parameter.requires_grad_(False)  # frozen parameters count all the same
    with torch.no_grad():
        frozen = GradientFeatures(module).fit_transform(X)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    np.testing.assert_allclose(frozen, GradientFeatures(module).fit_transform(X), atol=1e-14)
    assert all(parameter.grad is None for parameter in module.parameters())
    assert not any(layer._forward_hooks for layer in module.modules())
    for old, new in zip(before, module.state_dict().values(), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize("hidden", [(16,), ()])
def test_detector_equals_that_of_the_scikit_learn_model(hidden):
    data, y = load_digits(return_X_y=True)
    data = data / 16.0
    if hidden:
        model = MLPClassifier(hidden, max_iter=30, tol=0.1, random_state=0).fit(data, y)
        weights, biases = model.coefs_, model.intercepts_
        layers = [nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)]
    else:
        model = LogisticRegression(max_iter=300).fit(data, y)
        weights, biases = [model.coef_.T], [model.intercept_]
        layers = [nn.Linear(64, 10)]
    module = nn.Sequential(*layers).double().eval()
    with torch.no_grad():
        for layer, weight, bias in zip(layers[::2], weights, biases, strict=True):
            layer.weight.copy_(torch.as_tensor(weight.T))
            layer.bias.copy_(torch.as_tensor(bias))
    expected = GradPCADetector(model).fit(data, y).score_samples(data)
    detector = GradPCADetector(module).fit(data, y)
    np.testing.assert_allclose(detector.score_samples(data), expected, rtol=1e-7)
    np.testing.assert_array_equal(detector.classes_, range(10))
    single = GradPCADetector(module.float()).fit(torch.as_tensor(data), torch.as_tensor(y))
    np.testing.assert_allclose(single.score_samples(data), expected, rtol=2e-2)


def test_images_streams_and_clones():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 12), nn.ReLU(), nn.Linear(12, 4)
    ).eval()
    images, y = load_digits(n_class=4, return_X_y=True)
    images = images.reshape(-1, 1, 8, 8) / 16
    whole = GradPCADetector(module, batch_size=100).fit(images, y)
    shards = [
        clone(whole).partial_fit(images[i : i + 100], y[i : i + 100])
        for i in range(0, len(images), 100)
    ]
    for shard in shards[1:]:
        shards[0].merge(shard)
    np.testing.assert_array_equal(shards[0].score_samples(images), whole.score_samples(images))
    assert whole.score_samples(np.random.default_rng(0).uniform(size=(50, 1, 8, 8))).mean() < (
        np.quantile(whole.score_samples(images), 0.2)
    )
    head = GradPCADetector(module, params=["5"]).fit(images, y)
    assert list(head.shrinkage_) == ["5"]
    with pytest.raises(ValueError, match="NaN"):
        whole.score_samples(np.full((1, 1, 8, 8), np.nan))


class Odd(nn.Module):
    """Uses a layer once, twice, on sequences, in vain or not at all."""

    def __init__(self, how):
        super().__init__()
        self.body, self.head, self.how = nn.Linear(8, 8), nn.Linear(8, 3), how

    def forward(self, x):
        if self.how == "sequence":
            x = self.body(x[:, None]).squeeze(1)
        elif self.how == "twice":
            x = self.body(self.body(x))
        elif self.how == "idle":
            self.body(x)
        elif self.how == "tuple":
            x = self.body(x)
        return (self.head(x),) if self.how == "tuple" else self.head(x)


@pytest.mark.parametrize(
    "how, message",
    [
        ("unused", r"do not depend on layer 'body'.*params=\['head'\]"),
        ("idle", r"do not depend on layer 'body'.*params=\['head'\]"),
        ("tuple", r"logits of shape \(20, 3\).*got tuple"),
    ],
)
def test_layers_in_vain(how, message):
    module = Odd(how).eval()
    with pytest.raises(ValueError, match=message):
        GradientFeatures(module).fit_transform(X)
    if how != "tuple":
        assert GradientFeatures(module, params="head").fit_transform(X).shape == (20, 27)
    assert not any(layer._forward_hooks for layer in module.modules())


def test_modules_that_are_refused():
    module = _modules()["convolution"]
    with pytest.raises(ValueError, match=r"'2' \(BatchNorm1d\) is in training mode.*eval"):
        GradPCADetector(module.train()).fit(X)
    module[2].eval()
    with pytest.raises(ValueError, match="Dropout"):
        GradPCADetector(module).fit(X)
    network = make_network(_modules()["mlp"].float())
    network.module.half()
    with pytest.raises(TypeError, match="half precision"):
        network.gradients(X)
    with pytest.raises(TypeError, match="has no parameters"):
        GradPCADetector(nn.Sequential(nn.Flatten())).fit(X)
    with pytest.raises(ValueError, match="number of logits.*classes="):
        GradPCADetector(nn.LayerNorm(8)).fit(X)
    with pytest.raises(ValueError, match=r"logits of shape \(20, 4\).*got \(20, 4, 6\)"):
        GradPCADetector(nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 4, 3))).fit(X)
    with pytest.raises(ValueError, match="running statistics"):
        statistics = nn.BatchNorm1d(8, track_running_stats=False)
        GradPCADetector(nn.Sequential(statistics, nn.Linear(8, 3)).eval()).fit(X)
    with pytest.raises(ValueError, match=r"LSTM\) is in training mode"):
        GradPCADetector(Recurrent(dropout=0.1)).fit(X)
    with pytest.raises(ValueError, match=r"does not know: \[3\]"):
        GradPCADetector(_modules()["mlp"]).fit(X, np.arange(20) % 4)


def test_loss_is_that_of_the_predicted_class():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    expected = nn.functional.cross_entropy(
        torch.as_tensor(logits), torch.as_tensor(logits.argmax(axis=1)), reduction="none"
    )
    np.testing.assert_allclose(scalar_output(logits, "loss")[0], expected.numpy(), atol=1e-12)


# --------------------------------------------------------------------------- layers of all kinds


class Recurrent(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.body, self.head = nn.LSTM(4, 3, 2, batch_first=True, dropout=dropout), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.body(x.reshape(len(x), 2, 4))[0][:, -1])


class Attention(nn.Module):
    """With parameters of its own."""

    def __init__(self):
        super().__init__()
        self.token, self.scale = nn.Parameter(torch.randn(1, 1, 4)), nn.Parameter(torch.ones(()))
        self.body = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = torch.cat([self.token.expand(len(x), 1, 4), x.reshape(len(x), 2, 4)], dim=1)
        return self.scale * self.head(self.body(x)[:, 0])


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4, padding_idx=0), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.words((2 * x.abs()).long().clamp(max=4))).sum(1))


class Tied(nn.Module):
    """One matrix as two layers, and called as a function."""

    def __init__(self, how):
        super().__init__()
        self.how, self.body = how, nn.Linear(8, 8, bias=False)
        self.other, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        if how == "shared":
            self.other.weight = self.body.weight
        if how == "parametrised":
            nn.utils.parametrize.register_parametrization(self.other, "weight", nn.Softplus())

    def forward(self, x):
        x = torch.tanh(self.other(torch.tanh(self.body(x))))
        return self.head(x @ self.body.weight if self.how == "function" else x)


class SequenceFirst(nn.Module):
    """The first axis inside is that of places; there are as many as samples, or not."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(2, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x.reshape(len(x), 4, 2).swapaxes(0, 1))).sum(0))


class Branching(nn.Module):
    """Goes another way for some samples, which vmap cannot."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Bilinear(8, 8, 4), nn.Linear(4, 3)

    def forward(self, x):
        y = self.body(x, x)
        return torch.cat([self.head(row if row.sum() > 0 else row.cos()) for row in y[:, None]])


def _sequential(*layers):
    return nn.Sequential(nn.Unflatten(1, (2, 4)), *layers, nn.Flatten(), nn.LazyLinear(3))


def _kinds():
    torch.manual_seed(0)
    image, volume = nn.Unflatten(2, (2, 2)), nn.Unflatten(2, (2, 1, 2))
    kinds = {
        "conv1d": _sequential(nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.Tanh()),
        "conv1d-dilated": _sequential(
            nn.Conv1d(2, 4, 2, dilation=2, padding="same", padding_mode="circular"), nn.Tanh()
        ),
        "conv2d-groups": _sequential(
            image, nn.Conv2d(2, 4, (1, 2), padding=1, groups=2), nn.Tanh(), nn.Conv2d(4, 2, 2)
        ),
        "depthwise": _sequential(nn.Conv1d(2, 6, 2, groups=2, bias=False), nn.Tanh()),
        "conv3d": _sequential(volume, nn.Conv3d(2, 3, (2, 1, 2), padding=(0, 1, 0)), nn.Tanh()),
        "only-convolutions": nn.Sequential(
            nn.Unflatten(1, (2, 4)), nn.Conv1d(2, 3, 2), nn.AdaptiveAvgPool1d(1), nn.Flatten()
        ),
        "batch-norm": _sequential(nn.BatchNorm1d(2), nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3)),
        "batch-norm-flat": nn.Sequential(nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)),
        "layer-norm": _sequential(nn.LayerNorm((2, 4)), nn.Tanh(), nn.LayerNorm(4)),
        "group-norm": _sequential(nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.Tanh()),
        "sequence": _sequential(
            nn.Linear(4, 3), nn.ReLU(inplace=True), nn.Linear(3, 2, bias=False)
        ),
        "words": Words(),
        "twice": Odd("twice"),
        "one-place": Odd("sequence"),
        "tied-shared": Tied("shared"),
        "tied-function": Tied("function"),
        "parametrised": Tied("parametrised"),
        "transposed": _sequential(nn.ConvTranspose1d(2, 3, 2), nn.InstanceNorm1d(3, affine=True)),
        "recurrent": Recurrent(),
        "attention": Attention(),
        "sequence-first": SequenceFirst(),
        "branching": Branching(),
    }
    if hasattr(nn, "RMSNorm"):
        kinds["rms-norm"] = _sequential(nn.RMSNorm(4), nn.Tanh())
    for module in kinds.values():
        module(torch.zeros(2, 8))
        for layer in module.double().eval().modules():
            if isinstance(layer, nn.BatchNorm1d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.5, 2.0)
            for parameter in layer.parameters(recurse=False):
                # Scales and shifts other than one and zero.
                parameter.data += 0.2 * torch.randn(parameter.shape, dtype=torch.float64)
    return kinds


KINDS = _kinds()
WITHOUT_CLOSED_FORM = {
    "parametrised": ["other.parametrizations.weight"],
    "recurrent": ["body"],
    "branching": ["body", "head"],
}


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_layer(name):
    module = KINDS[name]
    expected = np.array([_autograd(module, row, "logsumexp") for row in X[:6]])
    assert np.abs(expected).max() > 0.1
    network, known = make_network(module), name not in WITHOUT_CLOSED_FORM
    with nullcontext() if known else pytest.warns(UserWarning, match="No closed form"):
        found = network.gradients(X[:6], "logsumexp")
    np.testing.assert_allclose(found.dense(), expected, atol=1e-12)
    # Told once, and computed the same way again.
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        again = network.gradients(X[:4], "logsumexp")
    np.testing.assert_allclose(again.dense(), expected[:4], atol=1e-12)
    assert [layer.dense().shape[1] for layer in found.layers] == [
        p * q for p, q in network.layer_shapes
    ]
    hooks = network._engines[0]
    names = [name for i, name in enumerate(network.layer_names) if not hooks.takes(i)]
    assert names == WITHOUT_CLOSED_FORM.get(name, [])


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", KINDS)
def test_engines_agree(name):
    module, rows = KINDS[name], X[:5]
    loop = TorchNetwork(module, engine="loop").gradients(rows).dense()
    if name not in ("recurrent", "branching"):  # vmap has no rule for them
        vmap = TorchNetwork(module, engine="vmap").gradients(rows).dense()
        np.testing.assert_allclose(vmap, loop, atol=1e-12)
    network = TorchNetwork(module, engine="hooks")
    if name in WITHOUT_CLOSED_FORM:
        with pytest.raises(ValueError, match=f"hooks.*'{WITHOUT_CLOSED_FORM[name][0]}'"):
            network.gradients(rows)
    else:
        np.testing.assert_allclose(network.gradients(rows).dense(), loop, atol=1e-12)
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=(p, 2, q)) for p, q in network.layer_shapes]
    flat = np.hstack([d.swapaxes(0, 1).reshape(2, -1) for d in directions])
    np.testing.assert_allclose(network.products(rows, directions), loop @ flat.T, atol=1e-12)


@pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:No closed form")
@pytest.mark.filterwarnings("ignore:torch.func.vmap does not work")
@pytest.mark.parametrize("name", KINDS)
def test_single_precision_has_five_digits(name):
    rows = X[:6].astype(np.float32)
    expected = np.array([_autograd(KINDS[name], row, "logsumexp") for row in rows.astype(float)])
    found = make_network(copy.deepcopy(KINDS[name]).float()).gradients(rows, "logsumexp").dense()
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["recurrent", "branching"])
def test_where_vmap_fails_samples_come_one_by_one(name):
    with pytest.warns(UserWarning) as told:
        make_network(KINDS[name]).gradients(X)
    assert "vmap does not work" in str(told[-1].message)
    with pytest.raises(RuntimeError):
        TorchNetwork(KINDS[name], engine="vmap").gradients(X)


@pytest.mark.parametrize("name", ["conv2d-groups", "group-norm", "attention"])
def test_gradients_are_finite_differences(name):
    module, network, step = KINDS[name], make_network(KINDS[name]), 1e-5
    columns = []
    for parameter in network.module.parameters():
        for i in range(parameter.numel()):
            moved = []
            for sign in (1.0, -1.0):
                with torch.no_grad():
                    parameter.view(-1)[i] += sign * step
                    moved.append(module(torch.as_tensor(X)).logsumexp(1).numpy())
                    parameter.view(-1)[i] -= sign * step
            columns.append((moved[0] - moved[1]) / (2 * step))
    found = network.gradients(X, "logsumexp").dense()
    # The same numbers in another order: compare what does not depend on it.
    differences = np.column_stack(columns)
    np.testing.assert_allclose(found @ found.T, differences @ differences.T, rtol=1e-6, atol=1e-8)


@pytest.mark.filterwarnings("ignore:No closed form")
def test_as_many_places_as_samples():
    # The shapes fit, and so does the sum over samples; but not their order.
    module = KINDS["sequence-first"]
    expected = np.array([_autograd(module, row, "max") for row in X[:4]])
    np.testing.assert_allclose(make_network(module).gradients(X[:4]).dense(), expected, atol=1e-12)


def test_matrices_only_where_there_is_no_rank_one():
    network = make_network(MODULES["convolution"])
    kinds = [type(layer) for layer in network.gradients(X).layers]
    assert kinds == [LayerMatrices, LayerMatrices, LayerFactors, LayerFactors]
    # One at a time: made when asked for.
    layers = network.gradients(X).layers
    assert layers[0] is not layers[0]
    # The head has equal rows where the largest logit is the same.
    assert layers[3].codes is not None and layers[2].codes is None


# Images of 7 x 7 or sequences of 49; from 3 channels to 40, so that some have few places.
CONVOLUTIONS = {
    "plain": nn.Conv2d(3, 40, 3),
    "stride": nn.Conv2d(3, 40, (3, 2), stride=2, padding=(1, 0)),
    "dilation": nn.Conv2d(3, 40, 3, stride=3, padding=2, dilation=(2, 1), bias=False),
    "circular": nn.Conv2d(3, 40, 2, stride=2, padding=1, padding_mode="circular"),
    "same": nn.Conv2d(3, 40, (2, 5), padding="same", dilation=2),
    "reflect-1d": nn.Conv1d(3, 40, 5, stride=4, padding=3, padding_mode="reflect"),
    "3d": nn.Conv3d(3, 40, (1, 2, 3), stride=2, padding=(0, 1, 1)),
    "groups": nn.Conv2d(3, 42, 3, groups=3, stride=3),
    "depthwise": nn.Conv2d(3, 3, 3, groups=3, stride=3, bias=False),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_are_sums_over_places(name):
    torch.manual_seed(0)
    convolution = CONVOLUTIONS[name].double()
    axes = {nn.Conv1d: (49,), nn.Conv2d: (7, 7), nn.Conv3d: (1, 7, 7)}[type(convolution)]
    rows = np.random.default_rng(1).normal(size=(6, 3, *axes))
    with torch.no_grad():
        places = convolution(torch.as_tensor(rows))[0, 0].numel()
    head = nn.Linear(convolution.out_channels * places, 3)
    module = nn.Sequential(convolution, nn.Tanh(), nn.Flatten(), head).double().eval()
    network = make_network(module)
    found = network.gradients(rows).layers[0]
    p, q = network.layer_shapes[0]
    few = convolution.groups == 1 and places * (p * p + q * q) < p * q * (p + q)
    assert isinstance(found, LayerPlaces) == few
    if few:
        assert found.inputs.shape == (6, places, p) and found.deltas.shape == (6, places, q)
    expected = TorchNetwork(module, engine="vmap").gradients(rows).layers[0]
    np.testing.assert_allclose(found.dense(), expected.dense(), atol=1e-12)


def test_few_places_are_kept_as_such():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(torch.tanh(self.body(torch.tanh(self.body(x)))))

    class Sequence(nn.Module):
        def __init__(self, places):
            super().__init__()
            self.body, self.head = nn.Linear(8, 8), nn.Linear(8 * places, 3)
            self.places = places

        def forward(self, x):
            steps = torch.arange(1, self.places + 1).to(x) / self.places
            return self.head(torch.tanh(self.body(x[:, None] * steps[:, None])).flatten(1))

    # 9 * 8 * 17 / (81 + 64) = 8.4
    for module, places in ((Twice(), 2), (Sequence(3), 3), (Sequence(8), 8), (Sequence(9), None)):
        module = module.double().eval()
        network = make_network(module)
        body, head = network.gradients(X).layers
        assert type(body) is (LayerMatrices if places is None else LayerPlaces)
        assert places is None or body.inputs.shape == (len(X), places, 9)
        assert isinstance(head, LayerFactors)
        expected = TorchNetwork(module, engine="vmap").gradients(X).layers[0].dense()
        np.testing.assert_allclose(body.dense(), expected, atol=1e-12)


@pytest.mark.parametrize("metric", ["kfac", "diag", "euclidean"])
@pytest.mark.parametrize("score", ["relative", "snr_ratio", "laplace"])
def test_scores_do_not_depend_on_how_gradients_are_kept(metric, score):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)
    ).double()
    images, y = load_digits(n_class=4, return_X_y=True)
    images = images.reshape(-1, 1, 8, 8) / 16
    assert isinstance(make_network(module.eval()).gradients(images).layers[0], LayerPlaces)
    # By automatic differentiation of all samples there are only matrices; the dense head would
    # have another metric.
    places, matrices = (
        GradPCADetector(
            TorchNetwork(module, engine=engine), metric=metric, score_function=score, params="0"
        )
        .fit(images, y)
        .score_samples(images)
        for engine in ("hooks", "vmap")
    )
    np.testing.assert_allclose(places, matrices, rtol=1e-7)


def test_names_of_layers():
    network = make_network(KINDS["attention"])
    names = network.layer_names
    inside = [i for i, name in enumerate(names) if name.startswith("body.")]
    assert list(network.select("body")) == inside and len(inside) == 6
    assert network.select(["head", "body.linear1"]) == (names.index("body.linear1"), 7)
    assert names[network.select("head")[0]] == "head"
    assert names[network.select("last_hidden")[0]] == "body.linear2"  # not normalisation
    assert len(network.select("all")) == len(names)
    convolution = make_network(MODULES["convolution"])
    assert [convolution.layer_names[i] for i in convolution.select("dense")] == ["5", "8"]
    with pytest.raises(ValueError, match="no Linear layer"):
        TorchNetwork(nn.Sequential(nn.Conv1d(8, 3, 1), nn.Flatten()).eval()).select("dense")
    with pytest.raises(ValueError, match="among .*body.linear1"):
        network.select(["bod"])


def test_normalisations_have_a_row_for_each_channel():
    shapes = {
        nn.BatchNorm2d(5): (5, 2),
        nn.LayerNorm((3, 4)): (12, 2),
        nn.GroupNorm(2, 4): (4, 2),
        nn.InstanceNorm2d(3, affine=True): (3, 2),
        nn.LayerNorm(4, bias=False): (4, 1),
    }
    for layer, shape in shapes.items():
        assert find_layers(layer)[0].shape == shape
        assert find_layers(layer)[0].layout == "channels"
    more = nn.LayerNorm(4)
    more.temperature = nn.Parameter(torch.ones(()))
    assert find_layers(more)[0].shape == (9, 1)


def test_networks_that_were_saved_with_another_layout_keep_it():
    # As versions before wrote them: what detectors know of their gradients has this shape.
    module = MODULES["convolution"]
    network = make_network(module)
    layers = [replace(x, layout="column") if x.is_normalisation else x for x in network._layers]
    vars(network).update(_layers=layers, layer_shapes=tuple(x.shape for x in layers))
    del vars(network)["_engines"], vars(network)["_settled"]
    found = pickle.loads(pickle.dumps(network)).gradients(X).layers[1].matrices
    expected = make_network(module).gradients(X).layers[1].matrices
    assert found.shape == (20, 6, 1) and expected.shape == (20, 3, 2)
    np.testing.assert_allclose(found[:, :, 0], np.hstack(list(np.moveaxis(expected, 2, 0))))


def test_shared_parameters_count_once():
    for name in ("tied-shared", "tied-function", "twice"):
        sizes = [p * q for p, q in make_network(KINDS[name]).layer_shapes]
        assert sum(sizes) == sum(p.numel() for p in KINDS[name].parameters())


# ------------------------------------------------------------------------------------- detection


def _digits():
    torch.manual_seed(0)
    images, y = load_digits(n_class=4, return_X_y=True)
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(27, 4),
    )
    return module.double().eval(), images.reshape(-1, 1, 8, 8) / 16, y


def test_detector_of_a_convolutional_network_is_the_formula():
    module, images, y = _digits()
    rows, new = np.arange(200), np.arange(200, 230)
    detector = GradPCADetector(module, score_function="snr_ratio", batch_size=64)
    detector.fit(images[rows], y[rows])
    network = make_network(module)
    fitted, scored = network.gradients(images[rows]), network.gradients(images[new])
    blocks, n = [], len(rows)
    for layer, shares in zip(fitted.layers, detector.shrinkage_.values(), strict=True):
        if isinstance(layer, LayerFactors):
            pair = [rows.T @ rows / n for rows in (layer.inputs, layer.deltas)]
        else:
            G = layer.matrices
            pair = [np.einsum("npq,nrq->pr", G, G) / n, np.einsum("npq,npr->qr", G, G) / n]
            pair[1] /= np.trace(pair[0])
        pair = [
            (1 - share) * moment + share * np.trace(moment) / len(moment) * np.eye(len(moment))
            for moment, share in zip(pair, shares, strict=True)
        ]
        blocks.append(np.linalg.inv(np.kron(*pair)))
    F = np.zeros((sum(map(len, blocks)),) * 2)
    start = 0
    for block in blocks:
        F[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    G, g = fitted.dense(), scored.dense()
    means = np.array([G[y[rows] == c].mean(axis=0) for c in range(4)])
    centre = means.mean(axis=0)
    root = np.linalg.cholesky(F)
    basis = np.linalg.svd((root.T @ (means - centre).T), full_matrices=False)[0][:, :3]
    u = (g - centre) @ root
    inside = np.linalg.norm(u @ basis, axis=1)
    distance = np.linalg.norm(u, axis=1)
    odds = inside / np.sqrt(distance**2 - inside**2)
    expected = scored.values / distance * np.where(scored.values > 0, odds, 1 / odds)
    np.testing.assert_allclose(detector.score_samples(images[new]), expected, rtol=1e-7)


@pytest.mark.parametrize("metric", ["kfac", "diag", "euclidean"])
def test_streams_of_matrices(metric):
    module, images, y = _digits()
    whole = GradPCADetector(module, metric=metric, batch_size=100).fit(images, y)
    shards = [
        clone(whole).partial_fit(images[i : i + 100], y[i : i + 100])
        for i in range(0, len(images), 100)
    ]
    for shard in shards[1:]:
        shards[0].merge(shard)
    np.testing.assert_array_equal(shards[0].score_samples(images), whole.score_samples(images))
    copy = pickle.loads(pickle.dumps(whole))
    np.testing.assert_array_equal(copy.score_samples(images), whole.score_samples(images))
    noise = np.random.default_rng(0).uniform(size=(50, 1, 8, 8))
    if metric == "kfac":
        assert np.median(whole.score_samples(noise)) < np.quantile(whole.score_samples(images), 0.2)


@pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:No closed form")
def test_layers_without_closed_form_end_to_end():
    module, y = KINDS["parametrised"], np.arange(20) % 3
    named = TorchNetwork(module, classes=["a", "b", "c"])
    with pytest.warns(UserWarning, match="'other.parametrizations.weight'"):
        detector = GradPCADetector(named).fit(X, np.array(["a", "b", "c"])[y])
    assert detector.classes_.tolist() == ["a", "b", "c"]
    assert np.isfinite(detector.score_samples(X)).all()
    # In the Euclidean metric it does not matter which of them are factors.
    hooks, vmap, loop = (
        GradPCADetector(TorchNetwork(module, engine=engine), metric="euclidean")
        .fit(X, y)
        .score_samples(X)
        for engine in ("auto", "vmap", "loop")
    )
    np.testing.assert_allclose(hooks, loop, rtol=1e-9)
    np.testing.assert_allclose(vmap, loop, rtol=1e-9)


class Limited(nn.Module):
    """Has memory for a few rows only."""

    def __init__(self, rows, message):
        super().__init__()
        self.rows, self.message, self.body = rows, message, nn.Linear(8, 3)

    def forward(self, x):
        if len(x) > self.rows:
            raise (
                self.message if isinstance(self.message, Exception) else RuntimeError(self.message)
            )
        return self.body(x)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_the_batch(error):
    module, y = Limited(3, error).double().eval(), np.arange(20) % 3
    with pytest.warns(UserWarning, match="going on with 2. Set batch_size=2"):
        found = GradientFeatures(module, batch_size=16).fit_transform(X)
    np.testing.assert_array_equal(found, GradientFeatures(module.body).fit_transform(X))
    with pytest.warns(UserWarning, match="Out of memory with 5 rows"):
        detector = GradPCADetector(module, batch_size=5).fit(X, y)
    expected = GradPCADetector(module.body).fit(X, y)
    found, expected = detector.score_samples(X[:3]), expected.score_samples(X[:3])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    module.rows = 0
    with pytest.raises(type(error)):
        GradientFeatures(module, batch_size=1).fit_transform(X)


@pytest.mark.parametrize("rows, expected", [(100, 16), (9, 9), (1, 4)])
def test_batches_of_large_gradients_are_small(monkeypatch, rows, expected):
    module, images = MODULES["convolution"], np.zeros((40, 8))
    monkeypatch.setattr("sklearn_sparse_eig.gradients.torch._network.BATCH_BYTES", 8 * 16 * 4)
    floats = make_network(module)._floats_per_row((0, 1), images[:2])
    monkeypatch.setattr("sklearn_sparse_eig.gradients.torch._network._LARGEST_BATCH", rows * floats)
    network = make_network(module)
    assert 8 * 16 * 4 // (8 * network.floats_per_row((0, 1), images[:2])) == expected


def test_other_errors_do_not_look_like_memory():
    with pytest.raises(RuntimeError, match="broken"):
        GradientFeatures(
            Limited(3, RuntimeError("broken")).double().eval(), batch_size=8
        ).fit_transform(X)


def test_engines_have_names():
    with pytest.raises(ValueError, match="auto, hooks, vmap, loop"):
        TorchNetwork(MODULES["mlp"], engine="jvp")


class Frozen(nn.Module):
    """A part without gradients by its own decision."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(8, 4), nn.Linear(4, 3)

    def forward(self, x):
        with torch.no_grad():
            x = torch.tanh(self.body(x))
        return self.head(x)


def test_parts_that_refuse_gradients():
    module = Frozen().double().eval()
    with pytest.raises(ValueError, match=r"do not depend on layer 'body'.*params=\['head'\]"):
        make_network(module).gradients(X)
    found = make_network(module).gradients(X, layers=[1])
    np.testing.assert_allclose(found.layers[0].inputs[:, -1], 1.0)


@pytest.mark.parametrize("mean_rank", [1, None])
@pytest.mark.parametrize("name", ["mlp", "convolution"])
def test_single_precision_scores_in_single_and_sums_in_double(name, mean_rank):
    module = MODULES[name]
    single = copy.deepcopy(module).float()
    rows = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    labels = np.arange(200) % 3
    expected = GradPCADetector(module, mean_rank=mean_rank).fit(rows, labels)
    detector = GradPCADetector(single, mean_rank=mean_rank).fit(rows, labels)
    for layer in detector._network.gradients(rows).layers:
        assert layer.dtype == np.float32
    assert all(sums.dtype == np.float64 for sums in detector._state.class_sums)
    assert all(m.total.dtype == np.float64 for pair in detector._state.moments for m in pair)
    found, exact = detector.score_samples(rows), expected.score_samples(rows)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, exact, rtol=2e-3, atol=2e-4 * np.abs(exact).max())


def test_device():
    module = MODULES["mlp"]
    assert on_device(module, "cpu") is module
    moved = on_device(module, "meta")
    assert moved is not module
    assert next(module.parameters()).device.type == "cpu"
    assert next(moved.parameters()).device.type == "meta"
    rows, labels = np.random.default_rng(0).normal(size=(60, 8)), np.arange(60) % 3
    here = GradPCADetector(module, device="cpu", backend="torch").fit(rows, labels)
    expected = GradPCADetector(module).fit(rows, labels)
    np.testing.assert_array_equal(here.score_samples(rows), expected.score_samples(rows))
