"""What partitions may be, and on what they run: each row counts once."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import joblib
import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import DeepFactorizationCovariance, SketchedSparsePCA
from sklearn_sparse_eig.distributed import fit_partitions

N_ROWS, N = 300, 30
PCA = SketchedSparsePCA(
    1, n_nonzero_coefs=3, sketch="two_sided", n_measurements=24, range_size=8, random_state=0
)


def planted_rows():
    rng = np.random.default_rng(0)
    return 5 * rng.normal(size=(N_ROWS, 1)) * (np.arange(N) < 3) + rng.normal(size=(N_ROWS, N))


X = planted_rows()
WEIGHTS = np.random.default_rng(1).integers(0, 3, N_ROWS)
BLOCKS = np.split(X, 6)


def assert_saw(fitted, rows, **given):
    expected = SketchedSparsePCA(**fitted.get_params()).partial_fit(rows, **given)
    assert fitted.n_samples_seen_ == expected.n_samples_seen_
    matrix = expected.sketch_.matrix()
    np.testing.assert_allclose(fitted.sketch_.matrix(), matrix, atol=1e-11 * abs(matrix).max())


def load(i):
    return BLOCKS[i]


def open_batches(i):
    yield BLOCKS[i][:0]
    yield BLOCKS[i][:20]
    yield sp.csr_array(BLOCKS[i][20:])


PARTITIONS = {
    "arrays": lambda: BLOCKS,
    "generator of arrays": lambda: iter(BLOCKS),
    "lists of numbers": lambda: [block.tolist() for block in BLOCKS],
    "csr": lambda: [sp.csr_array(block) for block in BLOCKS],
    "loaders": lambda: [partial(load, i) for i in range(6)],
    "loaders of generators": lambda: [partial(open_batches, i) for i in range(6)],
    "loaders of lists": lambda: [lambda i=i: list(open_batches(i)) for i in range(6)],
    "generators": lambda: [open_batches(i) for i in range(6)],
    "generator of generators": lambda: (open_batches(i) for i in range(6)),
    "empty ones": lambda: [X[:0], [], iter([]), *BLOCKS, X[:0]],
}


@pytest.mark.parametrize("kind", PARTITIONS)
@pytest.mark.parametrize("with_map", [False, True])
def test_each_row_counts_once(kind, with_map):
    with ThreadPoolExecutor(2) as pool:
        how = {"map": pool.map} if with_map else {"n_jobs": 2}
        assert_saw(fit_partitions(PCA, PARTITIONS[kind](), **how), X)


def test_tuples_carry_weights():
    blocks = [(a, None, w) for a, w in zip(BLOCKS, np.split(WEIGHTS, 6), strict=True)]
    assert_saw(fit_partitions(PCA, blocks), X, sample_weight=WEIGHTS)
    assert_saw(fit_partitions(PCA, [iter(blocks)]), X, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match="tuple of 4 arrays"):
        fit_partitions(PCA, [(X, None, WEIGHTS, WEIGHTS)])


@pytest.mark.slow
def test_processes_and_any_map_give_the_same_bits():
    loaders = [partial(load, i) for i in range(6)]
    fits = [fit_partitions(PCA, loaders, map=map)]
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        fits.append(fit_partitions(PCA, loaders, map=pool.map))
    with joblib.parallel_config(backend="loky"):
        fits.append(fit_partitions(PCA, loaders, n_jobs=2))
    for fitted in fits:
        assert_saw(fitted, X)
    assert len({fitted.sketch_.to_bytes() for fitted in fits}) == 1


def test_seed_is_drawn_once_for_all():
    fitted = fit_partitions(SketchedSparsePCA(1), BLOCKS)
    assert isinstance(fitted.random_state, int)
    assert_saw(fitted, X)
    drawn = [
        fit_partitions(SketchedSparsePCA(1, random_state=np.random.RandomState(5)), BLOCKS)
        for _ in range(2)
    ]
    assert drawn[0].random_state == drawn[1].random_state


def test_estimator_without_a_seed():
    fitted = fit_partitions(DeepFactorizationCovariance(), iter(X[:, None]))
    expected = DeepFactorizationCovariance().fit(X)
    np.testing.assert_allclose(fitted.covariance_, expected.covariance_, atol=1e-10)


def test_frames_keep_names_and_their_order():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=[f"gene {i}" for i in range(N)])
    fitted = fit_partitions(PCA, [frame[:100], frame.iloc[100:, ::-1]])
    assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
    assert_saw(fitted, X)


def test_refused_shards_say_why():
    with pytest.raises(ValueError, match="no partition has any rows"):
        fit_partitions(PCA, [X[:0], iter([])])
    with pytest.raises(ValueError, match="features"):
        fit_partitions(PCA, [X, X[:, 1:]])


def test_dask_values_are_computed_and_collections_sent_on():
    dask = pytest.importorskip("dask", reason="dask is not installed: the extra dask")
    da = pytest.importorskip("dask.array", reason="dask.array is not installed: the extra dask")
    with dask.config.set(scheduler="sync"):
        assert_saw(fit_partitions(PCA, [dask.delayed(load)(i) for i in range(6)]), X)
        with pytest.raises(TypeError, match="use distributed.fit_dask"):
            fit_partitions(PCA, da.from_array(X, chunks=(50, -1)))
