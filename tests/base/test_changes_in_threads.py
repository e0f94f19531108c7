"""Changes of one object by several threads, and copies made meanwhile: each as a whole."""

import copy
import pickle
import signal
from threading import Event, Thread

import numpy as np
import pytest
from toys import Sums

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig._base.locks import locks_of

N = 30


def rows(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, N))


def fitted(**options):
    return SketchedSparsePCA(1, random_state=0, **options).partial_fit(rows(20))


class Meanwhile:
    """Rows that call a function when they are read first, which is inside of the change."""

    def __init__(self, X, call):
        self.X, self.call = X, call

    def __array__(self, dtype=None, copy=None):
        call, self.call = self.call, lambda: None
        call()
        return self.X


def started(function):
    thread = Thread(target=function, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_made_while_rows_are_added_is_whole(copied):
    pca, copies, threads = fitted(), [], []

    def copy_in_a_thread():
        threads.append(started(lambda: copies.append(copied(pca.sketch_))))
        threads[-1].join(0.1)

    pca.partial_fit(Meanwhile(rows(10), copy_in_a_thread))
    for thread in threads:
        thread.join(10)
    before = copies[0].to_bytes()
    bad = rows(40)
    bad[-1, -1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        copies[0].update(bad)
    assert copies[0].to_bytes() == before
    assert copies[0].to_bytes() == pca.sketch_.to_bytes()


def test_what_waits_for_another_change_is_taken_back_as_a_whole():
    pca, errors, is_waiting = fitted(batch_size=10), [], Event()
    bad = rows(30)
    bad[-1, -1] = np.nan

    def add_bad():
        is_waiting.set()
        try:
            pca.partial_fit(bad)
        except ValueError as error:
            errors.append(error)

    threads = []

    def begin():
        threads.append(started(add_bad))
        is_waiting.wait(10)
        threads[-1].join(0.1)

    expected = fitted(batch_size=10).partial_fit(rows(10, seed=1))
    pca.partial_fit(Meanwhile(rows(10, seed=1), begin))
    for thread in threads:
        thread.join(10)
    assert len(errors) == 1
    assert pca.sketch_.to_bytes() == expected.sketch_.to_bytes()


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
def test_merges_in_all_directions_do_not_wait_for_each_other():
    first, second = fitted(), fitted()

    def merge(left, right, read):
        for _ in range(30):
            left.merge(right).scale(0.5) if read is None else left.merge(right)
            if read is not None:
                read.components_  # noqa: B018 - the look is what runs beside
                read.sketch_.scale(0.5)

    threads = [
        started(lambda: merge(first, second, first)),
        started(lambda: merge(second, first, second)),
        started(lambda: merge(first.sketch_, second.sketch_, None)),
        started(lambda: merge(second.sketch_, first.sketch_, None)),
    ]
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of signals")
def test_an_interrupt_at_any_moment_leaves_no_lock_held_and_no_change():
    """Real ones come between all steps of the interpreter, of which a tracer sees only lines."""
    state, X, n_rows = Sums(N), rows(4), 0
    free = []

    def interrupt(*_):
        raise KeyboardInterrupt

    def look():
        (lock,) = locks_of(state)
        free.append(lock.acquire(blocking=False))
        if free[-1]:
            lock.release()

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for delay in np.random.default_rng(0).uniform(1e-5, 2e-4, size=300):
            n_seen = state.n_samples
            try:
                signal.setitimer(signal.ITIMER_REAL, delay)
                while True:
                    n_seen = state.update(X).n_samples
            except KeyboardInterrupt:
                # One that comes when a change is done, before its result is taken, leaves it.
                assert state.n_samples in (n_seen, n_seen + len(X))
                n_rows = state.n_samples
                looking = Thread(target=look)
                looking.start()
                looking.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(free) and len(free) == 300
    np.testing.assert_allclose(state.total, n_rows / len(X) * X.sum(axis=0))
