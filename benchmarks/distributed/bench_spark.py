"""Spark beside one process per core: ten million nonzeros in 64 partitions.

The rows lie in Parquet files, as two columns of lists, ids and values. Spark reads them on
``local[2]``; the processes read the same files with pyarrow, a file at a time, and keep one sketch
each, which are merged: the least that any engine could do. What Spark itself costs is shown beside:
the same rows, handed to Python by ``mapInArrow`` and counted there. All have been warmed up:
sessions, processes, imports and compiled code are ready. They take turns. CPU time is that of all
processes, Java's included.
"""

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

# Before anything reads it: one thread in each process, and no network.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from pyspark.sql import SparkSession

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig.distributed import fit_spark

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress

N_FEATURES, PER_ROW, N_FILES, N_PROCESSES = 2**20, 100, 64, 2


def model():
    return SketchedSparsePCA(
        2,
        n_nonzero_coefs=5,
        sketch="two_sided",
        n_measurements=1024,
        range_size=64,
        random_state=0,
    )


def write_rows(folder, n_nonzeros):
    """Write the Parquet files, of rows of 100 nonzeros, and return their names."""
    rng = np.random.default_rng(0)
    n_rows = n_nonzeros // PER_ROW // N_FILES
    names = []
    for i in range(N_FILES):
        ids = rng.integers(0, N_FEATURES, size=(n_rows, PER_ROW))
        values = rng.standard_normal((n_rows, PER_ROW))
        ids[:, :5], values[:, :5] = np.arange(5), 5 * rng.standard_normal((n_rows, 1))
        ends = pa.array(np.arange(n_rows + 1, dtype=np.int32) * PER_ROW)
        lists = [pa.ListArray.from_arrays(ends, pa.array(x.ravel())) for x in (ids, values)]
        names.append(f"{folder}/{i:03d}.parquet")
        pq.write_table(pa.table(dict(zip(("ids", "values"), lists, strict=True))), names[-1])
    return names


def sketch_files(names):
    """Return the sketch of the rows of some files."""
    total = None
    for name in names:
        for batch in pq.ParquetFile(name).iter_batches(10_000):
            ids, values = batch.column("ids"), batch.column("values")
            ends = ids.offsets.to_numpy()
            parts = (values.flatten().to_numpy(), ids.flatten().to_numpy(), ends - ends[0])
            rows = sp.csr_array(parts, shape=(len(ends) - 1, N_FEATURES))
            total = model() if total is None else total
            total.partial_fit(rows)
    return total.sketch_


def by_processes(pool, names):
    parts = pool.map(sketch_files, [names[i::N_PROCESSES] for i in range(N_PROCESSES)])
    return sum(parts)


def by_spark(session, folder):
    df = session.read.parquet(folder)
    fitted = fit_spark(model(), df, features=["ids", "values"], n_features=N_FEATURES)
    return fitted.sketch_


def count_batches(batches):
    yield pa.RecordBatch.from_pydict({"n": [sum(batch.num_rows for batch in batches)]})


def counted_by_spark(session, folder):
    """Return the number of rows that have come to Python."""
    return sum(
        row.n for row in session.read.parquet(folder).mapInArrow(count_batches, "n long").collect()
    )


def cpu_seconds():
    """Return the CPU time of this process and those that it has started, by their ids."""
    this, found = psutil.Process(), {}
    for process in [this, *this.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[process.pid] = times.user + times.system
    return found


def timed(run):
    """Return a result, the seconds and those of the CPU."""
    before, start = cpu_seconds(), time.perf_counter()
    result = run()
    seconds = time.perf_counter() - start
    spent = sum(now - before.get(pid, 0.0) for pid, now in cpu_seconds().items())
    return result, seconds, spent


def make_session():
    builder = SparkSession.builder.master(f"local[{N_PROCESSES}]")
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # One partition for each file.
        "spark.sql.files.openCostInBytes": str(2**40),
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def measure(session, pool, n_nonzeros, repeats):
    """Return the rows of the table for data of one size."""
    with tempfile.TemporaryDirectory() as folder:
        names = write_rows(folder, n_nonzeros)
        ways = {
            "processes": lambda: by_processes(pool, names),
            "Spark": lambda: by_spark(session, folder),
            "Spark, rows only counted": lambda: counted_by_spark(session, folder),
        }
        for run in ways.values():  # warm
            run()
        results, turns = {}, {way: [] for way in ways}
        for turn in range(repeats):
            for way, run in ways.items():
                progress(f"{turn + 1}/{repeats} {n_nonzeros:.0e} {way}")
                results[way], *times = timed(run)
                turns[way].append(times)
    expected = results["processes"].matrix()
    assert isinstance(results["Spark"], EigenSketch)
    rows = []
    for way, times in turns.items():
        seconds, cpu = np.transpose(times)
        ratio = np.median(np.transpose(turns["processes"])[0] / seconds)
        row = [f"{n_nonzeros:.0e}", way, f"{np.median(seconds):.2f}", f"{np.median(cpu):.2f}"]
        row += [f"{n_nonzeros / np.median(seconds):.2e}", f"{ratio:.2f}"]
        if way == "Spark, rows only counted":
            rows.append([*row, results[way], "-"])
            continue
        difference = abs(results[way].matrix() - expected).max() / abs(expected).max()
        rows.append([*row, results[way].n_samples, f"{difference:.1e}"])
    return rows


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--nonzeros", type=float, nargs="+", default=[1e7, 4e7])
    options = parser.parse_args()
    sizes = [320_000] if options.quick else [int(n) for n in options.nonzeros]
    print_machine("pyspark", "pyarrow")
    session = make_session()
    with ProcessPoolExecutor(N_PROCESSES, mp_context=get_context("forkserver")) as pool:
        rows = [row for n in sizes for row in measure(session, pool, n, options.repeats)]
    session.stop()
    print_table(
        [
            "nonzeros",
            "",
            "s",
            "CPU, s",
            "nonzeros/s",
            "of the processes",
            "rows",
            "difference of sketches",
        ],
        rows,
        f"{N_FILES} partitions, {N_FEATURES} features, {N_PROCESSES} processes or "
        f"local[{N_PROCESSES}], medians of {options.repeats}",
    )


if __name__ == "__main__":
    main()
