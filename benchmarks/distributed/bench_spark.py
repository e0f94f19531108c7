"""Spark beside one process per core: ten million nonzeros in 64 partitions.

The rows lie in Parquet files, as two columns of lists, ids and values. Spark reads them on
``local[2]``; the processes read the same files with pyarrow, a file at a time, and keep one sketch
each, which are merged: the least that any engine could do. Both have been warmed up: sessions,
processes, imports and compiled code are ready. They take turns.
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


def main():
    options = make_parser(__doc__, repeats=5).parse_args()
    n_nonzeros = 320_000 if options.quick else 10_000_000
    print_machine("pyspark", "pyarrow")
    session = make_session()
    seconds = {"processes": [], "Spark": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(N_PROCESSES, mp_context=get_context("forkserver")) as pool,
    ):
        names = write_rows(folder, n_nonzeros)
        ways = {
            "processes": lambda: by_processes(pool, names),
            "Spark": lambda: by_spark(session, folder),
        }
        sketches = {way: run() for way, run in ways.items()}  # warm
        n_partitions = session.read.parquet(folder).rdd.getNumPartitions()
        for turn in range(options.repeats):
            for way, run in ways.items():
                progress(f"{turn + 1}/{options.repeats} {way}")
                start = time.perf_counter()
                sketches[way] = run()
                seconds[way].append(time.perf_counter() - start)
    session.stop()
    medians = {way: float(np.median(times)) for way, times in seconds.items()}
    expected = sketches["processes"].matrix()
    assert isinstance(sketches["Spark"], EigenSketch)
    ratio = float(np.median(np.divide(seconds["processes"], seconds["Spark"])))
    print_table(
        ["", "s", "nonzeros/s", "of the processes", "rows", "difference of sketches"],
        [
            (
                way,
                f"{medians[way]:.2f}",
                f"{n_nonzeros / medians[way]:.2e}",
                f"{1.0 if way == 'processes' else ratio:.2f}",
                sketches[way].n_samples,
                f"{abs(sketches[way].matrix() - expected).max() / abs(expected).max():.1e}",
            )
            for way in ways
        ],
        f"{n_nonzeros:.0e} nonzeros in {n_partitions} partitions, {N_FEATURES} features, "
        f"{N_PROCESSES} processes or local[{N_PROCESSES}], medians of {options.repeats}",
    )


if __name__ == "__main__":
    main()
