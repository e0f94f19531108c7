"""Changes of one object by several threads, and copies made meanwhile: each as a whole."""

import copy
import pickle
from threading import Event, Thread

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA

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
