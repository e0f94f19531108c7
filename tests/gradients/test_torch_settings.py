"""Gradients of torch modules do not depend on settings, wrappers or threads of the caller."""

import copy
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from sklearn_sparse_eig import GradientFeatures, GradPCADetector, gradients
from sklearn_sparse_eig.gradients import LayerFactors, make_network

torch = pytest.importorskip("torch")
nn = torch.nn

from sklearn_sparse_eig.gradients.torch.engines import engine_names  # noqa: E402 - needs torch

X = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
Y = np.arange(30) % 3


def _module():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (2, 4)),
        nn.Conv1d(2, 6, 2),
        nn.BatchNorm1d(6),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(18, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    ).eval()


def _dense(module, **params):
    return GradientFeatures(module, **params).fit(X).transform(X)


EXPECTED = _dense(_module())
ENGINES = engine_names()


def _agrees(found):
    # Zeros do not pass.
    np.testing.assert_allclose(found, EXPECTED, atol=1e-5 * np.abs(EXPECTED).max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "context",
    [
        torch.inference_mode,
        torch.no_grad,
        lambda: torch.autocast("cpu", torch.bfloat16),
    ],
    ids=["inference", "no-grad", "autocast"],
)
def test_settings_of_the_caller_do_not_matter(context, engine):
    network = gradients.TorchNetwork(_module(), engine=engine)
    with context():
        _agrees(network.gradients(X).dense())
    # And for layers that were compared outside before.
    with context():
        found = network.gradients(X)
        _agrees(found.dense())
    assert not torch.is_inference_mode_enabled()
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=(p, 2, q)) for p, q in network.layer_shapes]
    expected = network.products(X, directions)
    with context():
        np.testing.assert_allclose(network.products(X, directions), expected, rtol=1e-5)
        features = network.features(X)
    np.testing.assert_allclose(features, network.features(X), rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_modules_and_tensors_made_in_inference_mode(engine):
    with torch.inference_mode():
        module, rows = copy.deepcopy(_module()), torch.as_tensor(X).clone()
        assert next(module.parameters()).is_inference()
        _agrees(gradients.TorchNetwork(module, engine=engine).gradients(rows).dense())
    _agrees(gradients.TorchNetwork(module, engine=engine).gradients(rows).dense())
    scores = GradPCADetector(module).fit(rows, Y).score_samples(rows)
    expected = GradPCADetector(_module()).fit(X, Y).score_samples(X)
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def _compiled(how):
    """Return a compiled module that was called, so that its code is compiled with gradients on."""
    module = _module()
    if how == "whole":
        module = torch.compile(module, backend="eager")
    elif how == "in-place":
        module.compile(backend="eager")
    else:
        module[5] = torch.compile(module[5], backend="eager")
    module(torch.as_tensor(X))
    return module


@pytest.mark.parametrize("how", ["whole", "in-place", "part"])
def test_compiled_modules(how):
    if how != "whole" and not hasattr(torch.compiler, "set_stance"):
        pytest.skip("parts of a module can be run uncompiled since torch 2.6")
    module = _compiled(how)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        network = make_network(module)
        for _ in range(2):
            _agrees(network.gradients(X).dense())
    if how == "whole":
        assert network.layer_names == make_network(_module()).layer_names
        assert network.is_same(make_network(_module()))
    # Compiled code runs as before.
    np.testing.assert_allclose(
        module(torch.as_tensor(X)).detach(), _module()(torch.as_tensor(X)).detach(), rtol=1e-5
    )


def test_wrappers():
    _agrees(_dense(nn.DataParallel(_module())))
    _agrees(_dense(torch.optim.swa_utils.AveragedModel(_module()).eval()))
    for jit in (torch.jit.script, lambda m: torch.jit.trace(m, torch.as_tensor(X))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made = jit(_module())
        with pytest.raises(TypeError, match=r"made by torch\.jit.*Give the torch\.nn\.Module"):
            GradPCADetector(made).fit(X, Y)
        with pytest.raises(TypeError, match=r"part '0' was made by torch\.jit"):
            GradPCADetector(nn.Sequential(made, nn.ReLU())).fit(X, Y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_modules_in_half_precision_are_computed_in_single(dtype):
    given, expected = _module().to(dtype), _module().to(dtype).float()
    np.testing.assert_array_equal(_dense(given), _dense(expected))
    assert np.abs(_dense(given) - EXPECTED).max() < 0.05 * np.abs(EXPECTED).max()
    assert next(given.parameters()).dtype == dtype
    found, right = (GradPCADetector(m).fit(X, Y).score_samples(X) for m in (given, expected))
    np.testing.assert_array_equal(found, right)
    part = _module()
    part[:3].to(dtype)  # the body alone
    assert np.isfinite(_dense(part)).all()
    uncopyable = Uncopyable().to(dtype)
    with pytest.raises(TypeError, match=r"cannot be copied to float32.*Use model\.float\(\)"):
        make_network(uncopyable)


# ----------------------------------------------------------------------------- lost gradients


class Without(nn.Module):
    """Turns gradients off inside, all of them or those of some rows."""

    def __init__(self, how):
        super().__init__()
        self.body, self.head, self.how = nn.Linear(8, 5), nn.Linear(5, 3), how
        self.rest = nn.Linear(8, 3)

    def forward(self, x):
        hidden = torch.tanh(self.body(x))
        if self.how == "sometimes":
            return self.rest(x) + (self.head(hidden.detach()) if len(x) == 7 else self.head(hidden))
        with torch.inference_mode() if self.how == "inference" else torch.no_grad():
            return self.head(hidden) + self.rest(x)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", ["no-grad", "inference"])
def test_forward_without_gradients_is_refused(how, engine):
    network = gradients.TorchNetwork(Without(how).eval(), classes=[0, 1, 2], engine=engine)
    with pytest.raises(ValueError, match="do not depend on layers 'body', 'head', 'rest'.*forward"):
        network.gradients(X)


@pytest.mark.parametrize("engine", ENGINES)
def test_unused_layers_are_refused(engine):
    module = _module()
    module[0].spare = nn.Linear(2, 2)
    network = gradients.TorchNetwork(module, engine=engine, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"do not depend on layer '0.spare'.*params=\['1', "):
        network.gradients(X)


def test_layers_lost_in_a_later_batch_are_refused():
    network = make_network(Without("sometimes").eval())
    network.gradients(X)
    with pytest.raises(ValueError, match="do not depend on layer 'body', though"):
        network.gradients(X[:7])


# ------------------------------------------------------------------------------------ threads


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.body(x.reshape(len(x), 2, 4)).flatten(1))


def test_threads_share_a_module():
    module = _module()
    detectors = [GradPCADetector(module).fit(X, Y), GradPCADetector(module[:8]).fit(X, Y)]
    expected, barrier = [d.score_samples(X) for d in detectors], Barrier(8)

    def score(i):
        barrier.wait()
        return [detectors[(i + j) % 2].score_samples(X) for j in range(4)]

    with ThreadPoolExecutor(8) as pool:
        for i, found in enumerate(pool.map(score, range(8))):
            for j, scores in enumerate(found):
                np.testing.assert_array_equal(scores, expected[(i + j) % 2])
    assert not any(layer._forward_hooks for layer in module.modules())


def test_scores_are_the_same_whatever_is_on():
    detector = GradPCADetector(_module()).fit(X, Y)
    expected = detector.score_samples(X)
    contexts = [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
    for context in contexts:
        with context():
            fitted = GradPCADetector(_module()).fit(torch.as_tensor(X), torch.as_tensor(Y))
            np.testing.assert_array_equal(fitted.score_samples(X), expected)
            np.testing.assert_array_equal(detector.score_samples(X), expected)
    for module in (
        _compiled("whole"),
        nn.DataParallel(_module()),
        nn.DataParallel(_compiled("whole")),
    ):
        found = GradPCADetector(module).fit(X, Y).score_samples(X)
        np.testing.assert_array_equal(found, expected)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(detector.score_samples, [X] * 160):
            np.testing.assert_array_equal(scores, expected)
    assert torch.backends.mha.get_fastpath_enabled()


class Uncopyable(nn.Module):
    """Holds what cannot be copied, and is run as it is."""

    def __init__(self):
        super().__init__()
        self.body, self.lock = _module(), threading.Lock()

    def forward(self, x):
        return self.body(x)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["auto", "vmap"])
@pytest.mark.parametrize("make", [_module, Attentive, Uncopyable])
def test_threads_find_out_and_score_at_the_same_time(make, engine):
    torch.manual_seed(0)
    module, rows = make().eval(), X[:12]
    state = [id(value) for value in module.parameters()]
    expected = gradients.TorchNetwork(module, engine=engine).gradients(rows).dense()
    networks = [gradients.TorchNetwork(module, engine=engine) for _ in range(2)]
    barrier = Barrier(4)

    def run(i):
        barrier.wait()
        return [networks[(i + j) % 2].gradients(rows).dense() for j in range(40)]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(run, range(4)):
            for each in found:
                np.testing.assert_array_equal(each, expected)
    assert [id(value) for value in module.parameters()] == state
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.filterwarnings("ignore:No closed form", "ignore:There is a performance drop")
def test_process_settings_come_back_whatever_happens():
    torch.manual_seed(0)
    modules = [Attentive().eval() for _ in range(4)]
    barrier, sdp = Barrier(4), torch.backends.cuda.flash_sdp_enabled()

    def run(i):
        barrier.wait()
        network = make_network(modules[i])
        for _ in range(5):
            network.gradients(X[:4])
            with pytest.raises(RuntimeError):
                network.gradients(X[:4, :7])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.backends.cuda.flash_sdp_enabled() == sdp
    assert not any(part._forward_hooks for module in modules for part in module.modules())


def test_networks_pickle_and_deepcopy():
    network = make_network(_module())
    network.gradients(X)
    for copied in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        _agrees(copied.gradients(X).dense())


class Unlike(nn.Module):
    """Dense layers that are no product of rank one, beside one that is, and one without a bias."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.twice = nn.Linear(8, 6, bias=False), nn.Linear(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.tanh(self.twice(torch.tanh(self.twice(x)))) @ self.twice.weight
        return self.head(x)


@pytest.mark.filterwarnings("ignore:No closed form", "ignore:There is a performance drop")
@pytest.mark.parametrize("score", ["relative", "snr_ratio", "laplace"])
@pytest.mark.parametrize("module", [_module(), Unlike().eval()], ids=["layers", "unlike"])
def test_engines_change_speed_only(module, score):
    module, rows = copy.deepcopy(module).double(), X.astype(float)
    scores, kinds = {}, {}
    for engine in ("auto", "vmap", "loop"):
        network = gradients.TorchNetwork(module, engine=engine)
        kinds[engine] = [isinstance(x, LayerFactors) for x in network.gradients(rows).layers]
        detector = GradPCADetector(network, score_function=score, batch_size=16).fit(rows, Y)
        scores[engine] = detector.score_samples(rows)
    assert kinds["auto"] == kinds["vmap"] == kinds["loop"]
    assert any(kinds["auto"]) and not all(kinds["auto"])
    for found in scores.values():
        np.testing.assert_allclose(found, scores["auto"], rtol=1e-7)


class Changing(nn.Module):
    """Uses a layer otherwise for some numbers of rows, which only a batch can tell."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head, self.how = nn.Linear(8, 8), nn.Linear(8, 3), how

    def forward(self, x):
        y = torch.tanh(self.body(x))
        if x.abs().sum() < 1.0:
            y = torch.tanh(self.body(y) if self.how == "twice" else y @ self.body.weight)
        return self.head(y)


@pytest.mark.parametrize("how", ["twice", "function"])
def test_forms_of_gradients_do_not_change_silently(how):
    network = gradients.TorchNetwork(Changing(how).eval(), engine="loop")
    assert isinstance(network.gradients(X).layers[0], LayerFactors)
    with pytest.raises(ValueError, match="'body' was used once.*but not in a later one"):
        network.gradients(1e-4 * X[:4]).dense()


def _state_of_torch(module):
    """Return all that gradients could leave changed, in torch or in a module."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch._C._len_torch_function_stack(),
        torch._C._functorch.get_dynamic_layer_stack_depth(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cudnn.enabled,
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch._dynamo.eval_frame._stance,
        [(name, id(value), value.requires_grad) for name, value in tensors],
        [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()],
    )


# Files that change settings.
SETTINGS = ("gradients/torch", "torch/overrides.py", "contextlib.py", "_functorch", "stateless.py")


def _changes_settings(path):
    return any(part in path.as_posix() for part in SETTINGS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["hooks", "vmap"])
def test_no_interrupt_leaves_anything_changed(engine, run_interrupted):
    import torch._dynamo  # what is compiled has a setting of the process

    torch.manual_seed(0)
    module, rows = nn.Sequential(Attentive()).eval(), X[:2]
    for settled in (True, False):
        network, at = gradients.TorchNetwork(module, engine=engine), 1
        if settled:
            network.gradients(rows)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            before = _state_of_torch(module)
            expected = network.gradients(rows).dense() if settled else None

            def action(network=network):
                return network.gradients(rows).layers[0]

            while run_interrupted(action, at, _changes_settings).reached:
                assert _state_of_torch(module) == before, at
                at += 1 if at < 20 else 149 if settled else 397
            assert at > 100
        if settled:
            np.testing.assert_array_equal(network.gradients(rows).dense(), expected)


class InPlace(nn.Module):
    """Changes what has entered a layer, for some rows where only a batch can tell."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.sin(x)
        y = self.body(x)
        if len(x) == 7:
            x.mul_(2.0)
        return self.head(torch.tanh(y) + x)


def test_what_has_entered_must_not_change_in_place():
    module = InPlace().eval().requires_grad_(False)
    network = gradients.TorchNetwork(module, engine="hooks")
    network.gradients(X)
    with pytest.raises(RuntimeError, match="entered 'body.bias', 'body.weight' was changed in pla"):
        network.gradients(X[:7])


def test_rows_may_be_written_over_before_gradients_are_made():
    rows, module = X.copy(), _module()
    network = make_network(module)
    expected = network.gradients(rows).dense()
    found = network.gradients(rows)
    rows[:] = 0.0
    np.testing.assert_array_equal(found.dense(), expected)
