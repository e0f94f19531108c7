"""A cluster of two processes: memory, workers that die, and the result of a single process."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.distributed import fit_dask, transform_dask

dask = pytest.importorskip("dask", reason="dask is not installed: the extra dask")
da = pytest.importorskip("dask.array", reason="dask.array is not installed: the extra dask")
distributed = pytest.importorskip("distributed", reason="distributed is not installed")

# Processes take long to start.
pytestmark = pytest.mark.slow

N_BLOCKS, BLOCK, N = 24, 4000, 250
PCA = SketchedSparsePCA(
    1, n_nonzero_coefs=4, sketch="two_sided", n_measurements=64, range_size=16, random_state=0
)


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield client


def make_block(i):
    rng = np.random.default_rng(i)
    rows = rng.standard_normal((BLOCK, N), dtype=np.float32)
    rows[:, :4] += 3 * rng.standard_normal((BLOCK, 1), dtype=np.float32)
    return rows


def kill_once(i, folder):
    """Make a block, but the first process that comes to make this one dies of it."""
    marker = Path(folder) / "killed"
    if i == N_BLOCKS // 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return make_block(i)


@pytest.fixture(scope="module")
def expected():
    fitted = SketchedSparsePCA(**PCA.get_params())
    for i in range(N_BLOCKS):
        fitted.partial_fit(make_block(i))
    return fitted


def assert_same(fitted, expected):
    assert fitted.n_samples_seen_ == N_BLOCKS * BLOCK
    matrix = expected.sketch_.matrix()
    np.testing.assert_allclose(fitted.sketch_.matrix(), matrix, atol=1e-10 * abs(matrix).max())
    np.testing.assert_array_equal(fitted.support_, expected.support_)


def highest_memory():
    """Return the largest memory that this process has ever held, in bytes."""
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_is_one_process_in_constant_memory(client, expected):
    make = dask.delayed(make_block)
    fit_dask(PCA, [make(i) for i in range(4)], client=client)  # what imports and kernels take
    before = client.run(highest_memory)
    fitted = fit_dask(PCA, [make(i) for i in range(N_BLOCKS)], client=client)
    assert_same(fitted, expected)
    # All rows are 96 MB, and a worker sees half of them; a block is 4 MB.
    after = client.run(highest_memory)
    assert max(after[worker] - before[worker] for worker in before) < 32e6
    assert len(before) == 2


def test_rows_of_a_killed_worker_count_once(client, expected, tmp_path):
    make = dask.delayed(kill_once)
    workers = set(client.scheduler_info()["workers"])
    rows = [make(i, str(tmp_path)) for i in range(N_BLOCKS)]
    fitted = fit_dask(PCA, rows, client=client, split_every=3)
    assert (tmp_path / "killed").exists()
    assert set(client.scheduler_info()["workers"]) != workers
    assert_same(fitted, expected)


def test_arrays_on_a_cluster(client, expected):
    rows = da.concatenate(
        [
            da.from_delayed(dask.delayed(make_block)(i), (BLOCK, N), dtype=np.float32)
            for i in range(N_BLOCKS)
        ]
    ).rechunk((BLOCK, 100))
    fitted = fit_dask(PCA, rows, client=client)
    assert_same(fitted, expected)
    lazy = transform_dask(expected, rows[:BLOCK])
    computed = client.compute(lazy, sync=True)
    np.testing.assert_allclose(computed, expected.transform(make_block(0)), rtol=1e-5)
