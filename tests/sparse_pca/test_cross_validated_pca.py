"""Cross-validation from shared sketches chooses as a grid search does, and reads rows once."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA, SketchedSparsePCACV
from sklearn_sparse_eig.sparse_pca._folds import is_partition, parts

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
GRID = {"n_components": [1, 2, 4], "n_nonzero_coefs": [3, 6, 12]}
WIDE = {"sketch": "two_sided", "n_measurements": 96, "range_size": 24}
SLOW = pytest.mark.slow


def planted(n=240, N=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, N)) + rng.uniform(-3, 3, N)
    X[:, :6] += 1.6 * rng.normal(size=(n, 1)) * [1, -1, 1, 1, -1, 1]
    X[:, 20:26] += 1.3 * rng.normal(size=(n, 1))
    return X


def grid_search(X, grid=GRID, cv=3, fit=None, **params):
    estimator = SketchedSparsePCA(random_state=0, **params)
    return GridSearchCV(estimator, grid, cv=cv).fit(X, **(fit or {}))


def shared(X, grid=GRID, cv=3, fit=None, **params):
    return SketchedSparsePCACV(**grid, cv=cv, random_state=0, **params).fit(X, **(fit or {}))


def assert_same_scores(ours, theirs, rtol=1e-9):
    for name in theirs.cv_results_:
        if name.endswith("test_score"):
            np.testing.assert_allclose(
                ours.cv_results_[name], theirs.cv_results_[name], rtol=rtol, atol=1e-9, err_msg=name
            )
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_index_ == theirs.best_index_
    assert ours.n_splits_ == theirs.n_splits_
    for name in ("param_n_components", "param_n_nonzero_coefs"):
        assert ours.cv_results_[name].tolist() == theirs.cv_results_[name].tolist()


@pytest.mark.parametrize("params", [{}, {"noise": None}, {"center": False}], ids=str)
def test_scores_choice_and_refit_are_those_of_a_grid_search(params):
    X = planted()
    ours, theirs = shared(X, **params), grid_search(X, **params)
    assert_same_scores(ours, theirs)
    best = theirs.best_estimator_
    difference = abs(ours.components_ - best.components_)
    assert difference.max() < 1e-9
    np.testing.assert_allclose(ours.transform(X), best.transform(X), atol=1e-8)
    assert ours.score(X) == pytest.approx(best.score(X))
    if not params:
        assert ours.best_params_ == {"n_components": 2, "n_nonzero_coefs": 6}


@pytest.mark.parametrize(
    "params",
    [
        {"noise": "diagonal"},
        {"positive": True},
        pytest.param({"refine": "sketch", **WIDE}, marks=SLOW),
        pytest.param({"noise": "diagonal", **WIDE}, marks=SLOW),
        pytest.param({"refine": "sketch", "sketch": "mam", "n_measurements": 48}, marks=SLOW),
    ],
    ids=str,
)
def test_points_that_share_no_search_score_the_same_too(params):
    X, grid = planted(160), {"n_components": [1, 2], "n_nonzero_coefs": [6]}
    ours, theirs = (search(X, grid, cv=2, **params) for search in (shared, grid_search))
    assert_same_scores(ours, theirs, 1e-6)


def test_rules_may_be_tried_as_well():
    X = planted()
    grid = {"n_components": [1, "auto"], "n_nonzero_coefs": [6, "auto"]}
    ours, theirs = shared(X, grid), grid_search(X, grid)
    assert_same_scores(ours, theirs)
    assert ours.n_components_ == 2


def test_where_a_sketch_is_too_small_for_the_covariance_rows_tell():
    X, grid = planted(240, 200), {"n_components": [2, 3], "n_nonzero_coefs": [4, 6]}
    ours, theirs = (search(X, grid, cv=2, **WIDE) for search in (shared, grid_search))
    assert ours.best_params_ == theirs.best_params_ == {"n_components": 2, "n_nonzero_coefs": 6}
    # Components of noise differ by their candidates, those of signal do not.
    best = ours.best_index_
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"][best], theirs.best_score_, rtol=1e-9
    )
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-3
    )
    assert set(ours.support_) == {*range(6), *range(20, 26)}


def test_beyond_a_thousand_features_candidates_are_shared():
    X, grid = planted(200, 1100), {"n_components": [2], "n_nonzero_coefs": [4, 6]}
    ours, theirs = shared(X, grid, cv=2), grid_search(X, grid, cv=2)
    assert ours.best_params_ == theirs.best_params_ == {"n_components": 2, "n_nonzero_coefs": 6}
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-9)


GROUPS = np.arange(240) // 7


@pytest.mark.parametrize(
    ("cv", "fit"),
    [
        (KFold(3, shuffle=True, random_state=0), {}),
        (ShuffleSplit(3, random_state=0), {}),
        (GroupKFold(3), {"groups": GROUPS}),
        ([(np.arange(100), np.arange(90, 240)), (np.arange(50, 240), np.arange(50))], {}),
    ],
    ids=["shuffled", "shares", "groups", "listed"],
)
def test_any_splits(cv, fit):
    X = planted()
    assert_same_scores(shared(X, cv=cv, fit=fit), grid_search(X, cv=cv, fit=fit))


def test_sparse_rows():
    X = sp.csr_array(np.where(np.abs(planted()) > 1.5, planted(), 0.0))
    ours = shared(X)
    assert_same_scores(ours, grid_search(X))
    assert_same_scores(ours, shared(X.toarray()))


def test_an_integer_weight_is_a_repetition():
    X, weights = planted(), np.random.default_rng(1).integers(0, 3, 240)
    groups = np.arange(240) % 3
    cv = [(np.flatnonzero(groups != i), np.flatnonzero(groups == i)) for i in range(3)]
    again = np.repeat(np.arange(240), weights)
    repeated = [tuple(np.flatnonzero(np.isin(again, rows)) for rows in split) for split in cv]
    ours = shared(X, cv=cv, fit={"sample_weight": weights})
    assert_same_scores(ours, shared(X[again], cv=repeated))


def test_each_row_is_sketched_once(monkeypatch):
    seen = []
    add = EigenSketch.add_checked_rows

    def counted(self, X, *args):
        seen.append(X.shape[0])
        return add(self, X, *args)

    monkeypatch.setattr(EigenSketch, "add_checked_rows", counted)
    X = planted()
    shared(X, cv=5)
    assert sum(seen) == len(X)
    seen.clear()
    shared(X, cv=ShuffleSplit(2, random_state=0))
    assert sum(seen) == 3 * len(X)  # two splits, and all rows at the end


def test_what_is_fitted_is_the_best_estimator():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame(planted(), columns=[f"gene {j}" for j in range(60)])
    pca = shared(X).set_output(transform="pandas")
    best = pca.best_estimator_
    assert best.get_params()["n_components"] == pca.best_params_["n_components"] == 2
    Z = pca.transform(X)
    assert list(Z.columns) == ["sketchedsparsepcacv0", "sketchedsparsepcacv1"]
    np.testing.assert_array_equal(Z, best.transform(X))
    np.testing.assert_array_equal(pca.inverse_transform(Z), best.inverse_transform(Z))
    np.testing.assert_array_equal(pca.score_samples(X), best.score_samples(X))
    np.testing.assert_array_equal(pca.get_covariance(), best.get_covariance())
    np.testing.assert_array_equal(pca.get_precision(), best.get_precision())
    np.testing.assert_array_equal(pca.get_support(), best.get_support())
    assert pca.explained_variance_score(X) == best.explained_variance_score(X)
    assert pca.describe() == best.describe()
    assert pca.describe()[0][0][0].startswith("gene ")
    for name in ("explained_variance_", "explained_variance_ratio_", "mean_", "support_"):
        np.testing.assert_array_equal(getattr(pca, name), getattr(best, name))
    assert pca.noise_variance_ == best.noise_variance_
    assert pca.n_nonzero_coefs_.tolist() == [6, 6]
    assert best.n_samples_seen_ == 240


def test_numbers_to_try():
    X = planted()[:, :7]
    pca = SketchedSparsePCACV(random_state=0).fit(X)
    assert {p["n_components"] for p in pca.cv_results_["params"]} == {1, 2, 3, 5, 7}
    assert {p["n_nonzero_coefs"] for p in pca.cv_results_["params"]} == {5, 7}
    before = pca.cv_results_
    for wrong in ([0], [], [1.5], [True], ["plateau"]):
        with pytest.raises(ValueError, match="n_nonzero_coefs must"):
            pca.set_params(n_nonzero_coefs=wrong).fit(X)
    assert pca.cv_results_ is before


def test_progress_is_reported_after_some_seconds(monkeypatch, capsys):
    from sklearn_sparse_eig.sparse_pca import _grid

    shared(planted(), verbose=1)
    assert "splits" not in capsys.readouterr().out
    monkeypatch.setattr(_grid, "_PATIENCE", 0.0)
    shared(planted(), verbose=1)
    assert "[SketchedSparsePCACV] cross-validation 1: 100% of 3 splits" in capsys.readouterr().out


def test_partitions_are_told_from_other_splits():
    folds = [(np.arange(3, 9), np.arange(3)), (np.arange(3), np.arange(3, 9))]
    assert is_partition(folds, 9)
    assert not is_partition(folds, 10)  # one row is in none
    assert not is_partition(folds[:1], 9)
    assert not is_partition([folds[0], (np.arange(4), np.arange(3, 9))], 9)
    assert not is_partition([(np.zeros(6, int), np.arange(3)), folds[1]], 9)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_parts_are_the_rows_asked_for(step):
    X = np.arange(600.0).reshape(300, 2)
    for rows in (np.r_[:100, 200:300], np.arange(0, 300, 3), np.arange(5), np.array([7, 3])):
        found = list(parts(X, X[:, 1], rows, step))
        np.testing.assert_array_equal(np.concatenate([part for part, _ in found]), X[rows])
        np.testing.assert_array_equal(np.concatenate([w for _, w in found]), X[rows, 1])
