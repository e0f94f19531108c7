"""Outputs with inputs of their own, as of depthwise convolutions: their factor is diagonal."""

import numpy as np
import pytest

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import LayerMatrices, make_network
from sklearn_sparse_eig.ood._moments import Moment

torch = pytest.importorskip("torch")
nn = torch.nn

from sklearn_sparse_eig.gradients import TorchNetwork  # noqa: E402 - it needs torch

quiet = pytest.mark.filterwarnings(
    "ignore:The first samples", "ignore:The model predicts", "ignore:No closed form"
)


def depthwise(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 1), nn.Tanh(), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Tanh()),
        *(nn.Conv2d(6, 8, 1), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 16, 4)),
    ).to(dtype)


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 4
    centres = np.random.default_rng(1).normal(size=(4, 2, 4, 4))
    return centres[y] + 0.5 * rng.normal(size=(n, 2, 4, 4)), y


@quiet
def test_which_convolutions_have_separate_outputs():
    X = np.random.default_rng(0).normal(size=(3, 4, 5, 5)).astype(np.float32)
    for layer, expected in [
        (nn.Conv2d(4, 4, 3, groups=4), True),
        (nn.Conv2d(4, 2, 3, groups=2), True),
        (nn.Conv2d(4, 8, 3, groups=4), False),
        (nn.Conv2d(4, 4, 3), False),
        (nn.Conv2d(4, 1, 3), False),
        (nn.ConvTranspose2d(4, 4, 3, groups=4), False),
    ]:
        module = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(2))
        module(torch.as_tensor(X))
        for engine in ("auto", "vmap", "loop"):
            network = TorchNetwork(module.eval(), engine=engine)
            found = network.gradients(X).layers[0]
            assert found.has_separate_outputs is expected
            for same in (found.take(slice(0, 2)), found.astype(np.float64)):
                assert same.has_separate_outputs is expected


@quiet
@pytest.mark.parametrize("subspace", ["exact", "low_rank"])
def test_the_metric_is_the_formula(subspace):
    module, (X, y) = depthwise(), rows(200)
    detector = GradPCADetector(
        module, params=["2"], subspace=subspace, score_function="laplace", random_state=0
    ).fit(X, y)
    G = make_network(module).gradients(X, layers=[1]).layers[0].matrices
    inputs, outputs = Moment(10, False), Moment(6, True)
    inputs.total = np.einsum("npq,nrq->pr", G, G)
    inputs.fourth = (np.einsum("npq,nrq->npr", G, G) ** 2).sum()
    outputs.total = np.einsum("npq->q", G**2)
    outputs.fourth = (np.einsum("npq->nq", G**2) ** 2).sum()
    inputs.mass, outputs.mass = len(G), (G**2).sum()
    A, B = inputs.shrunk(len(G))[0], outputs.shrunk(len(G))[0]
    Z, _ = rows(20, seed=3)
    gradients = make_network(module).gradients(Z, layers=[1])
    G = gradients.layers[0].matrices
    squares = np.einsum("npq,pr,nrq,q->n", G, np.linalg.inv(A), G, 1.0 / B)
    np.testing.assert_allclose(
        detector.score_samples(Z), gradients.values / np.sqrt(squares), rtol=1e-9
    )
    assert np.isclose(detector.shrinkage_["2"][1], outputs.shrunk(200)[1])


@quiet
@pytest.mark.parametrize("subspace", ["exact", "low_rank"])
def test_engines_streams_and_shards_agree(subspace):
    module, (X, y), (Z, _) = depthwise(), rows(160), rows(20, seed=3)
    options = {"subspace": subspace, "random_state": 0}
    detector = GradPCADetector(module, **options).fit(X, y)
    expected = detector.score_samples(Z)
    for engine in ("vmap", "loop"):
        other = GradPCADetector(TorchNetwork(module, engine=engine), **options).fit(X, y)
        np.testing.assert_allclose(other.score_samples(Z), expected, rtol=1e-8)
    first, second = detector.empty_copy(), detector.empty_copy()
    first.partial_fit(X[:50], y[:50]).partial_fit(X[50:90], y[50:90])
    second.partial_fit(X[90:], y[90:])
    for merged in (first.merge(second), second.empty_copy().merge(first)):
        np.testing.assert_allclose(merged.score_samples(Z), expected, rtol=1e-8)


@quiet
def test_a_plan_knows_of_the_diagonal_factor():
    module, (X, y) = depthwise(), rows(80)
    detector = GradPCADetector(module, params=["2"], subspace="exact")
    (layer,) = detector.plan(X[:16], y).layers
    assert layer.factors == "full, diagonal"
    state = detector.fit(X, y)._state
    assert layer.bytes == 8 * (4 * 10 * 6 + 10**2 + 6)
    assert sum(moment.total.size for moment in state.moments[0]) == 10**2 + 6


def test_full_and_diagonal_factors_are_not_added():
    full, diagonal = Moment(3, False), Moment(3, True)
    matrices = np.random.default_rng(0).normal(size=(5, 3, 2))
    for moment in (full, diagonal):
        moment.add_matrices(matrices, 5.0)
    for one, other in [(full, diagonal), (diagonal, full)]:
        before = one.total.copy()
        with pytest.raises(ValueError, match="kept in full by one and diagonal by the other"):
            one.merge(other)
        np.testing.assert_array_equal(one.total, before)


def test_gradients_keep_the_flag_when_whitened():
    class Identity:
        def of(self, matrices):
            return matrices

        across = of

    layer = LayerMatrices(np.ones((2, 3, 4)), has_separate_outputs=True)
    assert layer.whiten(Identity(), Identity()).has_separate_outputs
    assert not LayerMatrices(np.ones((2, 3, 4))).has_separate_outputs
