"""One mistake a line: the code of the error that ``mypy --strict`` reports stands behind each."""

from typing import Any

import numpy as np

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    EigenSketch,
    GradientFeatures,
    GradPCADetector,
    SeedConfidenceFilter,
    SketchedSparsePCA,
    WeightedFourierRegressor,
    recommend_sketch,
    sparse_eigsh,
)
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.distributed import fit_partitions
from sklearn_sparse_eig.gradients import make_network
from sklearn_sparse_eig.kernels import use_backend
from sklearn_sparse_eig.ood import register_score
from sklearn_sparse_eig.plotting import ComponentsDisplay
from sklearn_sparse_eig.recovery import recover
from sklearn_sparse_eig.sketching import GaussianMeasurement


def mistakes(X: np.ndarray, y: np.ndarray, model: Any) -> None:
    from sklearn_sparse_eig import SketchedPCA  # error: attr-defined
    from sklearn_sparse_eig.gradients import MakeNetwork  # error: attr-defined

    print(SketchedPCA, MakeNetwork)
    pca = SketchedSparsePCA(2)
    pca.partail_fit(X)  # error: attr-defined
    pca.fit(X).tranform(X)  # error: attr-defined
    pca.fit_transfrom(X)  # error: attr-defined
    pca.get_param()  # error: attr-defined
    pca.score_sample(X)  # error: attr-defined
    pca.get_covarience()  # error: attr-defined
    print(pca.get_params().key())  # error: attr-defined
    print(pca.component_)  # error: attr-defined
    print(pca.eigenpairs_.eigenvalue)  # error: attr-defined
    print(pca.explained_variance_.tolst())  # error: attr-defined
    SketchedSparsePCA("all")  # error: arg-type
    SketchedSparsePCA(decoder="http")  # error: arg-type
    SketchedSparsePCA(noise="isotropc")  # error: arg-type
    SketchedSparsePCA(noise="auto")  # error: arg-type
    SketchedSparsePCA(sketch="mam*")  # error: arg-type
    SketchedSparsePCA(measurement="sparse-sign")  # error: arg-type
    SketchedSparsePCA(refine="yes")  # error: arg-type
    SketchedSparsePCA(n_nonzero_coefs="five")  # error: arg-type
    SketchedSparsePCA(memory_budget="256MB")  # error: arg-type
    SketchedSparsePCA(verbose="yes")  # error: arg-type
    SketchedSparsePCA(n_component=2)  # error: call-arg
    sparse_eigsh(X, 2, which="BE")  # error: arg-type
    sparse_eigsh(X, "2")  # error: arg-type
    sparse_eigsh(X, 2, certificate="yes")  # error: arg-type
    print(sparse_eigsh(X, 2).upper_bounds)  # error: attr-defined
    print(1.0 - sparse_eigsh(X, 2).optimality_gap)  # error: operator
    sketch = EigenSketch("100", n_measurements=16)  # error: arg-type
    EigenSketch(100)  # error: call-arg
    sketch.updte(X)  # error: attr-defined
    sketch.recover(2, noise="none")  # error: arg-type
    sketch.recover(2, n_nonzero_coef=5)  # error: call-arg
    recover(sketch, 2, decoder="bittest")  # error: arg-type
    recover(sketch, 2, which="SM")  # error: arg-type
    sketch.merge(pca)  # error: arg-type
    sketch.to_bytes().decod()  # error: attr-defined
    recommend_sketch(100, 2, "5")  # error: arg-type
    print(recommend_sketch(100, 2, 5).is_sufficient)  # error: attr-defined
    GaussianMeasurement(100, "m")  # error: arg-type
    fit_partitions(model, X).fit(X) if model else fit_partitions(3, [X])  # error: type-var
    detector = GradPCADetector(params="last")  # error: arg-type
    GradPCADetector(metric="kfca")  # error: arg-type
    GradPCADetector(score_function="snr_ration")  # error: arg-type
    GradPCADetector(subspace="sparse")  # error: arg-type
    GradPCADetector(output="entropy")  # error: arg-type
    GradPCADetector(verbose=None)  # error: arg-type
    GradPCADetector(budget=[10])  # error: arg-type
    print(detector.plan(X).seconds)  # error: attr-defined
    detector.score_sample(X)  # error: attr-defined
    register_score("mine", uses_outputs=False)  # error: call-arg
    register_score("mine")(X)  # error: arg-type
    make_network(model).stream(X, "entropy")  # error: arg-type
    make_network(model).stream(X, batch_size="all")  # error: arg-type
    print(make_network(model).gradients(X).layer)  # error: attr-defined
    detector.calibrat(X)  # error: attr-defined
    detector.fit(X, y).predict_proba(X)  # error: attr-defined
    GradientFeatures(params="hidden")  # error: arg-type
    print(GradientFeatures().fit(X).n_parameters)  # error: attr-defined
    DiagonalNetworkRegressor(solver="sgd")  # error: arg-type
    DiagonalNetworkRegressor(solver="lasso")  # error: arg-type
    DiagonalNetworkRegressor(init_scale="small")  # error: arg-type
    DiagonalNetworkRegressor(stopping="early")  # error: arg-type
    DiagonalNetworkRegressor(average="mean")  # error: arg-type
    print(DiagonalNetworkRegressor().fit(X, y).stopping_times_)  # error: attr-defined
    print(DiagonalNetworkRegressor().fit(X, y).coeff_)  # error: attr-defined
    DeepMatrixFactorization(solver="svd")  # error: arg-type
    DeepMatrixFactorization(stopping="plateu")  # error: arg-type
    DeepFactorizationCovariance(noise_variance="mean")  # error: arg-type
    print(DeepFactorizationCovariance().fit(X).covariance)  # error: attr-defined
    WeightedFourierRegressor(basis="cosine")  # error: arg-type
    WeightedFourierRegressor(solver="lstsq")  # error: arg-type
    WeightedFourierRegressor(alpha="gcv")  # error: arg-type
    SeedConfidenceFilter(model, model, train_on="sure")  # error: arg-type
    SeedConfidenceFilter(model, model).sampel(3)  # error: attr-defined
    make_sparse_spiked_covariance(support="random")  # error: arg-type
    use_backend("cupy")  # error: arg-type
    ComponentsDisplay.from_estimators(pca)  # error: attr-defined
