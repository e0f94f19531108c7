"""Diagnostics: exact cases made by hand, invariances, and slow references by definition."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparse_eig import GradientFeatures, GradPCADetector
from sklearn_sparse_eig.diagnostics import (
    CollapseMonitor,
    class_mean_share,
    kernel_blocks,
    neural_collapse,
    ntk_alignment,
)
from sklearn_sparse_eig.diagnostics._alignment import feature_tangent_kernel, tangent_kernel
from sklearn_sparse_eig.diagnostics._invariant import compare, feature_side
from sklearn_sparse_eig.gradients import DenseNetwork, make_network

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    return X[:200] / 16.0, y[:200]


def _mlp(digits, hidden=(12, 9), activation="relu", **kwargs):
    model = MLPClassifier(hidden, activation=activation, max_iter=40, random_state=0, **kwargs)
    return model.fit(*digits)


@pytest.fixture(scope="module")
def model(digits):
    return _mlp(digits)


def _simplex(n_classes, n_features, rng):
    """Return class means that form a simplex with mean zero, (n_classes, n_features)."""
    basis = np.linalg.qr(rng.normal(size=(n_features, n_classes)))[0]
    return 3.0 * (np.eye(n_classes) - 1.0 / n_classes) @ basis.T


# ------------------------------------------------------------------------------------------ blocks


def _block_matrix(values, n_classes, m):
    k_d, k_c, k_n = values
    labels = np.repeat(np.arange(n_classes), m)
    same = labels[:, None] == labels
    n = len(labels)
    return (k_d - k_c) * np.eye(n) + (k_c - k_n) * same + k_n, labels


@pytest.mark.parametrize("values", [(5.0, 3.0, 1.0), (2.0, 0.5, -0.2), (1.0, 1.0, 0.0)])
@pytest.mark.parametrize(("n_classes", "m"), [(2, 3), (4, 5), (3, 2)])
def test_block_matrix_is_found_exactly(values, n_classes, m):
    K, labels = _block_matrix(values, n_classes, m)
    found = kernel_blocks(K, labels)
    assert_allclose((found.same_sample, found.same_class, found.other_class), values, atol=1e-14)
    assert found.fit_error < 1e-14
    assert found.multiplicities == (1, n_classes - 1, n_classes * (m - 1))
    predicted = np.sort(np.repeat(found.predicted_eigenvalues, found.multiplicities))
    assert_allclose(predicted, np.linalg.eigvalsh(K), atol=1e-12)
    assert_allclose(found.eigenvalues[::-1], np.linalg.eigvalsh(K), atol=1e-12)


def test_alignment_is_one_for_the_ideal_kernel_and_centring_takes_constants_off():
    K, labels = _block_matrix((1.0, 1.0, 0.0), 3, 4)
    assert_allclose(kernel_blocks(K, labels).alignment, 1.0)
    shifted = kernel_blocks(K + 7.0, labels)
    assert_allclose(shifted.centered_alignment, 1.0)
    assert shifted.alignment < 0.7


def test_blocks_by_definition_for_any_kernel():
    rng = np.random.default_rng(0)
    G = rng.normal(size=(12, 30)) + 1.0
    K, labels = G @ G.T, np.tile(np.arange(3), 4)
    found = kernel_blocks(K, labels)
    Y = np.eye(3)[labels]
    H = np.eye(12) - 1.0 / 12
    target, centred = Y @ Y.T, H @ Y @ Y.T @ H
    norm = np.linalg.norm
    assert_allclose(found.alignment, np.sum(K * target) / norm(K) / norm(target))
    HKH = H @ K @ H
    assert_allclose(found.centered_alignment, np.sum(HKH * centred) / norm(HKH) / norm(centred))
    # The best fit by least squares over the three patterns.
    patterns = np.stack([np.eye(12), target - np.eye(12), 1.0 - target]).reshape(3, -1).T
    values, residual, *_ = np.linalg.lstsq(patterns, K.ravel(), rcond=None)
    assert_allclose([found.same_sample, found.same_class, found.other_class], values)
    assert_allclose(found.fit_error, np.sqrt(residual[0]) / norm(K))
    assert_allclose(found.measured_eigenvalues @ found.multiplicities, np.trace(K))
    assert_allclose(found.predicted_eigenvalues @ found.multiplicities, np.trace(K))


def test_blocks_do_not_depend_on_order_or_scale():
    rng = np.random.default_rng(1)
    G = rng.normal(size=(10, 5))
    labels, order = np.repeat([0, 1], 5), rng.permutation(10)
    first = kernel_blocks(G @ G.T, labels)
    second = kernel_blocks(9.0 * (G @ G.T)[np.ix_(order, order)], labels[order])
    for name in ("alignment", "centered_alignment", "fit_error"):
        assert_allclose(getattr(first, name), getattr(second, name))
    assert_allclose(9.0 * first.predicted_eigenvalues, second.predicted_eigenvalues)


def test_blocks_refuse_what_has_no_block_form():
    with pytest.raises(ValueError, match="shape"):
        kernel_blocks(np.eye(4), [0, 0, 1])
    for labels in ([0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="same size"):
            kernel_blocks(np.eye(4), labels)
    assert np.isnan(kernel_blocks(np.zeros((4, 4)), [0, 0, 1, 1]).alignment)


# ----------------------------------------------------------------------------------------- kernels


@pytest.mark.parametrize("output", ["max", "logsumexp", "sum", "loss"])
@pytest.mark.parametrize("params", ["all", "head", "last_hidden"])
def test_tangent_kernel_is_that_of_dense_gradients(digits, model, output, params):
    X, y = digits
    rows = np.concatenate([np.flatnonzero(y == c)[:3] for c in range(4)])
    network = make_network(model)
    K = tangent_kernel(network, X[rows], output, network.select(params))
    G = GradientFeatures(model, output=output, params=params).fit_transform(X[rows])
    assert_allclose(K, G @ G.T, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_kernels_of_logits_and_features_against_finite_differences(digits, activation):
    X, network = digits[0][:5], make_network(_mlp(digits, (4, 3), activation))
    hidden_only = {"hidden0", "hidden1"}

    def jacobian(quantity, layers):
        """Return derivatives of all entries of quantity(network), (5, n_quantities, P)."""
        columns, h = [], 1e-6
        for i, name in enumerate(network.layer_names):
            if name not in layers:
                continue
            for array in (network.weights[i], network.biases[i]):
                for index in np.ndindex(array.shape):
                    kept = array[index]
                    array[index] = kept + h
                    high = quantity()
                    array[index] = kept - h
                    columns.append((high - quantity()) / (2 * h))
                    array[index] = kept
        return np.stack(columns, axis=-1)

    J = jacobian(lambda: network.forward(X)[-1], set(network.layer_names))
    expected = np.einsum("ikp,jkp->ij", J, J) / 4
    found = tangent_kernel(network, X, "mean_diagonal", (0, 1, 2))
    assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    J = jacobian(lambda: network.forward(X)[-2], hidden_only)
    expected = np.einsum("ikp,jkp->ij", J, J) / 3
    assert_allclose(feature_tangent_kernel(network, X, (0, 1, 2)), expected, rtol=1e-6, atol=1e-8)


def test_one_logit_is_an_output(digits, model):
    X, network = digits[0][:6], make_network(model)
    kernels = [tangent_kernel(network, X, k, (0, 2)) for k in range(4)]
    assert_allclose(sum(kernels) / 4, tangent_kernel(network, X, "mean_diagonal", (0, 2)))
    top = network.gradients(X).logits.argmax(axis=1)
    largest = tangent_kernel(network, X, "max", (0, 2))
    for c in np.unique(top):
        rows = np.ix_(top == c, top == c)
        assert_allclose(largest[rows], kernels[c][rows])


def test_alignment_draws_the_same_number_of_each_class(digits, model):
    X, y = digits
    found = ntk_alignment(model, X, y, n_per_class=7, random_state=0)
    again = ntk_alignment(model, X, y, n_per_class=7, random_state=0)
    assert found.n_per_class == 7
    assert found.tangent.multiplicities == found.features.multiplicities == (1, 3, 24)
    assert found.tangent.fit_error == again.tangent.fit_error
    assert found.feature_tangent.same_sample > found.feature_tangent.same_class
    assert ntk_alignment(model, X, y).n_per_class == np.bincount(y).min()
    assert ntk_alignment(model, X, y, feature_tangent=False).feature_tangent is None


def test_linear_models_pipelines_and_sparse_rows(digits):
    X, y = digits
    linear = LogisticRegression(max_iter=200).fit(X, y)
    found = ntk_alignment(linear, sp.csr_array(X), y, n_per_class=5, random_state=0)
    dense = ntk_alignment(linear, X, y, n_per_class=5, random_state=0)
    assert found.feature_tangent is None
    assert_allclose(found.tangent.eigenvalues, dense.tangent.eigenvalues, atol=1e-10)
    collapse = neural_collapse(linear, sp.csr_array(X), y)
    assert collapse.n_features == 64 and np.isnan(collapse.invariant_norm)
    assert_allclose(collapse.nc1, neural_collapse(linear, X, y).nc1)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=20, random_state=0))
    pipeline.fit(X, y)
    first = neural_collapse(pipeline, X, y, random_state=0)
    second = neural_collapse(pipeline[-1], pipeline[:-1].transform(X), y, random_state=0)
    assert first.invariant_norm == second.invariant_norm and first.nc3 == second.nc3


# ---------------------------------------------------------------------------------------- collapse


def _collapsed(rng, n_classes=4, n_features=6, m=5, noise=0.0):
    """Return a linear network, samples in its feature space, and labels."""
    means = _simplex(n_classes, n_features, rng)
    labels = np.tile(np.arange(n_classes), m)
    X = means[labels] + noise * rng.normal(size=(len(labels), n_features))
    network = DenseNetwork([2.0 * means.T], [np.zeros(n_classes)], classes=np.arange(n_classes))
    return network, X, labels


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_exact_collapse_is_zero(n_classes):
    rng = np.random.default_rng(n_classes)
    network, X, y = _collapsed(rng, n_classes)
    orthogonal = np.linalg.svd(X)[2][-1]
    found = neural_collapse(network, X, y, X_ood=orthogonal + np.zeros((3, 6)))
    for name in ("nc1", "nc1_std", "nc2", "nc2_norms", "nc2_angles", "nc2_max_angle", "nc3", "nc5"):
        assert getattr(found, name) < 1e-13, name
    assert found.nc4 == 0.0
    alignment = ntk_alignment(network, X, y)
    assert_allclose(alignment.features.centered_alignment, 1.0)
    assert_allclose(alignment.tangent.centered_alignment, 1.0)
    assert alignment.tangent.fit_error < 1e-14


def test_collapse_by_definition():
    rng = np.random.default_rng(3)
    network, X, y = _collapsed(rng, noise=0.8)
    X = X + rng.normal(size=6)
    network.weights[0] += 0.3 * rng.normal(size=(6, 4))
    found = neural_collapse(network, X, y)
    means = np.array([X[y == c].mean(axis=0) for c in range(4)])
    M = (means - means.mean(axis=0)).T
    within = sum(np.cov(X[y == c].T, bias=True) for c in range(4)) / 4
    assert_allclose(found.nc1, np.trace(within @ np.linalg.pinv(M @ M.T / 4, rcond=1e-10)) / 4)
    assert_allclose(found.nc1_std, np.mean([X[y == c].std(axis=0) for c in range(4)]))
    W, norm = network.weights[0], np.linalg.norm
    assert_allclose(found.nc3, norm(M / norm(M) - W / norm(W)))
    G = M.T @ M
    assert_allclose(found.nc2, norm(G / norm(G) - (np.eye(4) - 0.25) / np.sqrt(3)))
    nearest = np.argmin(norm(X[:, None] - means, axis=2), axis=1)
    assert_allclose(found.nc4, np.mean(nearest != (X @ W).argmax(axis=1)))
    assert 0.0 < found.nc4 < 0.9


def test_collapse_does_not_depend_on_order_rotation_scale_or_shift():
    rng = np.random.default_rng(4)
    network, X, y = _collapsed(rng, noise=0.5)
    first = neural_collapse(network, X, y)
    Q, order = np.linalg.qr(rng.normal(size=(6, 6)))[0], rng.permutation(len(X))
    shift = rng.normal(size=6)
    weights = Q.T @ network.weights[0]
    moved = DenseNetwork([weights / 3.0], [-(shift @ weights) / 3.0], classes=network.classes)
    second = neural_collapse(moved, (3.0 * X @ Q + shift)[order], y[order])
    for name in ("nc1", "nc2", "nc2_norms", "nc2_angles", "nc2_max_angle", "nc3", "nc4"):
        assert_allclose(getattr(first, name), getattr(second, name), atol=1e-12, err_msg=name)


def test_two_classes_with_one_output_are_two_logits(digits):
    X, y = digits[0][digits[1] < 2], digits[1][digits[1] < 2]
    binary = _mlp((X, y), (6,))
    W, b = binary.coefs_[-1], binary.intercepts_[-1]
    doubled = DenseNetwork(
        [binary.coefs_[0], W @ [[-0.5, 0.5]]],
        [binary.intercepts_[0], b @ np.array([[-0.5, 0.5]])],
        "relu",
        classes=np.array([0, 1]),
    )
    first, second = neural_collapse(binary, X, y), neural_collapse(doubled, X, y)
    for name in ("nc1", "nc2", "nc3", "nc4"):
        assert_allclose(getattr(first, name), getattr(second, name), atol=1e-12)
    # The invariant is of the parameters themselves: ||w||^2, not half of it.
    side = first.invariant_norm / first.invariant_error
    assert_allclose(side, np.linalg.norm(W @ W.T))


# --------------------------------------------------------------------------------------- invariant


@pytest.mark.parametrize("sizes", [(5, 5, 5), (2, 7, 4)])
def test_invariant_is_that_of_the_inverse_kernel(sizes):
    rng = np.random.default_rng(5)
    counts, p = np.array(sizes), 6
    labels = np.repeat(np.arange(3), counts)
    H = rng.normal(size=(p, len(labels)))  # samples are columns, as in the derivation
    same = labels[:, None] == labels
    K = 0.7 * np.eye(len(labels)) + 1.1 * same + 0.4
    blocks = kernel_blocks(*_block_matrix((2.2, 1.5, 0.4), 3, 2))
    means = np.array([H[:, labels == c].mean(axis=1) for c in range(3)])
    residuals = H - means[labels].T
    side = feature_side(blocks, means, counts, residuals @ residuals.T)
    assert_allclose(side, H @ np.linalg.inv(K) @ H.T, rtol=1e-10, atol=1e-10)
    if len(set(sizes)) == 1:
        assert_allclose(side, _by_contrasts(H, (2.2, 1.5, 0.4), 3, 5), rtol=1e-10, atol=1e-10)


def _by_contrasts(H, values, n_classes, m):
    """Return the form with class means, an orthonormal basis of contrasts, and alpha."""
    k_d, k_c, k_n = values
    low = k_d - k_c
    middle = low + m * (k_c - k_n)
    contrasts = np.linalg.svd(np.ones((1, m)))[2][1:]  # orthonormal, each of sum zero
    H1 = H.reshape(-1, n_classes, m).mean(axis=2)
    H2 = np.einsum("pcm,km->pck", H.reshape(-1, n_classes, m), contrasts).reshape(len(H), -1)
    mean = H.mean(axis=1)
    alpha = k_n / (low / m + k_c + (n_classes - 1) * k_n)
    return (
        (m / middle) * H1 @ H1.T
        + H2 @ H2.T / low
        - alpha * n_classes**2 * m / middle * np.outer(mean, mean)
    )


def test_invariant_is_conserved_by_gradient_flow_under_a_fixed_block_kernel():
    # dH/dt = -W^T R K and dW/dt = -R H^T with R any residual: here of squared error and softmax.
    rng = np.random.default_rng(6)
    K, labels = _block_matrix((1.0, 0.6, 0.2), 3, 4)
    Y = np.eye(3)[labels].T
    for residual in (
        lambda Z: Z - Y,
        lambda Z: np.exp(Z) / np.exp(Z).sum(axis=0) - Y,
    ):
        W, H = 0.5 * rng.normal(size=(3, 5)), 0.5 * rng.normal(size=(5, 12))
        inverse, step = np.linalg.inv(K), 1e-5
        start = W.T @ W - H @ inverse @ H.T
        moved = np.linalg.norm(W)
        for _ in range(3000):
            R = residual(W @ H)
            W, H = W - step * R @ H.T, H - step * W.T @ R @ K
        assert abs(np.linalg.norm(W) - moved) > 1e-2
        drift = np.linalg.norm(W.T @ W - H @ inverse @ H.T - start)
        assert drift < 1e-3 * np.linalg.norm(start)


def test_invariant_without_an_inverse_is_not_a_number():
    blocks = kernel_blocks(*_block_matrix((1.0, 1.0, 0.0), 3, 2))
    assert feature_side(blocks, np.eye(3), np.array([2, 2, 2]), np.eye(3)) is None
    assert np.isnan(compare(np.eye(3), None)).all()
    norm, error, alignment = compare(np.diag([2.0, 0.0]), np.diag([3.0, 0.0]))
    assert (norm, error, alignment) == (1.0, 0.25, 1.0)


# ------------------------------------------------------------------------------------------- share


@pytest.mark.parametrize("metric", ["kfac", "euclidean"])
def test_share_is_that_of_dense_gradients(digits, model, metric):
    X, y = digits
    detector = GradPCADetector(model, metric=metric, score_function="ratio").fit(X, y)
    G = GradientFeatures(model).fit_transform(X)
    means = np.array([G[y == c].mean(axis=0) for c in range(4)])
    raw = (means[y] ** 2).sum() / (G**2).sum()
    centred = ((means[y] - G.mean(axis=0)) ** 2).sum() / ((G - G.mean(axis=0)) ** 2).sum()
    assert_allclose(class_mean_share(detector, center=False), raw)
    assert_allclose(class_mean_share(detector), centred)
    assert centred < raw < 1.0
    shards = [
        GradPCADetector(model, metric=metric, score_function="ratio").partial_fit(X[i::2], y[i::2])
        for i in range(2)
    ]
    assert_allclose(class_mean_share(shards[0].merge(shards[1])), centred)


def test_share_is_one_under_collapse():
    network, X, y = _collapsed(np.random.default_rng(7))
    detector = GradPCADetector(network, metric="euclidean", score_function="ratio").fit(X, y)
    assert_allclose(class_mean_share(detector), 1.0)


# ----------------------------------------------------------------------------------------- monitor


def test_monitor_records_what_the_functions_return(digits):
    X, y = digits
    model = MLPClassifier((8,), random_state=0)
    monitor = CollapseMonitor(X, y, every=2, n_per_class=4, X_ood=X[::-1] + 1.0, random_state=0)
    for step in range(1, 6):
        monitor(model.partial_fit(X, y, classes=np.arange(4)), step)
    columns = monitor.to_dict()
    assert columns["step"].tolist() == [2, 4]
    assert not [name for name in columns if name.startswith("invariant")]  # not asked for
    assert columns["tangent_eigenvalues"].shape == (2, 16)
    model = MLPClassifier((8,), random_state=0)
    for _ in range(4):
        model.partial_fit(X, y, classes=np.arange(4))
    assert columns["nc1"][1] == neural_collapse(model, X, y).nc1
    assert np.isfinite(columns["nc5"]).all()
    expected = ntk_alignment(model, X, y, n_per_class=4, random_state=0).tangent.fit_error
    assert columns["tangent_fit_error"][1] == expected
    with pytest.raises(ValueError, match="every"):
        CollapseMonitor(X, y, every=0)


def test_plot_of_what_was_recorded(digits):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from sklearn_sparse_eig.plotting import plot_collapse

    X, y = digits
    monitor = CollapseMonitor(X, y, n_per_class=4)
    with pytest.raises(ValueError, match="nothing"):
        plot_collapse(monitor)
    for model in (_mlp(digits, (5,)), _mlp(digits, (6,))):
        monitor(model)
    panels = plot_collapse(monitor)
    line = panels[0].get_lines()[0]
    assert line.get_xdata().tolist() == [1, 2]
    assert_allclose(line.get_ydata(), [c.nc1 for c in monitor.collapses])
    # NC5 and the tangent kernel of features were not asked for.
    assert [len(panel.get_lines()) for panel in panels] == [1, 3, 2]
    with pytest.raises(ValueError, match="3 Axes"):
        plot_collapse(monitor, panels[:2])
    matplotlib.pyplot.close(panels[0].figure)


# ------------------------------------------------------------------------------------------- torch


def test_torch_twin_agrees(digits, model):
    torch = pytest.importorskip("torch")
    X, y = digits
    layers = []
    for weight, bias in zip(model.coefs_, model.intercepts_, strict=True):
        linear = torch.nn.Linear(*weight.shape).double()
        linear.weight.data, linear.bias.data = torch.tensor(weight.T), torch.tensor(bias)
        layers += [linear, torch.nn.ReLU(inplace=True)]
    module = torch.nn.Sequential(*layers[:-1]).eval()
    for output in ("max", "mean_diagonal"):
        kwargs = {"output": output, "n_per_class": 6, "random_state": 0}
        first = ntk_alignment(model, X, y, **kwargs)
        second = ntk_alignment(module, X, y, **kwargs)
        for kernel in ("tangent", "features", "feature_tangent"):
            for name in ("centered_alignment", "fit_error", "eigenvalues"):
                values = (getattr(getattr(one, kernel), name) for one in (first, second))
                assert_allclose(*values, rtol=1e-8, atol=1e-8)
    kwargs = {"X_ood": X[:9], "random_state": 0}
    first, second = (neural_collapse(one, X, y, **kwargs) for one in (model, module))
    for name, value in vars(first).items():
        assert_allclose(value, getattr(second, name), rtol=1e-8, err_msg=name)


def test_monitor_draws_its_samples_once(digits):
    X, y = digits
    model, monitor = _mlp(digits, (5,)), CollapseMonitor(X, y, n_per_class=4)
    monitor(model)
    monitor(model)
    first, second = monitor.alignments
    assert first.tangent.fit_error == second.tangent.fit_error


def test_monitor_leaves_training_of_a_torch_module_as_it_was(digits):
    torch = pytest.importorskip("torch")
    X, y = digits

    def train(monitor):
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Linear(64, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(8, 4),
        )
        module[1].eval()  # frozen statistics, whatever the rest does
        module.train()
        module[1].eval()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
        data, targets = torch.tensor(X, dtype=torch.float32), torch.tensor(y)
        for _ in range(5):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(data), targets).backward()
            monitor(module)
            optimizer.step()
        assert [layer.training for layer in module.modules()] == [True, True, False] + [True] * 3
        return [value.clone() for value in module.state_dict().values()]

    monitor = CollapseMonitor(X, y, n_per_class=5, feature_tangent=True)
    watched, alone = train(monitor), train(lambda module: None)
    assert all(map(torch.equal, watched, alone))
    assert monitor.steps == [1, 2, 3, 4, 5]
    columns = monitor.to_dict()
    assert np.isfinite(columns["invariant_alignment"]).all()
    # The head is trained: E, and so the change of E, is of the matrix and not of its norm.
    E, last = (monitor.collapses[i].invariant for i in (0, -1))
    assert E.shape == (8, 8) and columns["invariant_change"][0] == 0.0
    size = columns["invariant_norm"][-1] / columns["invariant_error"][-1]
    assert_allclose(columns["invariant_change"][-1], np.linalg.norm(last - E) / size)
    assert "invariant" not in columns

    class Broken(torch.nn.Sequential):
        def forward(self, x):
            raise RuntimeError("broken")

    broken = Broken(torch.nn.Linear(64, 4), torch.nn.Dropout())
    with pytest.raises(RuntimeError, match="broken"):
        monitor(broken)
    assert broken.training and broken[1].training and len(monitor.steps) == 5


def test_convolutions_count_in_the_kernel_of_features():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 6)),
        torch.nn.Conv1d(1, 2, 3),
        torch.nn.Tanh(),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
        torch.nn.Tanh(),
        torch.nn.Linear(3, 2),
    )
    module = module.double().eval()
    X = np.random.default_rng(8).normal(size=(4, 6))
    hidden = [value for name, value in module.named_parameters() if not name.startswith("6")]
    J = []
    for row in torch.tensor(X):
        features = module[:-1](row[None])[0]
        rows = [torch.autograd.grad(h, hidden, retain_graph=True) for h in features]
        J.append([torch.cat([part.ravel() for part in parts]).numpy() for parts in rows])
    expected = np.einsum("ikp,jkp->ij", J, J) / 3
    network = make_network(module)
    found = feature_tangent_kernel(network, X, network.select("all"))
    assert_allclose(found, expected, rtol=1e-10)
    assert_allclose(network.features(X), module[:-1](torch.tensor(X)).detach().numpy())


def test_logits_that_are_not_of_the_last_layer_are_refused(digits):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(64, 4), torch.nn.LogSoftmax(dim=1)).eval()
    with pytest.raises(ValueError, match="last layer"):
        neural_collapse(module, *digits)


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("function", [ntk_alignment, neural_collapse])
def test_bad_input(digits, model, function):
    X, y = digits
    with pytest.raises(ValueError, match="At least two classes"):
        function(model, X[y == 1], y[y == 1])
    few = np.concatenate([np.flatnonzero(y == c)[:5] for c in range(3)] + [[(y == 3).argmax()]])
    with pytest.raises(ValueError, match="only one sample of 3"):
        function(model, X[few], y[few])
    with pytest.raises(ValueError, match=r"does not know: \[7\]"):
        function(model, X, np.where(y == 3, 7, y))
    with pytest.raises(ValueError, match="inconsistent"):
        function(model, X, y[:-1])
    with pytest.raises(ValueError, match="features"):
        function(model, X[:, :-1], y)
    with pytest.raises(TypeError, match="A classifier is needed, got Ridge"):
        function(Ridge().fit(X, y), X, y)


def test_bad_settings(digits, model):
    X, y = digits
    for size in (1, 10_000, 2.5):
        with pytest.raises(ValueError, match="n_per_class"):
            ntk_alignment(model, X, y, n_per_class=size)
    for output in ("mean", 4, -1, None):
        with pytest.raises(ValueError, match="output must be"):
            ntk_alignment(model, X, y, output=output)
    with pytest.raises(ValueError, match="kernel of"):
        ntk_alignment(model, np.repeat(X, 60, axis=0), np.repeat(y, 60))
    with pytest.raises(ValueError, match="none of 3"):
        neural_collapse(model, X[y < 3], y[y < 3])
    with pytest.raises(ValueError, match="keep sums"):
        class_mean_share(model)


def test_import_is_light():
    code = (
        "import sys; from sklearn_sparse_eig import diagnostics; "
        "assert not {'torch', 'matplotlib', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
