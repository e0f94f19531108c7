"""Recoveries end where steps gain nothing, and are not silent where they take long."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch, RecoveryWarning
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery import _pace
from sklearn_sparse_eig.recovery._pace import RecoveryPace
from sklearn_sparse_eig.recovery._power_steps import PowerSteps
from sklearn_sparse_eig.recovery._request import RecoveryRequest
from sklearn_sparse_eig.recovery._settling import CapturedVariance


def noted(values):
    """Return the variances noted until no further round is wanted, and which were the most."""
    captured, best = CapturedVariance(), []
    for value in values:
        best.append(captured.add(value))
        if captured.repeats or captured.takes_turns:
            break
    return len(best), best, captured


def test_rounds_go_on_while_variance_rises_or_falls():
    for values in (np.linspace(1.0, 2.0, 8), np.linspace(2.0, 1.0, 8)):
        n, _, captured = noted(values)
        assert n == 8 and not captured.takes_turns


def test_rounds_end_where_variance_repeats():
    n, _, captured = noted([1.0, 2.0, 2.001, 3.0])
    assert n == 3 and captured.repeats


def test_rounds_end_where_supports_take_turns():
    n, best, captured = noted([8.06, 8.68, 8.38, 8.59, 8.46, 8.31])
    assert n == 4 and captured.takes_turns
    assert best == [True, True, False, False]


def hashed_text(seed, n_samples=200, n_words=2000):
    """Word counts of nearly independent words, under random ids: no support is the best by far."""
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.integers(0, 2**40, n_words))
    share = rng.permutation(1.0 / np.arange(1, n_words + 1) ** 0.6)
    counts = sp.csr_array(rng.multinomial(60, share / share.sum(), size=n_samples).astype(float))
    counts.sort_indices()
    entries = np.log1p(counts.data), ids[counts.indices], counts.indptr
    return sp.csr_array(entries, shape=(n_samples, 2**40))


def test_slow_decay_is_told_once_with_advice():
    said = []
    for seed in (1, 2):
        sketch = EigenSketch(2**40, n_measurements=2048, range_size=96, random_state=0)
        sketch.update(hashed_text(seed))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pairs = sketch.recover(4, n_nonzero_coefs=8)
        said += [str(warning.message) for warning in caught]
        assert pairs.n_iter <= 12 and (pairs.signal_to_threshold > 1.0).all()
    assert 1 <= len(said) <= 2
    assert all("decays slowly" in message and "refine='data'" in message for message in said)


class DriftingNoise:
    """A model of noise whose variance changes by a factor from step to step."""

    def __init__(self, noise, factor):
        self._noise, self._factor, self.variance = noise, factor, 1.0

    def __getattr__(self, name):
        return getattr(self._noise, name)

    def correct(self, S, model=None):
        self.variance *= self._factor
        return self._noise.correct(S, model)


def test_joint_steps_go_on_only_while_the_noise_falls():
    """Vectors that become exact leave less noise; where it rises a little, nothing is gained."""
    data = make_sparse_spiked_covariance(
        500, 3000, eigenvalues=(60.0, 40.0), n_nonzero_coefs=6, random_state=0
    )
    sketch = EigenSketch(3000, n_measurements=256, range_size=32, random_state=0).update(data.data)
    n_steps = {}
    for factor in (0.98, 1.0, 1.02):
        steps = PowerSteps(sketch, RecoveryRequest.of(sketch, 2, n_nonzero_coefs=6))
        steps.noise = DriftingNoise(steps.noise, factor)
        n_steps[factor] = steps.joint_steps(12).n_iter
    assert n_steps[0.98] == 12 and n_steps[1.0] == n_steps[1.02] <= 3


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose last number is the time."""
    times = [0.0]
    monkeypatch.setattr(_pace.time, "perf_counter", lambda: times[-1])
    return times


def test_steps_are_reported_with_the_time_left(clock, capsys):
    pace = RecoveryPace(verbose=1)
    for n_left, now in ((22, 0.0), (21, 2.0), (20, 6.0), (19, 9.0), (18, 12.0)):
        clock.append(now)
        pace.step(n_left)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "[recover] 2 steps, 6 s, at most 60 s more",
        "[recover] 4 steps, 12 s, at most 54 s more",
    ]


def test_a_long_recovery_says_so_once_without_verbose(clock, capsys):
    pace = RecoveryPace(verbose=0)
    with pytest.warns(RecoveryWarning, match="32 s so far and may take up to 240 s more") as caught:
        for n_left, now in ((17, 0.0), (16, 16.0), (15, 32.0), (14, 64.0)):
            clock.append(now)
            pace.step(n_left)
            pace.sweep(1, 10)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert capsys.readouterr().out == ""


def test_a_long_sweep_does_not_wait_for_the_step_to_end(clock):
    pace = RecoveryPace(verbose=0)
    pace.step(20)
    clock.append(31.0)
    with pytest.warns(RecoveryWarning, match="verbose=1"):
        pace.sweep(1, 10)
