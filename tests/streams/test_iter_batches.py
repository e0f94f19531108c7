"""Each format gives the rows that were written, from any batch on."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.streams import fit_stream, iter_batches
from sklearn_sparse_eig.streams.readers import reader_names

RNG = np.random.default_rng(0)
DENSE = np.round(RNG.normal(size=(23, 6)), 3)
DENSE[:, 5] = np.abs(DENSE[:, 5]) + 1.0  # so that every row of a sparse file reaches the width
PARTS = [DENSE[:10], DENSE[10:12], DENSE[12:]]
NAMES = [f"f{i}" for i in range(6)]


def write_npy(folder):
    for i, X in enumerate(PARTS):
        np.save(folder / f"{i}.npy", X)
    return folder


def write_npz(folder):
    for i, X in enumerate(PARTS):
        sp.save_npz(folder / f"{i}.npz", sp.csr_array(X))
    return str(folder / "*.npz")


def write_svmlight(folder):
    for i, X in enumerate(PARTS):
        dump_svmlight_file(X, np.arange(len(X)), str(folder / f"{i}.svmlight"), zero_based=False)
    return [folder / f"{i}.svmlight" for i in range(3)]


def write_csv(folder):
    pd = pytest.importorskip("pandas")
    for i, X in enumerate(PARTS):
        pd.DataFrame(X, columns=NAMES).to_csv(folder / f"{i}.csv.gz", index=False)
    return folder


def write_parquet(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    for i, X in enumerate(PARTS):
        table = pa.table({name: X[:, j] for j, name in enumerate(NAMES)})
        pq.write_table(table, folder / f"{i}.parquet", row_group_size=4)
    (folder / "_SUCCESS").touch()
    return folder


def write_anndata(folder, layer=None):
    ad = pytest.importorskip("anndata")
    for i, X in enumerate(PARTS):
        data = ad.AnnData(sp.csr_matrix(X))
        data.var_names = NAMES
        data.write_h5ad(folder / f"{i}.h5ad")
    return folder


def write_hdf5(folder):
    h5py = pytest.importorskip("h5py")
    for i, X in enumerate(PARTS):
        with h5py.File(folder / f"{i}.h5", "w") as file:
            file["a/matrix"] = X
            file["vector"] = X[0]
    return folder


def write_zarr(folder):
    zarr = pytest.importorskip("zarr")
    for i, X in enumerate(PARTS):
        zarr.save_array(str(folder / f"{i}.zarr"), X)
    return [str(folder / f"{i}.zarr") for i in range(3)]


def write_array(folder):
    return DENSE


WRITERS = {name.removeprefix("write_"): f for name, f in globals().items() if "write_" in name}


def dense(batch):
    return batch.toarray() if sp.issparse(batch) else np.asarray(batch)


def test_every_format_is_tested():
    assert sorted([*WRITERS, "text"]) == reader_names()  # text: in test_documents.py


@pytest.mark.parametrize("name", sorted(WRITERS))
@pytest.mark.parametrize("batch_size", [4, 100])
def test_rows_come_back(name, batch_size, tmp_path):
    batches = iter_batches(WRITERS[name](tmp_path), batch_size)
    read = [dense(batch) for batch in batches]
    np.testing.assert_allclose(np.vstack(read), DENSE)
    assert max(map(len, read)) <= batch_size
    assert batches.n_rows in (23, None) and (batches.n_rows is None) == (
        name in ("csv", "svmlight")
    )
    if batches.feature_names is not None:
        assert batches.feature_names == NAMES
    for start in range(len(read) + 1):  # from any batch on
        rest = [dense(batch) for batch in batches.start_at(start)]
        assert [b.tobytes() for b in rest] == [b.tobytes() for b in read[start:]]


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_columns_are_chosen(name, tmp_path):
    named = name in ("csv", "parquet", "anndata")
    columns = ["f4", "f1"] if named else [4, 1]
    source = WRITERS[name](tmp_path)
    batches = iter_batches(source, 7, columns=columns)
    np.testing.assert_allclose(np.vstack([dense(b) for b in batches]), DENSE[:, [4, 1]])
    if named:
        assert batches.feature_names == columns
        with pytest.raises(ValueError, match="'nothing'"):
            iter_batches(source, columns=["f1", "nothing"])
    else:
        with pytest.raises(ValueError, match="columns as integers"):
            list(iter_batches(source, columns=["f4"]))


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_stream_of_files_is_resumed(name, tmp_path):
    source = WRITERS[name](tmp_path)
    whole = fit_stream(
        SketchedSparsePCA(1, random_state=0), iter_batches(source, 4), progress=False
    )
    expected = whole.sketch_.to_bytes()
    checkpoint = tmp_path / "run.ckpt"

    class Stopped(Exception):
        pass

    class UpToThree:
        fingerprint = iter_batches(source, 4).fingerprint

        def __iter__(self):
            for i, batch in enumerate(iter_batches(source, 4)):
                if i == 3:
                    raise Stopped
                yield batch

    pca = SketchedSparsePCA(1, random_state=0)
    with pytest.raises(Stopped):
        fit_stream(pca, UpToThree(), checkpoint=checkpoint, progress=False)
    pca = SketchedSparsePCA(1, random_state=0)
    fit_stream(pca, iter_batches(source, 4), checkpoint=checkpoint, progress=False)
    assert pca.sketch_.to_bytes() == expected
    with pytest.raises(ValueError, match="another input"):
        fit_stream(pca, iter_batches(source, 5), checkpoint=checkpoint, progress=False)


def test_parquet_dictionaries_lists_and_numbers(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    for i, colours in enumerate((["red", "blue", None], ["green", "red"])):
        n = len(colours)
        table = pa.table(
            {
                "n": pa.array(range(n), pa.int32()),
                "colour": pa.array(colours).dictionary_encode(),
                "vector": pa.array([[1.0 * r, 2.0] for r in range(n)]),
                "fixed": pa.array([[3.0, 4.0]] * n, pa.list_(pa.float32(), 2)),
                "flag": pa.array([True] * n),
            }
        )
        pq.write_table(table, tmp_path / f"{i}.parquet")
    batches = iter_batches(tmp_path)
    colours = ["colour=blue", "colour=green", "colour=red"]
    names = ["n", *colours, "vector[0]", "vector[1]", "fixed[0]", "fixed[1]", "flag"]
    assert batches.feature_names == names
    first, second = map(dense, batches)
    np.testing.assert_array_equal(first[:, 0], [0, 1, 2])
    np.testing.assert_array_equal(first[:, 1:4], [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(second[:, 1:4], [[0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(first[:, 4:], [[r, 2, 3, 4, 1] for r in range(3)])


def test_parquet_lists_of_ids_are_sparse_rows(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    ids, counts = [[2**61, 5], [], [5]], [[1.0, 2.0], [], [3.0]]
    table = pa.table({"ids": pa.array(ids, pa.list_(pa.int64())), "counts": pa.array(counts)})
    pq.write_table(table, tmp_path / "words.parquet")
    options = {"columns": {"ids": "counts"}, "n_features": 2**62}
    (rows,) = iter_batches(tmp_path / "words.parquet", **options)
    assert rows.shape == (3, 2**62) and rows.indices.tolist() == [5, 2**61, 5]
    assert rows.data.tolist() == [2.0, 1.0, 3.0] and rows.indptr.tolist() == [0, 2, 2, 3]
    with pytest.raises(ValueError, match="Ids of column 'ids' lie between"):
        list(iter_batches(tmp_path / "words.parquet", columns={"ids": None}, n_features=7))
    with pytest.raises(ValueError, match="not all of length"):
        list(iter_batches(tmp_path / "words.parquet", columns=["ids"]))
    with pytest.raises(ValueError, match="need n_features="):
        iter_batches(tmp_path / "words.parquet", columns={"ids": None})


def test_text_in_parquet_and_csv_is_refused(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"name": ["a", "b"], "x": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="Column 'name' is string|Column 'name' is large_string"):
        iter_batches(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="Column 'name' of .* is no number"):
        list(iter_batches(tmp_path / "t.csv"))
    assert dense(next(iter(iter_batches(tmp_path / "t.csv", columns=["x"])))).tolist() == [[1], [2]]
    for name in ("t.csv", "t.parquet"):
        rest = iter_batches(tmp_path / name, drop=["name"])
        assert rest.feature_names == ["x"] and dense(next(iter(rest))).tolist() == [[1], [2]]
        with pytest.raises(ValueError, match="no column 'other' to drop"):
            iter_batches(tmp_path / name, drop=["other"])


@pytest.mark.parametrize("backed", [False, True])
@pytest.mark.parametrize("layer", [None, "counts"])
def test_anndata_in_memory_backed_and_layers(tmp_path, backed, layer):
    ad = pytest.importorskip("anndata")
    data = ad.AnnData(sp.csr_matrix(DENSE))
    data.layers["counts"] = 2.0 * DENSE
    data.var_names = NAMES
    if backed:
        data.write_h5ad(tmp_path / "cells.h5ad")
        data = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    options = {} if layer is None else {"layer": layer}
    read = np.vstack([dense(b) for b in iter_batches(data, 5, columns=["f2", "f0"], **options)])
    np.testing.assert_allclose(read, (2.0 if layer else 1.0) * DENSE[:, [2, 0]])
    with pytest.raises(ValueError, match="no layer 'other'"):
        list(iter_batches(data, layer="other"))


def test_svmlight_with_labels(tmp_path):
    batches = iter_batches(write_svmlight(tmp_path), 100, labels=True, n_features=9)
    X, y = next(iter(batches))
    assert X.shape == (10, 9) and y.tolist() == list(range(10))


def test_sources_that_are_not_there_or_mixed_are_named(tmp_path):
    with pytest.raises(ValueError, match="There is no file nowhere.npy"):
        iter_batches("nowhere.npy")
    with pytest.raises(ValueError, match="no files of a known format"):
        iter_batches(tmp_path)
    (tmp_path / "a.doc").touch()
    with pytest.raises(ValueError, match="not known by its suffix"):
        iter_batches(tmp_path / "a.doc")
    np.save(tmp_path / "a.npy", DENSE)
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(ValueError, match="several formats, csv, npy"):
        iter_batches(tmp_path)
    with pytest.raises(ValueError, match="format must be one of"):
        iter_batches(tmp_path / "a.npy", format="numpy")
    with pytest.raises(ValueError, match="no option 'layer'"):
        iter_batches(tmp_path / "a.npy", layer="x")
    with pytest.raises(TypeError, match="Batches of a int"):
        iter_batches(3)
    for size in (0, -1):
        with pytest.raises(ValueError, match="batch_size must be at least 1"):
            iter_batches(DENSE, size)
    with pytest.raises(TypeError, match="batch_size must be an int"):
        iter_batches(DENSE, 2.5)


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(ImportError, match="pip install pyarrow"):
        iter_batches(tmp_path / "a.parquet")


def test_pickles_in_arrays_are_not_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="Python objects|pickle"):
        iter_batches(tmp_path / "a.npy")
