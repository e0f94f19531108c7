"""A plan tells what a detector takes: bytes that are kept, multiplications that are made."""

import warnings
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import Network, make_network
from sklearn_sparse_eig.ood import DetectorPlan
from sklearn_sparse_eig.ood._budget import Budget

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 12))
Y = np.arange(300) % 5
X[np.arange(300), Y] += 4.0
MLP = MLPClassifier((20, 16), max_iter=30, random_state=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    MLP.fit(X, Y)


class Counting(np.ndarray):
    """An array that counts the multiplications of the products that it takes part in."""

    total = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        inputs = [_plain(x) for x in inputs]
        if out is not None:
            options["out"] = tuple(map(_plain, out))
        result = getattr(ufunc, method)(*inputs, **options)
        if ufunc is np.matmul:
            Counting.total += result.size * inputs[0].shape[-1]
        elif ufunc is np.multiply:
            Counting.total += result.size
        return out[0] if out is not None else _counting(result)

    def __array_function__(self, func, types, args, kwargs):
        args = [[_plain(y) for y in x] if isinstance(x, list | tuple) else _plain(x) for x in args]
        if func is np.einsum:
            names, *arrays = args
            sizes = {}
            for letters, array in zip(names.partition("->")[0].split(","), arrays, strict=True):
                sizes |= dict(zip(letters, array.shape, strict=True))
            Counting.total += int(np.prod(list(sizes.values())))
        return _counting(func(*args, **kwargs))


def _plain(x):
    return x.view(np.ndarray) if isinstance(x, Counting) else x


def _counting(x):
    return x.view(Counting) if isinstance(x, np.ndarray) else x


@pytest.fixture
def count(monkeypatch):
    """Return a function that returns what another multiplies for gradients, beside the passes."""
    from sklearn_sparse_eig.ood import _roots

    stream, of = Network.stream, _roots.TriangularRoot.of

    def watched(self, *args, **kwargs):
        for start, found in stream(self, *args, **kwargs):
            if not getattr(found.layers, "is_lazy", False):
                for layer in found.layers:
                    vars(layer).update({k: _counting(vars(layer)[k]) for k in ("inputs", "deltas")})
            yield start, found

    def triangular(self, rows):
        if rows.ndim > 2:
            return of(self, rows)
        Counting.total += rows.size * rows.shape[-1] // 2
        return _counting(of(self, _plain(rows)))

    monkeypatch.setattr(Network, "stream", watched)
    monkeypatch.setattr(_roots.TriangularRoot, "of", triangular)
    if find_spec("torch"):
        from torch.utils.flop_counter import FlopCounterMode

        from sklearn_sparse_eig.gradients.torch.engines import _hooks

        to_numpy, made = _hooks.to_numpy, _hooks._made

        def counted(*args):
            with FlopCounterMode(display=False) as flops:
                found = made(*args)
            Counting.total += flops.get_total_flops() // 2
            return found

        monkeypatch.setattr(_hooks, "to_numpy", lambda tensor: _counting(to_numpy(tensor)))
        monkeypatch.setattr(_hooks, "_made", counted)

    def run(function):
        Counting.total = 0
        function()
        return Counting.total

    return run


def n_bytes(thing, seen=None):
    """Return the bytes of all arrays inside an object."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, dict):
        inside = thing.values()
    elif isinstance(thing, list | tuple | set):
        inside = thing
    else:
        inside = getattr(thing, "__dict__", {}).values()
    return sum(n_bytes(x, seen) for x in inside)


def state_bytes(detector):
    state = detector._state
    return n_bytes(state) - n_bytes(state.seen_rows) - state.counts.nbytes


def convolutional():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 12, 3, stride=4, groups=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(48, 24),
        torch.nn.ReLU(),
        torch.nn.Linear(24, 5),
    ).eval()


IMAGES = RNG.normal(size=(300, 3, 9, 9)).astype(np.float32)
OPTIONS = [
    {},
    {"metric": "diag"},
    {"metric": "euclidean"},
    {"mean_rank": None},
    {"output": "logsumexp"},
    {"subspace": "low_rank"},
    {"subspace": "low_rank", "metric": "diag"},
    {"subspace": "sketched", "n_measurements": 1024},
    {"subspace": "sparse_pca", "params": "head"},
]


def fitted(options, given):
    """Return a detector with labels that its model predicts, its rows, and its plan."""
    model, rows = (MLP, X) if given == "dense" else (convolutional(), IMAGES)
    detector = GradPCADetector(model, random_state=0, **options)
    labels = make_network(model).gradients(rows, "max", [0]).logits.argmax(axis=1)
    kept = np.bincount(labels, minlength=5)[labels] > 1
    rows, labels = rows[kept], detector_labels(model)[labels[kept]]
    plan = detector.plan(rows[:16], labels, n_rows=len(rows))
    return detector, rows, labels, plan


def detector_labels(model):
    return np.asarray(make_network(model).classes)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", ["dense", "convolutional"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_bytes_are_those_that_are_kept(options, given):
    detector, rows, labels, plan = fitted(options, given)
    detector.partial_fit(rows, labels)
    # partial_fit expects all classes that the model knows; only those that come take anything.
    assert plan.bytes == pytest.approx(state_bytes(detector), rel=1e-3)
    assert [layer.name for layer in plan.layers] == list(detector.layers_)
    assert plan.n_parameters == detector._state.plan.n_parameters
    assert plan.subspace == detector.subspace_


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("given", ["dense", "convolutional"])
@pytest.mark.parametrize("options", OPTIONS[:7], ids=str)
def test_multiplications_are_those_that_are_made(options, given, count):
    # Of gradients: what other evidence takes is counted by hand in the formulas.
    options = {"score_function": "snr_ratio", **options}
    detector, rows, labels, plan = fitted(options, given)
    score = (plan.score - plan.passes) * plan.forward
    # A plan counts the threshold too, for which all of these rows are scored once.
    n_passes = 2 + (plan.subspace == "low_rank" and plan.metric != "euclidean")
    fit = (plan.fit - n_passes * plan.passes) * plan.forward - score
    fresh = GradPCADetector(detector.estimator, random_state=0, **options)
    counted_fit = count(lambda: fresh.partial_fit(rows, labels)) / len(rows)
    fresh.score_samples(rows[:2])  # the subspace, once
    counted_score = count(lambda: fresh.score_samples(rows)) / len(rows)
    assert 0.4 < counted_fit / fit < 2.5
    assert 0.4 < counted_score / score < 2.5


# ------------------------------------------------------------------------------ what is foreseen


def test_forward_passes_are_counted_as_torch_counts_them():
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    module, rows = convolutional(), torch.as_tensor(IMAGES[:4])
    with FlopCounterMode(display=False) as flops:
        module(rows)
    outline = make_network(module).outline(IMAGES[:4])
    scaling = 2 * 8 * 81 // 2  # of BatchNorm, which torch counts as nothing
    assert outline.forward == flops.get_total_flops() / 2 / 4 + scaling
    assert outline.backward([0, 4]) == outline.forward - outline.layers[0].multiplications
    assert outline.backward([4]) == 0.0


def test_outlines_are_what_gradients_are():
    torch = pytest.importorskip("torch")

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.words = torch.nn.Embedding(30, 16)
            self.mix = torch.nn.TransformerEncoderLayer(16, 2, 8, 0.0, batch_first=True)
            self.slow = torch.nn.GRU(16, 4, batch_first=True)
            self.head = torch.nn.Linear(4, 3)

        def forward(self, ids):
            return self.head(self.slow(self.mix(self.words(ids)))[0][:, -1])

    ids, network = RNG.integers(0, 30, (16, 5)), make_network(Encoder().eval())
    outline = network.outline(ids)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = network.gradients(ids).layers
    for layer, gradients in zip(outline.layers, found, strict=True):
        kept = "factors" if not gradients.is_explicit else "matrices"
        assert layer.form == ("places" if hasattr(gradients, "inputs") else kept) or (
            (layer.form, kept) == ("factors", "factors")
        )
    by_name = {layer.name: layer for layer in outline.layers}
    assert by_name["words"].multiplications == 0.0
    assert by_name["mix.linear1"].places == 5
    assert by_name["mix.linear1"].multiplications == 5 * 16 * 8
    assert by_name["mix.linear1"].engine == "hooks: linear"
    assert not any(by_name[n].has_form for n in by_name if n.startswith("slow"))


def test_a_plan_is_a_table_and_changes_nothing(capsys):
    detector = GradPCADetector(MLP, random_state=np.random.RandomState(0))
    state = detector.random_state.get_state()[1].copy()
    plan = detector.plan(X[:16], Y, n_rows=50_000)
    assert isinstance(plan, DetectorPlan) and set(vars(detector)) == set(
        detector.get_params(deep=False)
    )
    np.testing.assert_array_equal(detector.random_state.get_state()[1], state)
    text = repr(plan).splitlines()
    assert text[0].split() == "layer shape places engine factors state fit score".split()
    assert [line.split()[0] for line in text[1:4]] == ["hidden0", "hidden1", "head"]
    assert "681 parameters in 3 layers, 5 classes, 50,000 rows" in text[4]
    assert (
        f"a row takes {plan.fit:.1f} forward passes to fit and {plan.score:.1f} to score" in text[5]
    )
    assert len(text) == 7 and capsys.readouterr().out == ""
    frame = detector.plan(X[:16], Y, as_frame=True)
    assert list(frame.index) == ["hidden0", "hidden1", "head"]
    assert frame["shape"].tolist() == [(13, 20), (21, 16), (17, 5)]
    few = detector.plan(X[:16], [0, 0, 1, 1])
    assert few.n_classes == 2 and few.bytes < plan.bytes
    # Of a detector that is fitted, and of one that has still to train its model.
    with pytest.raises(ValueError, match="a model that is trained"):
        GradPCADetector().plan(X)
    own = GradPCADetector(random_state=0).fit(X, Y)
    assert own.plan(X[:16]).n_parameters == own._state.plan.n_parameters
    with pytest.raises(ValueError, match="no plan for backend='kernel'"):
        GradPCADetector(backend="kernel", score_function="ratio").plan(X, Y)


def test_many_layers_are_listed_in_part():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 4) for _ in range(30)]
    plan = GradPCADetector(torch.nn.Sequential(*layers).eval()).plan(X[:16, :4])
    text = repr(plan)
    assert len(text.splitlines()) == 1 + 24 + 1 + 2 and "and 6 layers that take less" in text
    assert len(plan.to_frame()) == 30


def test_costs_that_nobody_tells_are_unknown(monkeypatch):
    from sklearn_sparse_eig.ood import KINDS, GradientState, KnownGradients

    class Own(GradientState):
        name, expected = "own_toy", KnownGradients.expected

    monkeypatch.setitem(KINDS, "own_toy", Own)
    plan = GradPCADetector(MLP, subspace="own_toy", budget=1.0).plan(X[:16], n_rows=100)
    assert np.isnan([plan.bytes, plan.fit, plan.score]).all()
    assert "state unknown; a row takes unknown forward passes to fit" in repr(plan)


# ----------------------------------------------------------------------------- layers and budgets


def frozen(n_frozen):
    """Return the convolutional module, its first layers frozen."""
    module = convolutional()
    for layer in list(module)[:n_frozen]:
        layer.requires_grad_(False)
    return module


@pytest.mark.filterwarnings("ignore")
def test_frozen_layers_are_left_out():
    for n_frozen, names in [(0, "01368"), (1, "1368"), (5, "68"), (8, "8"), (9, "01368")]:
        module = frozen(n_frozen)
        detector = GradPCADetector(module).fit(IMAGES)
        assert detector.layers_ == tuple(names)
        named = GradPCADetector(module, params=list(names)).fit(IMAGES)
        np.testing.assert_array_equal(detector.score_samples(IMAGES), named.score_samples(IMAGES))
    module[8].requires_grad_(False)
    module[6].requires_grad_(True)
    assert GradPCADetector(module).fit(IMAGES).layers_ == ("6", "8")  # the head in any case
    assert GradPCADetector(module, params="all").fit(IMAGES).layers_ == tuple("01368")


@pytest.mark.filterwarnings("ignore:The model predicts", "ignore:A class mean")
def test_a_budget_takes_layers_from_the_last_backwards():
    module = convolutional()
    whole = GradPCADetector(module).plan(IMAGES[:16])
    previous = ()
    for passes in np.linspace(1.0, max(whole.fit, whole.score), 12):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            detector = GradPCADetector(module, budget=float(passes))
            plan = detector.plan(IMAGES[:16], n_rows=300)
            assert detector.fit(IMAGES).layers_ == tuple(layer.name for layer in plan.layers)
        names = detector.layers_
        assert names == tuple("01368")[-len(names) :] and len(names) >= len(previous)
        assert max(plan.fit, plan.score) <= passes or names == ("8",)
        previous = names
    for size, names in [("1 GB", "01368"), ("100 KB", "68"), ("1KiB", "8")]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert GradPCADetector(module, budget=size).fit(IMAGES).layers_ == tuple(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        body = frozen(5)
        assert GradPCADetector(body, budget=1000).fit(IMAGES).layers_ == ("6", "8")


def test_more_than_the_budget_is_told_once():
    detector = GradPCADetector(MLP, params="all", budget="3 KB", random_state=0)
    with pytest.warns(UserWarning, match="more than budget='3 KB'") as told:
        detector.fit(X, Y)
    (warning,) = told
    assert "'hidden1', 'hidden0', 'head'. params='auto'" in str(warning.message)
    assert warning.filename == __file__
    with pytest.warns(UserWarning, match=r"\d forward passes a row to score, more than budget=2"):
        GradPCADetector(MLP, params="all", budget=2).plan(X[:16])
    with pytest.warns(UserWarning, match="most of it 'head'. params"):
        assert GradPCADetector(MLP, budget="10 B").fit(X, Y).layers_ == ("head",)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GradPCADetector(MLP, params="all", budget="3 MB", random_state=0).fit(X, Y)


def test_a_budget_keeps_to_what_the_subspace_takes(monkeypatch):
    from sklearn_sparse_eig.ood.subspaces import _principal

    monkeypatch.setattr(_principal, "LARGEST_DENSE_GRADIENT", 500)
    options = {"subspace": "sparse_pca", "random_state": 0}
    with pytest.raises(ValueError, match="more than its limit"):
        GradPCADetector(MLP, **options).plan(X[:16])
    plan = GradPCADetector(MLP, budget=1e6, **options).plan(X[:16])
    assert [layer.name for layer in plan.layers] == ["hidden1", "head"]


def test_tables_are_reported_before_the_first_pass(capsys):
    GradPCADetector(MLP, verbose=1, random_state=0).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[GradPCADetector] ") for line in lines)
    tables = [i for i, line in enumerate(lines) if line.split()[1:3] == ["layer", "shape"]]
    assert tables == [0]
    assert sum("parameters in 3 layers" in line for line in lines) == 1


@pytest.mark.parametrize(
    "value, expected",
    [("2 GB", 2e9), ("1.5 GiB", 1.5 * 2**30), ("500mb", 5e8), ("7 B", 7.0), (".5 TB", 5e11)],
)
def test_sizes(value, expected):
    assert Budget.of(value).bytes == expected


@pytest.mark.parametrize("value", ["2", "GB", "two GB", "0 GB", "-1 MB", ""])
def test_sizes_that_are_none(value):
    with pytest.raises(ValueError, match="budget must be a number of forward passes a row, or a s"):
        GradPCADetector(MLP, budget=value).fit(X, Y)


@pytest.mark.parametrize("value", [0, -1.0, [3]])
def test_budgets_that_are_none(value):
    with pytest.raises(ValueError, match="The 'budget' parameter"):
        GradPCADetector(MLP, budget=value).fit(X, Y)
