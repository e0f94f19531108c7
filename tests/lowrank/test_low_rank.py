"""Deep matrix factorisation: closed forms against literal descent, quadrature and the table."""

import warnings

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import hyp2f1
from sklearn.covariance import EmpiricalCovariance, LedoitWolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    EigenSketch,
    effective_rank,
    low_rank_intervals,
)
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.lowrank._descent import (
    descend,
    descend_eigenvalues,
    initial_factors,
    monotone_step,
    product,
    stability_bound,
)
from sklearn_sparse_eig.lowrank._flow import EigenvalueFlow
from sklearn_sparse_eig.lowrank._greedy import complete_by_rank, refine_factors


def noisy_low_rank(noise, n=100, values=(10.0, 7.0, 5.0), seed=0):
    """Return a symmetric matrix of low rank, and the same with noise of given spectral norm."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, len(values))))[0]
    E = rng.standard_normal((n, n))
    E = E + E.T
    truth = (U * values) @ U.T
    return truth, truth + noise / np.linalg.norm(E, 2) * E


def relative(found, truth):
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


# ------------------------------------------------------------------------------------ the dynamics


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("perturbation", [0.0, 0.02])
def test_scalars_are_the_matrix_descent(depth, perturbation):
    rng = np.random.default_rng(depth)
    V = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    values = np.r_[5, 3, 1.5, 0.05 * rng.standard_normal(8), -0.7]
    X = (V * values) @ V.T
    step = monotone_step(5.0, depth, 0.1)
    start = initial_factors(np.eye(12), np.eye(12), depth, 0.1, perturbation)
    literal = product(descend(start, X, np.ones(X.shape, bool), 300, step))
    scalars = descend_eigenvalues(values, 300, step, depth, 0.1, perturbation)
    np.testing.assert_allclose(literal, (V * scalars) @ V.T, atol=1e-12)


def test_scalars_are_the_matrix_descent_of_a_rectangle():
    X = np.random.default_rng(0).standard_normal((9, 6))
    left, values, right = np.linalg.svd(X, full_matrices=False)
    step = monotone_step(values[0], 3, 0.1)
    start = initial_factors(left, right, 3, 0.1)
    literal = product(descend(start, X, np.ones(X.shape, bool), 200, step))
    expected = (left * descend_eigenvalues(values, 200, step, 3, 0.1)) @ right
    np.testing.assert_allclose(literal, expected, atol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 9])
@pytest.mark.parametrize("scale", [0.3, 0.01])
def test_hitting_times_are_the_integral(depth, scale):
    values = np.array([10.0, 1.5, 0.4])
    levels = 0.3 * values
    found = EigenvalueFlow(values, depth, scale).hitting_times(levels)
    for value, level, time in zip(values, levels, found, strict=True):

        def slowness(log_u, value=value):
            return 1 / (np.exp((depth - 2) * log_u) * (value - np.exp(depth * log_u)))

        ends = np.log(scale), np.log(level) / depth
        assert time == pytest.approx(quad(slowness, *ends, epsrel=1e-12, limit=500)[0], rel=1e-10)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_hitting_times_have_a_closed_form(depth):
    value, level, scale = 1.5, 0.3, 0.1
    if depth == 2:
        odds = level * (value - scale**2) / (scale**2 * (value - level))
        expected = np.log(odds) / (2 * value)
    else:
        e = 1 - 2 / depth

        def g(q):
            return -(q**-e) / e * hyp2f1(1, -e, 1 - e, q / value)

        expected = (g(level) - g(scale**depth)) / (depth * value)
    found = EigenvalueFlow(np.array([value]), depth, scale).hitting_times(np.array([level]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("perturbation", [0.0, 0.01, 0.1])
def test_flow_is_the_limit_of_small_steps(depth, perturbation):
    values = np.array([2.0, 1.0, 0.3, 1e-3, 0.0, -0.2, -0.9])
    flow = EigenvalueFlow(values, depth, 0.3, perturbation)
    for time in (1.0, 10.0):
        # Two step sizes, extrapolated: the error of descent is linear in the step.
        coarse, fine = (
            descend_eigenvalues(values, n, time / n, depth, 0.3, perturbation)
            for n in (20_000, 40_000)
        )
        np.testing.assert_allclose(flow.values_at(time), 2 * fine - coarse, atol=1e-6)
    np.testing.assert_allclose(flow.values_at(0.0), flow.initial, rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize("perturbation", [0.0, 0.05])
def test_values_and_hitting_times_invert_each_other(depth, perturbation):
    values = np.array([10.0, 1.0, 0.2, -1.0 if perturbation else 0.5])
    flow = EigenvalueFlow(values, depth, 0.1, perturbation)
    for share in (0.1, 0.5, 0.999):
        times = flow.hitting_times(share * values)
        np.testing.assert_allclose(np.diag(flow.values_at(times)), share * values, rtol=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_levels_are_crossed_at_time_over_step(depth):
    step, value = 1e-4, 1.5
    time = EigenvalueFlow(np.array([value]), depth, 0.3).hitting_times(np.array([1.0]))[0]
    n = int(time / step)
    before, after = (
        descend_eigenvalues(np.array([value]), steps, step, depth, 0.3)[0]
        for steps in (n - 9, n + 9)
    )
    assert before < 1.0 < after


def test_long_times_cost_nothing():
    # 10^13 steps of descent.
    flow = EigenvalueFlow(np.array([2.0, 1.0]), 4, 1e-5)
    start = flow.hitting_times(np.array([1.0, 0.5]))
    # Escape takes scale^-(N-2) / ((N-2) lambda).
    np.testing.assert_allclose(start, 1e10 / (2 * np.array([2.0, 1.0])), rtol=1e-3)
    np.testing.assert_allclose(flow.values_at(3e10), [2.0, 1.0], rtol=1e-12)
    np.testing.assert_allclose(flow.values_at(3.5e9), [2.0, 0.0], atol=1e-10)


def test_negative_eigenvalues_need_a_perturbation():
    values, step = np.array([1.0, -0.673]), 1e-2
    np.testing.assert_allclose(descend_eigenvalues(values, 30_000, step, 3, 0.1), [1, 0], atol=2e-5)
    np.testing.assert_allclose(
        descend_eigenvalues(values, 30_000, step, 3, 0.1, 0.02), values, atol=1e-8
    )
    assert EigenvalueFlow(values, 3, 0.1).hitting_times(0.5 * values)[1] == np.inf
    assert EigenvalueFlow(values, 3, 0.1, 0.02).hitting_times(0.5 * values)[1] < np.inf


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_stability_bound(depth):
    values = np.array([3.0])
    near = values ** (1 / depth) * 0.9

    def end(factor):
        step = factor * stability_bound(3.0, depth)
        with np.errstate(over="ignore", invalid="ignore"):
            return descend_eigenvalues(values, 5000, step, depth, near[0])[0]

    assert end(0.97) == pytest.approx(3.0, rel=1e-10)
    assert not abs(end(1.03) - 3.0) < 1e-3


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_monotone_step(depth):
    value, scale = np.array([4.0]), 0.2
    step = monotone_step(4.0, depth, scale)
    run = [descend_eigenvalues(value, n, step, depth, scale)[0] for n in range(0, 400, 2)]
    assert np.all(np.diff(run) >= 0) and run[-1] <= 4.0 + 1e-12


# ---------------------------------------------------------------------- effective rank, intervals


def test_effective_rank():
    assert effective_rank(np.diag([3.0, 3.0, 0.0])) == pytest.approx(2.0)
    assert effective_rank([10.0, -5.0]) == 1.5
    assert effective_rank(np.zeros((3, 2))) == 0.0
    with pytest.raises(ValueError, match="3 axes"):
        effective_rank(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        effective_rank([np.nan])


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_intervals_are_what_they_say(depth):
    values = np.array([0.3, 10.0, 5.0, -2.0, 7.0])
    for rank, start, end in low_rank_intervals(values, depth=depth, init_scale=1e-3):
        learned = np.sort(values)[::-1][: int(rank)]
        flow = EigenvalueFlow(np.sort(values)[::-1], depth, 1e-3)
        at_start = flow.values_at(start)[int(rank) - 1]
        assert at_start == pytest.approx(0.95 * learned[-1], rel=1e-6)
        if np.isfinite(end):
            assert flow.values_at(end)[int(rank)] == pytest.approx(0.05 * learned[-1], rel=1e-3)
    assert rank == 4  # the negative one is never learned


def test_negative_eigenvalues_have_intervals_with_a_perturbation():
    intervals = low_rank_intervals([3.0, -3.0], init_scale=0.1, init_perturbation=0.05)
    assert len(intervals) == 2 and intervals[0, 1] < intervals[1, 1] < np.inf


def test_ratio_of_times_tends_to_that_of_eigenvalues():
    ratios = []
    for scale in (1e-2, 1e-4, 1e-6):
        (_, start, end), _ = low_rank_intervals([7.0, 2.0], init_scale=scale)
        ratios.append(end / start)
    assert np.all(np.diff(ratios) > 0)
    assert ratios[-1] == pytest.approx(3.5, rel=1e-3)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("scale", [0.1, 0.01])
def test_noise_safe_interval_lies_inside(depth, noise, scale):
    truth, noisy = noisy_low_rank(noise, n=30, seed=depth)
    clean, observed = np.linalg.eigvalsh(truth), np.linalg.eigvalsh(noisy)
    options = {"depth": depth, "init_scale": scale}
    for centre, other in ((clean, observed), (observed, clean)):
        safe = low_rank_intervals(centre, noise_level=noise, **options)[2]
        plain = low_rank_intervals(other, **options)[2]
        assert safe[1] >= plain[1] and safe[2] <= plain[2]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"depth": 1}, "depth"),
        ({"depth": 2.5}, "depth"),
        ({"init_scale": 0.0}, "init_scale"),
        ({"init_perturbation": 0.2}, "init_perturbation"),
        ({"tol": 1.0}, "tol"),
        ({"noise_level": -1.0}, "noise_level"),
    ],
)
def test_bad_parameters_of_intervals(wrong, message):
    with pytest.raises(ValueError, match=message):
        low_rank_intervals([1.0], **wrong)
    with pytest.raises(ValueError, match="vector"):
        low_rank_intervals([[1.0]])


# ------------------------------------------------------------------------------------ the estimator


@pytest.mark.parametrize("noise, limit", [(0.48, 0.05), (0.95, 0.1), (1.9, 0.2)])
def test_table(noise, limit):
    truth, noisy = noisy_low_rank(noise)
    model = DeepMatrixFactorization().fit(noisy)
    assert model.n_components_ == 3
    denoised = model.inverse_transform(model.transform(noisy))
    values, vectors = np.linalg.eigh(noisy)
    top = np.argsort(values)[-3:]
    oracle = (vectors[:, top] * values[top]) @ vectors[:, top].T
    # The rank is not told, and the error is that of a truncation which knows it.
    assert relative(denoised, truth) < 1.02 * relative(oracle, truth) < limit
    assert relative(noisy, truth) > 3.5 * relative(denoised, truth)
    assert effective_rank(noisy) > 4 > 2.4 > model.effective_rank_ > 2.15
    assert model.interval_is_nonempty_
    # No other time of the run would have been much better than a rank that is known.
    order = np.argsort(-np.abs(values), kind="stable")
    path, _ = model.path(np.geomspace(0.1, 100, 80))
    errors = [relative((vectors[:, order] * row) @ vectors[:, order].T, truth) for row in path]
    assert 0.95 * relative(oracle, truth) < min(errors) <= 1.02 * relative(denoised, truth)


def test_path():
    _, noisy = noisy_low_rank(0.5)
    model = DeepMatrixFactorization().fit(noisy)
    _, start, end = model.low_rank_intervals_[2]
    times = np.geomspace(start, end, 20)
    values, ranks = model.path(times)
    assert values.shape == (20, 100)
    assert np.all(np.abs(ranks - 2.2) < 0.2)
    here, rank = model.path([model.stopping_time_])
    np.testing.assert_allclose(here[0], model.eigenvalues_)
    np.testing.assert_allclose(rank, model.effective_rank_)
    with pytest.raises(ValueError, match="non-negative"):
        model.path([-1.0])


def test_literal_descent_agrees_with_the_flow():
    _, noisy = noisy_low_rank(0.5)
    flow = DeepMatrixFactorization().fit(noisy)
    literal = DeepMatrixFactorization(solver="gd", learning_rate=1e-3).fit(noisy)
    assert literal.n_components_ == 3
    assert literal.n_iter_ == int(np.ceil(flow.stopping_time_ / 1e-3))
    np.testing.assert_allclose(literal.eigenvalues_, flow.eigenvalues_, atol=0.02)
    expected = descend_eigenvalues(flow.spectrum_, literal.n_iter_, 1e-3, 3, 0.1)
    np.testing.assert_array_equal(literal.eigenvalues_, expected)


def test_rectangles_and_new_rows():
    rng = np.random.default_rng(0)
    V = rng.standard_normal((3, 40))
    train, new = rng.standard_normal((60, 3)) @ V, rng.standard_normal((20, 3)) @ V
    noisy = new + 0.2 * rng.standard_normal(new.shape)
    model = DeepMatrixFactorization().fit(train + 0.2 * rng.standard_normal(train.shape))
    assert model.n_components_ == 3 and model.components_.shape == (3, 40)
    np.testing.assert_allclose(model.components_ @ model.components_.T, np.eye(3), atol=1e-12)
    denoised = model.inverse_transform(model.transform(noisy))
    assert relative(denoised, new) < 0.5 * relative(noisy, new)
    assert model.score(noisy) == pytest.approx(-np.mean((denoised - noisy) ** 2))
    assert list(model.get_feature_names_out())[0] == "deepmatrixfactorization0"
    with pytest.raises(ValueError, match="3 components"):
        model.inverse_transform(np.zeros((2, 5)))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_stopping_at_a_rank(rank):
    _, noisy = noisy_low_rank(0.3, values=(20.0, 6.0, 2.0))
    model = DeepMatrixFactorization(init_scale=0.01, stopping="rank", rank=rank).fit(noisy)
    assert model.n_components_ == rank
    _, start, end = model.low_rank_intervals_[rank - 1]
    assert start <= model.stopping_time_ <= end


def test_stopping_by_discrepancy():
    truth, noisy = noisy_low_rank(0.5)
    model = DeepMatrixFactorization(stopping="discrepancy", noise_level=0.6).fit(noisy)
    residual = np.abs(model.spectrum_ - model.eigenvalues_).max()
    assert residual == pytest.approx(0.6, rel=1e-8)
    assert model.n_components_ == 3
    with pytest.raises(ValueError, match="init_perturbation > 0"):
        DeepMatrixFactorization(stopping="discrepancy", noise_level=0.5).fit(
            truth - 2 * np.eye(100)
        )


def test_stopping_at_a_time():
    _, noisy = noisy_low_rank(0.5)
    model = DeepMatrixFactorization(stopping="time", time=1e6).fit(noisy)
    positive = model.spectrum_ > 0
    np.testing.assert_allclose(model.eigenvalues_[positive], model.spectrum_[positive], atol=1e-6)


def test_largest_rank_considered():
    _, noisy = noisy_low_rank(0.5, values=(40.0, 10.0, 5.0))
    assert DeepMatrixFactorization().fit(noisy).n_components_ == 3
    plateau = DeepMatrixFactorization(stopping="plateau", rank=2).fit(noisy)
    assert plateau.n_components_ == 1
    assert DeepMatrixFactorization(rank=2).fit(noisy).n_components_ == 2


@pytest.mark.parametrize("rule, name", [("rank", "rank"), ("time", "time"), ("discrepancy", "noi")])
def test_rules_need_their_parameter(rule, name):
    with pytest.raises(ValueError, match=f"needs {name}"):
        DeepMatrixFactorization(stopping=rule).fit(np.eye(4))


def test_empty_interval_warns_with_its_ends():
    truth, noisy = noisy_low_rank(1.9)
    with pytest.warns(UserWarning, match=r"begin at 3\.\d+ and end at 2\.\d+") as record:
        model = DeepMatrixFactorization(noise_level=1.9).fit(noisy)
    assert record[0].filename == __file__
    assert model.n_components_ == 3 and not model.interval_is_nonempty_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DeepMatrixFactorization(noise_level=0.9).fit(noisy_low_rank(0.9)[1])


def test_unstable_step_raises_with_the_bound():
    _, noisy = noisy_low_rank(0.5)
    largest = np.linalg.eigvalsh(noisy)[-1]
    bound = 2 / (3 * largest ** (4 / 3))
    with pytest.raises(ValueError, match=f"{bound:.6g}"):
        DeepMatrixFactorization(solver="gd", learning_rate=1.01 * bound).fit(noisy)
    DeepMatrixFactorization(solver="gd", learning_rate=0.9 * bound).fit(noisy)


def test_data_too_small_for_the_start():
    with pytest.raises(ValueError, match="smaller init_scale"):
        DeepMatrixFactorization().fit(1e-6 * np.eye(4))


def test_too_few_steps_warn():
    _, noisy = noisy_low_rank(0.5)
    with pytest.warns(ConvergenceWarning, match="max_iter=10"):
        model = DeepMatrixFactorization(solver="gd", max_iter=10).fit(noisy)
    assert model.n_iter_ == 10


def test_noiseless_low_rank_is_found_whatever_its_values():
    for values in ((5.0,), (9.0, 8.5), (10.0, 9.0, 8.0, 1.0)):
        truth, _ = noisy_low_rank(0.0, n=30, values=values)
        model = DeepMatrixFactorization().fit(truth)
        assert model.n_components_ == len(values)


def test_grid_search_over_depth_and_scale():
    # The plateau is one of the spectrum: any depth and any small start find it.
    X, _ = spiked_rows()
    grid = {"depth": [2, 3, 4], "init_scale": [0.3, 0.1, 0.01]}
    search = GridSearchCV(DeepFactorizationCovariance(), grid, cv=3).fit(X)
    scores = search.cv_results_["mean_test_score"]
    assert np.ptp(scores) < 0.05 * np.abs(scores).max()
    assert search.best_estimator_.n_components_ == 2


def hidden_entries(model, X, y=None):
    """Score rows by entries that the model is not shown."""
    hidden = np.random.default_rng(0).random(X.shape) < 0.2
    found = model.inverse_transform(model.transform(np.where(hidden, np.nan, X)))
    return -np.mean((found - X)[hidden] ** 2)


@pytest.mark.filterwarnings("ignore:There is no time:UserWarning")
def test_grid_search_by_hidden_entries_finds_the_rank():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 3)) @ rng.standard_normal((3, 40))
    X += 0.5 * rng.standard_normal(X.shape)
    model = DeepMatrixFactorization(depth=2, init_scale=1e-2, stopping="rank")
    grid = {"rank": [1, 2, 3, 4, 6, 10]}
    assert GridSearchCV(model, grid, scoring=hidden_entries, cv=3).fit(X).best_params_["rank"] == 3
    # The error at entries that are shown falls with any rank, and chooses nothing.
    assert GridSearchCV(model, grid, cv=3).fit(X).best_params_["rank"] == 10


# ---------------------------------------------------------------------------------- missing entries


def completion_problem(noise=0.0, n=60, m=45, rank=3, share=0.5, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, m))
    X = truth + noise * rng.standard_normal(truth.shape)
    X[rng.random(X.shape) > share] = np.nan
    return truth, X


def test_completion_is_exact_without_noise():
    truth, X = completion_problem()
    model = DeepMatrixFactorization().fit(X)
    assert model.n_components_ == 3
    np.testing.assert_allclose(model.inverse_transform(model.transform(X)), truth, atol=1e-5)


def test_completion_with_noise_finds_the_rank():
    truth, X = completion_problem(noise=0.1)
    for options in ({}, {"stopping": "rank", "rank": 3}):
        model = DeepMatrixFactorization(**options).fit(X)
        assert model.n_components_ == 3
        found = model.inverse_transform(model.transform(X))
        missing = np.isnan(X)
        # The noise of 3 (60 + 45) coordinates from 1350 entries.
        assert np.sqrt(np.mean((found - truth)[missing] ** 2)) < 0.1
    noise = np.where(missing, 0.0, X - truth)
    level = 1.05 * np.linalg.norm(noise, 2)
    stopped = DeepMatrixFactorization(stopping="discrepancy", noise_level=level).fit(X)
    assert stopped.n_components_ == 3


def test_literal_descent_with_missing_entries():
    truth, X = completion_problem(noise=0.05, n=20, m=15, rank=2, share=0.7)
    model = DeepMatrixFactorization(solver="gd").fit(X)
    greedy = DeepMatrixFactorization().fit(X)
    assert model.n_components_ == greedy.n_components_ == 2
    found, other = (m.inverse_transform(m.transform(X)) for m in (model, greedy))
    assert relative(found, truth) < 0.15 > relative(other, truth)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        DeepMatrixFactorization(solver="gd", stopping="time", time=9.0, max_iter=3).fit(X)


def test_literal_descent_with_missing_entries_is_the_matrix_recursion():
    X = np.random.default_rng(0).standard_normal((5, 5))
    X = X + X.T
    X[0, 3] = X[3, 0] = np.nan
    observed = ~np.isnan(X)
    options = {"stopping": "time", "time": 1.0, "learning_rate": 0.01}
    model = DeepMatrixFactorization(solver="gd", **options).fit(X)
    factors = [0.1 * np.eye(5) for _ in range(3)]
    for _ in range(100):
        R = np.where(observed, factors[2] @ factors[1] @ factors[0] - np.nan_to_num(X), 0.0)
        factors = [
            factors[0] - 0.01 * (factors[2] @ factors[1]).T @ R,
            factors[1] - 0.01 * factors[2].T @ R @ factors[0].T,
            factors[2] - 0.01 * R @ (factors[1] @ factors[0]).T,
        ]
    expected = np.linalg.svd(product(factors), compute_uv=False)
    np.testing.assert_allclose(model.eigenvalues_, expected, atol=1e-12)


def test_ranks_of_a_complete_matrix_are_its_singular_values():
    X = np.random.default_rng(0).standard_normal((12, 9))
    values = np.linalg.svd(X, compute_uv=False)
    path = complete_by_rank(X, np.ones(X.shape, bool), max_rank=4)
    np.testing.assert_allclose(path.residual_norms, values[:5], rtol=0.05)
    A, B, _ = refine_factors(path.factors[2], X, np.ones(X.shape, bool))
    np.testing.assert_allclose(np.linalg.norm(X - A @ B.T, 2), values[3], rtol=1e-4)


def test_solvers_and_missing_entries_go_together_or_say_so():
    _, X = completion_problem()
    with pytest.raises(ValueError, match="misses"):
        DeepMatrixFactorization(solver="spectral").fit(X)
    with pytest.raises(ValueError, match="greedy"):
        DeepMatrixFactorization(solver="greedy").fit(np.nan_to_num(X))
    with pytest.raises(ValueError, match='solver="gd"'):
        DeepMatrixFactorization(stopping="time", time=1.0).fit(X)
    with pytest.raises(ValueError, match="path needs"):
        DeepMatrixFactorization().fit(X).path([1.0])
    X[4] = np.nan
    with pytest.raises(ValueError, match="row 4"):
        DeepMatrixFactorization().fit(X)


# --------------------------------------------------------------------------------------- covariance


def spiked_rows(n=200, p=40, seed=0):
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((p, 2)))[0] * [4.0, 3.0]
    X = rng.standard_normal((n, 2)) @ U.T + 0.5 * rng.standard_normal((n, p)) + 3.0
    return X, U @ U.T + 0.25 * np.eye(p)


def test_covariance_is_low_rank_plus_noise():
    X, truth = spiked_rows()
    model = DeepFactorizationCovariance().fit(X)
    assert model.n_components_ == 2
    assert model.noise_variance_ == pytest.approx(0.25, rel=0.1)
    empirical = EmpiricalCovariance().fit(X)
    assert np.trace(model.covariance_) == pytest.approx(np.trace(empirical.covariance_))
    assert model.score(spiked_rows(seed=1)[0]) > LedoitWolf().fit(X).score(spiked_rows(seed=1)[0])
    assert relative(model.covariance_, truth) < relative(empirical.covariance_, truth)
    np.testing.assert_allclose(model.covariance_ @ model.get_precision(), np.eye(40), atol=1e-10)
    np.testing.assert_allclose(model.location_, X.mean(axis=0))


def test_covariance_with_more_features_than_rows():
    # The zeros beyond the rows are not a gap of the spectrum.
    X, _ = spiked_rows(n=60, p=300)
    model = DeepFactorizationCovariance().fit(X)
    assert model.n_components_ == 2
    assert np.linalg.eigvalsh(model.covariance_)[0] > 0.1
    noise = np.random.default_rng(0).standard_normal((30, 300))
    with pytest.warns(UserWarning, match="There is no time"):
        assert DeepFactorizationCovariance().fit(noise).n_components_ < 29


@pytest.mark.parametrize("assume_centered", [False, True])
def test_partial_fit_is_one_fit(assume_centered):
    X, _ = spiked_rows()
    whole = DeepFactorizationCovariance(assume_centered=assume_centered).fit(X)
    parts = DeepFactorizationCovariance(assume_centered=assume_centered)
    for rows in (X[:1], X[1:50], X[50:]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            parts.partial_fit(rows)
    np.testing.assert_allclose(parts.covariance_, whole.covariance_, atol=1e-9)
    np.testing.assert_allclose(parts.location_, whole.location_, atol=1e-12)
    assert parts.n_samples_seen_ == 200


def test_noise_variance_given():
    X, _ = spiked_rows()
    singular = DeepFactorizationCovariance(noise_variance=0.0).fit(X)
    eigenvalues = np.linalg.eigvalsh(singular.covariance_)
    assert eigenvalues[:-2].max() < 0.05 * eigenvalues[-2]
    given = DeepFactorizationCovariance(noise_variance=0.5).fit(X)
    assert given.noise_variance_ == 0.5
    assert np.linalg.eigvalsh(given.covariance_)[0] == pytest.approx(0.5, rel=2e-2)


def test_exact_sketch_is_the_rows():
    X, _ = spiked_rows()
    sketch = EigenSketch(
        40, n_measurements=40, measurement="identity", range_size="identity"
    ).update(X)
    assert sketch.is_exact
    model = DeepFactorizationCovariance().fit_sketch(sketch)
    rows = DeepFactorizationCovariance().fit(X)
    np.testing.assert_allclose(model.covariance_, rows.covariance_, atol=1e-9)
    np.testing.assert_allclose(model.location_, rows.location_, atol=1e-9)
    np.testing.assert_allclose(model.mahalanobis(X), rows.mahalanobis(X), rtol=1e-6)
    with pytest.raises(ValueError, match="to that sketch"):
        model.partial_fit(X)
    with pytest.raises(ValueError, match="center=False"):
        DeepFactorizationCovariance(assume_centered=True).fit_sketch(sketch)


def test_compressed_sketch_on_the_recovered_support():
    data = make_sparse_spiked_covariance(
        2000, 1000, eigenvalues=(30.0, 20.0), n_nonzero_coefs=5, noise=1.0, random_state=0
    )
    sketch = EigenSketch(1000, n_measurements=600, range_size=200, random_state=0).update(data.data)
    model = DeepFactorizationCovariance().fit_sketch(sketch, n_components=2, n_nonzero_coefs=5)
    np.testing.assert_array_equal(model.support_, data.support)
    V = np.asarray(data.components.todense())[:, model.support_]
    truth = (V.T * [30.0, 20.0]) @ V + np.eye(10)
    assert model.n_components_ == 2
    assert relative(model.covariance_, truth) < 0.15
    automatic = DeepFactorizationCovariance().fit_sketch(
        sketch, n_components="auto", n_nonzero_coefs=5
    )
    np.testing.assert_array_equal(automatic.covariance_, model.covariance_)
    with pytest.raises(ValueError, match="n_components"):
        DeepFactorizationCovariance().fit_sketch(sketch)
    small = EigenSketch(1000, n_measurements=600, range_size=16, random_state=0).update(data.data)
    with pytest.raises(ValueError, match="larger sketch"):
        DeepFactorizationCovariance().fit_sketch(small, n_components=2, n_nonzero_coefs=5)
