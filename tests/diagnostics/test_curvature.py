"""Sharpness of torch modules: against Hessians that are made, and against what descent does."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig.diagnostics import CollapseMonitor, loss_curvature

torch = pytest.importorskip("torch")


def data(n=40, d=6, n_classes=3):
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    return rng.standard_normal((n, d)) + 2.0 * np.eye(d)[y], y


def network(d=6, width=8, n_classes=3):
    torch.manual_seed(0)
    layers = (torch.nn.Linear(d, width), torch.nn.Tanh(), torch.nn.Linear(width, n_classes))
    return torch.nn.Sequential(*layers).double()


def hessian(module, X, y, loss):
    """Return the Hessian by automatic differentiation, made."""
    names, values = zip(*module.named_parameters(), strict=True)
    sizes = [v.numel() for v in values]

    def value(flat):
        parts = [p.reshape(v.shape) for p, v in zip(flat.split(sizes), values, strict=True)]
        outputs = torch.func.functional_call(module, dict(zip(names, parts, strict=True)), (X,))
        return loss(outputs, y)

    flat = torch.cat([v.detach().reshape(-1) for v in values])
    return torch.autograd.functional.hessian(value, flat).numpy()


@pytest.mark.parametrize("name", ["cross_entropy", "squared_error", "own"])
def test_the_largest_eigenvalue_of_the_hessian(name):
    (X, y), module = data(), network()
    own = torch.nn.functional.cross_entropy
    losses = {"squared_error": lambda out, y: ((out - torch.eye(3)[y]) ** 2).mean()}
    H = hessian(module, torch.as_tensor(X), torch.as_tensor(y), losses.get(name, own))
    found = loss_curvature(module, X, y, own if name == "own" else name, tol=1e-8)
    values, vectors = np.linalg.eigh(H)
    assert found.sharpness == pytest.approx(values[-1], rel=1e-6)
    assert abs(found.direction @ vectors[:, -1]) == pytest.approx(1.0, abs=1e-4)


def test_loss_and_norms():
    (X, y), module = data(), network()
    found = loss_curvature(module, X, y)
    loss = torch.nn.functional.cross_entropy(module(torch.as_tensor(X)), torch.as_tensor(y))
    loss.backward()
    norms = [p.detach().square().sum() for p in module.parameters()]
    assert found.loss == pytest.approx(loss.item())
    assert found.parameter_norm == pytest.approx(float(sum(norms)) ** 0.5)
    gradients = [p.grad.square().sum() for p in module.parameters()]
    assert found.gradient_norm == pytest.approx(float(sum(gradients)) ** 0.5)


def test_least_squares_has_the_hessian_of_its_design():
    rng = np.random.default_rng(0)
    for d in (3, 60):  # made, and by Lanczos iteration
        X, module = rng.standard_normal((50, d)), torch.nn.Linear(d, 1, bias=False).double()
        found = loss_curvature(module, X, np.zeros((50, 1)), "squared_error", tol=1e-8)
        expected = 2 / 50 * np.linalg.eigvalsh(X.T @ X)[-1]
        assert found.sharpness == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("factor", "is_stable"), [(0.97, True), (1.03, False)])
def test_descent_is_stable_below_two_over_the_sharpness(factor, is_stable):
    rng = np.random.default_rng(0)
    X, y = torch.as_tensor(rng.standard_normal((30, 40))), torch.zeros(30, 1).double()
    module = torch.nn.Linear(40, 1, bias=False).double()
    found = loss_curvature(module, X, y, "squared_error", tol=1e-8)
    step = factor * 2 / found.sharpness
    for _ in range(300):
        loss = torch.nn.functional.mse_loss(module(X), y)
        (gradient,) = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            module.weight -= step * gradient
    assert (loss.item() < found.loss) == is_stable


def test_batches_and_starts_change_nothing():
    (X, y), module = data(), network()
    whole = loss_curvature(module, X, y, tol=1e-8)
    for options in ({"batch_size": 7}, {"start": whole.direction}, {"random_state": 3}):
        found = loss_curvature(module, X, y, tol=1e-8, **options)
        assert found.sharpness == pytest.approx(whole.sharpness, rel=1e-6)
        assert found.loss == pytest.approx(whole.loss)


def test_the_module_is_left_as_it_was():
    (X, y), module = data(), network().float().train()
    before = [p.detach().clone() for p in module.parameters()]
    state = torch.get_rng_state()
    with torch.no_grad():  # as in an evaluation
        found = loss_curvature(module, torch.as_tensor(X), y)
    assert np.isfinite(found.sharpness)
    assert module.training and all(p.grad is None for p in module.parameters())
    assert torch.equal(state, torch.get_rng_state())
    for p, value in zip(module.parameters(), before, strict=True):
        assert torch.equal(p.detach(), value)


def test_frozen_parameters_do_not_count():
    (X, y), module = data(), network()
    module[0].requires_grad_(False)
    found = loss_curvature(module, X, y)
    assert len(found.direction) == sum(p.numel() for p in module[2].parameters())
    module[2].requires_grad_(False)
    with pytest.raises(TypeError, match="No parameter of this .* requires a gradient"):
        loss_curvature(module, X, y)


def test_what_cannot_be_measured_is_refused():
    (X, y), module = data(), network()
    with pytest.raises(TypeError, match="torch module, got LogisticRegression"):
        loss_curvature(LogisticRegression().fit(X, y), X, y)
    with pytest.raises(ValueError, match="loss must be a function or one of cross_entropy"):
        loss_curvature(module, X, y, "hinge")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        loss_curvature(module, X, y[1:])
    with pytest.raises(ValueError, match="At least one sample"):
        loss_curvature(module, X[:0], y[:0])
    with pytest.warns(ConvergenceWarning, match="Raise one of them"):
        assert np.isnan(loss_curvature(module, X, y, tol=0.0, max_iter=1).sharpness)
    with torch.no_grad():
        module[0].weight.fill_(np.inf)
    with pytest.raises(ValueError, match="have diverged"):
        loss_curvature(module, X, y)


def test_the_monitor_records_it_along_training():
    (X, y), module = data(), network()
    monitor = CollapseMonitor(
        X, y, loss="squared_error", feature_tangent=True, n_per_class=5, random_state=0
    )
    parameters = list(module.parameters())
    for _ in range(3):
        monitor(module)
        loss = ((module(torch.as_tensor(X)) - torch.eye(3).double()[y]) ** 2).mean()
        with torch.no_grad():
            for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                p -= 0.1 * g
    seen = monitor.to_dict()
    for name in ("loss", "sharpness", "gradient_norm", "parameter_norm", "nc1", "nc4"):
        assert seen[name].shape == (3,)
    assert (np.diff(seen["loss"]) < 0).all()
    assert seen["loss"][-1] == monitor.curvatures[-1].loss
    assert seen["invariant_change"][0] == 0 and (seen["invariant_change"][1:] > 0).all()
    monitor(network(width=5))  # another module: its direction is another one
    assert len(monitor.curvatures) == 4
    without = CollapseMonitor(X, y, random_state=0)
    without(module)
    assert "sharpness" not in without.to_dict()
