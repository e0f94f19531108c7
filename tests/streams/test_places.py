"""A refused entry is named by its file, batch, row and column."""

import re

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream, iter_batches

NAMES = [f"sensor_{i}" for i in range(6)]


def write_npy(path, X):
    np.save(path, X)


def write_npz(path, X):
    sp.save_npz(path, sp.csr_array(X))


def write_csv(path, X):
    pytest.importorskip("pandas").DataFrame(X, columns=NAMES).to_csv(path, index=False)


def write_parquet(path, X):
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas").DataFrame(X, columns=NAMES).to_parquet(path)


WRITERS = {"npy": write_npy, "npz": write_npz, "csv": write_csv, "parquet": write_parquet}


def rows(n):
    return np.random.default_rng(n).normal(size=(n, 6)).round(3)


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_missing_value_is_named(tmp_path, suffix):
    bad = rows(30)
    bad[17, 3] = np.nan
    for i, X in enumerate((rows(25), bad, rows(20))):
        WRITERS[suffix](tmp_path / f"part{i}.{suffix}", X)
    batches = iter_batches(tmp_path / f"*.{suffix}", batch_size=10)
    column = "sensor_3" if suffix in ("csv", "parquet") else "3"
    place = f"There is NaN in column {column} of {tmp_path}/part1.{suffix}, batch 1, row 17 "
    checkpoint = tmp_path / "run.ckpt"
    for _ in range(2):  # the second time from the checkpoint
        with pytest.raises(ValueError, match=re.escape(place)):
            pca = SketchedSparsePCA(1, random_state=0)
            fit_stream(pca, batches, checkpoint=checkpoint, progress=False)
        assert pca.n_samples_seen_ == 35


def test_arrays_and_pairs_and_generators_have_places(tmp_path):
    bad = rows(30)
    bad[17, 3] = np.inf
    for batches, place in (
        (iter_batches(bad, batch_size=10), "infinity in column 3 of batch 1, row 17 "),
        ((bad[i : i + 10] for i in range(0, 30, 10)), "infinity in column 3 of batch 1, row 7 "),
        (((bad[i : i + 10], np.ones(10)) for i in (0, 10)), "column 3 of batch 1, row 7 "),
    ):
        with pytest.raises(ValueError, match=place):
            fit_stream(
                EigenSketch(6, n_measurements=None, measurement="identity"), batches, progress=False
            )


def test_other_refusals_keep_their_words():
    with pytest.raises(ValueError, match="features") as refused:
        fit_stream(SketchedSparsePCA(1), iter([rows(5), rows(5)[:, :4]]), progress=False)
    assert "There is" not in str(refused.value)
