"""The public checks of a state hold for toys that keep the contract, and fail for faulty ones."""

import threading
import warnings

import numpy as np
import pytest
from toys import (
    ForgetfulMean,
    GreedyMean,
    HalfFittedMean,
    LeakyMean,
    Mean,
    StaleMean,
    Sums,
    TornSums,
)

from sklearn_sparse_eig import estimator_checks as checks
from sklearn_sparse_eig._base.messages import warn_user

N = 6
BATCHES = np.array_split(np.random.default_rng(0).standard_normal((30, N)), 5)


def update(sums, rows):
    sums.update(rows)


def matrix(sums):
    return sums.matrix()


def partial_fit(mean, rows):
    mean.partial_fit(rows)


def read_mean(mean):
    return mean.mean_


def state_case(make):
    return lambda: make(N), update, BATCHES, matrix


def estimator_case(make):
    return make, partial_fit, BATCHES, read_mean


CASES = {"state": state_case(Sums), "estimator": estimator_case(Mean)}


@pytest.mark.parametrize("name", CASES)
def test_toys_keep_the_laws(name):
    found = list(checks.yield_state_checks(*CASES[name], max_lines=None))
    names = {check.func.__name__ for check in found}
    assert names == {
        "check_empty_copy",
        "check_merge",
        "check_readers_beside_writer",
        "check_shard_id",
        "check_sum",
        "check_unchanged_on_error",
    }
    for check in found:
        check()


def test_refits_of_the_toy_keep_the_fit():
    fitted = Mean().fit
    refits = {
        "NaN": lambda mean: mean.fit(np.full((3, N), np.nan)),
        "another width": lambda mean: mean.partial_fit(np.ones((3, N + 1))),
    }
    assert fitted(BATCHES[0]).mean_.shape == (N,)
    checks.check_failed_refit_keeps_fit(Mean, lambda mean: mean.fit(BATCHES[0]), refits)
    checks.check_unchanged_on_error(
        lambda: Mean().fit(BATCHES[0]), lambda mean: mean.fit(BATCHES[1])
    )
    with pytest.raises(AssertionError, match="After NaN: .*sums_"):
        checks.check_failed_refit_keeps_fit(
            HalfFittedMean, lambda mean: mean.fit(BATCHES[0]), refits
        )


@pytest.mark.parametrize("random_state", range(3))
def test_torn_state_is_found(random_state):
    with pytest.raises(AssertionError, match="raised on purpose at .*: .* is not what it was"):
        checks.check_unchanged_on_error(
            lambda: TornSums(N), lambda sums: sums.update(BATCHES[0]), random_state=random_state
        )
    with pytest.raises(AssertionError, match="torn"):
        checks.check_readers_beside_writer(*state_case(TornSums))


@pytest.mark.parametrize(
    ("broken", "law", "message"),
    [
        (StaleMean, "check_merge", "merged shards"),
        (GreedyMean, "check_merge", "of what is merged"),
        (GreedyMean, "check_sum", "of its terms"),
        (LeakyMean, "check_empty_copy", "has seen 0 rows"),
        (ForgetfulMean, "check_shard_id", "expected a ValueError"),
    ],
)
def test_faults_are_found(broken, law, message):
    with pytest.raises(AssertionError, match=message):
        getattr(checks, law)(*estimator_case(broken))


def test_a_stale_reading_is_found():
    # Without a locked comparison in turn the expectation itself would be stale: read the truth.
    def read(mean):
        return mean.mean_ if type(mean) is StaleMean else mean.sums_.matrix()

    made = iter([Mean(), StaleMean()])

    def make():
        return next(made)

    with pytest.raises(AssertionError, match="torn|after the last batch"):
        checks.check_readers_beside_writer(make, partial_fit, BATCHES, read)


def test_errors_of_threads_are_reported():
    def feed(sums, rows):
        sums.update(rows)
        if sums.n_samples > 20:
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        checks.check_readers_beside_writer(lambda: Sums(N), feed, BATCHES, matrix)

    def read(sums):
        if threading.current_thread() is not threading.main_thread():
            raise OSError("no reading")
        return sums.matrix()

    with pytest.raises(AssertionError, match="A thread has failed: OSError"):
        checks.check_readers_beside_writer(lambda: Sums(N), update, BATCHES, read)


def test_warnings_name_the_caller():
    checks.check_warnings_name_the_caller(lambda: warn_user("Look here."))
    with pytest.raises(AssertionError, match="none"):
        checks.check_warnings_name_the_caller(lambda: None)

    def elsewhere():
        warnings.warn_explicit("From within.", UserWarning, "elsewhere.py", 3)

    with pytest.raises(AssertionError, match="names elsewhere.py:3"):
        checks.check_warnings_name_the_caller(elsewhere)


def test_an_action_without_lines_is_refused():
    with pytest.raises(AssertionError, match="no line of the package"):
        checks.check_unchanged_on_error(lambda: [], lambda items: items.append(1))
