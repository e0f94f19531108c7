"""One run of a stream with checkpoints, to be killed at any moment: kind, folder, batches."""

import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import GradPCADetector, SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream

KINDS = ("dense", "csr", "gradients")


def make(kind):
    """Return a new estimator."""
    if kind == "gradients":
        X, y = rows(10**6)
        classifier = LogisticRegression(max_iter=50).fit(X, y)
        return GradPCADetector(classifier, subspace="exact", random_state=0)
    sizes = {"sketch": "two_sided", "n_measurements": 64, "range_size": 16}
    return SketchedSparsePCA(2, n_nonzero_coefs=4, random_state=0, **sizes)


def rows(i):
    rng = np.random.default_rng(i)
    return rng.normal(size=(40, 12)) + 2.0 * np.eye(12)[np.arange(40) % 3], np.arange(40) % 3


def batch(kind, i):
    """Return batch i, which takes a while to come."""
    time.sleep(0.002)
    rng = np.random.default_rng(i)
    if kind == "gradients":
        return rows(i)
    if kind == "dense":
        return 10.0 + rng.normal(size=(50, 300))
    parts = rng.normal(size=2000), rng.integers(0, 5000, 2000), np.arange(0, 2001, 10)
    return sp.csr_array(parts, shape=(200, 5000))


def main(kind, folder, n_batches):
    batches = (batch(kind, i) for i in range(int(n_batches)))
    folder = Path(folder)
    estimator = fit_stream(
        make(kind), batches, checkpoint=folder / "checkpoint", every="2 batches", progress=False
    )
    estimator.save(folder / "result")


if __name__ == "__main__":
    main(*sys.argv[1:])
