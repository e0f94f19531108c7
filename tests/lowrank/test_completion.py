"""Completion of tables with means and effects: what held-out entries choose, and what is warned."""

import warnings

import numpy as np
import pytest

from sklearn_sparse_eig import DeepMatrixFactorization
from sklearn_sparse_eig.lowrank._offsets import Offsets

N_ROWS, N_COLUMNS = 90, 50


def completed(model, X):
    return model.inverse_transform(model.transform(X))


def fitted(X, **options):
    return DeepMatrixFactorization(random_state=0, **options).fit(X)


def with_holes(X, missing, seed):
    """Hide entries, but for one at least of each row and column."""
    rng = np.random.default_rng(seed)
    observed = rng.random(X.shape) > missing
    observed[np.arange(len(X)), rng.integers(0, X.shape[1], len(X))] = True
    observed[rng.integers(0, len(X), X.shape[1]), np.arange(X.shape[1])] = True
    return np.where(observed, X, np.nan), observed


def row_and_column_means(X):
    rows, columns = np.nanmean(X, axis=1, keepdims=True), np.nanmean(X, axis=0)
    return rows + columns - np.nanmean(X)


def tables(seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.normal(size=(N_ROWS, 1)), rng.normal(size=N_COLUMNS)
    low = rng.normal(size=(N_ROWS, 3)) @ rng.normal(size=(3, N_COLUMNS)) / np.sqrt(3.0)
    noise = 0.1 * rng.normal(size=low.shape)
    effects = 3.0 + rows + columns
    return {
        "low rank": low + noise,
        "a mean of 3": 3.0 + low + noise,
        "effects": effects + low + noise,
        "effects, weak low rank": effects + 0.3 * low + noise,
        "effects alone": effects + noise,
        "effects in noise": 0.3 * effects + 10.0 * noise,
        "ratings": np.clip(np.rint(effects + low + 8.0 * noise), 1.0, 5.0),
    }


TABLES = list(tables(0))


# ------------------------------------------------------------------------------------ what it finds


@pytest.mark.parametrize("missing", [0.4, 0.8, 0.95])
@pytest.mark.parametrize("name", TABLES)
def test_never_worse_than_row_and_column_means(name, missing):
    seed = 10 + TABLES.index(name)
    truth = tables(seed)[name]
    X, observed = with_holes(truth, missing, seed)
    found, means = completed(fitted(X), X), row_and_column_means(X)
    error, simple = (np.linalg.norm((Z - truth)[~observed]) for Z in (found, means))
    assert error <= 1.02 * simple


def test_a_mean_does_not_hide_what_is_smaller():
    truth = tables(0)["a mean of 3"]
    X, observed = with_holes(truth, 0.4, 0)
    spread = truth[~observed].std()
    for options in ({}, {"center": "effects"}):
        error = (completed(fitted(X, **options), X) - truth)[~observed]
        assert np.sqrt(np.mean(error**2)) < 0.2 * spread


def test_exact_data_are_completed_to_rounding():
    rng = np.random.default_rng(0)
    low = rng.normal(size=(N_ROWS, 2)) @ rng.normal(size=(2, N_COLUMNS))
    for truth in (low, low + 5.0 + rng.normal(size=N_COLUMNS)):
        X, _ = with_holes(truth, 0.5, 1)
        np.testing.assert_allclose(completed(fitted(X), X), truth, atol=1e-6)


def test_held_out_entries_find_unequal_values():
    """The largest ratio is behind the first one, and the rank is four."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(n, 4)))[0] for n in (200, 125))
    truth = (left * [10.0, 5.0, 2.5, 1.5]) @ right.T
    X = truth + rng.normal(size=truth.shape) / (np.sqrt(200) + np.sqrt(125))
    errors = {
        stopping: np.linalg.norm(completed(fitted(X, stopping=stopping), X) - truth)
        for stopping in ("plateau", "validation")
    }
    assert errors["validation"] < 0.5 * errors["plateau"]
    assert fitted(X, stopping="validation").n_components_ >= 4


@pytest.mark.parametrize("center", ["auto", "effects", None])
def test_a_multiple_of_the_data_has_the_multiple_as_answer(center):
    X, _ = with_holes(tables(3)["effects"], 0.5, 3)
    found = completed(fitted(X, center=center), X)
    for factor in (1e-9, 1e9):
        scaled = completed(fitted(factor * X, center=center), factor * X)
        np.testing.assert_allclose(scaled, factor * found, rtol=1e-4, atol=1e-6 * factor)


def test_a_constant_is_subtracted():
    X, _ = with_holes(tables(4)["effects"], 0.5, 4)
    found = completed(fitted(X, center="effects"), X)
    moved = completed(fitted(X + 1e3, center="effects"), X + 1e3)
    np.testing.assert_allclose(moved - 1e3, found, atol=1e-4)


def test_the_same_seed_gives_the_same_bits():
    X, _ = with_holes(tables(5)["ratings"], 0.6, 5)
    one, two = (completed(fitted(X), X) for _ in range(2))
    np.testing.assert_array_equal(one, two)


# -------------------------------------------------------------------------------- coordinates, rows


def test_rows_of_the_fit_are_rows_like_others():
    """Coordinates are fitted to what is known of a row, whether or not it was in the fit."""
    X, observed = with_holes(tables(6)["effects"], 0.5, 6)
    model = fitted(X)
    coordinates = model.transform(X)
    np.testing.assert_allclose(model.transform(X[[7]]), coordinates[[7]], atol=1e-10)
    # They are those of the fit itself: its singular values.
    np.testing.assert_allclose(
        np.linalg.svd(coordinates, compute_uv=False), model.eigenvalues_, rtol=1e-6
    )
    V = model.components_
    np.testing.assert_allclose(V @ V.T, np.eye(len(V)), atol=1e-10)
    assert model.n_components_ == len(V) == coordinates.shape[1]


def test_a_row_of_which_nothing_is_known_is_the_mean():
    X, _ = with_holes(tables(6)["effects"], 0.5, 6)
    model = fitted(X, center="effects")
    nothing = np.full((1, N_COLUMNS), np.nan)
    np.testing.assert_allclose(completed(model, nothing)[0], model.mean_, atol=1e-10)


def test_a_fit_with_a_ridge_is_stationary():
    """Neither factor can be changed to lower the squared error and the ridge on both."""
    truth = tables(7)["effects in noise"] + 0.5 * tables(7)["low rank"]
    X, observed = with_holes(truth, 0.3, 7)
    model = fitted(X)
    rows = model._rows
    assert rows.ridge > 0.0
    mask, known = observed.astype(float), np.where(observed, X, 0.0)
    target, _ = rows.offsets.subtracted(known, mask)
    gram = np.einsum("ij,jk,jl->ikl", mask, rows.basis, rows.basis)
    gram += rows.ridge * np.eye(rows.basis.shape[1])
    A = np.linalg.solve(gram, (target @ rows.basis)[:, :, None])[:, :, 0]
    residual = target - mask * (A @ rows.basis.T)
    for gradient in (
        residual @ rows.basis - rows.ridge * A,
        residual.T @ A - rows.ridge * rows.basis,
    ):
        assert np.linalg.norm(gradient) < 1e-3 * rows.ridge * np.linalg.norm(A)


def test_columns_are_centred_where_asked():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 20)) + 5.0 * rng.normal(size=20)
    X += 0.1 * rng.normal(size=X.shape)
    model = fitted(X, center="columns")
    inner = fitted(X - X.mean(axis=0))
    np.testing.assert_allclose(model.mean_, X.mean(axis=0))
    np.testing.assert_allclose(model.components_, inner.components_, atol=1e-10)
    np.testing.assert_allclose(model.transform(X), inner.transform(X - X.mean(axis=0)))
    assert not inner.mean_.any() and model.n_components_ == 2
    X[3, 4] = np.nan
    assert fitted(X, center="columns", stopping="plateau").n_components_ == 2
    assert fitted(X, center="columns", solver="gd").n_components_ == 2


# ------------------------------------------------------------------------------------------ effects


def test_effects_are_those_of_the_posterior():
    """For given variances they solve the normal equations of a mixed model."""
    X, observed = with_holes(tables(8)["effects alone"], 0.7, 8)
    mask, known = observed.astype(float), np.where(observed, X, 0.0)
    offsets = Offsets.of_rows_and_columns(known, mask)
    left, rows = offsets.subtracted(known, mask)
    np.testing.assert_allclose(left.sum(axis=1), offsets.shrinkage * rows, atol=1e-8)
    truth = tables(8)["effects alone"]
    found = offsets.columns + rows[:, None]
    assert np.std((found - truth)[~observed]) < 0.15 * truth.std()


def test_effects_that_are_not_there_are_shrunk():
    X, observed = with_holes(np.random.default_rng(0).normal(size=(N_ROWS, N_COLUMNS)), 0.5, 0)
    mask, known = observed.astype(float), np.where(observed, X, 0.0)
    offsets = Offsets.of_rows_and_columns(known, mask)
    rows = offsets.row_effects(known, mask)
    assert np.std(rows) < 0.5 / np.sqrt(0.5 * N_COLUMNS) > np.std(offsets.columns)


# ---------------------------------------------------------------------------------- what is refused


def test_a_rank_alone_is_the_rank():
    X = tables(9)["low rank"]
    assert fitted(X, rank=2).n_components_ == 2
    X, _ = with_holes(X, 0.4, 9)
    assert fitted(X, rank=2).n_components_ == 2
    assert fitted(X, rank=2, stopping="validation").n_components_ <= 3


@pytest.mark.parametrize(
    "options", [{"stopping": "validation"}, {"center": "effects"}], ids=lambda o: next(iter(o))
)
def test_held_out_entries_and_effects_need_their_solver(options):
    X = tables(9)["low rank"]
    for solver in ("spectral", "gd"):
        with pytest.raises(ValueError, match=f'needs solver="greedy" or "auto", got.*{solver}'):
            fitted(X, solver=solver, **options)
    assert fitted(X, **options).n_components_ >= 3
    with pytest.raises(ValueError, match="path needs"):
        fitted(X, **options).path([1.0])


def test_a_mean_that_is_all_that_was_found_is_said():
    X = tables(0)["low rank"] + 30.0
    with pytest.warns(UserWarning, match='mean of all entries.*center="columns"'):
        assert fitted(X).n_components_ == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted(X, center="columns").n_components_ == 3
        # One component that is no mean is no reason for a warning.
        rng = np.random.default_rng(0)
        assert fitted(np.outer(rng.normal(size=30), rng.normal(size=20))).n_components_ == 1


def test_entries_that_run_away_are_said():
    X, _ = with_holes(tables(0)["low rank"], 0.9, 0)
    with pytest.warns(UserWarning, match='stopping="validation", or a smaller rank'):
        fitted(X, stopping="plateau")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(X)


def test_parts_that_nothing_links_are_said():
    X = np.full((20, 12), np.nan)
    rng = np.random.default_rng(0)
    X[:10, :6], X[10:, 6:] = rng.normal(size=(2, 10, 6))
    with pytest.warns(UserWarning, match="2 parts that share no row and no column"):
        fitted(X, center=None, rank=1)
