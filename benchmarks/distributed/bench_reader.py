"""Reading Parquet and sketching at a time, beside each of the two alone.

Two data sets of one size lie in Parquet files: columns of float32, and lists of ids and values.
They are read without anything else, sketched from memory, and sketched by ``fit_stream`` while they
are read. What is possible at a time is not always the slower of the two alone: the cores have to do
the work of both, which is the CPU time of each.
"""

import itertools
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream, iter_batches

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress

N_COLUMNS, N_FEATURES, PER_ROW, N_FILES = 200, 2**20, 100, 8


def model():
    return SketchedSparsePCA(
        2, n_nonzero_coefs=5, sketch="two_sided", n_measurements=512, range_size=64, random_state=0
    )


def write_columns(folder, n_bytes):
    """Write files of float32 columns, and return what reads them."""
    rng = np.random.default_rng(0)
    n_rows = n_bytes // (4 * N_COLUMNS) // N_FILES
    for i in range(N_FILES):
        X = rng.standard_normal((N_COLUMNS, n_rows), dtype=np.float32)
        table = pa.table({f"c{j}": column for j, column in enumerate(X)})
        pq.write_table(table, f"{folder}/{i}.parquet")
    return lambda: iter_batches(folder)


def write_lists(folder, n_bytes):
    """Write files of lists of ids and values, and return what reads them."""
    rng = np.random.default_rng(0)
    n_rows = n_bytes // (12 * PER_ROW) // N_FILES
    for i in range(N_FILES):
        ids = np.sort(rng.integers(0, N_FEATURES, size=(n_rows, PER_ROW)), axis=1)
        values = rng.standard_normal((n_rows, PER_ROW), dtype=np.float32)
        ends = pa.array(np.arange(n_rows + 1, dtype=np.int32) * PER_ROW)
        lists = [pa.ListArray.from_arrays(ends, pa.array(x.ravel())) for x in (ids, values)]
        table = pa.table(dict(zip(("ids", "values"), lists, strict=True)))
        pq.write_table(table, f"{folder}/{i}.parquet")
    return lambda: iter_batches(folder, columns={"ids": "values"}, n_features=N_FEATURES)


KINDS = {"200 columns of float32": write_columns, "lists of ids and values": write_lists}


def read(opened):
    for _ in opened():
        pass


def sketch(batches, n_batches):
    fitted = model()
    for batch in itertools.islice(itertools.cycle(batches), n_batches):
        fitted.partial_fit(batch)


def both(opened):
    fit_stream(model(), opened(), progress=False)


def timed(run, *arguments):
    """Return seconds, and those of the CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    run(*arguments)
    return time.perf_counter() - start, time.process_time() - cpu


def measure(opened, repeats, kind):
    n_batches = sum(1 for _ in opened())
    some = list(itertools.islice(opened(), 4))  # from memory, but not from a cache of the CPU
    ways = {
        "read": lambda: timed(read, opened),
        "sketch": lambda: timed(sketch, some, n_batches),
        "both": lambda: timed(both, opened),
    }
    both(opened)  # compiled, and in the memory of the system
    turns = {way: [] for way in ways}
    for turn in range(repeats):
        for way, run in ways.items():
            progress(f"{turn + 1}/{repeats} {kind}: {way}")
            turns[way].append(run())
    return {way: np.array(turn) for way, turn in turns.items()}


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--megabytes", type=int, default=2000, help="of numbers in each data set")
    options = parser.parse_args()
    n_bytes = 10**6 * (20 if options.quick else options.megabytes)
    n_cores = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count())
    print_machine("pyarrow")
    rows = []
    for kind, write in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            turns = measure(write(folder, n_bytes), options.repeats, kind)
        wall = {way: turn[:, 0] for way, turn in turns.items()}
        cpu = {way: turn[:, 1] for way, turn in turns.items()}
        slower = np.maximum(wall["read"], wall["sketch"])
        possible = np.maximum(slower, (cpu["read"] + cpu["sketch"]) / n_cores)
        medians = [f"{np.median(wall[way]):.2f} ({np.median(cpu[way]):.2f})" for way in wall]
        shares = (slower / wall["both"], slower / possible, possible / wall["both"])
        rows.append((kind, *medians, *(f"{np.median(share):.2f}" for share in shares)))
    print_table(
        [
            "rows",
            "read, s (CPU)",
            "sketch, s (CPU)",
            "both, s (CPU)",
            "of the slower alone",
            "possible",
            "reached of it",
        ],
        rows,
        f"{n_bytes / 1e6:.0f} MB of numbers in {N_FILES} files, {n_cores} cores, medians of "
        f"{options.repeats}",
    )


if __name__ == "__main__":
    main()
