"""
==========================================
Does it matter how dask has cut the rows?
==========================================

The rows are blocks of a dask array, and a sketch of fixed size is all that leaves a block. In how
many blocks the array comes, and which of them is done first, should not change the components. Does
it?
"""

import time
from pathlib import Path

import numpy as np
from sklearn.base import clone

try:
    import dask.array as da
except ImportError:
    raise SystemExit(
        'No example: dask is not installed. pip install "sklearn_sparse_eig[dask]"'
    ) from None

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.distributed import fit_dask, transform_dask

# %%
# Three planted components of 10 features each, among 500, in noise.
started = time.perf_counter()
planted = make_sparse_spiked_covariance(
    n_samples=20_000,
    n_features=500,
    eigenvalues=(6.0, 4.0, 3.0),
    n_nonzero_coefs=10,
    noise=1.0,
    random_state=0,
)
X = planted.data
pca = SketchedSparsePCA(3, n_nonzero_coefs=10, n_measurements=256, range_size=32, random_state=0)
alone = clone(pca).partial_fit(X)  # one process, one batch

# %%
# The same rows in 2 to 200 blocks, which may be cut through the columns as well. Threads run the
# blocks, in any order; on a cluster, the current client would.
blocks, differences, fitted = [2, 5, 20, 50, 200], [], []
for n_blocks in blocks:
    array = da.from_array(X, chunks=(len(X) // n_blocks, 250))
    fitted.append(fit_dask(pca, array))
    difference = np.abs(fitted[-1].sketch_.matrix() - alone.sketch_.matrix()).max()
    differences.append(difference / np.abs(alone.sketch_.matrix()).max())
    n_rows = fitted[-1].n_samples_seen_
    print(f"{n_blocks:3d} blocks: {n_rows:,} rows, difference {differences[-1]:.0e}")

# For comparison, what other rows of the same kind would have changed.
halves = [clone(pca).partial_fit(rows).sketch_.matrix() for rows in np.split(X, 2)]
other = np.abs(halves[0] - halves[1]).max() / np.abs(halves[0]).max()
print(f"one half of the rows and the other: difference {other:.2f}")
print("same features in all:", all(np.array_equal(f.support_, alone.support_) for f in fitted))
print("the planted ones:", np.array_equal(alone.support_, planted.support))
Z = transform_dask(fitted[-1], array)
print(f"coordinates: {Z.shape}, lazy, in {Z.numblocks[0]} blocks")
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# It does not matter: the sketch differs by rounding. Left, the loadings of all five fits on top of
# one another; right, how far their sketches are from that of one process.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9, 3.8), width_ratios=[1.5, 1], layout="constrained"
    )
    true = np.abs(planted.components.toarray()[:, planted.support])
    order = planted.support[np.argsort(true.argmax(axis=0), kind="stable")]
    position = np.arange(len(order))
    for number, one in enumerate(fitted):
        strongest = np.abs(one.components_.toarray()[:, order]).max(axis=0)
        label = f"{len(fitted)} ways to cut the rows" if number == 0 else None
        left.plot(position, strongest, "o", color="#2a6fbb", markersize=5, label=label)
    true = np.abs(planted.components.toarray()[:, order]).max(axis=0)
    left.plot(position, true, "o", color="0.2", mfc="none", markersize=10, label="planted")
    for edge in (9.5, 19.5):
        left.axvline(edge, color="0.8", linewidth=1)
    left.set(xlabel="planted features, by component", ylabel="|loading|", ylim=(0, None))
    left.legend(frameon=False, loc="lower left")
    left.set_title("Loadings", loc="left")
    right.loglog(blocks, differences, "o-", color="#2a6fbb", label="another number of blocks")
    right.axhline(other, color="#d1495b", linestyle="--", label="other rows")
    right.axhline(np.finfo(float).eps, color="0.6", linestyle=":", label="one rounding")
    right.set(xlabel="blocks", ylabel="relative difference", ylim=(1e-17, 10))
    right.legend(frameon=False, loc="center right")
    right.set_title("Sketches", loc="left")
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig("dask_blocks.png", dpi=150)
    print(f"Plot saved as {Path('dask_blocks.png').resolve()}")

# %%
# **Conclusion.** Choose blocks by what fits into memory: they change the last digit of a sketch and
# no component.
