"""
=========================================
Gene programmes of an AnnData, and sizes
=========================================

Some genes of a cell rise and fall together. How many belong to such a programme is rarely known.
What does a fixed number of genes do to programmes of other sizes, what does ``"auto"`` do, and what
changes if the genes are scaled?
"""

import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

try:
    import anndata
except ImportError:
    raise SystemExit(
        'No example: anndata is not installed. pip install "sklearn_sparse_eig[io]"'
    ) from None

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream, iter_batches

# %%
# Three thousand cells with programmes of 8, 20 and 60 genes, one in four cells each, among 2000
# genes whose expression differs by a factor of a hundred. Counts are normalised for each cell, and
# logarithms taken, as Scanpy does it.
SIZES, N_CELLS, N_GENES = (8, 20, 60), 3000, 2000
started = time.perf_counter()
rng = np.random.default_rng(0)
mean = np.exp(rng.uniform(np.log(0.02), np.log(2.0), N_GENES))
edges = np.cumsum((0, *SIZES))
programmes = [np.arange(low, high) for low, high in zip(edges, edges[1:], strict=False)]
mean[: edges[-1]] = rng.uniform(0.3, 1.5, edges[-1])
rate = np.tile(mean, (N_CELLS, 1))
for genes in programmes:
    rate[:, genes] *= np.where(rng.random((N_CELLS, 1)) < 0.25, 4.0, 0.5)
counts = rng.poisson(rate * rng.lognormal(0.0, 0.3, (N_CELLS, 1)))
log_counts = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
adata = anndata.AnnData(sp.csr_matrix(log_counts.astype(np.float32)))
adata.var_names = [f"gene {i}" for i in range(N_GENES)]
file = Path(tempfile.mkdtemp()) / "cells.h5ad"
adata.write_h5ad(file)

# %%
# In memory, ``fit(adata.X)``. From a file that is larger than memory, batch by batch: the same
# components.
options = {"positive": True, "random_state": 0}
fixed = SketchedSparsePCA(4, n_nonzero_coefs=20, **options).fit(adata.X)
backed = anndata.read_h5ad(file, backed="r")
streamed = SketchedSparsePCA(4, n_nonzero_coefs=20, **options)
rows = iter_batches(backed)
fit_stream(streamed, rows, progress=False)
print("from the file as in memory:", np.array_equal(streamed.support_, fixed.support_))
names = list(rows.feature_names)
print("strongest of the first:", [name for name, _ in streamed.describe(names, max_features=4)[0]])

# %%
# Four ways to say how many genes: too few for the largest programme, too many for the smallest,
# whatever stands out, and the same after scaling to unit variance, as many do before PCA.
scaled = log_counts / log_counts.std(axis=0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a component of more than 100 genes: see below
    auto = SketchedSparsePCA(4, n_nonzero_coefs="auto", **options)
    ways = {
        "20 genes each": fixed,
        "60 genes each": SketchedSparsePCA(4, n_nonzero_coefs=60, **options).fit(adata.X),
        '"auto"': clone(auto).fit(adata.X),
        '"auto", scaled genes': clone(auto).fit(scaled),
    }


def genes_of(pca):
    """Return how many genes of each programme, and of none, each component has."""
    table = []
    for j in range(4):
        genes = pca.components_[[j]].indices
        table.append([np.isin(genes, programme).sum() for programme in programmes])
        table[-1].append((genes >= edges[-1]).sum())
    return np.array(table)


found = {name: genes_of(pca) for name, pca in ways.items()}
for name, table in found.items():
    print(f"{name}:", "; ".join(" + ".join(map(str, row)) for row in table.tolist()))
broad = found['"auto"'][:, -1].argmax()
depth = np.log(counts.sum(axis=1))
coordinate = ways['"auto"'].transform(adata.X)[:, broad]
print(f"the broad one follows the depth of a cell: {abs(np.corrcoef(coordinate, depth)[0, 1]):.2f}")
print(f"{time.perf_counter() - started:.1f} s in all")

# %%
# Too small a number cuts the programme of 60 into pieces, one component each, and leaves none for
# that of 8. Too large a number fills up with genes that have nothing to do with it. ``"auto"``
# finds each of the programmes with all of its genes and no other, and besides one component of
# hundreds of genes, which it warns of: how deeply a cell was sequenced. Scaling changes little.
try:
    import matplotlib.pyplot as plt
except ImportError:
    print('No plot: matplotlib is not installed. pip install "sklearn_sparse_eig[plot]"')
else:
    figure, axes = plt.subplots(1, 4, figsize=(10, 3.2), sharey=True, layout="constrained")
    for panel, (name, table) in zip(axes, found.items(), strict=True):
        shares = table[:, :3] / SIZES
        panel.imshow(shares, cmap="Blues", vmin=0, vmax=1.4, extent=(-0.5, 2.5, 3.5, -0.5))
        strangers = table[:, 3:] / table.sum(axis=1, keepdims=True)
        panel.imshow(strangers, cmap="Reds", vmin=0, vmax=1.4, extent=(2.5, 3.5, 3.5, -0.5))
        for (row, column), number in np.ndenumerate(table):
            panel.text(column, row, number or "", ha="center", va="center")
        panel.set(xlim=(-0.5, 3.5), ylim=(3.5, -0.5), aspect="auto")
        panel.set_xticks(range(4), [*(f"of {size}" for size in SIZES), "others"], fontsize="small")
        panel.set_yticks(range(4), [f"component {j}" for j in range(4)])
        panel.tick_params(length=0)
        panel.set_title(name, loc="left", fontsize="medium")
    figure.supxlabel("genes of a component, by the programme that they belong to")
    figure.savefig("anndata_programmes.png", dpi=150)
    print(f"Plot saved as {Path('anndata_programmes.png').resolve()}")

# %%
# **Conclusion.** Begin with ``"auto"`` and one component more than programmes that you expect, and
# look at what it warns of. Give numbers where you know them.
