"""Class means of low rank from two-sided sketches of class sums."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import DenseNetwork, LayerFactors, LayerMatrices, LayerPlaces
from sklearn_sparse_eig.ood import LowRankState, Plan
from sklearn_sparse_eig.ood._metric import Metric
from sklearn_sparse_eig.ood.subspaces._low_rank import class_floats
from sklearn_sparse_eig.ood.subspaces._means import LowRankMeans, WholeMeans
from sklearn_sparse_eig.ood.subspaces._two_sided import (
    FEWEST,
    TwoSidedSums,
    n_rows_of,
    pays,
    sketch_size,
)

# A score that goes by the subspace, to show what becomes of it.
Detector = partial(GradPCADetector, score_function="snr_ratio")

RNG = np.random.default_rng(0)
RANGE, CORANGE = FEWEST, n_rows_of(FEWEST)
SHAPES = [(90, 60), (60, 90)]


def low_rank(shape, rank, n=1):
    p, q = shape
    return RNG.normal(size=(n, p, rank)) @ RNG.normal(size=(n, rank, q))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rank", [1, RANGE // 2])
def test_means_of_low_rank_are_recovered_exactly(shape, rank):
    sums, matrices = TwoSidedSums(shape, seed=3), low_rank(shape, rank, n=3)
    for label, matrix in zip([4, 0, 7], matrices, strict=True):
        sums.add_matrix(label, matrix)
    scale = np.abs(matrices).max()
    np.testing.assert_allclose(sums.matrices([4, 0, 7]), matrices, atol=1e-10 * scale)
    assert sums.labels() == [0, 4, 7] and sums.n_floats == 3 * sketch_size(shape, RANGE)
    means = sums.means(np.array([0, 7]), np.array([2, 5]), Metric(None), 0, None)
    flat = (matrices[1:] / np.array([2, 5])[:, None, None]).reshape(2, -1)
    np.testing.assert_allclose(means.gram(), flat @ flat.T, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_error_is_the_one_that_tropp_et_al_bound(shape):
    # E |A - A'|^2 <= l / (l - k - 1) * min_r k / (k - r - 1) * tail_r^2 (over real numbers).
    decay = 0.6 ** np.arange(60)
    left, right = (np.linalg.qr(RNG.normal(size=(n, 60)))[0] for n in shape)
    matrix = (left * decay) @ right.T
    tails = [(decay[r:] ** 2).sum() * (RANGE - 1) / (RANGE - r - 1) for r in range(RANGE - 1)]
    bound = (CORANGE - 1) / (CORANGE - RANGE - 1) * min(tails)
    errors = []
    for seed in range(40):
        sums = TwoSidedSums(shape, seed=seed)
        sums.add_matrix(0, matrix)
        found = sums._recovered([0], RANGE, np.ones(1))
        errors.append(((found.lefts[:, 0] @ found.rights[:, 0].T - matrix) ** 2).sum())
    # 99 % of the energy is kept at least, on top of what the sketch loses.
    assert np.mean(errors) <= bound + 0.01 * (matrix**2).sum()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_forms_of_gradients_give_the_same_sketches(shape, dtype):
    (p, q), n, places = shape, 9, 5
    labels = np.array([2, 0, 2, 1, 1, 0, 2, 2, 0])
    inputs = RNG.normal(size=(n, places, p)).astype(dtype)
    deltas = RNG.normal(size=(n, places, q)).astype(dtype)
    matrices = inputs.swapaxes(1, 2) @ deltas
    found = []
    for layer in (LayerPlaces(inputs, deltas), LayerMatrices(matrices)):
        sums = TwoSidedSums(shape, seed=1)
        sums.add(layer, labels)
        found.append(sums.sums.stacked([0, 1, 2], (sketch_size(shape, RANGE),)))
    one = TwoSidedSums(shape, seed=1)
    for t in range(places):
        one.add(LayerFactors(inputs[:, t], deltas[:, t]), labels)
    found.append(one.sums.stacked([0, 1, 2], (sketch_size(shape, RANGE),)))
    expected = TwoSidedSums(shape, seed=1)
    for label in range(3):
        expected.add_matrix(label, matrices[labels == label].sum(axis=0).astype(np.float64))
    expected = expected.sums.stacked([0, 1, 2], (sketch_size(shape, RANGE),))
    rounding = (1e-5 if dtype is np.float32 else 1e-12) * np.abs(expected).max()
    for each in found:
        assert each.dtype == np.float64
        np.testing.assert_allclose(each, expected, atol=rounding)


def test_directions_at_places_are_those_of_matrices():
    means = LowRankMeans(RNG.normal(size=(30, 4, 2)), RNG.normal(size=(25, 4, 2)))
    layer = LayerPlaces(RNG.normal(size=(6, 3, 30)), RNG.normal(size=(6, 3, 25)))
    combinations = RNG.normal(size=(3, 4))
    directions = means.combined(combinations)
    assert directions._goes_by_places(layer)
    many = LayerPlaces(np.repeat(layer.inputs, 40, axis=1), np.repeat(layer.deltas, 40, axis=1))
    assert not directions._goes_by_places(many)
    matrices = np.einsum("pcr,qcr->cpq", means.lefts, means.rights)
    expected = layer.dense() @ matrices.reshape(4, -1).T @ combinations.T
    np.testing.assert_allclose(directions.products(layer), expected, rtol=1e-10)
    np.testing.assert_allclose(directions.products(many), 40 * expected, rtol=1e-10)
    whole = WholeMeans(matrices).combined(combinations)
    np.testing.assert_allclose(whole.products(layer), expected, rtol=1e-10)


# ---------------------------------------------------------------------------------------- detector


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(60, 70)) / 8, rng.normal(size=(70, 6))]
    centres = 2.0 * rng.normal(size=(6, 60))
    y = np.arange(300) % 6
    X = centres[y] + rng.normal(size=(300, 60))
    network = DenseNetwork(weights, [np.zeros(70), np.zeros(6)], "relu", classes=np.arange(6))
    return network, X, y, 2.0 * rng.normal(size=(100, 60))


quiet = pytest.mark.filterwarnings("ignore:The first samples", "ignore:The model predicts")


@quiet
@pytest.mark.parametrize("metric", ["kfac", "diag", "euclidean"])
def test_stream_merge_and_delete_are_one_fit(blobs, metric):
    network, X, y, Z = blobs
    whole = Detector(
        network, subspace="low_rank", n_measurements=8, metric=metric, random_state=0
    ).fit(X, y)
    assert isinstance(whole._state, LowRankState) and isinstance(
        whole._state.layer_sums[0], TwoSidedSums
    )
    streams = [whole.empty_copy() for _ in range(2)]
    for part in np.array_split(np.random.default_rng(0).permutation(300), [1, 30, 150]):
        streams[0].partial_fit(X[part], y[part])
    resumed = pickle.loads(pickle.dumps(streams[1].partial_fit(X[:70], y[:70])))
    shard = whole.empty_copy().partial_fit(X[70:], y[70:])
    streams[1].merge(shard)
    expected = whole.score_samples(Z)
    for found in (*streams, resumed.partial_fit(X[70:], y[70:])):
        np.testing.assert_allclose(found.score_samples(Z), expected, rtol=1e-6)
    # What was added can be taken away again, and what fails changes nothing.
    state = whole._state.copy().subtract(shard._state)
    kept = whole.empty_copy().partial_fit(X[:70], y[:70])._state
    for mine, theirs in zip(state.layer_sums, kept.layer_sums, strict=True):
        for key, values in theirs.sums.sums.items():
            np.testing.assert_allclose(mine.sums.sums[key], values, atol=1e-9)
    before = pickle.dumps(kept)

    def failing():
        yield tuple(network.gradients(X[:9]).layers), y[:9]
        raise OSError

    with pytest.raises(OSError):
        kept.extend(failing())
    assert pickle.dumps(kept) == before


@quiet
def test_it_ranks_like_exact_means(blobs):
    network, X, y, Z = blobs
    areas = []
    for options in ({}, {"subspace": "low_rank", "n_measurements": 8, "random_state": 0}):
        detector = Detector(network, score_function="ratio", **options).fit(X[:200], y[:200])
        scores = detector.score_samples(np.vstack([X[200:], Z]))
        areas.append(roc_auc_score(np.repeat([1, 0], 100), scores))
    assert areas[0] > 0.8 and areas[1] > areas[0] - 0.03


@quiet
def test_refusals(blobs):
    network, X, y, _ = blobs
    options = {"subspace": "low_rank", "metric": "euclidean"}
    detectors = [Detector(network, **options, random_state=s).fit(X, y) for s in (0, 1)]
    with pytest.raises(ValueError, match="seed is .* here"):
        detectors[0].merge(detectors[1])
    with pytest.raises(ValueError, match="sparsity=0.1 asks for single entries"):
        Detector(network, **options, sparsity=0.1).fit(X, y)
    with pytest.raises(ValueError, match="two measurements or more, got n_measurements=1"):
        Detector(network, **options, n_measurements=1).fit(X, y)
    few = Detector(network, **options, n_measurements=4, random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="n_measurements is 16 here, 4 there"):
        detectors[0].merge(few)


class AsMatrices(DenseNetwork):
    """The same gradients in the form in which those of convolutions come."""

    def gradients(self, X, output="max", layers=None):
        found = super().gradients(X, output, layers)
        shapes = [self.layer_shapes[i] for i in layers or range(2)]
        return replace(
            found,
            layers=tuple(
                LayerMatrices(g.dense().reshape(-1, *shape))
                for g, shape in zip(found.layers, shapes, strict=True)
            ),
        )


@quiet
def test_auto_takes_it_where_sums_do_not_fit(monkeypatch, blobs):
    network, X, y, _ = blobs
    floats = sum(map(class_floats, network.layer_shapes))
    assert [pays(shape, RANGE) for shape in network.layer_shapes] == [True, False]
    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_SUMS", 8 * 6 * floats)
    monkeypatch.setattr("sklearn_sparse_eig.ood.subspaces._low_rank._ROOM", 8 * 6 * floats)
    convolutions = AsMatrices(network.weights, network.biases, "relu", classes=np.arange(6))
    detector = Detector(convolutions, random_state=0).fit(X, y)
    assert detector.subspace_ == "low_rank" and detector._state.n_floats <= 6 * floats
    assert Detector(convolutions, sparsity=0.1).fit(X, y).subspace_ == "sketched"
    # Means of dense layers are recovered from sketches, unless they have too many entries.
    assert Detector(network).fit(X, y).subspace_ == "sketched"
    monkeypatch.setattr(
        "sklearn_sparse_eig.ood._build._LARGEST_SWEEP", 6 * network_size(network) - 1
    )
    assert Detector(network).fit(X, y).subspace_ == "low_rank"


def network_size(network):
    return sum(p * q for p, q in network.layer_shapes)


def test_time_is_foreseen():
    small, large = (
        LowRankState(LowRankState.complete(Plan(n, ((200, 300),) * 3, "kfac", 4096))).seconds_once()
        for n in (5, 5000)
    )
    assert 0.0 < small < large
