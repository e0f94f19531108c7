"""What does not add up is not merged, and nothing counts twice."""

import shutil

import numpy as np
import pytest

from sklearn_sparse_eig.cli import main

SHAPE = ["-k", "1", "-s", "2", "-q"]
TEXT = ["--lines", "--memory", "8e6", *SHAPE]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(f"{name}.npy", rng.poisson(50.0, size=(40, 6)))
    (tmp_path / "a.txt").write_text("snow and ice\nsun and sand\n" * 10)
    (tmp_path / "b.txt").write_text("sea and sand\nski and ice\n" * 10)


def fit(source, model, *arguments):
    assert main(["fit", source, "-o", model, *arguments]) == 0


def merge(*models):
    return main(["merge", *models, "-o", "sum.skse"])


@pytest.mark.parametrize("options", [["--log-counts"], ["--columns", "2,1,0,3,4,5"]])
def test_rows_of_different_kinds_are_refused(files, capsys, options):
    fit("a.npy", "a.skse", *SHAPE)
    fit("b.npy", "b.skse", *options, *SHAPE)
    fit("a.npy", "also.skse", *options, *SHAPE)
    for pair in ("a.skse", "b.skse"), ("b.skse", "a.skse"):
        assert merge(*pair) == 1
        err = capsys.readouterr().err
        assert f"{' '.join(options)}" in err and "do not add up" in err
    assert merge("also.skse", "b.skse") == 0
    assert main(["info", "sum.skse"]) == 0
    assert f"rows read: {' '.join(options)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--sublinear"], "--sublinear"),
        (["--stop-words", "english"], "--stop-words"),
        (["--ngrams", "2"], "--ngrams"),
    ],
)
def test_texts_that_were_read_in_different_ways_are_refused(files, capsys, options, told):
    fit("a.txt", "a.skse", *TEXT)
    fit("b.txt", "b.skse", *options, *TEXT)
    assert merge("a.skse", "b.skse") == 1
    err = capsys.readouterr().err
    assert "Texts were read in different ways" in err and told in err
    fit("b.txt", "c.skse", "--encoding", "ascii", *TEXT)  # of the file, not of its terms
    assert merge("a.skse", "c.skse") == 0


def test_a_copy_does_not_count_twice(files, capsys):
    fit("a.npy", "a.skse", *SHAPE)
    fit("b.npy", "b.skse", *SHAPE)
    shutil.copy("a.skse", "copy.skse")
    assert merge("a.skse", "b.skse", "copy.skse") == 1
    assert "copy.skse is a copy of a.skse, byte for byte" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["cells", "cells/*.h5ad", "cells/a.h5ad"])
def test_quiet_runs_warn_of_counts_too(files, tmp_path, capsys, source):
    ad = pytest.importorskip("anndata")
    (tmp_path / "cells").mkdir()
    ad.AnnData(np.load("a.npy").astype(float)).write_h5ad("cells/a.h5ad")
    fit(source, "m.skse", *SHAPE)
    out, err = capsys.readouterr()
    assert "The cells hold raw counts" in err and not out
    fit(source, "m.skse", "--log-counts", *SHAPE)
    assert capsys.readouterr().err == ""
