"""A stranger's use of the library: ``mypy --strict`` finds nothing to say, and it runs."""

from importlib.util import find_spec
from typing import Any, assert_type, cast

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator
from sklearn.datasets import load_iris

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    EigenSketch,
    GradientFeatures,
    GradPCADetector,
    LowRankRegressor,
    SeedConfidenceFilter,
    SketchedSparsePCA,
    SketchedSparsePCACV,
    SparseEigenpairs,
    WeightedFourierRegressor,
    diagonal_network_path,
    effective_rank,
    learning_rate_path,
    low_rank_intervals,
    ood_metrics,
    recommend_sketch,
    sparse_eigsh,
    trigonometric_risk,
)
from sklearn_sparse_eig.datasets import (
    load_pitprops,
    make_gaussian_mixture_diffusion,
    make_sparse_spiked_covariance,
)
from sklearn_sparse_eig.diagnostics import NeuralCollapse, neural_collapse, ntk_alignment
from sklearn_sparse_eig.distributed import fit_dask, fit_partitions, merge_copies, tree_merge
from sklearn_sparse_eig.estimator_checks import yield_measurement_checks
from sklearn_sparse_eig.gradients import Gradients, make_network
from sklearn_sparse_eig.kernels import use_backend
from sklearn_sparse_eig.ood import Place, register_score
from sklearn_sparse_eig.recovery import find_candidates, recover
from sklearn_sparse_eig.recovery.decoders import HTPDecoder
from sklearn_sparse_eig.sketching import SparseSignMeasurement


def sparse_components(X: np.ndarray) -> None:
    pca = SketchedSparsePCA(2, n_nonzero_coefs=[5, 5], decoder=HTPDecoder(), random_state=0)
    pca = SketchedSparsePCA(2, decoder="bit_test", noise=None, refine="sketch", random_state=0)
    assert_type(pca.fit(X), SketchedSparsePCA)
    assert_type(pca.partial_fit(X, sample_weight=np.ones(len(X))), SketchedSparsePCA)
    components: sp.csr_array = pca.components_
    assert isinstance(components, sp.csr_array)
    assert_type(pca.transform(X), np.ndarray)
    assert_type(pca.fit_transform(X), np.ndarray)
    assert_type(pca.explained_variance_, np.ndarray)
    assert_type(pca.n_components_, int)
    assert_type(pca.score(sp.csr_array(X)), float)
    assert_type(pca.score_samples(X), np.ndarray)
    assert_type(pca.explained_variance_score(X), float)
    assert_type(pca.get_covariance(), np.ndarray | LinearOperator)
    assert_type(pca.get_precision(), np.ndarray | LinearOperator)
    assert_type(pca.singular_values_, np.ndarray)
    assert_type(pca.eigenpairs_.support, np.ndarray)
    assert_type(pca.sketch_, EigenSketch)
    assert_type(pca.describe(max_features=3), list[list[tuple[str | int, float]]])
    searched = SketchedSparsePCACV([1, 2, "auto"], np.array([3, 5]), cv=3, random_state=0)
    assert_type(searched.fit(X), SketchedSparsePCACV)
    assert_type(searched.best_estimator_, SketchedSparsePCA)
    assert_type(searched.transform(X), np.ndarray)
    assert_type(pca.set_params(n_components="auto").get_params(), dict[str, Any])
    halves = [SketchedSparsePCA(2, random_state=0).partial_fit(part) for part in (X[:50], X[50:])]
    assert_type(merge_copies(halves), SketchedSparsePCA)
    assert_type(halves[0].merge(halves[1], shard_id="b") + halves[1], SketchedSparsePCA)
    fitted = fit_partitions(SketchedSparsePCA(2, random_state=0), [X[:50], X[50:]], n_jobs=1)
    assert_type(fitted, SketchedSparsePCA)
    if find_spec("dask"):
        weights = [X[:, 0]]
        assert_type(fit_dask(SketchedSparsePCA(2), [X], sample_weight=weights), SketchedSparsePCA)
    # A name that a program has registered itself is not in the list of those known.
    SketchedSparsePCA(2, decoder=cast(Any, "mine"))


def sketches(X: np.ndarray) -> None:
    size = recommend_sketch(10_000, 2, 5, n_samples=1000)
    EigenSketch(10_000, **size.arguments())
    sketch = EigenSketch(X.shape[1], n_measurements=64, range_size=32, random_state=0)
    assert_type(sketch.update(X).scale(0.5), EigenSketch)
    assert_type(EigenSketch.from_bytes(sketch.to_bytes()) + sketch, EigenSketch)
    assert_type(tree_merge([sketch, sketch]), EigenSketch)
    assert_type(sketch.recover(2, n_nonzero_coefs=5, which="LM", noise="auto"), SparseEigenpairs)
    with use_backend("scipy"):
        pairs = recover(sketch, 2, decoder="htp", random_state=np.random.default_rng(0))
    assert_type(pairs.eigenvalues, np.ndarray)
    ids, noise = find_candidates(sketch, "plateau")
    assert_type((ids, noise), tuple[np.ndarray, float])
    proven = sparse_eigsh(load_pitprops().data, 2, which="SA", certificate=True)
    assert_type(proven, SparseEigenpairs)
    assert_type(proven.upper_bound, np.ndarray | None)
    gap = proven.optimality_gap
    assert gap is not None and gap.max() < 1.0
    for check in yield_measurement_checks(SparseSignMeasurement(30, 16)):
        check()


@register_score("squared_cosine", uses_output=False)
def squared_cosine(values: np.ndarray, place: Place) -> np.ndarray:
    squares: np.ndarray = np.square(place.cosine)
    return squares


def gradients(X: np.ndarray, y: np.ndarray) -> None:
    detector = GradPCADetector(metric="diag", params=["hidden0", "head"], random_state=0)
    assert_type(detector.fit(X, y), GradPCADetector)
    assert_type(detector.calibrate(X).predict(X), np.ndarray)
    assert_type(detector.offset_, float)
    assert_type(detector.score_samples(X), np.ndarray)
    assert_type(GradPCADetector.paper(random_state=0), GradPCADetector)
    bounded = GradPCADetector(params="auto", budget="2 GB", random_state=0).fit(X, y)
    assert_type(bounded.plan(X, n_rows=1000).bytes, float)
    assert_type(ood_metrics(bounded.score_samples(X), [0.0]), dict[str, float])
    squared = GradPCADetector(score_function=cast(Any, "squared_cosine"), verbose=0, random_state=0)
    assert_type(squared.fit(X, y).score_samples(X), np.ndarray)
    features = GradientFeatures(output="logsumexp", params="head", random_state=0)
    assert_type(features.fit(X, y).transform(X), np.ndarray)
    assert_type(features.n_parameters_, int)
    for start, batch in make_network(features.estimator_).stream(X, "loss", batch_size=100):
        assert_type((start, batch), tuple[int, Gradients])
        assert_type(batch.inner(batch), np.ndarray)
        assert_type(batch.layers[0].squared_norms(), np.ndarray)
    assert_type(neural_collapse(features.estimator_, X, y), NeuralCollapse)
    assert_type(ntk_alignment(features.estimator_, X, y).tangent.alignment, float)


def learners(X: np.ndarray, y: np.ndarray) -> None:
    regressor = DiagonalNetworkRegressor(solver="mirror", stopping="validation", max_iter=50)
    assert_type(regressor.fit(X, y), DiagonalNetworkRegressor)
    assert_type(regressor.predict(X), np.ndarray)
    assert_type(regressor.score(X, y), float)
    assert_type(regressor.coef_, np.ndarray)
    chosen = DiagonalNetworkRegressor(solver="auto", init_scale="auto", random_state=0).fit(X, y)
    assert_type(chosen.stopping_time_, float | np.ndarray | None)
    assert_type(chosen.init_scale_, float | np.ndarray)
    searched = DiagonalNetworkRegressorCV([3, 4], stopping_times=[1.0, 9.0], cv=2).fit(X, y)
    assert_type(searched, DiagonalNetworkRegressorCV)
    assert_type(searched.mse_path_, np.ndarray)
    assert_type(searched.best_estimator_, DiagonalNetworkRegressor)
    assert_type(searched.predict(X), np.ndarray)
    DiagonalNetworkRegressor(stopping=searched.stopping_time_, average=searched.average_)
    alphas, coefs, gaps = diagonal_network_path(X, y, n_alphas=2)
    assert_type(alphas, np.ndarray)
    assert_type(learning_rate_path(X, y, max_iter=10).critical_learning_rate, float)
    factors = DeepMatrixFactorization(stopping="rank", rank=1).fit(X)
    assert_type(factors.inverse_transform(factors.transform(X)), np.ndarray)
    sensed = LowRankRegressor((5, 6), rank=1, random_state=0).fit(X, y)
    assert_type(sensed.predict(X), np.ndarray)
    assert_type(sensed.coef_, np.ndarray)
    covariance = DeepFactorizationCovariance(noise_variance="auto").fit(X)
    assert_type(covariance.covariance_, np.ndarray)
    assert_type(covariance.mahalanobis(X), np.ndarray)
    assert_type(effective_rank(X), float)
    assert_type(low_rank_intervals([3.0, 2.0]), np.ndarray)
    curve = WeightedFourierRegressor(basis="real", period="auto", alpha="auto").fit(X[:, :1], y)
    assert_type(curve.alpha_, float)
    assert_type(curve.predict(X[:, :1]), np.ndarray)
    risk: float = trigonometric_risk(8, 4, np.ones(8))
    assert risk >= 0.0
    toy = make_gaussian_mixture_diffusion(100, 4, n_classes=2, n_steps=5, random_state=0)
    seeds = SeedConfidenceFilter(toy.generator, toy.classifier, train_on="all", n_bins=2)
    assert_type(seeds.fit(toy.seeds), SeedConfidenceFilter)
    assert_type(seeds.predict_proba(toy.seeds), np.ndarray)
    assert_type(seeds.threshold_, float)


def main() -> None:
    data = make_sparse_spiked_covariance(100, 40, n_nonzero_coefs=5, random_state=0)
    sparse_components(data.data)
    sketches(data.data)
    X, y = load_iris(return_X_y=True)
    gradients(X, y)
    rng = np.random.default_rng(0)
    learners(rng.normal(size=(12, 30)), rng.normal(size=12))


if __name__ == "__main__":
    main()
