"""Components as a table say what the list says."""

import builtins

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA

NAMES = [f"gene {j}" for j in range(12)]


@pytest.fixture(scope="module")
def pca():
    X = np.random.default_rng(0).normal(size=(80, 12)) * np.r_[4.0, 3.0, np.ones(10)]
    X[:, 5:8] += 3.0 * np.random.default_rng(1).normal(size=(80, 1))
    return SketchedSparsePCA(2, n_nonzero_coefs=3, random_state=0).fit(X)


@pytest.mark.parametrize("names", [None, NAMES])
@pytest.mark.parametrize("most", [None, 2])
def test_a_table_says_what_the_list_says(pca, names, most):
    pytest.importorskip("pandas")
    listed = pca.describe(names, max_features=most)
    frame = pca.describe(names, max_features=most, as_frame=True)
    assert list(frame.columns) == ["component", "feature", "loading", "variance", "variance_ratio"]
    assert len(frame) == sum(map(len, listed))
    for j, pairs in enumerate(listed):
        lines = frame[frame["component"] == j]
        assert list(zip(lines["feature"], lines["loading"], strict=True)) == pairs
        assert set(lines["variance"]) == {pca.explained_variance_[j]}
        assert set(lines["variance_ratio"]) == {pca.explained_variance_ratio_[j]}


def test_without_pandas_the_list_is_there_and_the_error_names_it(pca, monkeypatch):
    load = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "pandas":
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert len(pca.describe()) == 2
    with pytest.raises(ImportError, match="needs pandas"):
        pca.describe(as_frame=True)
