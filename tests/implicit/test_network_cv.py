"""Cross-validation over depth, scale and time in one go: the choice of a search over estimators."""

import numpy as np
import pytest
import scipy.sparse as sp
from joblib import parallel_config
from scipy.sparse.linalg import aslinearoperator
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold

from sklearn_sparse_eig import DiagonalNetworkRegressor, DiagonalNetworkRegressorCV


def problem(n=60, N=40, k=3, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((n, N)), np.zeros(N)
    w[rng.permutation(N)[:k]] = rng.choice([-1.0, 1.0], k) * (1 + rng.random(k))
    return X + 1.0, X @ w + noise * rng.standard_normal(n) - 2.0, w


@pytest.mark.parametrize(
    "options, average",
    [
        ({}, True),
        ({}, False),
        ({"positive": True}, False),
        ({"refit_support": True, "fit_intercept": False}, True),
        ({"groups": np.arange(20) // 2}, True),
    ],
)
def test_it_chooses_what_a_search_over_estimators_does(options, average):
    X, y, _ = problem(36, 20)
    depths, scales, times = [3, 4], [0.05, 0.3], [0.0, 2.0, 7.7]
    if "groups" in options:
        depths = [3]
    folds = KFold(3, shuffle=True, random_state=0)
    found = DiagonalNetworkRegressorCV(
        depths, scales, stopping_times=times, average=average, cv=folds, **options
    ).fit(X, y)
    grid = {"depth": depths, "init_scale": scales, "stopping": times}
    search = GridSearchCV(
        DiagonalNetworkRegressor(average=average, **options),
        grid,
        cv=folds,
        scoring="neg_mean_squared_error",
    ).fit(X, y)
    assert found.best_params_ == search.best_params_ | {"average": average}
    assert found.mse_path_.shape == (len(depths), 2, 2, 3, 3)
    ours = found.mse_path_[:, :, 0 if average else 1]
    theirs = [search.cv_results_[f"split{i}_test_score"] for i in range(3)]
    np.testing.assert_allclose(ours, -np.stack(theirs, axis=-1).reshape(ours.shape), rtol=1e-9)
    np.testing.assert_allclose(found.coef_, search.best_estimator_.coef_, rtol=1e-10)
    np.testing.assert_allclose(found.predict(X), search.predict(X), rtol=1e-10)


def test_one_network_on_its_own_folds_is_the_default_estimator():
    X, y, w = problem(noise=1.0)
    alone = DiagonalNetworkRegressor().fit(X, y)
    found = DiagonalNetworkRegressorCV(4, [alone.init_scale_]).fit(X, y)
    # Folds scale what they start from alike there, and apart here.
    assert abs(np.log(found.stopping_time_ / alone.stopping_time_)) < 0.5
    assert found.average_ == bool(alone.stopping_time_ < np.inf)
    np.testing.assert_allclose(found.coef_, alone.coef_, atol=0.2)
    assert found.support_[w != 0].all()


def test_time_and_average_can_be_given():
    X, y, _ = problem(noise=1.0)
    chosen = DiagonalNetworkRegressor().fit(X, y)
    tau = chosen.stopping_time_
    runs = {
        average: DiagonalNetworkRegressor(stopping=tau, average=average).fit(X, y)
        for average in (True, False, "auto")
    }
    assert runs[True].stopping_time_ == runs["auto"].stopping_time_ == tau
    np.testing.assert_array_equal(runs[True].coef_, runs["auto"].coef_)
    np.testing.assert_array_equal(runs[True].coef_, chosen.coef_)
    assert np.abs(runs[True].coef_).sum() < np.abs(runs[False].coef_).sum()
    never = DiagonalNetworkRegressor(stopping=0).fit(X, y)
    assert not never.coef_.any() and never.intercept_ == pytest.approx(y.mean())
    # Between the ends of two steps the average is known as well as at them.
    times = tau * np.linspace(1.0, 1.3, 12)
    found = [DiagonalNetworkRegressor(stopping=t, average=True).fit(X, y).coef_ for t in times]
    steps = np.linalg.norm(np.diff(found, axis=0), axis=1)
    assert steps.max() < 0.05 * np.linalg.norm(found[0])


def test_at_each_time_the_average_solves_the_lasso_but_for_signs():
    X, y, _ = problem(noise=1.0)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    for tau in (1.7, 4.0, 31.0):
        w = DiagonalNetworkRegressor(stopping=tau, init_scale=1e-3).fit(Z, y).coef_
        correlations = Z.T @ (y - y.mean() - Z @ w)
        level = np.abs(Z.T @ (y - y.mean())).max() / tau
        assert np.abs(correlations).max() < 1.02 * level


def test_infinite_time_is_the_limit():
    X, y, w = problem(40, 80, noise=0.0)
    limit = DiagonalNetworkRegressor(stopping=np.inf).fit(X, y)
    np.testing.assert_allclose(limit.coef_, w, atol=1e-10)
    found = DiagonalNetworkRegressorCV([4], [0.03], cv=3).fit(X, y)
    assert found.stopping_time_ == found.best_params_["stopping"] == np.inf
    np.testing.assert_allclose(found.coef_, w, atol=1e-10)
    np.testing.assert_array_equal(found.support_, w != 0)
    # More rows than features, and noise: no limit, but the end of the path.
    X, y, _ = problem(noise=0.5)
    late = DiagonalNetworkRegressor(stopping=np.inf).fit(X, y)
    assert 1e3 < late.stopping_time_ < np.inf and late.score(X, y) > 0.95


def test_weights_are_rows():
    X, y, _ = problem(50, 20)
    rng = np.random.default_rng(1)
    weights = rng.integers(0, 3, 50)
    options = {"depths": [3], "init_scales": [0.3], "stopping_times": np.geomspace(1, 50, 9)}
    weighted = DiagonalNetworkRegressorCV(**options).fit(X, y, weights)
    order = rng.permutation(weights.sum())
    rows = np.repeat(np.arange(50), weights)[order]
    repeated = DiagonalNetworkRegressorCV(**options).fit(X[rows], y[rows])
    assert weighted.best_params_ == repeated.best_params_
    np.testing.assert_allclose(weighted.mse_path_, repeated.mse_path_, rtol=1e-4)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-5)
    splits = list(KFold(5).split(X))
    given = DiagonalNetworkRegressorCV(cv=splits, **options).fit(X, y, weights)
    kept = weights > 0
    place = np.cumsum(kept) - 1
    of_kept = [tuple(place[part[kept[part]]] for part in pair) for pair in splits]
    without = DiagonalNetworkRegressorCV(cv=of_kept, **options)
    without.fit(X[kept], y[kept], weights[kept])
    np.testing.assert_allclose(given.mse_path_, without.mse_path_, rtol=1e-9)


def test_units_of_the_data_do_not_matter():
    X, y, _ = problem()
    options = {"depths": [3], "stopping_times": np.geomspace(1, 50, 12)}
    first = DiagonalNetworkRegressorCV(**options).fit(X, y)
    second = DiagonalNetworkRegressorCV(**options).fit(1e3 * X - 5.0, 1e-9 * y + 1e-9)
    assert second.depth_ == first.depth_ and second.stopping_time_ == first.stopping_time_
    size = np.abs(first.coef_).max()
    np.testing.assert_allclose(1e12 * second.coef_, first.coef_, atol=1e-6 * size)


def test_sparse_rows_processes_and_folds_that_keep_rows_together():
    X, y, _ = problem(48, 20)
    X[np.abs(X) < 0.7] = 0.0
    together = np.arange(48) // 4
    folds = list(GroupKFold(3).split(X, y, together))
    options = {"depths": [3], "init_scales": [0.1], "cv": folds}
    dense = DiagonalNetworkRegressorCV(**options).fit(X, y)
    with parallel_config(backend="threading"):
        sparse = DiagonalNetworkRegressorCV(n_jobs=2, **options).fit(sp.csr_array(X), y)
    np.testing.assert_array_equal(sparse.mse_path_, dense.mse_path_)
    np.testing.assert_array_equal(sparse.coef_, dense.coef_)
    np.testing.assert_allclose(sparse.predict(sp.csr_array(X)), dense.predict(X), rtol=1e-9)


def test_nothing_to_predict_with():
    X, _, _ = problem(40, 10)
    for y in (np.zeros(40), np.full(40, 3.0)):
        model = DiagonalNetworkRegressorCV([3], cv=4).fit(X, y)
        assert not model.coef_.any() and model.intercept_ == y[0] and model.stopping_time_ == 0


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"depths": [1, 2]}, "depths must be whole numbers.* at least 2"),
        ({"depths": [2.5]}, "depths must be whole numbers"),
        ({"depths": []}, "at least one"),
        ({"init_scales": [0.0, 0.1]}, "init_scales must be finite numbers.* positive"),
        ({"stopping_times": [-1.0]}, "stopping_times must be finite numbers.* at least 0"),
        ({"stopping_times": [np.inf]}, "stopping_times must be finite"),
        ({"cv": [(np.arange(3), np.arange(0))]}, "rows to hold out"),
    ],
)
def test_wrong_candidates_are_refused(wrong, message):
    X, y, _ = problem(20, 5)
    with pytest.raises(ValueError, match=message):
        DiagonalNetworkRegressorCV(**wrong).fit(X, y)


def test_a_time_needs_comparable_columns():
    X, y, _ = problem(20, 30)
    for solver in ("limit", "mirror", "gd"):
        with pytest.raises(ValueError, match="a time, needs solver='auto'"):
            DiagonalNetworkRegressor(solver=solver, stopping=3.0).fit(X, y)
    with pytest.raises(ValueError, match="LinearOperator"):
        DiagonalNetworkRegressor(stopping=3.0).fit(aslinearoperator(X), y)
    with pytest.raises(ValueError, match="LinearOperator"):
        DiagonalNetworkRegressorCV().fit(aslinearoperator(X), y)
