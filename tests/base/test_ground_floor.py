"""The ground floor: journals, nested changes, locks, refusals, warnings and progress."""

import contextlib
import threading
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.preprocessing import FunctionTransformer
from toys import Mean, Sums

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig._base import messages
from sklearn_sparse_eig._base.atomic import Journal, all_or_nothing
from sklearn_sparse_eig._base.dtypes import check_finite, check_numbers
from sklearn_sparse_eig._base.entries import check_values
from sklearn_sparse_eig._base.linear import check_same
from sklearn_sparse_eig._base.locks import locked
from sklearn_sparse_eig._base.messages import Progress, warn_user
from sklearn_sparse_eig._base.rows import check_rows
from sklearn_sparse_eig._base.symmetric import check_matrix_values
from sklearn_sparse_eig.seeds import fisher_separability


def test_journal_takes_back_rows_whole_arrays_and_attributes():
    sums = Sums(10)
    sums.total = before = np.arange(10.0)
    kept = before.copy()
    journal = Journal(sums)
    assert not journal.has_changes()
    journal.keep(sums.total, np.array([1, 1, 3]))
    sums.total[[1, 3]] = -1.0
    journal.keep(sums.total, np.array([3, 4]))
    sums.total[[3, 4]] = -2.0
    journal.keep(sums.total)
    sums.total[...] = -3.0
    sums.n_samples, sums.extra = 5, "new"
    assert journal.has_changes()
    journal.undo()
    assert sums.total is before
    np.testing.assert_array_equal(sums.total, kept)
    assert sums.n_samples == 0
    assert not hasattr(sums, "extra")


def test_state_is_written_only_within_a_change():
    with pytest.raises(RuntimeError, match="all_or_nothing"):
        _ = Sums(3).journal


class Twice(Sums):
    @all_or_nothing
    def update_twice(self, X, error=None):
        self.update(X)
        if error is not None:
            raise error
        return self.update(X)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_nested_changes_are_taken_back_together(error):
    X = np.ones((2, 3))
    state = Twice(3).update(X)
    revision = state.revision
    with pytest.raises(type(error)):
        state.update_twice(X, error)
    np.testing.assert_array_equal(state.total, [2.0] * 3)
    assert (state.n_samples, state.revision) == (2, revision)
    assert "_journal" not in vars(state)
    state.update_twice(X)
    assert state.n_samples == 6
    assert state.revision > revision


def test_merges_in_opposite_directions_do_not_wait_for_each_other():
    a, b = (Mean().partial_fit(np.ones((2, 3))) for _ in range(2))
    threads = [
        threading.Thread(target=lambda x=x, y=y: [x.merge(y) for _ in range(50)], daemon=True)
        for x, y in ((a, b), (b, a))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def test_a_lock_can_be_taken_again_by_its_holder():
    state = Sums(3)
    with locked(state, state), locked(state):
        assert state.update(np.ones((1, 3))).n_samples == 1


@pytest.mark.parametrize(
    ("mine", "theirs", "message"),
    [
        ({"n_features": 3000}, {"n_features": 100}, "3000 features here, 100 there"),
        ({"seed": 1}, {"seed": 2}, "seed is 1 here, 2 there"),
        ({"side": {"seed": 1}}, {"side": {"seed": 2}}, r"side\.seed is 1 here, 2 there"),
        ({"side": {"n_features": 3}}, {"side": {"n_features": 4}}, "3 features here, 4 there"),
        (
            {"seed": 1, "side": {"name": "sign", "n_features": 3000}},
            {"seed": 1, "side": {"name": "identity", "n_features": 100}},
            "3000 features here, 100 there",
        ),
        ({"sizes": [1, 2]}, {"sizes": [1, 3]}, r"sizes\[1\] is 2 here, 3 there"),
    ],
)
def test_refusals_give_both_values(mine, theirs, message):
    check_same(mine, mine)
    with pytest.raises(ValueError, match=f"Cannot merge: {message}"):
        check_same(mine, theirs)


def test_estimators_of_other_features_are_refused():
    wide, narrow = (Mean().partial_fit(np.ones((2, n))) for n in (3000, 100))
    with pytest.raises(ValueError, match="3000 features here, 100 there"):
        wide.merge(narrow)
    with pytest.raises(ValueError, match="scale is 1.0 here, 2.0 there"):
        narrow.merge(Mean(2.0).partial_fit(np.ones((2, 100))))
    with pytest.raises(TypeError, match="Can only merge a Mean, got Sums"):
        narrow.merge(Sums(100))


def test_warnings_name_the_callers_line_through_frames_of_sklearn():
    def warn(X):
        warn_user("Look here.")
        return X

    # As if the function were ours: its frame, and those of scikit-learn, are passed over.
    warn = type(warn)(
        warn.__code__, {"__name__": "sklearn_sparse_eig.ours", "warn_user": warn_user}
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn(1)
        FunctionTransformer(warn).fit_transform(np.ones((2, 2)))
    assert len(caught) >= 2
    assert {warning.filename for warning in caught} == {__file__}
    assert len({warning.lineno for warning in caught}) == 2


def told(action, texts, within=contextlib.nullcontext):
    """Return what is shown of warnings of one line under a filter."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        for text in texts:
            with within():
                warn_user(text)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("within", [contextlib.nullcontext, warnings.catch_warnings])
def test_one_cause_is_told_once_for_each_line(within):
    """Whatever numbers it carries, and though the filters are set again and again."""
    texts = ["5 of 1.5e-3 lost.", "7 of 20 lost.", "Gained."]
    for _ in range(2):  # who listens anew is told anew
        assert told("default", texts + texts, within) == [texts[0], texts[2]]
    assert told("always", texts + texts, within) == texts + texts
    assert told("ignore", texts, within) == []
    for _ in range(2):
        with pytest.raises(UserWarning, match="lost"):
            told("error", texts, within)


def test_progress_is_silent_for_short_loops(monkeypatch, capsys):
    progress = Progress("toy", "features")
    for done in (1, 2, 3):
        progress(done, 3)
    assert capsys.readouterr().out == ""
    clock = iter([0.0, 1.0, 3.0, 3.5, 6.0])
    monkeypatch.setattr(messages.time, "perf_counter", lambda: next(clock))
    for done in (1, 2, 3, 4, 5):
        progress(done, 5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("[toy] sweep 2: ") for line in lines)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_are_finite_whatever_they_are_of(bad):
    for call in (
        lambda: check_values([1.0, bad], "what"),
        lambda: check_matrix_values([[1.0, bad]], "what"),
        lambda: check_finite(sp.csr_array([[1.0, bad]]), "what"),
        lambda: check_rows(np.array([[1.0, bad]], dtype=np.float32), 2, "what"),
    ):
        with pytest.raises(ValueError, match="what contains NaN or infinity; .*remove"):
            call()
    with pytest.raises(ValueError, match="values contains NaN"):
        EigenSketch(4, n_measurements=4).update_coo([0], [1], [bad])
    X, y = np.ones((9, 2)), np.arange(9) % 2
    X[3, 1] = bad
    for data in ((X, y), (np.eye(9)[:, :2], y, X, y)):
        with pytest.raises(ValueError, match="contains NaN"):
            fisher_separability(*data)


def test_finite_values_may_have_a_sum_that_is_not():
    largest = np.full(4, np.finfo(float).max)
    np.testing.assert_array_equal(check_values(largest), largest)


def test_documents_dates_paths_and_anndata_are_told_what_to_do():
    with pytest.raises(ValueError, match=r"pandas\.to_datetime.* documents by TfidfVectorizer"):
        check_numbers(["words of a document", "words of another"])
    with pytest.raises(TypeError, match=r"the text 'rows\.parquet'.* iter_batches and fit_stream"):
        check_numbers("rows.parquet")
    anndata = pytest.importorskip("anndata")
    with pytest.raises(TypeError, match=r"X is an AnnData: give its matrix, adata\.X, or a layer"):
        check_numbers(anndata.AnnData(np.ones((3, 2), np.float32)))
