"""What is kept of a recovery: never stale, never computed to be shown, one warning on noise."""

import threading
import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

import sklearn_sparse_eig.sparse_pca._recovered as module
from sklearn_sparse_eig import RecoveryWarning, SketchedSparsePCA


def rows(features, seed=0, n=200):
    """Rows of one strong factor on the given features, in noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 40))
    X[:, features] += 9 * rng.standard_normal((n, 1))
    return X


def make(**options):
    return SketchedSparsePCA(1, n_nonzero_coefs=3, random_state=0, **options)


@pytest.fixture
def n_recoveries(monkeypatch):
    made, recover = [], module.recover
    monkeypatch.setattr(module, "recover", lambda *a, **k: made.append(1) or recover(*a, **k))
    return made


@pytest.mark.parametrize("n_components", [1, "auto"])
def test_showing_recovers_nothing(n_components, n_recoveries):
    pca = make().set_params(n_components=n_components).partial_fit(rows([1, 2, 3]))
    assert "SketchedSparsePCA" in pca._repr_html_() and "SketchedSparsePCA" in repr(pca)
    if parse_version(sklearn.__version__) >= parse_version("1.9"):  # fitted attributes are shown
        assert "n_features_in_" in pca._repr_html_()
    pipeline = make_pipeline(StandardScaler(), pca)
    assert "SketchedSparsePCA" in pipeline._repr_html_()
    assert pca.n_components_ == 1 and list(pca.get_feature_names_out()) == ["sketchedsparsepca0"]
    assert not n_recoveries
    assert "components_" in dir(pca)
    assert_array_equal(pca.support_, [1, 2, 3])
    assert n_recoveries == [1]
    pca._repr_html_()
    assert n_recoveries == [1]


def test_a_batch_replaced_by_one_of_equal_sums_is_noticed():
    first, other = rows([1, 2, 3]), rows([11, 12, 13])
    other += (first.sum(axis=0) - other.sum(axis=0)) / len(other)
    pca = make().partial_fit(first)
    assert_array_equal(pca.support_, [1, 2, 3])
    pca.sketch_.update(first, sample_weight=-0.999).update(other, sample_weight=0.999)
    assert_array_equal(pca.support_, [11, 12, 13])


def test_a_reader_keeps_no_result_of_earlier_rows(monkeypatch):
    pca = make().partial_fit(rows([1, 2, 3]))
    recover, begun = module.recover, threading.Event()

    def slow(*args, **options):
        begun.set()
        writer.join(0.3)  # the writer has to wait for this recovery
        return recover(*args, **options)

    loud = 10 * rows([21, 22, 23], seed=1, n=400)
    writer = threading.Thread(target=lambda: begun.wait(5) and pca.partial_fit(loud))
    monkeypatch.setattr(module, "recover", slow)
    writer.start()
    assert_array_equal(pca.support_, [1, 2, 3])
    writer.join()
    assert_array_equal(pca.support_, [21, 22, 23])


@pytest.mark.parametrize("n_components", [2, "auto"])
def test_one_warning_on_noise_with_advice_that_can_be_followed(n_components):
    X = np.random.default_rng(0).standard_normal((300, 30))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SketchedSparsePCA(n_components, random_state=0).fit(X)
    assert [w.category for w in caught] == [RecoveryWarning]
    assert caught[0].filename == __file__
    # The exact covariance is kept: no larger sketch exists.
    assert "larger sketch" not in str(caught[0].message)


@pytest.mark.parametrize("forgetting", [1.0, 0.99])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_error_in_a_later_batch_takes_back_the_earlier_ones(error, forgetting, monkeypatch):
    X = rows([1, 2, 3])
    pca = make(batch_size=50, forgetting=forgetting).partial_fit(X)
    before, support = pca.sketch_.to_bytes(), pca.support_.copy()
    add, calls = SketchedSparsePCA._add_rows, []

    def interrupted(self, sketch, batch, weights):
        add(self, sketch, batch, weights)
        calls.append(sketch.n_samples)
        if len(calls) == 3:
            raise error

    monkeypatch.setattr(SketchedSparsePCA, "_add_rows", interrupted)
    with pytest.raises(error):
        pca.partial_fit(100 * rows([21, 22, 23]))
    assert calls == [250, 300, 350]
    assert pca.sketch_.to_bytes() == before and pca.n_samples_seen_ == 200
    assert_array_equal(pca.support_, support)
