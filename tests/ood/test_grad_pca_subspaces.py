"""Sketched, sparse and principal subspaces of GradPCADetector against dense linear algebra."""

import pickle
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector, kernels
from sklearn_sparse_eig.gradients import (
    DenseNetwork,
    Gradients,
    LayerFactors,
    LayerMatrices,
    Network,
)
from sklearn_sparse_eig.ood import GradientState, TensorSketch
from sklearn_sparse_eig.ood.subspaces import _tensor_sketch

# A score that goes by the subspace, to show what becomes of it.
Detector = partial(GradPCADetector, score_function="snr_ratio")

METRICS = ["kfac", "diag", "euclidean"]
SHAPES = ((7, 5), (6, 3))
few = pytest.mark.filterwarnings("ignore:The first samples fix the metric:UserWarning")


@pytest.fixture(scope="module")
def blobs():
    """Four classes in six dimensions, a small network fitted to them, and other points."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2, 3], 40)
    X = rng.normal(size=(4, 6))[y] * 2 + rng.normal(size=(160, 6))
    order = rng.permutation(160)
    X, y = X[order], y[order]
    model = MLPClassifier((5, 4), solver="lbfgs", alpha=0.1, max_iter=2000, random_state=0)
    return model.fit(X, y), X, y, rng.normal(size=(30, 6)) * 4


def _layers(rng, n, sparse=False):
    left = rng.normal(size=(n, 7)) * (rng.random((n, 7)) < 0.5)
    return (
        LayerFactors(sp.csr_array(left) if sparse else left, rng.normal(size=(n, 5))),
        LayerFactors(rng.normal(size=(n, 6)), rng.normal(size=(n, 3))),
    )


def _dense(layers):
    return np.hstack([layer.dense() for layer in layers])


def _matrix(sketch):
    """The measurement as a matrix, entry by entry from the definition of the library's hash."""
    m = sketch.n_measurements
    K, b = _tensor_sketch.N_BLOCKS, m // _tensor_sketch.N_BLOCKS
    columns = []
    for (p, q), (left, right) in zip(sketch.layer_shapes, sketch._seeds, strict=True):
        (h, s), (k, t) = (
            kernels.hash_columns(np.arange(n), seed, K, b) for n, seed in ((p, left), (q, right))
        )
        for i in range(p):
            for j in range(q):
                column = np.zeros(m)
                for block in range(K):
                    bucket = (h[i, block] + k[j, block] - 2 * block * b) % b
                    column[block * b + bucket] = s[i, block] * t[j, block] / np.sqrt(K)
                columns.append(column)
    return np.array(columns).T


# --------------------------------------------------------------------------------- tensor sketch


@pytest.mark.parametrize("m", [4, 60, 64])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("scatter_cost", [0.0, 1e9])
def test_sketch_is_the_hashed_measurement(monkeypatch, m, sparse, scatter_cost):
    # By transforms, by scattering, and by a matrix made one entry at a time.
    monkeypatch.setattr(_tensor_sketch, "_SCATTER_COST", scatter_cost)
    monkeypatch.setattr(_tensor_sketch, "_BLOCK", 3 * m)
    monkeypatch.setattr(_tensor_sketch, "_TRANSFORM_COST", 0 if scatter_cost else 1e9)
    rng = np.random.default_rng(m)
    sketch = TensorSketch(SHAPES, m, seed=5)
    assert sketch._scatters(0, 1) == (scatter_cost == 0)
    layers, M = _layers(rng, 20, sparse), _matrix(sketch)
    labels = rng.integers(6, size=20)
    expected = np.array([M @ _dense(layers)[labels == c].sum(axis=0) for c in range(6)])
    found = np.zeros((6, m))
    sketch.add_sums(found, layers, labels)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # And inner products in the Fourier domain are those of the sketches.
    products = sketch.spectra(layers) @ sketch.dual(expected)
    np.testing.assert_allclose(products, _dense(layers) @ M.T @ expected.T, atol=1e-11)


def test_explicit_matrices_go_to_the_same_buckets():
    rng = np.random.default_rng(0)
    sketch = TensorSketch(SHAPES, 32, seed=1)
    matrices = rng.normal(size=(9, 7, 5))
    M = _matrix(sketch)[:, :35]
    np.testing.assert_allclose(
        sketch.scatter(0, matrices), matrices.reshape(9, -1) @ M.T, atol=1e-12
    )


@pytest.mark.parametrize("most", [1, 80, 2**23])
def test_sums_of_explicit_layers_are_scattered_together(monkeypatch, most):
    monkeypatch.setattr(_tensor_sketch, "_SUMS", most)
    rng = np.random.default_rng(4)
    sketch, labels = TensorSketch(SHAPES, 32, seed=1), rng.integers(5, size=30) * 2
    layers = tuple(LayerMatrices(rng.normal(size=(30, p, q))) for p, q in SHAPES)
    found, M = np.zeros((10, 32)), _matrix(sketch)
    sketch.add_sums(found, layers, labels)
    expected = np.array([M @ _dense(layers)[labels == c].sum(axis=0) for c in range(10)])
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_inner_products_are_unbiased_with_the_stated_variance():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 7, 5))
    y += 0.5 * x
    m, n_seeds = 64, 3000
    found = np.array(
        [
            np.prod(TensorSketch([(7, 5)], m, s).scatter(0, np.stack([x, y])), axis=0).sum()
            for s in range(n_seeds)
        ]
    )
    truth = (x * y).sum()
    squares = (x**2).sum() * (y**2).sum() + truth**2
    bound = (squares + 2 * ((x.T @ y) ** 2).sum() + 2 * ((x @ y.T) ** 2).sum()) / m
    assert abs(found.mean() - truth) < 4 * np.sqrt(bound / n_seeds)
    # The bound counts diagonal terms that are not there; m is small, hence the slack above.
    assert 0.5 * bound < found.var() < 1.15 * bound


def test_largest_entries_are_recovered(monkeypatch):
    rng = np.random.default_rng(2)
    sketch = TensorSketch(((50, 40), (30, 20)), 1600, seed=3)
    truth = np.zeros(2600)
    support = np.sort(rng.choice(2600, 12, replace=False))
    truth[support] = rng.choice([-1, 1], 12) * rng.uniform(2, 3, 12)
    parts = (truth[:2000].reshape(1, 50, 40), truth[2000:].reshape(1, 30, 20))
    measured = sum(sketch.scatter(i, part)[0] for i, part in enumerate(parts))
    ((ids, values),) = sketch.largest(measured[None], 12)
    np.testing.assert_array_equal(ids, support)
    # An entry that meets another in one of its buckets does not suffer; in two it does.
    assert np.median(np.abs(values - truth[support])) < 1e-12
    monkeypatch.setattr(_tensor_sketch, "_BLOCK", 4000)
    monkeypatch.setattr(_tensor_sketch, "_CACHED", 300)
    both = sketch.largest(np.stack([-measured, measured]), 12)
    np.testing.assert_array_equal(both[0][0], support)
    np.testing.assert_array_equal(both[1][1], values)


# -------------------------------------------------------------------------------- sketched means


@pytest.mark.parametrize("metric", METRICS)
def test_converges_to_exact_class_means(blobs, metric):
    model, X, y, Z = blobs
    exact = Detector(model, metric=metric, score_function="ratio").fit(X, y).score_samples(Z)
    errors = []
    for m in (256, 4096, 65536):
        found = [
            Detector(
                model,
                metric=metric,
                score_function="ratio",
                subspace="sketched",
                n_measurements=m,
                random_state=seed,
            )
            .fit(X, y)
            .score_samples(Z)
            for seed in range(3)
        ]
        assert np.min(found) >= 0.0 and np.max(found) <= 1.0
        errors.append(np.sqrt(np.mean((np.array(found) - exact) ** 2)))
    # 1 / sqrt(m): a factor of 4 from one to the next, give or take the luck of few seeds.
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.02


@few
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("sparsity", [None, 0.3])
def test_sketched_stream_merge_and_resume(blobs, metric, sparsity):
    model, X, y, Z = blobs
    new = Detector(
        FrozenEstimator(model),
        metric=metric,
        subspace="sketched",
        sparsity=sparsity,
        n_measurements=512,
        random_state=0,
    )
    whole = clone(new).fit(X, y)
    stream = clone(new).fit(X, y).empty_copy()
    assert stream.n_samples_seen_ == 0 and stream.n_metric_samples_ == (metric != "euclidean") * 160
    other = stream.empty_copy()
    assert not hasattr(stream, "offset_") and hasattr(whole, "offset_")
    for part in np.array_split(np.random.default_rng(0).permutation(160), [1, 30, 31]):
        stream.partial_fit(X[part], y[part])
    other.partial_fit(X[:70], y[:70])
    resumed = pickle.loads(pickle.dumps(other)).partial_fit(X[70:], y[70:])
    shard = other.empty_copy().partial_fit(X[70:], y[70:])
    merged = other.merge(shard)
    size = np.abs(whole._state.class_sums).max()
    for found in (stream, merged, resumed):
        np.testing.assert_allclose(
            found._state.class_sums, whole._state.class_sums, atol=1e-12 * size
        )
        np.testing.assert_allclose(found.score_samples(Z), whole.score_samples(Z), rtol=1e-8)
        assert found.class_counts_.tolist() == [40] * 4
    assert set(merged.calibrate(X).predict(Z)) <= {-1, 1}


@few
def test_the_first_batch_fixes_the_metric(blobs):
    model, X, y, Z = blobs
    settings = {"subspace": "sketched", "n_measurements": 512, "random_state": 0}
    first = Detector(model, **settings).partial_fit(X[:80], y[:80])
    roots = first._state.metric
    first.partial_fit(X[80:], y[80:])
    assert first._state.metric is roots and first.n_metric_samples_ == 80
    # Exact class means in that metric are what it converges to.
    fitted = Detector(model, **settings).fit(X[:80], y[:80])
    fitted.partial_fit(X[80:], y[80:])
    np.testing.assert_allclose(fitted.score_samples(Z), first.score_samples(Z), rtol=1e-8)
    other = Detector(model, **settings).partial_fit(X[80:], y[80:])
    before = first._state.class_sums.copy()
    with pytest.raises(ValueError, match=r"empty_copy\(\)"):
        first.merge(other)
    seeds = [
        Detector(
            model, subspace="sketched", n_measurements=64, metric="euclidean", random_state=seed
        ).fit(X, y)
        for seed in (0, 1)
    ]
    with pytest.raises(ValueError, match="seed is .* here"):
        seeds[0].merge(seeds[1])
    with pytest.raises(ValueError, match="subspace_ is 'sketched' here, 'exact'"):
        first.merge(Detector(model).fit(X, y))
    np.testing.assert_array_equal(first._state.class_sums, before)
    assert (
        seeds[0].merge(clone(seeds[0]).set_params(estimator=model).fit(X, y)).n_samples_seen_ == 320
    )


def test_warnings_and_bad_settings(blobs):
    model, X, y, _ = blobs
    with pytest.warns(UserWarning, match="fewer than 16"):
        Detector(model, subspace="sketched", n_measurements=12, random_state=0).fit(X, y)
    with pytest.warns(UserWarning, match="only 160 of them"):
        Detector(model, subspace="sketched", random_state=0).partial_fit(X, y)
    with pytest.raises(ValueError, match="multiple of 4, got 30; 32 fits"):
        Detector(model, subspace="sketched", n_measurements=30).fit(X, y)
    with pytest.raises(ValueError, match="one alone has none"):
        Detector(model, subspace="sketched").partial_fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="Use an int"):
        Detector(model, subspace="sparse_pca", n_components=0.5).fit(X, y)
    for bad in ({"subspace": "dense"}, {"sparsity": 0.0}, {"n_measurements": 0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Detector(model, **bad).fit(X, y)


def test_auto_sketches_what_does_not_fit(monkeypatch, blobs):
    model, X, y, _ = blobs
    assert Detector(model).fit(X, y).subspace_ == "exact"
    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_SUMS", 1000)
    detector = Detector(model, random_state=0).fit(X, y)
    assert detector.subspace_ == "sketched"
    assert detector._state.class_sums.shape == (4, 16384)
    assert Detector(model, subspace="exact").fit(X, y).subspace_ == "exact"


class _Wide(Network):
    """Factors of two layers of 3000 x 3000 that nobody holds: sparse codes of a random class."""

    classes = np.arange(20)
    layer_names = ("hidden0", "head")
    layer_shapes = ((3000, 3000), (3000, 3000))

    def gradients(self, X, output="max", layers=None):
        label = X[:, 0].astype(int)
        rng = np.random.default_rng(0)
        codes = rng.normal(size=(4, 20, 3000)) * (rng.random((4, 20, 3000)) < 0.01)
        noise = np.random.default_rng(int(X[0, 1]))
        factors = [c[label] + 0.1 * noise.normal(size=(len(X), 3000)) for c in codes]
        logits = np.eye(20)[label]
        pairs = LayerFactors(*factors[:2]), LayerFactors(*factors[2:])
        return Gradients(np.ones(len(X)), logits, tuple(pairs[i] for i in layers or (0, 1)))

    def parameters(self):
        return []


def test_many_parameters_are_never_formed(monkeypatch):
    # 18 million parameters, 20 classes: exact sums would take 2.9 GB.
    import tracemalloc

    monkeypatch.setattr("sklearn_sparse_eig.ood._build._LARGEST_FACTOR", 256)
    labels = np.arange(120) % 20
    X = np.column_stack([labels, np.full(120, 7)]).astype(float)
    settings = {"subspace": "sketched", "n_measurements": 4096}
    detector = Detector(_Wide(), score_function="ratio", random_state=0, **settings)
    tracemalloc.start()
    scores = detector.fit(X, labels).score_samples(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert detector.subspace_ == "sketched"
    assert peak < 9e6 * 8, f"{peak / 1e6:.0f} MB, as much as one layer"
    assert np.isfinite(scores).all() and len(pickle.dumps(detector._state)) < 2e6


# ---------------------------------------------------------------------------------- sparse means


@pytest.mark.parametrize("metric", METRICS)
def test_all_entries_are_the_exact_means(blobs, metric):
    model, X, y, Z = blobs
    exact = Detector(model, metric=metric).fit(X, y)
    sparse = Detector(model, metric=metric, sparsity=1.0).fit(X, y)
    np.testing.assert_allclose(sparse.score_samples(Z), exact.score_samples(Z), rtol=1e-10)
    np.testing.assert_allclose(sparse.eigenvalues_, exact.eigenvalues_, rtol=1e-10)
    np.testing.assert_allclose(
        np.abs(sparse.transform(Z)), np.abs(exact.transform(Z)), rtol=1e-6, atol=1e-8
    )
    assert not hasattr(exact, "sparse_means_")


@pytest.mark.parametrize("metric", METRICS)
def test_sparse_means_keep_the_largest_entries_in_the_eigenbasis(blobs, metric):
    model, X, y, Z = blobs
    detector = Detector(model, metric=metric, sparsity=0.1, score_function="ratio").fit(X, y)
    span = detector._get_subspace()
    layers = detector._network.gradients(X).layers
    whitened = np.hstack([layer.dense() for layer in span.metric.whiten(layers)])
    means = np.array([whitened[y == c].mean(axis=0) for c in range(4)])
    if metric == "kfac":
        # The metric is the identity there, and each factor of it diagonal.
        for layer, pair in zip(layers, span.metric.roots, strict=True):
            for rows, root in zip((layer.inputs, layer.deltas), pair, strict=True):
                diagonal = root.of(root.of(rows.T @ rows).T)
                np.testing.assert_allclose(
                    diagonal, np.diag(np.diagonal(diagonal)), atol=1e-9 * np.abs(diagonal).max()
                )
    kept = detector.sparse_means_.toarray()
    size = int(np.ceil(0.1 * means.shape[1]))
    assert (np.count_nonzero(kept, axis=1) <= size).all()
    for mean, row in zip(means, kept, strict=True):
        mean = np.where(np.abs(mean) >= np.sort(np.abs(mean))[-size], mean, 0.0)
        np.testing.assert_allclose(row, mean, atol=1e-9 * np.abs(mean).max())
    # Scores by dense algebra: the norm is that of all parameters.
    new = np.hstack([g.dense() for g in span.metric.whiten(detector._network.gradients(Z).layers)])
    centre = kept.mean(axis=0)
    basis = np.linalg.svd(kept - centre, full_matrices=False)[2][:3]
    expected = np.linalg.norm((new - centre) @ basis.T, axis=1) / np.linalg.norm(
        new - centre, axis=1
    )
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-8)


def test_sparse_inputs_and_sparse_means():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 8)) * (rng.random((120, 8)) < 0.4)
    y = rng.integers(3, size=120)
    X[np.arange(120), y] += 2
    model = LogisticRegression().fit(X, y)
    for settings in (
        {"sparsity": 0.3},
        {"sparsity": 0.3, "metric": "diag"},
        {"subspace": "sketched", "metric": "diag", "n_measurements": 64, "random_state": 0},
    ):
        dense = Detector(model, **settings).fit(X, y).score_samples(X)
        sparse = Detector(model, **settings).fit(sp.csr_array(X), y)
        np.testing.assert_allclose(sparse.score_samples(sp.csr_array(X)), dense, rtol=1e-8)


def test_recovered_means_are_the_sparse_ones_where_buckets_are_many(blobs):
    # With far more buckets than parameters nothing collides: recovery is exact.
    model, X, y, Z = blobs
    exact = Detector(model, sparsity=0.2).fit(X, y)
    found = Detector(
        model, subspace="sketched", sparsity=0.2, n_measurements=2**22, random_state=0
    ).fit(X, y)
    error = (found.sparse_means_ - exact.sparse_means_).toarray()
    assert np.abs(error).max() < 1e-9 * np.abs(exact.sparse_means_.toarray()).max()
    np.testing.assert_allclose(found.score_samples(Z), exact.score_samples(Z), rtol=1e-7)


# ----------------------------------------------------------------------------------- sparse PCA


@few
@pytest.mark.parametrize("metric", METRICS)
def test_principal_directions_are_those_of_dense_pca(blobs, metric):
    # All entries, and so few parameters that the covariance is exact: plain PCA.
    model, X, y, Z = blobs
    detector = Detector(
        model,
        metric=metric,
        score_function="ratio",
        subspace="sparse_pca",
        n_components=2,
        sparsity=1.0,
        random_state=0,
    ).fit(X, y)
    span = detector._get_subspace()
    fitted, new = (
        np.hstack([g.dense() for g in span.metric.whiten(detector._network.gradients(rows).layers)])
        for rows in (X, Z)
    )
    centre = fitted.mean(axis=0)
    basis = np.linalg.svd(fitted - centre, full_matrices=False)[2][:2]
    moved = new - centre
    expected = np.linalg.norm(moved @ basis.T, axis=1) / np.linalg.norm(moved, axis=1)
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-4, atol=1e-5)
    shards = [detector.empty_copy().partial_fit(X[i : i + 80], y[i : i + 80]) for i in (0, 80)]
    merged = shards[0].merge(shards[1])
    np.testing.assert_allclose(merged.score_samples(Z), detector.score_samples(Z), rtol=1e-4)


def test_principal_directions_are_sparse_and_detect(blobs):
    model, X, y, _ = blobs
    detector = Detector(model, subspace="sparse_pca", sparsity=0.2, random_state=0)
    detector.fit(X, y)
    size = int(np.ceil(0.2 * (7 * 5 + 6 * 4 + 5 * 4)))
    assert (np.diff(detector._get_subspace().components.indptr) <= size).all()
    assert detector.n_components_ == 3
    scores = detector.score_samples(np.vstack([X, -3 * X]))
    assert roc_auc_score(np.repeat([1, 0], 160), scores) > 0.7


def test_principal_directions_need_few_parameters():
    network = DenseNetwork([np.ones((2000, 600))], [None], classes=np.arange(600))
    X = np.random.default_rng(0).normal(size=(30, 2000))
    with pytest.raises(ValueError, match="1200000 parameters are more than its limit of 1048576"):
        Detector(network, subspace="sparse_pca").fit(X)


def test_state_of_exact_means_does_not_depend_on_sparsity(blobs):
    model, X, y, _ = blobs
    states = [Detector(model, sparsity=q).fit(X, y)._state for q in (None, 0.01)]
    assert all(isinstance(state, GradientState) for state in states)
    for mine, theirs in zip(*(state.class_sums for state in states), strict=True):
        np.testing.assert_array_equal(mine, theirs)
