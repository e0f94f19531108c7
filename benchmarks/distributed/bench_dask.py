"""A dask cluster of two processes: constant memory, the sketch of one process, a killed worker.

Rows are generated on the workers, block by block, and never stored: 20 GB of them, read here in
four passes of growing length, so that memory that grew with the number of rows would show. The
same blocks go through one process, for the sketch that they should give and the time that it takes.
In the last pass a worker is killed by SIGKILL in the middle.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import dask
import distributed
import numpy as np

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.distributed import fit_dask

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import in_fresh_process, make_parser, print_machine, print_table, progress

N_FEATURES, BLOCK = 2000, 2500  # float32: 20 MB
BLOCK_BYTES = 4 * N_FEATURES * BLOCK
N_PLANTED = 8


def model():
    return SketchedSparsePCA(
        1,
        n_nonzero_coefs=N_PLANTED,
        sketch="two_sided",
        n_measurements=256,
        range_size=64,
        n_jobs=1,
        random_state=0,
    )


def make_block(i):
    """Return rows of white noise and one planted component of eight features."""
    rng = np.random.default_rng(i)
    rows = rng.standard_normal((BLOCK, N_FEATURES), dtype=np.float32)
    rows[:, :N_PLANTED] += 2 * rng.standard_normal((BLOCK, 1), dtype=np.float32)
    return rows


def make_or_die(i, marker, fatal):
    """Return a block, but the first process that makes the fatal one dies of it."""
    if i == fatal and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return make_block(i)


def memory_of_this_process():
    """Return the memory now held and the most that was ever held, in MB."""
    status = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if line
    )
    return [float(status[field].split()[0]) * 1024 / 1e6 for field in ("VmRSS", "VmHWM")]


def one_process(n_blocks):
    """Return the sketch of all blocks by one process, and its seconds."""
    fitted = model().partial_fit(make_block(0)[:2]).empty_copy()
    start = time.perf_counter()
    for i in range(n_blocks):
        fitted.partial_fit(make_block(i))
    return fitted.sketch_, time.perf_counter() - start


def on_cluster(client, n_blocks, fatal=-1):
    """Return the estimator fitted on the cluster, seconds, and the peak memory of its workers."""
    make = dask.delayed(make_or_die, pure=False)
    with tempfile.TemporaryDirectory() as folder:
        rows = [make(i, f"{folder}/killed", fatal) for i in range(n_blocks)]
        start = time.perf_counter()
        fitted = fit_dask(model(), rows, client=client)
        seconds = time.perf_counter() - start
    peaks = [peak for _, peak in client.run(memory_of_this_process).values()]
    return fitted, seconds, max(peaks)


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--gigabytes", type=float, default=20.0, help="rows of the longest pass")
    options = parser.parse_args()
    gigabytes = 0.4 if options.quick else options.gigabytes
    n_most = max(4, round(gigabytes * 1e9 / BLOCK_BYTES))
    print_machine("dask", "distributed")
    rows = []
    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        on_cluster(client, 4)  # imports and compiled code
        passes = [(n_most // 8, -1), (n_most // 4, -1), (n_most // 2, -1), (n_most, -1)]
        for n_blocks, fatal in [*passes, (n_most // 8, n_most // 16)]:
            progress(f"{n_blocks} blocks" + (", one worker dies" if fatal >= 0 else ""))
            fitted, seconds, peak = on_cluster(client, n_blocks, fatal)
            sketch, alone = in_fresh_process(one_process, n_blocks)
            expected = sketch.matrix()
            error = abs(fitted.sketch_.matrix() - expected).max() / abs(expected).max()
            rows.append(
                (
                    f"{n_blocks * BLOCK_BYTES / 1e9:.2f}" + (", killed" if fatal >= 0 else ""),
                    f"{seconds:.1f}",
                    f"{alone:.1f}",
                    f"{peak:.0f}",
                    f"{fitted.n_samples_seen_ - n_blocks * BLOCK}",
                    f"{error:.1e}",
                    "yes" if fitted.support_.tolist() == list(range(N_PLANTED)) else "no",
                )
            )
    print_table(
        [
            "rows, GB",
            "cluster, s",
            "one process, s",
            "peak of a worker, MB",
            "rows too many",
            "difference of sketches",
            "component found",
        ],
        rows,
        f"Blocks of {BLOCK_BYTES / 1e6:.0f} MB generated on 2 workers; differences are relative "
        "to the largest entry of the sketch of one process",
    )


if __name__ == "__main__":
    main()
