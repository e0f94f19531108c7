"""
==============================================
A table of daily sketches, and any week of it
==============================================

A table of Spark has a row for each event, in twelve days. On the seventh day, other features begin
to go together. Each day leaves a sketch of fixed size beside the table, once. Can any week be
analysed from these alone, and is the change seen?
"""

import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

try:
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F
except ImportError:
    raise SystemExit(
        'No example: Spark is not installed. pip install "sklearn_sparse_eig[spark]"'
    ) from None
if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
    raise SystemExit("No example: Spark needs Java, which is not here")

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.distributed import sketch_by_group

# %%
# Here Spark runs on this machine, in two threads; your session is on a cluster.
started = time.perf_counter()
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "4")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")

# %%
# Sixty features of noise. Features 0 to 4 go together in the first days, 30 to 34 from day 6 on.
N_FEATURES, N_DAYS, CHANGE = 60, 12, 6
day = (F.col("id") % N_DAYS).cast("int")
df = spark.range(24_000).select(day.alias("day"), F.randn(99).alias("z"))
together = {i: F.col("day") < CHANGE for i in range(5)}
together |= {i: F.col("day") >= CHANGE for i in range(30, 35)}
columns = [
    F.randn(i) + (F.when(together[i], 1.5 * F.col("z")).otherwise(0.0) if i in together else 0.0)
    for i in range(N_FEATURES)
]
events = df.select("day", F.array(*columns).alias("x"))

# %%
# One pass over the rows. The result is a small table, which is kept; rows are not needed any more.
# (On a large table ``merge_sketches(daily, "month")`` adds sketches on the cluster.)
settings = {"n_measurements": 60, "range_size": 24, "random_state": 0}
daily = sketch_by_group(events, "day", "x", **settings).toPandas().set_index("day").sketch
spark.stop()
print(f"{len(daily)} sketches of {len(daily[0]) / 1e3:.0f} kB for 24,000 rows")


def features_of(first, last):
    """Return loadings, and the number of rows, of the days from first to last."""
    sketch = sum(EigenSketch.from_bytes(daily[i]) for i in range(first, last + 1))
    pairs = sketch.recover(1, n_nonzero_coefs=5)
    return np.abs(pairs.eigenvectors.toarray()[:, 0]), sketch.n_samples


windows = [(first, first + 2) for first in range(N_DAYS - 2)]  # three days at a time
found = np.array([features_of(*window)[0] for window in windows])
for first, last in ((0, 5), (6, 11), (0, 11)):
    loadings, n_rows = features_of(first, last)
    print(
        f"days {first} to {last}: {n_rows:,.0f} rows, features {np.flatnonzero(loadings).tolist()}"
    )
spark.stop()
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# Loadings of the first component in every window of three days, from sketches alone: the change is
# seen as soon as most days of the window lie behind it.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    image = axes.imshow(found.T, aspect="auto", cmap="Blues", origin="lower", vmin=0)
    axes.axvline(CHANGE - 1.5, color="#d1495b", linestyle="--")
    axes.annotate(
        "from here on, two of three\ndays are after the change",
        (CHANGE - 1.5, 48),
        (6, 0),
        textcoords="offset points",
        color="#d1495b",
    )
    axes.set_xticks(range(len(windows)), [f"{first} to {last}" for first, last in windows])
    axes.set(xlabel="days", ylabel="feature")
    figure.colorbar(image, label="|loading|")
    axes.set_title("Which features go together, in any three days", loc="left")
    figure.savefig("spark_days.png", dpi=150)
    print(f"Plot saved as {Path('spark_days.png').resolve()}")

# %%
# **Conclusion.** Sketches of 16 kB stand for two thousand rows each, and answer questions that were
# not known when the rows were read. Sums of days see the change from sketches alone.
