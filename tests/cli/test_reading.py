"""A model keeps how its rows were read, and reads those that come later alike."""

import numpy as np
import pytest

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.cli import main

SHAPE = ["-k", "1", "-s", "3", "-q"]


@pytest.fixture
def counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X = rng.poisson(30.0 * rng.gamma(2.0, size=(60, 1)) * (1 + np.arange(8))).astype(float)
    np.save("x.npy", X)
    return X


def scores(*arguments, model="m.skse", source="x.npy"):
    assert main(["transform", model, source, "-o", "s.npy", *arguments]) == 0
    return np.load("s.npy")


def test_logarithms_are_taken_again_without_being_told(counts, capsys):
    assert main(["fit", "x.npy", "-o", "m.skse", "--log-counts", *SHAPE]) == 0
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    expected = SketchedSparsePCA.load("m.skse").transform(logs)
    np.testing.assert_allclose(scores(), expected)
    np.testing.assert_array_equal(scores("--log-counts"), scores())
    assert capsys.readouterr().err == ""
    assert main(["info", "m.skse"]) == 0
    assert "rows read: --log-counts\n" in capsys.readouterr().out


def test_what_was_stored_in_another_way_is_read_as_given(counts, capsys):
    assert main(["fit", "x.npy", "-o", "m.skse", "--log-counts", *SHAPE]) == 0
    expected = scores()
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    np.save("logs.npy", logs)
    scores(source="logs.npy")
    assert "the rows are no whole numbers" in capsys.readouterr().err
    np.testing.assert_allclose(scores("--as-given", source="logs.npy"), expected)
    assert capsys.readouterr().err == ""


def test_contradictions_are_refused(counts, capsys):
    assert main(["fit", "x.npy", "-o", "m.skse", "--columns", "3,1,2", *SHAPE]) == 0
    assert main(["info", "m.skse"]) == 0
    assert "rows read: --columns 3,1,2" in capsys.readouterr().out
    expected = SketchedSparsePCA.load("m.skse").transform(counts[:, [3, 1, 2]])
    np.testing.assert_array_equal(scores(), expected)
    for given, told in (
        (["--columns", "1,2,3"], "was fitted with --columns 3,1,2, got --columns 1,2,3"),
        (["--log-counts"], "was fitted without --log-counts, got --log-counts"),
    ):
        assert main(["transform", "m.skse", "x.npy", "-o", "s.npy", *given]) == 1
        assert told in capsys.readouterr().err
    np.testing.assert_array_equal(
        scores("--columns", "1,2,3", "--as-given"),
        SketchedSparsePCA.load("m.skse").transform(counts[:, 1:4]),
    )


def test_a_file_that_cannot_be_read_alike_says_why(counts, capsys):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(counts, columns=list("abcdefgh"))
    table.assign(id=0).to_csv("with.csv", index=False)
    table.to_csv("without.csv", index=False)
    assert main(["fit", "with.csv", "-o", "m.skse", "--drop", "id", *SHAPE]) == 0
    expected = scores(source="with.csv")
    np.testing.assert_array_equal(
        scores("--columns", "a,b,c,d,e,f,g,h", source="with.csv"), expected
    )
    assert main(["transform", "m.skse", "without.csv", "-o", "s.npy"]) == 1
    err = capsys.readouterr().err
    assert "m.skse was fitted with --drop id" in err and "--as-given" in err
    np.testing.assert_array_equal(scores("--as-given", source="without.csv"), expected)


def test_layers_are_kept_also_in_checkpoints(counts, capsys):
    ad = pytest.importorskip("anndata")
    cells = ad.AnnData(np.log1p(counts), layers={"raw": counts})
    cells.write_h5ad("cells.h5ad")
    arguments = ["--layer", "raw", "--checkpoint", "run.ckpt"]
    assert main(["fit", "cells.h5ad", "-o", "m.skse", *arguments, *SHAPE]) == 0
    expected = SketchedSparsePCA.load("m.skse").transform(counts)
    for model in ("m.skse", "run.ckpt"):
        np.testing.assert_array_equal(scores(model=model, source="cells.h5ad"), expected)


def test_a_fit_to_other_rows_forgets_how_rows_were_read(counts, capsys):
    assert main(["fit", "x.npy", "-o", "m.skse", "--log-counts", *SHAPE]) == 0
    SketchedSparsePCA.load("m.skse").fit(counts).save("m.skse")
    expected = SketchedSparsePCA.load("m.skse").transform(counts)
    np.testing.assert_array_equal(scores(), expected)


def test_text_is_read_in_its_own_encoding(counts, tmp_path, capsys):
    texts = ["café noir", "thé vert"] * 20
    for name in ("utf-8", "latin-1"):
        (tmp_path / f"{name}.txt").write_bytes("\n".join(texts).encode(name))
    arguments = ["--lines", "--memory", "8e6", *SHAPE]
    assert main(["fit", "utf-8.txt", "-o", "m.skse", *arguments]) == 0
    expected = scores("--lines", source="utf-8.txt")
    np.testing.assert_array_equal(
        scores("--lines", "--encoding", "latin-1", source="latin-1.txt"), expected
    )
    assert main(["fit", "utf-8.txt", "-o", "t.skse", "--log-counts", *arguments]) == 1
    assert "--log-counts is for tables of counts" in capsys.readouterr().err
