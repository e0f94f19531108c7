"""What torch modules are given and return: order of layers, chance, ids, and what is no logit."""

import warnings
from collections import OrderedDict

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sklearn_sparse_eig import GradientFeatures, GradPCADetector, gradients
from sklearn_sparse_eig.diagnostics import neural_collapse
from sklearn_sparse_eig.gradients import make_network

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional

X = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
Y = np.arange(30) % 3


# ------------------------------------------------------------------------------ order of layers


class Ordered(nn.Module):
    """The same network, with its layers defined in any order."""

    def __init__(self, order, auxiliary=False):
        super().__init__()
        sizes = {"first": (8, 6), "norm": (), "second": (6, 3), "head": (3, 3), "extra": (6, 3)}
        for name in order:
            torch.manual_seed(sum(map(ord, name)))
            layer = nn.Linear(*sizes[name]) if sizes[name] else nn.LayerNorm(3)
            setattr(self, name, layer)
        self.auxiliary = auxiliary

    def forward(self, x):
        x = torch.tanh(self.first(x))
        hidden = torch.tanh(self.second(x))
        logits = self.norm(self.head(hidden))
        if self.auxiliary:
            self.extra(x)  # for training only
        return logits


IN_ORDER = ["first", "second", "head", "norm"]
ORDERS = [IN_ORDER, IN_ORDER[::-1], ["norm", "head", "first", "second"]]


@pytest.mark.parametrize("params", ["head", "last_hidden"])
@pytest.mark.parametrize("order", ORDERS)
def test_layers_are_chosen_by_execution(order, params):
    module, expected = Ordered(order).eval(), {"head": "head", "last_hidden": "second"}[params]
    found = GradientFeatures(module, params=params).fit_transform(X)
    named = GradientFeatures(module, params=[expected]).fit_transform(X)
    np.testing.assert_array_equal(found, named)
    detector = GradPCADetector(module, params=params).fit(X, Y)
    assert list(detector.shrinkage_) == [expected]
    streamed = GradPCADetector(module, params=params).partial_fit(X, Y)
    assert list(streamed.shrinkage_) == [expected]
    paper = GradPCADetector.paper(module).fit(X, Y)
    other = GradPCADetector.paper(module, params=["second"]).fit(X, Y)
    np.testing.assert_array_equal(paper.score_samples(X), other.score_samples(X))


def test_layers_run_in_vain_come_first():
    module = Ordered(["extra", *IN_ORDER], auxiliary=True).eval()
    network = make_network(module)
    network.look_at(X)
    names = [network.layer_names[i] for i in network.order]
    assert names == ["extra", "first", "second", "head", "norm"]
    assert network.layer_names[network.select("last_hidden")[0]] == "second"


class Backwards(nn.Module):
    """The head is defined first, and has another number of outputs than the last layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head, self.body = nn.Linear(6, 3), nn.Linear(8, 6)

    def forward(self, x):
        return self.head(torch.relu(self.body(x)))


def test_number_of_logits_is_that_of_the_last_layer_run():
    module = Backwards().eval()
    straight = nn.Sequential(module.body, nn.ReLU(), module.head).eval()
    detector = GradPCADetector(module).fit(X, Y)
    expected = GradPCADetector(straight).fit(X, Y)
    assert detector.classes_.tolist() == [0, 1, 2]
    np.testing.assert_allclose(detector.score_samples(X), expected.score_samples(X), rtol=1e-3)
    found, right = (neural_collapse(m, X, Y, random_state=0) for m in (module, straight))
    assert found.n_features == 6 and found.nc1 == pytest.approx(right.nc1, rel=1e-5)
    assert found.invariant_error == pytest.approx(right.invariant_error, rel=1e-4)


# --------------------------------------------------------------------------------------- chance


class Functional(nn.Module):
    def __init__(self, forward):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.how = nn.Linear(8, 20), nn.Linear(20, 3), forward

    def forward(self, x):
        return self.how(self, torch.tanh(self.body(x)))


RANDOM = {
    "dropout": lambda self, x: self.head(F.dropout(x, 0.1, self.training)),
    "always": lambda self, x: self.head(F.dropout(x, 0.1)),
    "noise": lambda self, x: self.head(x + 0.01 * torch.randn_like(x)),
}
MIXED = {
    "mean": lambda self, x: self.head(x - x.mean(dim=0)),
    "batch-norm": lambda self, x: self.head(F.batch_norm(x, None, None, training=True)),
    "softmax-over-rows": lambda self, x: self.head(x * torch.softmax(x, dim=0)),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_outputs_are_refused(name):
    module = Functional(RANDOM[name]).train()
    cure = r"Call model.eval\(\)"
    for _ in range(2):
        with pytest.raises(ValueError, match=f"output is random.*{cure}"):
            GradPCADetector(module).fit(X, Y)
        cure = "draw no random numbers"
        if name == "dropout":
            break
        module.eval()
    if name == "dropout":
        GradPCADetector(module.eval()).fit(X, Y)


@pytest.mark.parametrize("name", MIXED)
def test_rows_that_depend_on_one_another_are_refused(name):
    with pytest.raises(ValueError, match="with the other rows of a batch"):
        GradPCADetector(Functional(MIXED[name]).eval()).fit(X, Y)


def test_statistics_are_not_updated():
    module = nn.Sequential(
        nn.Unflatten(1, (2, 4)),
        nn.InstanceNorm1d(2, track_running_stats=True),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    with pytest.raises(ValueError, match=r"InstanceNorm1d\) is in training mode"):
        GradientFeatures(module).fit_transform(X)


def test_passes_to_look_leave_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    GradPCADetector(Backwards().eval())
    torch.manual_seed(3)
    make_network(nn.Sequential(nn.Linear(8, 3)).eval())
    torch.manual_seed(3)
    module = Functional(lambda self, x: self.head(x))
    torch.manual_seed(3)
    GradPCADetector(module.eval()).fit(X, Y)
    assert torch.equal(torch.rand(1), expected)


# ------------------------------------------------------------------------- probabilities


@pytest.mark.parametrize(
    "last, words",
    [
        (nn.Softmax(dim=1), "probabilities, which sum to one"),
        (nn.LogSoftmax(dim=1), "logarithms of probabilities"),
        (nn.Sigmoid(), "one number between 0 and 1"),
        (nn.Sequential(nn.Sigmoid()), "numbers between 0 and 1, as of a sigmoid for each class"),
    ],
)
def test_probabilities_get_a_warning(last, words):
    torch.manual_seed(0)
    single = isinstance(last, nn.Sigmoid)
    module = nn.Sequential(nn.Linear(8, 1 if single else 3), last).eval()
    detector = GradPCADetector(module)
    y = np.arange(30) % 2 if single else None  # it predicts one class alone
    with pytest.warns(UserWarning, match=f"{words}.*logits are needed.*without its last") as told:
        detector.fit(X, y)
    assert len([w for w in told if "logits are needed" in str(w.message)]) == 1
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector.score_samples(X)
        GradPCADetector(module[:1]).fit(X, y)


# --------------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize("as_given", [False, True], ids=["array", "by name"])
def test_any_memory_of_an_array_is_read(as_given):
    """Steps backwards, bytes in another order and more than 64 bits are not for torch."""
    torch.manual_seed(0)
    module = nn.Sequential(OrderedDict(dense=nn.Linear(8, 6), act=nn.ReLU(), head=nn.Linear(6, 3)))
    rows = np.round(X * 8) / 8  # exact in half precision
    every_other = np.zeros((60, 16), dtype=np.float32)
    every_other[::2, ::2] = rows

    def given(array):
        return {"input": array} if as_given else array

    detector = GradPCADetector(module.eval(), random_state=0).fit(given(rows))
    expected = detector.score_samples(given(rows))
    for array in (
        rows[::-1, ::-1].copy()[::-1, ::-1],
        every_other[::2, ::2],
        rows.astype(">f8"),
        rows.astype(">f4"),
        rows.astype(np.float16),
        rows.astype(np.longdouble),
    ):
        np.testing.assert_allclose(detector.score_samples(given(array)), expected, rtol=1e-5)
    np.testing.assert_allclose(detector.score_samples(given(rows[::-1])), expected[::-1], rtol=1e-5)


class Text(nn.Module):
    def __init__(self, n_words=50, sparse=False, bag=False):
        super().__init__()
        torch.manual_seed(0)
        kind = nn.EmbeddingBag if bag else nn.Embedding
        self.words, self.head = kind(n_words, 5, sparse=sparse), nn.Linear(5, 3)

    def forward(self, ids):
        x = self.words(ids)
        return self.head(torch.tanh(x if x.ndim == 2 else x.mean(dim=1)))


IDS = np.random.default_rng(0).integers(0, 50, size=(30, 6))


def _loop(module, ids):
    """Return gradients by backward passes of their own: the table, then the head."""
    rows = []
    for row in torch.as_tensor(ids):
        value = module(row[None]).max()
        parts = torch.autograd.grad(value, list(module.parameters()))
        table, weight, bias = (g.to_dense() if g.is_sparse else g for g in parts)
        rows.append(torch.cat([table.ravel(), weight.T.ravel(), bias]).numpy())
    return np.array(rows)


@pytest.mark.filterwarnings("ignore:No closed form", "ignore:There is a performance drop")
@pytest.mark.filterwarnings("ignore:torch.func.vmap does not work")
@pytest.mark.parametrize("options", [{}, {"sparse": True}, {"bag": True}], ids=str)
def test_modules_that_start_with_an_embedding(options):
    module = Text(**options).eval()
    expected = _loop(module, IDS)
    for ids in (IDS, IDS.astype(np.int32), torch.as_tensor(IDS), IDS.tolist(), IDS.astype(float)):
        found = GradientFeatures(module).fit_transform(ids)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    for engine in ("auto", "loop"):
        network = gradients.TorchNetwork(module, engine=engine)
        np.testing.assert_allclose(network.gradients(IDS).dense(), expected, atol=1e-6)
    detector = GradPCADetector(module).fit(IDS, Y)
    assert np.isfinite(detector.score_samples(IDS)).all()
    with pytest.raises(ValueError, match="takes ids of words, that is integers"):
        detector.score_samples(IDS + 0.5)
    with pytest.raises(IndexError if "bag" not in options else Exception):
        GradientFeatures(module).fit_transform(IDS + 40)


class LargeIds(nn.Module):
    """Looks up the last digit of an id."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.head = nn.Embedding(10, 5), nn.Linear(5, 3)

    def forward(self, ids):
        return self.head(torch.tanh(self.words(ids.long() % 10)).sum(dim=1))


def test_ids_are_not_rounded():
    digits = np.arange(30)[:, None] % 10
    module = LargeIds().eval()
    found, expected = (
        GradientFeatures(module).fit_transform(ids) for ids in (digits + 2**24 * 10, digits)
    )
    np.testing.assert_array_equal(found, expected)


class Columns(nn.Module):
    """Ids in one column and numbers in the others."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.head = nn.Embedding(3, 4), nn.Linear(11, 3)

    def forward(self, x):
        return self.head(torch.cat([self.words(x[:, 0].long()), x[:, 1:]], dim=1))


def test_whole_numbers_are_not_ids_where_the_module_takes_numbers():
    rows = np.random.default_rng(0).integers(0, 3, size=(30, 8))
    network = make_network(Columns().double().eval())
    whole = network.gradients(rows).dense()
    shifted = rows + np.r_[0.0, np.full(7, 1e-9)]
    np.testing.assert_allclose(network.gradients(shifted).dense(), whole, atol=1e-7)
    images, y = load_digits(n_class=3, return_X_y=True)
    module = nn.Sequential(nn.Linear(64, 3)).eval()
    ints = GradPCADetector(module).fit(images.astype(int), y).score_samples(images.astype(int))
    expected = GradPCADetector(module).fit(images, y).score_samples(images)
    np.testing.assert_array_equal(ints, expected)


def test_tensors_of_all_kinds():
    module = Backwards().eval()
    detector = GradPCADetector(module).fit(X, Y)
    expected = detector.score_samples(X)
    tensor = torch.as_tensor(X)
    np.testing.assert_array_equal(detector.score_samples(tensor.requires_grad_()), expected)
    half = tensor.detach().to(torch.bfloat16)
    np.testing.assert_array_equal(
        detector.score_samples(half), detector.score_samples(half.float())
    )
    network = make_network(module)
    np.testing.assert_array_equal(
        network.gradients(tensor).dense(), make_network(module).gradients(X).dense()
    )


def test_batches_one_by_one():
    data = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    detector = GradPCADetector(Backwards().eval())
    for rows, labels in torch.utils.data.DataLoader(data, 15):
        detector.partial_fit(rows, labels)
    expected = GradPCADetector(Backwards().eval(), batch_size=15).fit(X, Y)
    np.testing.assert_allclose(detector.score_samples(X), expected.score_samples(X), rtol=1e-6)


class HalfInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return self.head(x)


def test_half_precision_inside_is_refused():
    with pytest.raises(TypeError, match=r"logits in torch\.bfloat16.*without autocast"):
        GradPCADetector(HalfInside().eval()).fit(X, Y)
