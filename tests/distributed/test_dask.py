"""Collections of dask, by the schedulers of one process: each row counts once, or is refused."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import DeepFactorizationCovariance, GradPCADetector, SketchedSparsePCA
from sklearn_sparse_eig.distributed import (
    fit_dask,
    fit_partitions,
    merge_copies,
    transform_dask,
    tree_merge,
)

dask = pytest.importorskip("dask", reason="dask is not installed: the extra dask")
da = pytest.importorskip("dask.array", reason="dask.array is not installed: the extra dask")

N_ROWS, N = 400, 40


def planted_rows(seed=0):
    rng = np.random.default_rng(seed)
    return 5 * rng.normal(size=(N_ROWS, 1)) * (np.arange(N) < 3) + rng.normal(size=(N_ROWS, N))


X = planted_rows()
PCA = SketchedSparsePCA(1, n_nonzero_coefs=3, random_state=0)
SKETCHED = SketchedSparsePCA(
    1, n_nonzero_coefs=3, sketch="two_sided", n_measurements=24, range_size=8, random_state=0
)


def assert_saw(fitted, rows, **given):
    """Check an estimator against one that has seen the rows in a single process."""
    expected = type(fitted)(**fitted.get_params()).partial_fit(rows, **given)
    assert fitted.n_samples_seen_ == expected.n_samples_seen_
    matrix = expected.sketch_.matrix()
    np.testing.assert_allclose(fitted.sketch_.matrix(), matrix, atol=1e-11 * abs(matrix).max())
    np.testing.assert_allclose(fitted.mean_, expected.mean_, atol=1e-12)


def in_chunks(rows=X, columns=N):
    return da.from_array(rows, chunks=(100, columns))


def unknown(rows):
    """The same rows, in blocks whose lengths dask does not know."""
    return rows[rows[:, 0] > -np.inf]


def with_empty_blocks(rows):
    return da.concatenate([rows[:0], rows[rows[:, 0] > 1e9], rows[:150], rows[:0], rows[150:]])


LAYOUTS = {
    "rows": lambda: in_chunks(),
    "columns": lambda: in_chunks(columns=15),
    "csr": lambda: in_chunks().map_blocks(sp.csr_array),
    "csr columns": lambda: in_chunks(columns=15).map_blocks(sp.csr_array),
    "csr matrices": lambda: in_chunks(columns=15).map_blocks(sp.csr_matrix),
    "unknown": lambda: unknown(in_chunks()),
    "unknown columns": lambda: unknown(in_chunks(columns=15)),
    "unknown csr columns": lambda: unknown(in_chunks(columns=15)).map_blocks(sp.csr_array),
    "empty blocks": lambda: with_empty_blocks(in_chunks()),
    "delayed": lambda: [dask.delayed(rows) for rows in np.split(X, 8)],
    "delayed csr": lambda: [dask.delayed(sp.csr_array)(rows) for rows in np.split(X, 8)],
    "arrays": lambda: np.split(X, 8),
    "one column a chunk": lambda: da.from_array(X, chunks=(200, 1)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("estimator", [PCA, SKETCHED], ids=["exact", "two_sided"])
def test_each_row_counts_once(layout, estimator):
    with dask.config.set(scheduler="sync"):
        assert_saw(fit_dask(estimator, LAYOUTS[layout](), split_every=3), X)


def test_schedulers_give_the_same_bits():
    rows = in_chunks(columns=15)
    sketches = []
    for scheduler in ("sync", "threads", ThreadPoolExecutor(3)):
        with dask.config.set(scheduler=scheduler):
            sketches += [fit_dask(SKETCHED, rows, split_every=2).sketch_ for _ in range(3)]
    assert len({sketch.to_bytes() for sketch in sketches}) == 1


def test_nothing_given_is_changed():
    before, parameters = X.copy(), PCA.get_params()
    rows, random_state = [dask.delayed(part) for part in np.split(X, 4)], np.random.RandomState(0)
    with dask.config.set(scheduler="threads"):
        first = fit_dask(PCA, rows)
        seen = first.sketch_.to_bytes()
        again = fit_dask(first, rows)
        drawn = fit_dask(SketchedSparsePCA(1, random_state=random_state), rows)
    assert first.sketch_.to_bytes() == seen == again.sketch_.to_bytes()
    assert not hasattr(PCA, "sketch_") and PCA.get_params() == parameters
    np.testing.assert_array_equal(X, before)
    assert isinstance(drawn.random_state, int)
    assert_saw(drawn, X)


WEIGHTS = np.random.default_rng(1).integers(0, 3, N_ROWS)


@pytest.mark.parametrize(
    ("rows", "weights"),
    [
        (in_chunks, lambda: WEIGHTS),
        (in_chunks, lambda: WEIGHTS.tolist()),
        (in_chunks, lambda: da.from_array(WEIGHTS, chunks=57)),
        (in_chunks, lambda: da.from_array(WEIGHTS[:, None], chunks=57)),
        (lambda: unknown(in_chunks()), lambda: da.from_array(WEIGHTS, chunks=100)),
        (LAYOUTS["delayed"], lambda: np.split(WEIGHTS, 8)),
        (in_chunks, lambda: [dask.delayed(part) for part in np.split(WEIGHTS, 4)]),
    ],
    ids=["array", "list", "other chunks", "column", "unknown rows", "blocks", "delayed blocks"],
)
def test_weights_go_with_their_rows(rows, weights):
    with dask.config.set(scheduler="sync"):
        fitted = fit_dask(SKETCHED, rows(), sample_weight=weights())
    assert_saw(fitted, X, sample_weight=WEIGHTS)


def test_blocks_without_weight_are_left_out():
    weights = np.ones(N_ROWS)
    for empty in (slice(0, 100), slice(200, 300)):  # the first block, with which all begin, or not
        given = weights.copy()
        given[empty] = 0.0
        with dask.config.set(scheduler="sync"):
            fitted = fit_dask(SKETCHED, in_chunks(), sample_weight=given)
            assert_saw(fitted, X, sample_weight=given)
            with pytest.raises(ValueError, match="no rows of positive weight"):
                fit_dask(SKETCHED, in_chunks(), sample_weight=0 * weights)
            given[-1] = np.nan
            with pytest.raises(ValueError, match="sample_weight contains NaN"):
                fit_dask(SKETCHED, in_chunks(), sample_weight=given)


@pytest.mark.parametrize("fit", [fit_dask, fit_partitions, transform_dask])
def test_chunks_of_columns_are_no_blocks_of_rows(fit):
    """They were 800 rows of 20 features in place of 400 of 40."""
    estimator = PCA.fit(X[:, :20]) if fit is transform_dask else PCA
    chunks = in_chunks(columns=20).to_delayed()
    for blocks in (chunks.ravel(), list(chunks.ravel()), chunks.T.ravel()):
        blocks = blocks if fit is fit_partitions else list(blocks)
        with pytest.raises(ValueError, match="other columns of rows"):
            fit(estimator, blocks)
    whole = list(in_chunks().to_delayed().ravel())
    if fit is not transform_dask:
        assert_saw(fit(PCA, whole), X)


def test_covariance_of_single_rows():
    # A row alone has no covariance to filter.
    expected = DeepFactorizationCovariance().partial_fit(X)
    with dask.config.set(scheduler="sync"):
        fitted = fit_dask(DeepFactorizationCovariance(), da.from_array(X, chunks=(1, -1)))
    np.testing.assert_allclose(fitted.covariance_, expected.covariance_, atol=1e-10)
    assert fitted.n_samples_seen_ == N_ROWS


@pytest.mark.parametrize("subspace", ["exact", "sketched"])
def test_detector_with_labels(subspace):
    y = (X[:, 0] > 0).astype(int) + (X[:, 5] > 0)
    classifier = MLPClassifier((6,), max_iter=30, random_state=0)
    with pytest.warns(UserWarning):  # it has not converged, which is no matter here
        classifier.fit(X, y)
    detector = GradPCADetector(classifier, subspace=subspace, random_state=0)
    rows, labels = in_chunks(columns=15), da.from_array(y, chunks=130)
    with dask.config.set(scheduler="threads"):
        fitted = fit_dask(detector, rows, labels)
    # The metric of sketched means is that of the first block.
    expected = GradPCADetector(classifier, subspace=subspace, random_state=0)
    with pytest.warns(UserWarning) if subspace == "sketched" else nullcontext():
        expected.partial_fit(X[:100], y[:100])
    expected.partial_fit(X[100:], y[100:])
    np.testing.assert_array_equal(fitted.class_counts_, np.bincount(y))
    np.testing.assert_allclose(fitted.score_samples(X), expected.score_samples(X), rtol=1e-6)


def test_refusals():
    with dask.config.set(scheduler="sync"):
        with pytest.raises(TypeError, match="ndarray; a dask array"):
            fit_dask(PCA, X)
        with pytest.raises(ValueError, match=r"shape \(400,\): rows and columns"):
            fit_dask(PCA, in_chunks()[:, 0])
        with pytest.raises(ValueError, match="no rows of positive weight"):
            fit_dask(PCA, in_chunks()[:0])
        with pytest.raises(ValueError, match="no rows of positive weight"):
            fit_dask(PCA, [])
        with pytest.raises(ValueError, match="40 features here|features"):
            fit_dask(PCA, [X[:100], X[100:, :30]])
        with pytest.raises(ValueError, match="sample_weight has 399 values"):
            fit_dask(PCA, in_chunks(), sample_weight=WEIGHTS[1:])
        with pytest.raises(ValueError, match="2 blocks, but X has 4"):
            fit_dask(PCA, unknown(in_chunks()), sample_weight=da.from_array(WEIGHTS, chunks=200))
        with pytest.raises(ValueError, match="cannot be cut into the 4 blocks"):
            fit_dask(PCA, unknown(in_chunks()), sample_weight=WEIGHTS)
        with pytest.raises(ValueError, match="forgetting"):
            fit_dask(SketchedSparsePCA(forgetting=0.9), in_chunks())
        with pytest.raises(TypeError, match="MLPClassifier cannot be fitted in shards"):
            fit_dask(MLPClassifier(), in_chunks())
        with pytest.raises(ValueError, match="NaN"):
            fit_dask(PCA, da.where(in_chunks() > 3, np.nan, in_chunks()))
        with pytest.raises(TypeError, match="no columns"):
            fit_dask(PCA, pytest.importorskip("dask.bag").from_sequence(X, npartitions=2))
        with pytest.raises(TypeError, match="has no transform"):
            transform_dask(DeepFactorizationCovariance().fit(X), in_chunks())


def test_tree_of_delayed_copies():
    parts = [
        dask.delayed(PCA.__class__(**PCA.get_params()).partial_fit)(r) for r in np.split(X, 10)
    ]
    with dask.config.set(scheduler="sync"):
        assert_saw(tree_merge(parts, dask.delayed(merge_copies), 2).compute(), X)


# ----------------------------------------------------------------------------------- data frames


def frames():
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(X, columns=[f"gene {i}" for i in range(N)])


def test_frames_keep_names_and_their_order():
    dd = pytest.importorskip("dask.dataframe", reason="the extra dask")
    frame = frames()
    shuffled = [frame.iloc[:100], frame.iloc[100:300, ::-1], frame.iloc[300:300], frame.iloc[300:]]
    with dask.config.set(scheduler="sync"):
        for rows in (dd.from_pandas(frame, npartitions=3), [dask.delayed(f) for f in shuffled]):
            fitted = fit_dask(PCA, rows)
            assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
            assert_saw(fitted, X)
        with pytest.raises(ValueError, match="unseen at fit time:\n- dna"):
            fit_dask(PCA, [frame[:100], frame[100:].rename(columns={"gene 3": "dna"})])


def test_weights_from_a_frame():
    dd = pytest.importorskip("dask.dataframe", reason="the extra dask")
    frame = frames().assign(n=WEIGHTS)
    ddf = dd.from_pandas(frame, npartitions=3)
    with dask.config.set(scheduler="sync"):
        fitted = fit_dask(PCA, ddf.drop(columns="n"), sample_weight=ddf["n"])
    assert_saw(fitted, X, sample_weight=WEIGHTS)


# -------------------------------------------------------------------------------------- transform


@pytest.mark.parametrize("layout", ["rows", "csr columns", "unknown columns", "empty blocks"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_is_lazy_with_right_chunks(layout, dtype):
    fitted = SketchedSparsePCA(**PCA.get_params()).fit(X)
    rows, expected = LAYOUTS[layout]().astype(dtype), fitted.transform(X.astype(dtype))
    with dask.config.set(scheduler="sync"):
        lazy = transform_dask(fitted, rows)
        fitted.partial_fit(100 * X)  # too late to matter
        assert (lazy.dtype, lazy._meta.dtype, type(lazy._meta)) == (dtype, dtype, np.ndarray)
        assert lazy.chunks[1] == (1,)
        np.testing.assert_array_equal(lazy.chunks[0], rows.chunks[0])
        computed = lazy.compute()
    assert computed.dtype == dtype and computed.shape == (N_ROWS, 1)
    np.testing.assert_allclose(computed, expected, rtol=1e-5 if dtype == np.float32 else 1e-12)


def test_transform_frames_and_lists():
    dd = pytest.importorskip("dask.dataframe", reason="the extra dask")
    frame = frames().set_index(np.arange(N_ROWS) + 7)
    fitted = SketchedSparsePCA(**PCA.get_params()).fit(frame)
    expected = fitted.transform(frame)
    with dask.config.set(scheduler="sync"):
        lazy = transform_dask(fitted, dd.from_pandas(frame, npartitions=3))
        assert list(lazy.columns) == ["sketchedsparsepca0"]
        computed = lazy.compute()
        parts = transform_dask(fitted, [dask.delayed(frame[:0]), frame[:250], frame[250:]])
        parts = dask.compute(*parts)
    np.testing.assert_array_equal(computed.index, frame.index)
    np.testing.assert_allclose(computed.to_numpy(), expected)
    assert [part.shape for part in parts] == [(0, 1), (250, 1), (150, 1)]
    np.testing.assert_allclose(np.concatenate(parts), expected)
