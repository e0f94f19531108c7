"""Searches over parameters and folds tell a cause once, at the line of the caller."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sparse_eig import SketchedSparsePCA


def noise():
    return np.random.default_rng(0).normal(size=(90, 20))


def counts():
    """Words that all are more frequent in long texts."""
    rng = np.random.default_rng(0)
    return rng.poisson(np.exp(rng.normal(size=(100, 1)) + np.zeros(160))).astype(float)


@pytest.mark.parametrize("how", ["grid", "folds", "pipeline", "plain"])
@pytest.mark.parametrize(
    "make, rows, cause",
    [
        (SketchedSparsePCA, noise(), "cannot be told from noise"),
        (SketchedSparsePCA, counts(), "For components to be read give a number, 10 to 30 say"),
        (SketchedSparsePCA, sp.csr_array(counts()), "give a number, 10 to 30"),
        (lambda **o: SketchedSparsePCA("auto", **o), noise(), "Nothing stands above"),
    ],
)
def test_one_cause_is_told_once(how, make, rows, cause):
    pca = make(random_state=0)
    search = {"cv": 2, "n_jobs": 1}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        if how == "grid":
            GridSearchCV(pca, {"batch_size": [40, 50], "n_jobs": [1, 2]}, **search).fit(rows)
        elif how == "folds":
            cross_val_score(pca, rows, **search)
        elif how == "pipeline":
            steps = make_pipeline(FunctionTransformer(), pca)
            GridSearchCV(steps, {"sketchedsparsepca__batch_size": [40, 50]}, **search).fit(rows)
        else:
            for _ in range(3):
                pca.fit(rows).score(rows)
    told = [warning for warning in caught if cause in str(warning.message)]
    assert len(told) == 1
    assert {warning.filename for warning in caught} == {__file__}
