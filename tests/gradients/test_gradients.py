"""Per-sample gradients: finite differences of the models' own predictions, and the factor laws."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_sparse_eig import GradientFeatures
from sklearn_sparse_eig.gradients import (
    DenseNetwork,
    LayerFactors,
    LayerMatrices,
    LayerPlaces,
    make_network,
    scalar_output,
)
from sklearn_sparse_eig.ood._moments import Moment
from sklearn_sparse_eig.ood._roots import DiagonalRoot, TriangularRoot


def _data(n_classes):
    return make_classification(
        60, 5, n_informative=4, n_redundant=0, n_classes=n_classes, random_state=n_classes
    )


def _mlp(activation="relu", n_classes=3, hidden=(4, 3)):
    model = MLPClassifier(
        hidden, activation=activation, solver="lbfgs", alpha=1.0, max_iter=2000, random_state=0
    )
    return model.fit(*_data(n_classes))


def _mlp_regressor(n_outputs):
    X, y = _data(3)
    targets = np.column_stack([y, X[:, 0]])[:, :n_outputs]
    model = MLPRegressor(
        hidden_layer_sizes=(4,),
        activation="tanh",
        solver="lbfgs",
        alpha=1.0,
        max_iter=2000,
        random_state=0,
    )
    return model.fit(X, targets.ravel() if n_outputs == 1 else targets)


CLASSIFIERS = {
    **{f"mlp-{a}": _mlp(a) for a in ("relu", "tanh", "logistic", "identity")},
    "mlp-binary": _mlp("tanh", 2),
    "logistic": LogisticRegression().fit(*_data(3)),
    "logistic-binary": LogisticRegression().fit(*_data(2)),
    "logistic-no-intercept": LogisticRegression(fit_intercept=False).fit(*_data(3)),
    "sgd": SGDClassifier(random_state=0).fit(*_data(3)),
    "ridge": RidgeClassifier().fit(*_data(3)),
    "svc": LinearSVC(random_state=0).fit(*_data(2)),
    "lda": LinearDiscriminantAnalysis().fit(*_data(3)),
}
REGRESSORS = {
    "ridge": Ridge().fit(*_data(3)),
    "mlp": _mlp_regressor(1),
    "mlp-two-outputs": _mlp_regressor(2),
}


def _finite_differences(network, X, output, step=1e-6):
    """Move each parameter of a DenseNetwork: biases after the weights of their layer."""
    columns = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        for array in (weight, bias):
            for i in range(0 if array is None else array.size):
                moved = []
                for sign in (1.0, -1.0):
                    kept = array.flat[i]
                    array.flat[i] = kept + sign * step
                    moved.append(network.gradients(X, output).values)
                    array.flat[i] = kept
                columns.append((moved[0] - moved[1]) / (2.0 * step))
    return np.column_stack(columns)


def _writable(network):
    weights = [w.copy() for w in network.weights]
    biases = [None if b is None else b.copy() for b in network.biases]
    return DenseNetwork(weights, biases, network.activation, network.classes)


@pytest.mark.parametrize("output", ["max", "logsumexp", "sum", "loss"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gradients_of_classifiers_are_finite_differences(name, output):
    model = CLASSIFIERS[name]
    network = _writable(make_network(model))
    X = _data(len(model.classes_))[0][:9]
    if output == "sum" and len(model.classes_) == 2:
        with pytest.raises(ValueError, match="zero everywhere"):
            network.gradients(X, output)
        return
    found = network.gradients(X, output).dense()
    expected = _finite_differences(network, X, output)
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=2e-8 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("output", ["max", "logsumexp", "sum"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_gradients_of_regressors_are_finite_differences(name, output):
    network = _writable(make_network(REGRESSORS[name]))
    X = _data(3)[0][:9]
    found = network.gradients(X, output).dense()
    np.testing.assert_allclose(found, _finite_differences(network, X, output), atol=1e-7)
    with pytest.raises(ValueError, match="loss of a class.* Use another output, or a classifier"):
        network.gradients(X, "loss")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_are_those_of_the_estimator(name):
    # The models' own predictions, so that the differences above are of the right function.
    model = CLASSIFIERS[name]
    X = _data(len(model.classes_))[0]
    logits = make_network(model).gradients(X).logits
    if isinstance(model, MLPClassifier):
        np.testing.assert_allclose(softmax(logits, axis=1), model.predict_proba(X), atol=1e-12)
    elif len(model.classes_) == 2:
        scores = model.decision_function(X)
        np.testing.assert_allclose(logits, np.column_stack([-scores, scores]) / 2, atol=1e-12)
        np.testing.assert_allclose(softmax(logits, axis=1)[:, 1], expit(scores), atol=1e-12)
    else:
        np.testing.assert_allclose(logits, model.decision_function(X), atol=1e-12)
    np.testing.assert_array_equal(model.classes_[logits.argmax(axis=1)], model.predict(X))


@pytest.mark.parametrize("name", REGRESSORS)
def test_outputs_of_regressors(name):
    X = _data(3)[0]
    logits = make_network(REGRESSORS[name]).gradients(X).logits
    predicted = REGRESSORS[name].predict(X).reshape(len(X), -1)
    np.testing.assert_allclose(logits, predicted, atol=1e-12)


def test_scalars_of_large_logits():
    logits = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]])
    values, derivatives = scalar_output(logits, "logsumexp")
    np.testing.assert_allclose(values, [1e4, -1e4 + np.log(3)])
    np.testing.assert_allclose(derivatives, [[1, 0, 0], [1 / 3] * 3], atol=1e-15)
    np.testing.assert_allclose(scalar_output(logits, "loss")[0], [0, np.log(3)])
    with pytest.raises(ValueError, match="max, logsumexp, sum, loss"):
        scalar_output(logits, "mean")


@pytest.mark.parametrize("sparse", [False, True])
def test_factors_are_the_gradients(sparse):
    rng = np.random.default_rng(0)
    inputs, others = rng.normal(size=(6, 4)) * (rng.random((6, 4)) < 0.6), rng.normal(size=(3, 4))
    deltas, other_deltas = rng.normal(size=(6, 2)), rng.normal(size=(3, 2))
    convert = sp.csr_array if sparse else np.asarray
    factors = LayerFactors(convert(inputs), deltas)
    other = LayerFactors(convert(others), other_deltas)
    dense = np.array([np.outer(a, d).ravel() for a, d in zip(inputs, deltas, strict=True)])
    np.testing.assert_allclose(factors.dense(), dense, atol=1e-15)
    np.testing.assert_allclose(factors.inner(other), dense @ other.dense().T, atol=1e-14)
    np.testing.assert_allclose(factors.squared_norms(), (dense**2).sum(axis=1), atol=1e-14)
    np.testing.assert_allclose(factors.sum([1, 4]).ravel(), dense[1] + dense[4], atol=1e-15)
    matrices = rng.normal(size=(5, 4, 2))
    expected = dense @ matrices.reshape(5, -1).T
    found = factors.dot(np.ascontiguousarray(matrices.transpose(1, 0, 2)))
    np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("block", [1, 50, 10**6])
def test_products_in_blocks_and_by_equal_deltas(monkeypatch, sparse, block):
    monkeypatch.setattr("sklearn_sparse_eig.gradients._factors._BLOCK", block)
    monkeypatch.setattr("sklearn_sparse_eig.gradients._factors._LEAST_ROWS", 1)
    rng = np.random.default_rng(0)
    codes = rng.choice([7, 2, 5], 20)
    inputs, deltas = rng.normal(size=(20, 4)), rng.normal(size=(8, 3))[codes]
    directions = rng.normal(size=(4, 5, 3))
    expected = np.einsum("np,pkq,nq->nk", inputs, directions, deltas)
    inputs = sp.csr_array(inputs) if sparse else inputs
    for factors in (LayerFactors(inputs, deltas), LayerFactors(inputs, deltas, codes)):
        np.testing.assert_allclose(factors.dot(directions), expected, atol=1e-13)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_equal_codes_mean_equal_deltas(name):
    model = CLASSIFIERS[name]
    X = _data(len(model.classes_))[0]
    head = make_network(model).gradients(X).layers[-1]
    for code in range(len(model.classes_)):
        assert len(np.unique(head.deltas[head.codes == code], axis=0)) <= 1
    assert make_network(model).gradients(X, "logsumexp").layers[-1].codes is None


def test_tangent_kernel_without_gradients():
    network, X = make_network(CLASSIFIERS["mlp-relu"]), _data(3)[0]
    some, all_rows = network.gradients(X[:7]), network.gradients(X)
    dense = GradientFeatures(CLASSIFIERS["mlp-relu"]).fit_transform(X)
    np.testing.assert_allclose(some.inner(all_rows), dense[:7] @ dense.T, atol=1e-12)
    np.testing.assert_allclose(all_rows.squared_norms(), (dense**2).sum(axis=1), atol=1e-12)


@pytest.mark.parametrize("name", ["mlp-tanh", "logistic", "logistic-no-intercept"])
def test_sparse_rows_stay_sparse(name):
    X = _data(3)[0] * (np.random.default_rng(0).random((60, 5)) < 0.5)
    network = make_network(CLASSIFIERS[name])
    sparse = network.gradients(sp.csr_array(X))
    assert sp.issparse(sparse.layers[0].inputs)
    np.testing.assert_allclose(sparse.dense(), network.gradients(X).dense(), atol=1e-13)


def test_layers_by_name():
    model, X = CLASSIFIERS["mlp-relu"], _data(3)[0]
    every = GradientFeatures(model).fit_transform(X)
    sizes = [6 * 4, 5 * 3, 4 * 3]
    ends = np.cumsum([0, *sizes])
    for params, layers in [
        ("all", [0, 1, 2]),
        ("head", [2]),
        ("last_hidden", [1]),
        ("hidden0", [0]),
        (["head", "hidden0"], [0, 2]),
    ]:
        columns = np.concatenate([np.arange(ends[i], ends[i + 1]) for i in layers])
        features = GradientFeatures(model, params=params).fit(X)
        np.testing.assert_array_equal(features.transform(X), every[:, columns])
        assert len(features.get_feature_names_out()) == features.n_parameters_ == len(columns)
    # A linear model has no hidden layer.
    assert make_network(CLASSIFIERS["ridge"]).select("last_hidden") == (0,)
    for wrong in ("hidden7", ["head", "tail"], []):
        with pytest.raises(ValueError, match="among hidden0, hidden1, head"):
            GradientFeatures(model, params=wrong).fit(X)


def test_layout_of_the_columns():
    # As documented: coef_.T row by row, then the intercepts.
    X, y = _data(3)
    model = LogisticRegression().fit(X, y)
    row = GradientFeatures(model).fit(X).transform(X[:1])[0]
    best = model.decision_function(X[:1]).argmax()
    expected = np.zeros((6, 3))
    expected[:, best] = [*X[0], 1.0]
    np.testing.assert_allclose(row, expected.ravel())


def test_wrapped_models():
    X, y = _data(3)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    scaled = pipeline[0].transform(X)
    expected = make_network(pipeline[-1]).gradients(scaled).dense()
    search = GridSearchCV(pipeline, {"logisticregression__C": [1.0]}, cv=2).fit(X, y)
    for model in (pipeline, FrozenEstimator(pipeline), search, make_pipeline(pipeline)):
        features = clone(GradientFeatures(FrozenEstimator(model)))
        np.testing.assert_allclose(features.fit_transform(X), expected, atol=1e-12)
    with pytest.raises(ValueError, match="features"):
        GradientFeatures(CLASSIFIERS["sgd"]).fit(X[:, :3]).transform(X[:, :3])


def test_text_through_a_pipeline():
    texts = ["a red apple", "green apple", "fast car", "slow red car"] * 5
    labels = ["fruit", "fruit", "car", "car"] * 5
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    gradients = GradientFeatures(model, batch_size=7).fit_transform(texts, labels)
    assert gradients.shape == (20, 6 + 1)
    np.testing.assert_allclose(np.abs(gradients[:, -1]), 0.5)


@pytest.mark.parametrize("estimator", [None, LogisticRegression(), _mlp()])
def test_batches_do_not_matter(estimator):
    X, y = _data(3)
    whole = GradientFeatures(estimator, random_state=0).fit(X, y).transform(X)
    parts = GradientFeatures(estimator, batch_size=7, random_state=0).fit(X, y).transform(X)
    np.testing.assert_allclose(parts, whole, atol=1e-12)


def test_models_without_known_gradients():
    X, y = _data(3)
    with pytest.raises(NotFittedError):
        make_network(LogisticRegression())
    multilabel = MLPClassifier((3,), solver="lbfgs").fit(X, np.column_stack([y > 0, y > 1]))
    for model in (
        KMeans(2, n_init=1).fit(X),
        SVC(kernel="linear").fit(X, y),  # one against one: coef_ is of pairs of classes
        PoissonRegressor().fit(X, y),  # predicts the exponential
        multilabel,
        "mlp",
        LogisticRegression,
    ):
        with pytest.raises(TypeError, match="No gradients are known|several targets"):
            make_network(model)
    with pytest.raises(ValueError, match="no y to fit it"):
        GradientFeatures(Ridge()).fit(X)
    with pytest.raises(ValueError, match="no y to fit it"):
        GradientFeatures(make_pipeline(StandardScaler(), LogisticRegression())).fit(X)


def test_dense_gradients_that_cannot_be_held():
    rng = np.random.default_rng(0)
    network = DenseNetwork([rng.normal(size=(3, 50_000))], [np.zeros(50_000)])
    features = GradientFeatures(network).fit(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="would take 3.2e\\+10 bytes"):
        features.transform(np.zeros((20_000, 3)))


# ------------------------------------------------------------------------------------- matrices


def _pair_of_kinds(n=7, p=4, q=3):
    rng = np.random.default_rng(n)
    factors = LayerFactors(rng.normal(size=(n, p)), rng.normal(size=(n, q)))
    return factors, LayerMatrices(factors.dense().reshape(n, p, q))


@pytest.mark.parametrize("diagonal", [(False, False), (True, False), (False, True), (True, True)])
def test_matrices_have_the_operations_of_factors(diagonal):
    factors, matrices = _pair_of_kinds()
    other_factors, other_matrices = _pair_of_kinds(n=5)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4, 6, 3))
    full = [np.triu(rng.normal(size=(m, m))) for m in (4, 3)]
    full = [np.diag(np.diagonal(r)) if d else r for r, d in zip(full, diagonal, strict=True)]
    roots = [
        DiagonalRoot(np.diagonal(r)) if d else TriangularRoot(r)
        for r, d in zip(full, diagonal, strict=True)
    ]
    whitened = np.einsum("pr,npq,qs->nrs", full[0], matrices.matrices, full[1])
    for a, b in [(factors, matrices), (factors.whiten(*roots), matrices.whiten(*roots))]:
        np.testing.assert_allclose(a.dense(), b.dense(), atol=1e-13)
        np.testing.assert_allclose(a.squared_norms(), b.squared_norms(), rtol=1e-13)
        np.testing.assert_allclose(a.dot(directions), b.dot(directions), atol=1e-12)
        np.testing.assert_allclose(a.sum([1, 4]), b.sum([1, 4]), atol=1e-13)
    np.testing.assert_allclose(b.matrices, whitened, atol=1e-13)
    np.testing.assert_allclose(
        factors.inner(other_factors), matrices.inner(other_matrices), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_kronecker_factors_of_matrices(shape):
    rng = np.random.default_rng(0)
    n, (p, q) = 400, shape
    # Unequal, so that little is shrunk.
    G = rng.normal(size=(n, p, q)) * np.arange(1, p + 1)[:, None] / np.arange(1, q + 1)
    moments = Moment(p, False), Moment(q, False)
    for part in (G[:15], G[15:]):
        LayerMatrices(part).add_to(moments)
    (A, share_A), (B, share_B) = (moment.shrunk(n) for moment in moments)
    norms = (G**2).sum(axis=(1, 2))
    # Shrinkage leaves the trace, and both together have the mean squared norm.
    np.testing.assert_allclose(np.trace(A) * np.trace(B), norms.mean())
    means = [np.mean([g @ g.T for g in G], axis=0), np.mean([g.T @ g for g in G], axis=0)]
    means[1] /= norms.mean()
    products = [[g @ g.T for g in G], [g.T @ g for g in G]]
    for found, share, mean, terms in zip((A, B), (share_A, share_B), means, products, strict=True):
        target = np.trace(mean) / len(mean) * np.eye(len(mean))
        np.testing.assert_allclose(found, (1 - share) * mean + share * target, atol=1e-13)
        # Ledoit-Wolf: the variance of the mean over its distance from the target.
        centre = np.mean(terms, axis=0)
        target = np.trace(centre) / len(centre) * np.eye(len(centre))
        variance = np.mean([((t - centre) ** 2).sum() for t in terms]) / n
        assert 0.001 < share < 0.5
        np.testing.assert_allclose(share, variance / ((centre - target) ** 2).sum(), rtol=1e-10)
    diagonal = Moment(p, True), Moment(q, True)
    LayerMatrices(G).add_to(diagonal)
    for moment, full in zip(diagonal, moments, strict=True):
        np.testing.assert_allclose(moment.total, np.diagonal(full.total))
        assert moment.mass == pytest.approx(full.mass)


# Few places, by the Gram matrices of rows, and many, by matrices.
@pytest.mark.parametrize("places", [1, 2, 9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("is_made", [False, True])
def test_places_have_the_operations_of_matrices(places, dtype, is_made):
    rng = np.random.default_rng(places)
    inputs, deltas = (rng.normal(size=(7, places, m)).astype(dtype) for m in (6, 4))

    def pair():
        found = LayerPlaces(inputs, deltas)
        if is_made:
            assert found.matrices is found.matrices
        return found, LayerMatrices(np.einsum("ntp,ntq->npq", inputs, deltas))

    directions = rng.normal(size=(6, 5, 4)).astype(dtype)

    def close(a, b):
        tolerance = 1e-12 if dtype == a.dtype == np.float64 else 1e-4
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

    for operation in (
        lambda layer: layer.dense(),
        lambda layer: layer.squared_norms(),
        lambda layer: layer.dot(directions),
        lambda layer: layer.sum([1, 4]),
        lambda layer: layer.sum(slice(2, 6)),
        lambda layer: layer.inner(layer.take([2, 3])),
        lambda layer: layer.take(slice(1, 3)).matrices,
        lambda layer: layer.astype(np.float64).squared_norms(),
        lambda layer: layer.astype(np.float32).matrices,
    ):
        found, expected = map(operation, pair())
        assert found.dtype == expected.dtype
        close(found, expected)
    found, expected = pair()
    assert isinstance(found, LayerMatrices)
    assert len(found) == len(expected) == 7 and found.dtype == expected.dtype == dtype
    assert found.astype(dtype) is found
    assert isinstance(found.take([0]), LayerPlaces)
    for diagonal in (False, True):
        moments = [(Moment(6, diagonal), Moment(4, diagonal)) for _ in range(2)]
        for layer, sums in zip(pair(), moments, strict=True):
            layer.astype(np.float64).add_to(sums)
        for a, b in zip(*moments, strict=True):
            close(a.total, b.total)
            close(np.array([a.fourth, a.mass]), np.array([b.fourth, b.mass]))


@pytest.mark.parametrize("diagonal", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_places_are_whitened_where_that_takes_fewer_products(diagonal, dtype):
    rng = np.random.default_rng(0)
    p, q = 6, 4
    roots = [
        DiagonalRoot(rng.normal(size=m)) if d else TriangularRoot(np.triu(rng.normal(size=(m, m))))
        for m, d in zip((p, q), diagonal, strict=True)
    ]
    # Each place one row of either root; a matrix has q rows for the one and p for the other.
    left, right = (m if d else m * m // 2 for m, d in zip((p, q), diagonal, strict=True))
    assert [root.cost for root in roots] == [left, right]
    enough = (q * left + p * right) / (left + right)
    kinds = set()
    for places in range(1, 9):
        inputs, deltas = (rng.normal(size=(5, places, m)).astype(dtype) for m in (p, q))
        found = LayerPlaces(inputs, deltas).whiten(*roots)
        assert isinstance(found, LayerPlaces) == (places < enough)
        kinds.add(type(found))
        expected = LayerMatrices(np.einsum("ntp,ntq->npq", inputs, deltas)).whiten(*roots)
        assert found.dtype == dtype
        tolerance = 1e-12 if dtype == np.float64 else 1e-4
        np.testing.assert_allclose(
            found.matrices, expected.matrices, rtol=tolerance, atol=20 * tolerance
        )
    assert kinds == {LayerMatrices, LayerPlaces}


def test_factors_of_rank_one_weigh_inputs_by_deltas():
    # What doc/gradpca.md says of the relation to K-FAC.
    factors, matrices = _pair_of_kinds(n=30)
    moments = Moment(4, False), Moment(3, False)
    matrices.add_to(moments)
    weights = (factors.deltas**2).sum(axis=1)
    expected = (factors.inputs * weights[:, None]).T @ factors.inputs
    np.testing.assert_allclose(moments[0].total, expected)
    # The same for the inputs where all deltas have the same norm.
    equal = LayerFactors(factors.inputs, factors.deltas / np.sqrt(weights)[:, None])
    kfac, found = [(Moment(4, False), Moment(3, False)) for _ in range(2)]
    equal.add_to(kfac)
    LayerMatrices(equal.dense().reshape(-1, 4, 3)).add_to(found)
    np.testing.assert_allclose(found[0].total, kfac[0].total)
