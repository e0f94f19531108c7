"""SketchedSparsePCA: laws of streaming, the algebra of its answers, and honest refusals."""

import pickle
import subprocess
import sys
import textwrap
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline

import sklearn_sparse_eig.sparse_pca._recovered as module
from sklearn_sparse_eig import EigenSketch, RecoveryWarning, SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery._pairs import assemble_pairs

N_FEATURES = 60
# One estimator for each regime of the sketch.
REGIMES = {
    "exact": {},
    "range": {"measurement": "identity", "range_size": 24, "sketch": "two_sided"},
    "compressed": {"n_measurements": 64, "range_size": 24},
    "mam": {"sketch": "mam", "n_measurements": 64},
}
all_regimes = pytest.mark.parametrize("regime", REGIMES)


def make(regime="exact", **options):
    settings = {"n_components": 2, "n_nonzero_coefs": 5, "random_state": 0}
    return SketchedSparsePCA(**(settings | REGIMES[regime] | options))


def planted(n_samples=240, n_features=N_FEATURES, mean=0.0, seed=0, **options):
    return make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=(90.0, 40.0),
        n_nonzero_coefs=5,
        mean=mean,
        random_state=seed,
        **options,
    )


@pytest.fixture(scope="module")
def X():
    return planted(mean=2.0).data


def dense(A):
    return A.toarray() if sp.issparse(A) else np.asarray(A)


def assert_same_fit(first, second, rtol=1e-8):
    """Both describe the same rows: same sketch, same answers, to rounding."""
    scale = np.abs(first.sketch_.matrix()).max()
    assert_allclose(first.sketch_.matrix(), second.sketch_.matrix(), rtol=0, atol=1e-11 * scale)
    assert_allclose(dense(first.components_), dense(second.components_), atol=rtol)
    assert_allclose(first.explained_variance_, second.explained_variance_, rtol=rtol)
    assert_allclose(first.explained_variance_ratio_, second.explained_variance_ratio_, rtol=rtol)
    assert_allclose(dense(first.mean_), dense(second.mean_), rtol=rtol, atol=rtol)


def as_csr(X):
    return sp.csr_array(np.where(np.abs(X) > 1.0, X, 0.0))


# ------------------------------------------------------------------------------------- streaming


@all_regimes
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cuts=st.lists(st.integers(0, 240), max_size=6),
    sparse=st.booleans(),
    forgetting=st.sampled_from([1.0, 1.0, 0.98]),
)
def test_any_batching_is_one_fit(X, regime, cuts, sparse, forgetting):
    rows = as_csr(X) if sparse else X
    pca = make(regime, refine="sketch", forgetting=forgetting)
    streamed = clone(pca)
    ends = [0, *sorted({c for c in cuts if 0 < c < 240}), 240]
    for low, high in zip(ends[:-1], ends[1:], strict=True):
        streamed.partial_fit(rows[low:high])
    fitted = clone(pca).set_params(batch_size=ends[1]).fit(rows)
    assert streamed.n_samples_seen_ == fitted.n_samples_seen_ == 240
    assert_same_fit(streamed, fitted)


@all_regimes
@pytest.mark.parametrize("sparse", [False, True])
def test_merge_is_concatenation(X, regime, sparse):
    rows = as_csr(X) if sparse else X
    parts = [make(regime).partial_fit(rows[a:b]) for a, b in ((0, 30), (30, 31), (31, 240))]
    merged = parts[0].merge(parts[1])
    assert merged is parts[0]
    merged.merge(parts[2])
    assert_same_fit(merged, make(regime).partial_fit(rows))
    assert merged.n_samples_seen_ == 240 and parts[2].n_samples_seen_ == 209


@all_regimes
def test_fit_forgets(X, regime):
    pca = make(regime).fit(X[:, :50] * 7).densify()
    assert isinstance(pca.components_, np.ndarray)
    refitted, fresh = pca.fit(X), make(regime).fit(X)
    assert refitted.sketch_.to_bytes() == fresh.sketch_.to_bytes()
    assert sp.issparse(refitted.components_) and refitted.n_features_in_ == N_FEATURES


@all_regimes
def test_forgetting_is_explicit_weights(X, regime):
    factor, n = 0.97, len(X)
    pca = make(regime, forgetting=factor)
    single = clone(pca)
    for low in range(0, n, 16):
        single.partial_fit(X[low : low + 16])
    weights = factor ** np.arange(n - 1, -1, -1.0)
    explicit = make(regime).partial_fit(X, sample_weight=weights)
    scale = np.abs(explicit.sketch_.matrix()).max()
    for fit in (single, pca.fit(X)):
        assert_allclose(fit.sketch_.matrix(), explicit.sketch_.matrix(), atol=1e-11 * scale)
        assert_allclose(fit.mean_, explicit.mean_, atol=1e-10)
        assert fit.n_samples_seen_ == n


@pytest.mark.parametrize("batch_size", ["auto", 7])
def test_forgetting_beyond_the_smallest_number(X, batch_size):
    # 0.001 ** 240 is zero in floating point; what is left is the last rows.
    pca = make(forgetting=0.001, batch_size=batch_size, noise=None).fit(X)
    last = make(noise=None).fit(X[-8:], sample_weight=0.001 ** np.arange(7, -1, -1.0))
    assert pca.n_samples_seen_ == 240
    assert_allclose(pca.sketch_.matrix(), last.sketch_.matrix(), rtol=0, atol=1e-9)


@all_regimes
def test_deletion_through_the_sketch(X, regime):
    pca = make(regime).partial_fit(X)
    assert not np.allclose(pca.explained_variance_, 0)  # looked at: must not stay as it was
    pca.sketch_.update(X[100:], sample_weight=-1.0)
    assert_same_fit(pca, make(regime).partial_fit(X[:100]), rtol=1e-7)


@all_regimes
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_integer_weights_are_repetition(X, regime, sparse, method):
    rows = as_csr(X) if sparse else X
    weights = np.random.default_rng(0).integers(0, 4, len(X))
    repeated = rows[np.repeat(np.arange(len(X)), weights)]
    for sizes in (5, "auto"):
        pca = make(regime, n_nonzero_coefs=sizes)
        weighted = getattr(clone(pca), method)(rows, sample_weight=weights)
        assert_same_fit(weighted, getattr(clone(pca), method)(repeated))
        assert weighted.n_samples_seen_ == np.count_nonzero(weights)


def test_rows_of_weight_zero_are_never_seen(X):
    weights = np.ones(len(X))
    weights[::3] = 0.0
    loud = X.copy()
    loud[::3] = 1e6
    pca = make().fit(loud, sample_weight=weights)
    kept = np.delete(X, np.s_[::3], axis=0)
    assert_allclose(pca.explained_variance_, make().fit(kept).explained_variance_, rtol=1e-6)
    assert_allclose(pca.mean_, kept.mean(axis=0), rtol=1e-9, atol=1e-9)


@all_regimes
def test_empty_batch_is_neutral(X, regime):
    pca = make(regime).partial_fit(X)
    pca.transform(X[:1])
    before = pickle.dumps(pca)
    for empty in (X[:0], sp.csr_array((0, N_FEATURES))):
        assert pickle.dumps(pca.partial_fit(empty)) == before
    with pytest.raises(ValueError, match="0 sample"):
        make(regime).partial_fit(X[:0])


# ------------------------------------------------------------------------------- kinds of input


def variants(X):
    def csr(container, index_type):
        A = container(X)
        A.indices, A.indptr = A.indices.astype(index_type), A.indptr.astype(index_type)
        return A

    frozen = X.copy()
    frozen.flags.writeable = False
    yield "F order", np.asfortranarray(X)
    yield "strided", np.repeat(X, 2, axis=1)[:, ::2]
    yield "read-only", frozen
    yield "list", X.tolist()
    yield "DataFrame", pd.DataFrame(X)
    for container in (sp.csr_array, sp.csr_matrix):
        for index_type in (np.int32, np.int64):
            yield f"{container.__name__} {index_type.__name__}", csr(container, index_type)
    yield "csc_array", sp.csc_array(X)
    yield "coo_matrix", sp.coo_matrix(X)
    doubled = sp.csr_array(X)
    split = sp.csr_array(
        (np.repeat(doubled.data, 2) / 2, np.repeat(doubled.indices, 2), doubled.indptr * 2),
        shape=X.shape,
    )
    yield "duplicates", split


@all_regimes
def test_containers_agree(X, regime):
    rows = np.round(as_csr(X).toarray(), 2)
    expected = make(regime).fit(rows)
    Z, score = expected.transform(rows), expected.explained_variance_score(rows)
    for name, variant in variants(rows):
        pca = make(regime).fit(variant)
        assert_allclose(pca.sketch_.matrix(), expected.sketch_.matrix(), atol=1e-10, err_msg=name)
        assert_allclose(pca.transform(variant), Z, atol=1e-8, err_msg=name)
        assert_allclose(pca.explained_variance_score(variant), score, rtol=1e-10, err_msg=name)


@all_regimes
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64", "bool", "float16"])
@pytest.mark.parametrize("sparse", [False, True])
def test_dtypes_agree(X, regime, dtype, sparse):
    with np.errstate(all="ignore"):
        rows = (X > 3.0).astype(dtype) if dtype == "bool" else np.clip(X * 4, 0, 200).astype(dtype)
    if sparse and dtype == "float16":
        pytest.skip("SciPy has no sparse float16")
    given = sp.csr_array(rows) if sparse else rows
    pca, expected = make(regime).fit(given), make(regime).fit(rows.astype(np.float64))
    assert_allclose(pca.explained_variance_, expected.explained_variance_, rtol=1e-5)
    Z = pca.transform(given)
    assert Z.dtype == (np.float32 if dtype == "float32" else np.float64)
    assert_allclose(Z, expected.transform(rows.astype(np.float64)), rtol=1e-4, atol=1e-4)
    assert pca.inverse_transform(Z).dtype == Z.dtype


def test_memory_mapped_rows(X, tmp_path):
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert_same_fit(make("compressed", batch_size=50).fit(mapped), make("compressed").fit(X))
    assert_allclose(
        make().fit(mapped).explained_variance_score(mapped),
        make().fit(X).explained_variance_score(X),
    )


def test_data_frames_carry_names(X):
    frame = pd.DataFrame(X, columns=[f"gene {i}" for i in range(N_FEATURES)])
    pca = make().set_output(transform="pandas").fit(frame)
    assert list(pca.feature_names_in_) == list(frame.columns)
    Z = pca.transform(frame)
    assert list(Z.columns) == list(pca.get_feature_names_out())
    assert list(Z.columns) == ["sketchedsparsepca0", "sketchedsparsepca1"]
    assert_array_equal(Z.index, frame.index)
    assert {name for part in pca.describe() for name, _ in part} == {
        f"gene {i}" for i in pca.support_
    }
    with pytest.raises(ValueError, match="feature names"):
        pca.partial_fit(frame[frame.columns[::-1]])
    other = make().partial_fit(frame.rename(columns={"gene 0": "gene A"}))
    with pytest.raises(ValueError, match="'gene 0' here, 'gene A'"):
        make().partial_fit(frame).merge(other)


@pytest.mark.parametrize(
    "y", [("", 0), "text", np.zeros(3), object()], ids=["pair", "text", "zeros", "object"]
)
def test_y_is_never_looked_at(X, y):
    expected = make().fit(X)
    assert make().fit(X, y).sketch_.to_bytes() == expected.sketch_.to_bytes()
    assert make().partial_fit(X, y).sketch_.to_bytes() == expected.sketch_.to_bytes()
    assert make().fit(X).explained_variance_score(X, y) == expected.explained_variance_score(X)


def test_a_large_mean_costs_nothing():
    rows = planted(mean=0.0).data
    plain, moved = make().fit(rows), make().fit(rows + 1e7)
    assert_allclose(moved.explained_variance_, plain.explained_variance_, rtol=1e-6)
    assert_allclose(
        moved.explained_variance_score(rows + 1e7), plain.explained_variance_score(rows), rtol=1e-6
    )
    assert_allclose(moved.transform(rows + 1e7), plain.transform(rows), atol=1e-5)


# ---------------------------------------------------------------------------------- the answers


@all_regimes
def test_finds_what_was_planted(regime):
    data = planted(2000)
    for pca in (make(regime).fit(data.data), make(regime).partial_fit(data.data)):
        assert_array_equal(pca.support_, np.unique(data.components.indices))
        cosines = np.linalg.svd((pca.components_ @ data.components.T).toarray())[1]
        assert cosines.min() > 0.99
        assert_array_equal(pca.n_nonzero_coefs_, [5, 5])
        assert_allclose(pca.explained_variance_, [91, 41], rtol=0.15)


@all_regimes
def test_components_are_canonical(X, regime):
    pca = make(regime, n_components=3, n_nonzero_coefs=[6, 4, 2], refine="sketch").fit(X)
    V = pca.components_
    assert isinstance(V, sp.csr_array) and V.shape == (3, N_FEATURES)
    assert_array_equal(np.diff(V.indptr), pca.n_nonzero_coefs_)
    assert (pca.n_nonzero_coefs_ <= [6, 4, 2]).all()
    assert_allclose(np.linalg.norm(V.toarray(), axis=1), 1.0)
    for row in V.toarray():
        assert row[np.abs(row).argmax()] > 0
    assert_array_equal(pca.get_support(indices=True), np.flatnonzero(np.any(V.toarray(), axis=0)))
    assert_array_equal(np.flatnonzero(pca.get_support()), pca.support_)
    for described, row in zip(pca.describe(), V.toarray(), strict=True):
        ids, loadings = zip(*described, strict=True)
        assert_array_equal(row[list(ids)], loadings)
        assert set(ids) == set(np.flatnonzero(row))
        assert (np.diff(np.abs(loadings)) <= 0).all()
    assert [len(part) for part in pca.describe(max_features=1)] == [1, 1, 1]
    sparse = V.toarray()
    assert pca.densify() is pca
    assert_array_equal(pca.components_, sparse)
    assert isinstance(pca.partial_fit(X).components_, np.ndarray)  # as asked, until fit


@pytest.mark.parametrize("center", [True, False])
@all_regimes
def test_transform_is_the_orthogonal_projection(X, regime, center):
    pca = make(regime, n_components=3, n_nonzero_coefs=4, center=center, refine="sketch").fit(X)
    V, mean = pca.components_.toarray(), pca.mean_
    assert center or not mean.any()
    Z = pca.transform(X)
    back = pca.inverse_transform(Z)
    assert_allclose((X - back) @ V.T, 0.0, atol=1e-8)
    assert_allclose(pca.transform(back), Z, atol=1e-9)
    assert_allclose(back, mean + (X - mean) @ np.linalg.pinv(V) @ V, atol=1e-9)
    assert_allclose(pca.transform(as_csr(X)), pca.transform(as_csr(X).toarray()), atol=1e-10)
    assert_allclose(make(regime).fit_transform(X), make(regime).fit(X).transform(X), rtol=0, atol=0)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("sparse", [False, True])
@all_regimes
def test_explained_variance_score_is_r_squared(X, regime, center, sparse):
    pca = make(regime, center=center).fit(X)
    held_out = as_csr(planted(50, mean=3.0, seed=1).data).toarray()
    own_mean = held_out.mean(axis=0) if center else 0.0
    centred = held_out - own_mean
    V = pca.components_.toarray()
    residual = centred - centred @ np.linalg.pinv(V) @ V
    expected = 1.0 - (residual**2).sum() / (centred**2).sum()
    given = sp.csr_array(held_out) if sparse else held_out
    assert_allclose(pca.explained_variance_score(given), expected, rtol=1e-9)


@pytest.mark.parametrize("rows", [np.full((1, N_FEATURES), 0.1), np.full((7, N_FEATURES), 0.3)])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_share_without_variance_is_undefined(X, rows, container):
    pca = make().fit(X)
    with pytest.warns(UndefinedMetricWarning, match="no variance"):
        assert np.isnan(pca.explained_variance_score(container(rows)))


@pytest.mark.parametrize("center", [True, False])
def test_explained_variance_is_that_of_the_span(X, center):
    pca = make(n_components=4, n_nonzero_coefs=[9, 7, 5, 3], center=center).fit(X)
    Y = X - X.mean(axis=0) if center else X
    A = Y.T @ Y / len(Y)
    V = pca.components_.toarray()
    assert np.abs(np.triu(V @ V.T, 1)).max() > 1e-3  # not orthogonal, so that this tests something
    spans = [np.trace(np.linalg.pinv(V[:j]) @ V[:j] @ A) for j in range(1, 5)]
    assert_allclose(np.cumsum(pca.explained_variance_), spans, rtol=1e-9)
    assert_allclose(pca.explained_variance_ratio_, pca.explained_variance_ / np.trace(A), rtol=1e-9)
    assert_allclose(pca.eigenpairs_.eigenvalues, np.einsum("ij,jk,ik->i", V, A, V), rtol=1e-9)
    assert_allclose(pca.explained_variance_score(X), pca.explained_variance_ratio_.sum(), rtol=1e-9)


def test_with_all_features_it_is_pca():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(100, 12)) @ rng.normal(size=(12, 12)) + 4
    pca = SketchedSparsePCA(5, n_nonzero_coefs=12).fit(rows)
    reference = PCA(5).fit(rows)
    signs = np.sign(np.einsum("ij,ij->i", pca.components_.toarray(), reference.components_))
    assert_allclose(pca.components_.toarray(), signs[:, None] * reference.components_, atol=1e-7)
    assert_allclose(pca.explained_variance_ * 100 / 99, reference.explained_variance_)
    assert_allclose(pca.explained_variance_ratio_, reference.explained_variance_ratio_)
    assert_allclose(pca.transform(rows), signs * reference.transform(rows), atol=1e-6)
    assert_allclose(pca.mean_, reference.mean_)


def test_refinement_reads_the_data_again(X):
    # On the candidates the data give the exact covariance: Rayleigh quotients without sketch error.
    pca = make("compressed").fit(X)
    V = pca.components_.toarray()
    exact = np.einsum("ij,jk,ik->i", V, np.cov(X.T, bias=True), V)
    assert_allclose(pca.eigenpairs_.eigenvalues, exact, rtol=1e-9)
    sketched = make("compressed", refine="sketch").fit(X)
    assert not np.allclose(sketched.eigenpairs_.eigenvalues, exact, rtol=1e-6)
    streamed = make("compressed").partial_fit(X)
    assert_array_equal(streamed.eigenpairs_.eigenvalues, sketched.eigenpairs_.eigenvalues)


def test_refined_means_are_exact_without_feature_moments(X):
    # 8 MB of budget cannot track so many means; fit knows those of the support all the same.
    wide = sp.csr_array((as_csr(X).data, as_csr(X).indices, as_csr(X).indptr), (len(X), 10**5))
    pca = make("compressed", memory_budget=8e6).fit(wide)
    assert sp.issparse(pca.mean_) and pca.mean_.shape == (1, 10**5)
    means = as_csr(X).toarray().mean(axis=0)
    assert_allclose(pca.mean_.data, means[pca.mean_.indices], rtol=1e-9)


# --------------------------------------------------------------------- in scikit-learn's company


def test_grid_search_finds_the_planted_size():
    data = planted(400).data
    grid = {"n_components": [1, 2], "n_nonzero_coefs": [2, 5]}
    search = GridSearchCV(make(), grid, cv=3).fit(data)
    assert search.best_params_ == {"n_components": 2, "n_nonzero_coefs": 5}
    share = SketchedSparsePCA.explained_variance_score
    scores = cross_val_score(search.best_estimator_, data, cv=3, scoring=share)
    assert (scores > 0.5).all() and (scores < 1.0).all()


def test_pipeline_before_a_classifier():
    data = planted(300)
    rows = data.data
    y = rows @ data.components.toarray()[1] > 0
    pipeline = make_pipeline(make("compressed"), LogisticRegression(solver="newton-cholesky"))
    search = GridSearchCV(pipeline, {"sketchedsparsepca__n_components": [1, 2]}, cv=3).fit(rows, y)
    assert search.best_params_ == {"sketchedsparsepca__n_components": 2}
    assert search.best_score_ > 0.9
    assert list(pipeline.fit(rows, y)[:-1].get_feature_names_out()) == [
        "sketchedsparsepca0",
        "sketchedsparsepca1",
    ]


def test_feature_union(X):
    parts = {"one": make(), "two": make("compressed", center=False, n_components=1)}
    Z = FeatureUnion(list(parts.items())).fit_transform(X)
    assert_allclose(Z, np.hstack([part.fit_transform(X) for part in parts.values()]))


def test_sample_weights_are_routed(X):
    weights = np.arange(len(X)) % 3.0
    y = X[:, 0] > 2
    expected = make().fit(X, sample_weight=weights)
    assert_allclose(make().fit_transform(X, sample_weight=weights), expected.transform(X))
    with config_context(enable_metadata_routing=True):
        steps = (
            make().set_fit_request(sample_weight=True),
            LogisticRegression(solver="newton-cholesky").set_fit_request(sample_weight=False),
        )
        pipeline = make_pipeline(*steps).fit(X, y, sample_weight=weights)
        assert pipeline[0].sketch_.to_bytes() == expected.sketch_.to_bytes()
        request = make().set_partial_fit_request(sample_weight=True).get_metadata_routing()
        assert request.partial_fit.requests == {"sample_weight": True}


def test_threads_do_not_change_the_bits(X):
    pca = make("compressed")
    expected = clone(pca).fit(X).transform(X)
    for n_jobs in (1, 2, -1):
        assert_array_equal(clone(pca).set_params(n_jobs=n_jobs).fit(X).transform(X), expected)
    with joblib.parallel_config("threading", n_jobs=2):
        fits = joblib.Parallel()(joblib.delayed(clone(pca).fit)(X) for _ in range(4))
    for fit in fits:
        assert_array_equal(fit.transform(X), expected)


@pytest.mark.parametrize("regime", ["range", "compressed", "mam"])
def test_random_state(X, regime):
    def state(seed, **options):
        return make(regime, random_state=seed, **options).partial_fit(X).sketch_.to_bytes()

    assert state(0) == state(0) != state(1)
    assert state(np.random.RandomState(0)) == state(np.random.RandomState(0))
    assert state(None) != state(None)
    generator = np.random.RandomState(0)
    assert state(generator) != state(generator)  # it has moved on


def test_verbose(X, capsys):
    make().fit(X)
    assert capsys.readouterr().out == ""
    make("compressed", verbose=1).fit(X)
    out = [line for line in capsys.readouterr().out.splitlines() if "compiled" not in line]
    assert len(out) == 2 and "shape=(64, 24)" in out[0] and "10 nonzeros" in out[1]
    pca = make("compressed", verbose=2, batch_size=100, refine="sketch").fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:] for line in lines[1:4]] == [[n, "rows"] for n in ("100", "200", "240")]
    pca.transform(X)
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------------------------------ great width

PEAK = """
    import resource, tracemalloc
    import numpy as np, scipy.sparse as sp
    from sklearn_sparse_eig import SketchedSparsePCA

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def batch(seed, n_features, rows=500):
        rng = np.random.default_rng(seed)
        noise = rng.integers(20, n_features, (rows, 20))
        signal = np.broadcast_to(np.arange(0, 20, 4), (rows, 5))
        scores = 5 * rng.normal(size=(rows, 1)) * np.ones(5)
        values = np.hstack([scores, rng.normal(size=(rows, 20))]).ravel()
        ids, ends = np.hstack([signal, noise]).ravel(), np.arange(0, 25 * rows + 1, 25)
        X = sp.csr_array((values, ids, ends), (rows, n_features))
        X.sum_duplicates()
        return X

    def run(n_features, budget):
        pca = SketchedSparsePCA(1, n_nonzero_coefs=5, memory_budget=budget, random_state=0)
        for seed in range(4):
            pca.partial_fit(batch(seed, n_features))
        assert list(pca.support_) == list(range(0, 20, 4)), pca.support_
        X = batch(9, n_features)
        pca.score(X), pca.explained_variance_score(X), pca.inverse_transform(pca.transform(X))
        return pca

    run(10_000, 1e6)  # compiles or loads the kernels: part of the baseline
    base = peak()
    run(10**6, 96e6)
    resident = peak() - base
    tracemalloc.start()  # afterwards, for its own records take memory too
    pca = run(10**6, 96e6)
    print(resident, tracemalloc.get_traced_memory()[1], pca.sketch_.nbytes)
"""


def run_python(source):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_million_features_within_the_budget():
    # The resident set also holds what compiling the kernels left; the traced peak is the arrays
    # alone. A batch is 0.3 MB; a single dense row of the features would be 8 MB.
    resident, traced, state = map(float, run_python(PEAK).split())
    assert resident < 96e6 + 1e6
    assert state < traced < 96e6 + 1e6


def test_two_to_the_62_features(monkeypatch):
    """The estimator makes no vector as long as a row. Recovery at this width is not tested here."""
    N = 2**62
    rng = np.random.default_rng(0)
    support = np.sort(rng.integers(0, N, 6))
    scores = rng.normal(size=(100, 2)) * 9
    vectors = np.kron(np.eye(2), np.ones((3, 1))) / np.sqrt(3)
    noise = rng.integers(0, N, (100, 4))
    ids = np.hstack([np.broadcast_to(support, (100, 6)), noise])
    values = np.hstack([scores @ vectors.T + 1.0, rng.normal(size=(100, 4))])
    rows = sp.csr_array((values.ravel(), ids.ravel(), np.arange(0, 1001, 10)), shape=(100, N))

    def recover(sketch, n_components, **options):
        return assemble_pairs(
            support, vectors, np.ones(2), N, added_variance=np.array([81.0, 81.0]), residual=0.0
        )

    monkeypatch.setattr(module, "recover", recover)
    pca = make(n_nonzero_coefs=3, memory_budget=8e6)
    pca.partial_fit(rows[:50]).partial_fit(rows[50:])
    assert pca.n_features_in_ == N and pca.components_.shape == (2, N)
    assert_array_equal(pca.components_.indices, support)
    assert_array_equal(pca.get_support(indices=True), support)
    assert pca.mean_.shape == (1, N)
    # The means are decoded from the sketch, through collisions with the noise.
    assert_allclose(pca.mean_.data, values[:, :6].mean(axis=0), atol=0.1)
    Z = pca.transform(rows)
    assert_allclose(Z, (values[:, :6] - pca.mean_.data) @ vectors, atol=1e-9)
    back = pca.inverse_transform(Z)
    assert sp.issparse(back) and back.shape == (100, N) and back.nnz == 600
    assert_allclose(pca.transform(back), Z, atol=1e-9)
    centred = values - values.mean(axis=0)
    local = centred[:, :6] @ vectors
    noise_power = (values[:, 6:] ** 2).sum() * (1 - 1 / 100)
    total = (centred[:, :6] ** 2).sum() + noise_power
    assert_allclose(pca.explained_variance_score(rows), (local**2).sum() / total, rtol=1e-9)
    assert 0 < pca.explained_variance_ratio_.sum() < 1.5  # the total is an estimate here
    assert_array_equal(pickle.loads(pickle.dumps(pca)).transform(rows), Z)


# ------------------------------------------------------------------------------------- refusals


def snapshot(pca, X):
    # Looking fills the cache of derived quantities, so it comes first.
    return pca.transform(X).tobytes(), pca.sketch_.to_bytes(), pickle.dumps(pca)


def with_value(X, value):
    X = X.copy()
    X[3, 4] = value
    return X


REFUSED = [
    ("NaN", {}, lambda X: (with_value(X, np.nan),), {}, "NaN"),
    ("infinity", {}, lambda X: (with_value(X, np.inf),), {}, "infinity"),
    ("sparse NaN", {}, lambda X: (sp.csr_array(with_value(X, np.nan)),), {}, "NaN"),
    ("text", {}, lambda X: ([["a", "b"]] * 3,), {}, "could not convert|dtype"),
    ("complex", {}, lambda X: (X + 1j,), {}, "[Cc]omplex"),
    ("one dimension", {}, lambda X: (X[0],), {}, "2D array"),
    ("negative weight", {}, lambda X: (X,), {"sample_weight": -np.ones(240)}, "[Nn]egative"),
    ("zero weights", {}, lambda X: (X,), {"sample_weight": np.zeros(240)}, "zero"),
    ("NaN weight", {}, lambda X: (X,), {"sample_weight": np.full(240, np.nan)}, "NaN"),
    ("weights too few", {}, lambda X: (X,), {"sample_weight": np.ones(3)}, r"\(3,\)"),
    ("n_components", {"n_components": 0}, lambda X: (X,), {}, "'n_components'.* Got 0"),
    ("n_components", {"n_components": 61}, lambda X: (X,), {}, "n_components=61 .*=60"),
    ("nonzeros", {"n_nonzero_coefs": 61}, lambda X: (X,), {}, "n_nonzero_coefs=61 .*=60"),
    ("nonzeros", {"n_nonzero_coefs": [2, 3, 4]}, lambda X: (X,), {}, r"2 ints, got \[2, 3, 4\]"),
    ("nonzeros", {"n_nonzero_coefs": [2, 0]}, lambda X: (X,), {}, "at least 1"),
    ("nonzeros", {"n_nonzero_coefs": [2.5, 1]}, lambda X: (X,), {}, "2 ints"),
    ("nonzeros", {"n_nonzero_coefs": "all"}, lambda X: (X,), {}, "Got 'all'"),
    ("decoder", {"decoder": "magic"}, lambda X: (X,), {}, "'htp'.* got 'magic'"),
    ("measurement", {"measurement": "magic"}, lambda X: (X,), {}, "'sparse_sign'.* got 'magic'"),
    ("noise", {"noise": "magic"}, lambda X: (X,), {}, "'noise'.* Got 'magic'"),
    ("forgetting", {"forgetting": 0.0}, lambda X: (X,), {}, "'forgetting'.* Got 0.0"),
    ("memory", {"memory_budget": 100.0}, lambda X: (X,), {}, "needs .* Raise memory_budget"),
    ("seed", {"random_state": -1}, lambda X: (X,), {}, "random_state"),
    ("constant", {}, lambda X: (np.full((9, 5), 0.1),), {}, "no variance"),
    ("overflow", {}, lambda X: (X * 1e200,), {}, "[Mm]ultiply X"),
    ("underflow", {}, lambda X: (X * 1e-100,), {}, "[Mm]ultiply X"),
]
# What only many rows can show is not a fault of one batch.
LATE = ("constant", "overflow", "underflow")
BAD_BATCHES = [case for case in REFUSED if not case[1] and case[0] not in LATE]


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid:RuntimeWarning")
@pytest.mark.parametrize(
    "options, arguments, keywords, message",
    [case[1:] for case in REFUSED],
    ids=[f"{i}-{case[0]}" for i, case in enumerate(REFUSED)],
)
def test_a_refused_fit_leaves_the_old_one(X, options, arguments, keywords, message):
    pca = make().fit(X)
    before = snapshot(pca, X)
    old = pca.get_params()
    with pytest.raises(ValueError, match=message):
        pca.set_params(**options).fit(*arguments(X), **keywords)
    assert snapshot(pca.set_params(**old), X) == before
    with pytest.raises(ValueError, match=message):
        make(**options).fit(*arguments(X), **keywords)


@pytest.mark.parametrize(
    "arguments, keywords, message",
    [case[2:] for case in BAD_BATCHES],
    ids=[case[0] for case in BAD_BATCHES],
)
@pytest.mark.parametrize("regime", ["exact", "compressed"])
def test_a_refused_batch_leaves_the_state(X, regime, arguments, keywords, message):
    pca = make(regime).partial_fit(X)
    before = snapshot(pca, X)
    with pytest.raises(ValueError, match=message):
        pca.partial_fit(*arguments(X), **keywords)
    assert snapshot(pca, X) == before
    fresh = make(regime)
    attributes = set(vars(fresh))
    with pytest.raises(ValueError, match=message):
        fresh.partial_fit(*arguments(X), **keywords)
    assert set(vars(fresh)) == attributes


@pytest.mark.parametrize("method", ["partial_fit", "transform", "score"])
def test_another_number_of_features_is_refused(X, method):
    pca = make().partial_fit(X)
    before = snapshot(pca, X)
    with pytest.raises(
        ValueError, match="X has 50 features, but SketchedSparsePCA is expecting 60"
    ):
        getattr(pca, method)(X[:, :50])
    assert snapshot(pca, X) == before


@pytest.mark.parametrize("refine", ["sketch", "data"])
def test_a_failure_in_recovery_leaves_the_old_fit(X, refine, monkeypatch):
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(N_FEATURES)])
    pca = make("compressed", refine=refine).fit(frame)
    before = snapshot(pca, frame)

    def fail(*args, **kwargs):
        raise MemoryError("late")

    with monkeypatch.context() as patch:
        patch.setattr("sklearn_sparse_eig.sparse_pca._recovered.recover", fail)
        with pytest.raises(MemoryError, match="late"):
            pca.fit(frame.iloc[:, :40].rename(columns=str.upper))
    assert snapshot(pca, frame) == before
    assert pca.n_features_in_ == 60 and pca.feature_names_in_[0] == "f0"


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_more_nonzeros_than_can_be_solved_for(method):
    rows = np.random.default_rng(0).normal(size=(3, 1100))
    with pytest.raises(ValueError, match="n_nonzero_coefs=1001 is beyond 1000"):
        getattr(make(n_nonzero_coefs=1001), method)(rows)


def test_one_sample_and_one_feature():
    rows = np.arange(5.0)[:, None]
    pca = SketchedSparsePCA(1).fit(rows)
    assert_allclose(pca.components_.toarray(), [[1.0]])
    assert_allclose(pca.explained_variance_, [2.0])
    assert_allclose(pca.transform(rows)[:, 0], rows[:, 0] - 2)
    with pytest.raises(ValueError, match="two rows, got n_samples = 1"):
        SketchedSparsePCA(1).fit(rows[:1])
    streamed = SketchedSparsePCA(1).partial_fit(rows[:1])
    assert streamed.n_samples_seen_ == 1 and not hasattr(streamed, "components_")
    with pytest.raises(NotFittedError, match="two rows, seen so far: 1"):
        streamed.transform(rows)
    for row in rows[1:]:
        streamed.partial_fit(row[None])
    assert_allclose(streamed.transform(rows), pca.transform(rows))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -3e-9])
@pytest.mark.parametrize("regime", ["exact", "compressed"])
def test_constant_rows_are_refused(container, value, regime):
    rows = np.full((37, 20), value) * np.linspace(1, 2, 20)
    with pytest.raises(ValueError, match="no variance"):
        make(regime).fit(container(rows))
    streamed = make(regime).partial_fit(container(rows))
    with pytest.raises(NotFittedError, match="no variance"):
        streamed.transform(rows)


def test_small_variance_is_not_mistaken_for_none():
    rows = planted().data
    for scale, mean in ((1e-60, 0.0), (1e-6, 1.0), (1e60, 0.0)):
        pca = make().fit(rows * scale + mean)
        assert_array_equal(pca.support_, make().fit(rows).support_)


@pytest.mark.parametrize(
    "options, rows, message",
    [
        ({"random_state": 1}, np.s_[:, :], r"measurement\.seed is \d+ here, \d+ there"),
        ({"n_measurements": 72}, np.s_[:, :], "64.* here, .*72"),
        ({"range_size": 25}, np.s_[:, :], r"test\.n_measurements is 24 here, 30 there"),
        ({"center": False}, np.s_[:, :], "center is True here, False there"),
        ({}, np.s_[:, :50], "60.* here, .*50"),
    ],
    ids=str,
)
def test_merge_of_unlike_sketches_is_refused(X, options, rows, message):
    pca = make("compressed").partial_fit(X)
    before = snapshot(pca, X)
    other = make("compressed", **options).partial_fit(X[rows])
    with pytest.raises(ValueError, match=message):
        pca.merge(other)
    assert snapshot(pca, X) == before


def test_merge_needs_fitted_estimators_that_remember(X):
    pca = make().fit(X)
    for first, second in ((make(), pca), (pca, make())):
        with pytest.raises(NotFittedError):
            first.merge(second)
    with pytest.raises(TypeError, match="got EigenSketch"):
        pca.merge(pca.sketch_)
    with pytest.raises(ValueError, match="forgetting=0.5"):
        make(forgetting=0.5).fit(X).merge(pca)


def test_a_sketch_too_small_says_what_would_do(X):
    pca = make("compressed", n_components=3, n_nonzero_coefs=20)
    with pytest.warns(RecoveryWarning, match="n_measurements=240 would do"):
        pca.fit(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "3 components", RecoveryWarning)
        pca.set_params(n_measurements=240).fit(X)
    with pytest.raises(ValueError, match="n_nonzero_coefs=25 .* n_measurements >= 100"):
        make("compressed", n_nonzero_coefs=25).fit(X)
    with pytest.raises(ValueError, match="n_components=13 needs range_size >= 26, got 24"):
        make("compressed", n_components=13).partial_fit(X)


FITTED = """components_ explained_variance_ explained_variance_ratio_ mean_ noise_variance_ support_
    n_nonzero_coefs_ residual_ singular_values_ var_ eigenpairs_ n_samples_seen_ sketch_
    n_features_in_""".split()
METHODS = {
    "transform": (np.ones((2, 3)),),
    "inverse_transform": (np.ones((2, 2)),),
    "score": (np.ones((2, 3)),),
    "score_samples": (np.ones((2, 3)),),
    "explained_variance_score": (np.ones((2, 3)),),
    "get_covariance": (),
    "get_precision": (),
    "get_support": (),
    "get_feature_names_out": (),
    "describe": (),
    "densify": (),
}


def test_unfitted_access():
    pca = SketchedSparsePCA()
    for name in FITTED:
        assert not hasattr(pca, name)
        if name not in ("sketch_", "n_features_in_"):  # plain attributes, as everywhere
            with pytest.raises(NotFittedError, match="Call fit|not fitted"):
                getattr(pca, name)
    for name, arguments in METHODS.items():
        with pytest.raises(NotFittedError):
            getattr(pca, name)(*arguments)


def test_looking_changes_no_attribute(X):
    pca = make("compressed").partial_fit(X)
    before = dict(vars(pca))
    for name in FITTED:
        assert getattr(pca, name) is not None
    pca.transform(X)
    assert vars(pca) == before


def test_attributes_are_documented():
    documented = SketchedSparsePCA.__doc__.split("Attributes\n")[1].split("See Also\n")[0]
    for name in FITTED + ["feature_names_in_"]:
        assert f"    {name} : " in documented


def test_bad_shapes_after_the_fit(X):
    pca = make().fit(X)
    with pytest.raises(ValueError, match="X has 3 columns, but there are 2 components"):
        pca.inverse_transform(np.ones((4, 3)))
    with pytest.raises(ValueError, match="3 names, but there are 60"):
        pca.describe(["a", "b", "c"])


def test_import_is_light():
    extras = {"numba", "torch", "dask", "pyspark", "pyarrow", "matplotlib", "pandas"}
    loaded = f"print(sorted({extras} & set(sys.modules)))"
    ours = "import sys, sklearn_sparse_eig\nsklearn_sparse_eig.SketchedSparsePCA()\n"
    # scikit-learn imports pandas itself where it is there, so only what is added counts.
    plain = "import sys, sklearn.decomposition, sklearn.utils.validation\n"
    assert run_python(ours + loaded) == run_python(plain + loaded)


def test_sketch_is_an_eigen_sketch_to_send(X):
    pca = make("compressed").partial_fit(X)
    sent = EigenSketch.from_bytes(pca.sketch_.to_bytes())
    pairs = sent.recover(2, n_nonzero_coefs=5, noise="isotropic")
    assert_array_equal(pairs.eigenvectors.toarray().T, pca.components_.toarray())


# --------------------------------------------------------------------------- rows that are entries


def test_entries_of_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 40)) * (rng.random((60, 40)) < 0.3)
    i, j = np.nonzero(X)
    pca = SketchedSparsePCA(2, n_nonzero_coefs=4, random_state=0)
    with pytest.raises(ValueError, match="The first call needs n_features"):
        pca.partial_fit_coo(i, j, X[i, j])
    pca.partial_fit_coo(i, j, X[i, j], n_features=40, n_rows=60)
    whole = SketchedSparsePCA(2, n_nonzero_coefs=4, random_state=0).partial_fit(sp.csr_array(X))
    assert_allclose(pca.components_.toarray(), whole.components_.toarray(), atol=1e-12)
    assert pca.n_samples_seen_ == 60
    with pytest.raises(ValueError, match=r"lie in \[0, n_features=40\), got 40 to 40"):
        pca.partial_fit_coo([0], [40], [1.0])
    assert pca.partial_fit_coo(i, j, X[i, j], n_rows=60).n_samples_seen_ == 120
