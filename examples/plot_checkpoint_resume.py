"""
=====================================
A run that is killed, and goes on
=====================================

A process streams files into sparse components, and is killed without warning, three times. How much
is lost, and is the result that of a run which nobody has disturbed?
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.streams import load

# %%
# Sixty files of 500 sparse rows, of 20,000 features each. Three planted components of 8 features.
N_FEATURES, N_FILES, ROWS = 20_000, 60, 500
started = time.perf_counter()
folder = Path(tempfile.mkdtemp())
planted = make_sparse_spiked_covariance(
    n_samples=N_FILES * ROWS,
    n_features=N_FEATURES,
    eigenvalues=(10.0, 8.0, 6.0),
    n_nonzero_coefs=8,
    noise=0.1,
    sparse=True,
    batch_size=ROWS,
    random_state=0,
)
for number, rows in enumerate(planted.batches):
    sp.save_npz(folder / f"{number:02d}.npz", rows)

# %%
# What a user would run, with a checkpoint after every fourth batch. The same command again goes on
# from the checkpoint, if there is one.
SCRIPT = """
import sys
from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream, iter_batches

folder, checkpoint, model = sys.argv[1:]
pca = SketchedSparsePCA(3, n_nonzero_coefs=8, n_measurements=2048, range_size=64, random_state=0)
rows = iter_batches(folder + "/*.npz", batch_size=500)
fit_stream(pca, rows, checkpoint=checkpoint, every="4 batches", progress=False).save(model)
"""


def run(checkpoint, model, until=np.inf):
    """Run the script, and kill it once its checkpoint holds so many rows; return what was seen.

    The checkpoint can be read while the run goes on: it is always a whole one.
    """
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), checkpoint, model])
    seen = []
    while process.poll() is None:
        if Path(checkpoint).exists():
            seen.append((time.perf_counter() - began, load(checkpoint).n_samples_seen_))
            if seen[-1][1] >= until:
                process.kill()
        time.sleep(0.005)
    seen.append((time.perf_counter() - began, load(checkpoint).n_samples_seen_))
    return np.array(seen)


began = time.perf_counter()
total = N_FILES * ROWS
files = [str(folder / name) for name in ("killed.ckpt", "killed.skse")]
runs = [run(*files, until=share * total) for share in (0.2, 0.45, 0.7, np.inf)]
undisturbed = [str(folder / name) for name in ("quiet.ckpt", "quiet.skse")]
run(*undisturbed)

kept = [f"{int(seen[-1, 1]):,}" for seen in runs]
print(f"killed three times, with {kept[0]}, {kept[1]} and {kept[2]} of {total:,} rows kept")
pca, whole = (SketchedSparsePCA.load(model) for model in (files[1], undisturbed[1]))
print(f"rows in the result: {pca.n_samples_seen_:,}, each once")
print("the bits of the undisturbed run:", pca.sketch_.to_bytes() == whole.sketch_.to_bytes())
print("the planted features:", np.array_equal(pca.support_, planted.support))
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# Rows in the checkpoint over time. Each process begins with what the last checkpoint kept; what it
# loses is the work since then, four batches at most, and the seconds in which Python starts.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for number, seen in enumerate(runs):
        label = "rows in the checkpoint" if number == 0 else None
        axes.step(*seen.T, where="post", color="#2a6fbb", linewidth=2, label=label)
        if number < 3:
            label = "killed" if number == 0 else None
            axes.plot(*seen[-1], "x", color="#d1495b", markersize=11, mew=3, label=label)
    axes.axhline(total, color="0.6", linestyle="--", linewidth=1)
    axes.annotate("all rows", (0, total), (4, -13), textcoords="offset points", color="0.4")
    axes.set(xlabel="seconds", ylabel="rows", xlim=(0, None), ylim=(0, 1.06 * total))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Killed three times, and nothing is counted twice", loc="left")
    figure.savefig("checkpoint_resume.png", dpi=150)
    print(f"Plot saved as {Path('checkpoint_resume.png').resolve()}")

# %%
# **Conclusion.** Nothing that a checkpoint holds is lost, and nothing is counted twice: three kills
# cost some batches and the start of three processes, and the result has the same bits.
