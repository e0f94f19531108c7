"""Torch modules: gradients against autograd and against scikit-learn's, and what is refused."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradientFeatures, GradPCADetector
from sklearn_sparse_eig.gradients import make_network, scalar_output

torch = pytest.importorskip("torch")
nn = torch.nn


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


MODULES = _modules()
X = np.random.default_rng(0).normal(size=(20, 8))


def _autograd(module, row, output):
    """Return the gradient with respect to the Linear layers from a backward pass of its own."""
    logits = module(torch.as_tensor(row[None]))
    if logits.shape[1] == 1:
        logits = torch.cat([-logits / 2, logits / 2], dim=1)
    f = {
        "max": logits.max(),
        "logsumexp": logits.logsumexp(1).sum(),
        "sum": logits.sum(),
        "loss": -logits.log_softmax(1).max(),
    }[output]
    parts = []
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            gradients = torch.autograd.grad(f, list(layer.parameters()), retain_graph=True)
            parts.append(gradients[0].T.ravel())
            parts.extend(gradient.ravel() for gradient in gradients[1:])
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
        ("twice", r"'body' is used 2 times.*params=\['head'\]"),
        ("unused", "'body' is used 0 times"),
        ("sequence", "'body' is applied to sequences"),
        ("idle", "do not depend on layer 'body'"),
        ("tuple", r"logits of shape \(20, 3\).*got tuple"),
    ],
)
def test_layers_that_are_not_of_rank_one(how, message):
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
    with pytest.raises(TypeError, match="half precision"):
        GradPCADetector(_modules()["mlp"].half()).fit(X)
    with pytest.raises(TypeError, match="no Linear layer"):
        GradPCADetector(nn.Conv1d(1, 1, 1)).fit(X)
    with pytest.raises(ValueError, match=r"does not know: \[3\]"):
        GradPCADetector(_modules()["mlp"]).fit(X, np.arange(20) % 4)


def test_loss_is_that_of_the_predicted_class():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    expected = nn.functional.cross_entropy(
        torch.as_tensor(logits), torch.as_tensor(logits.argmax(axis=1)), reduction="none"
    )
    np.testing.assert_allclose(scalar_output(logits, "loss")[0], expected.numpy(), atol=1e-12)
