"""What is printed and written: names of rows, components from 0, sizes, what is left out."""

import re

import numpy as np
import pytest

from sklearn_sparse_eig.cli import main


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 1)) * 3.0 + rng.normal(size=(300, 25))
    np.save("x.npy", X)
    assert main(["fit", "x.npy", "-o", "m.skse", "-k", "1", "-s", "25"]) == 0


def test_the_largest_are_shown_and_the_rest_counted(model, tmp_path, capsys):
    capsys.readouterr()
    assert main(["fit", "x.npy", "-o", "m.skse", "-k", "1", "-s", "25"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("component 0: ") and len(out.splitlines()) == 23
    assert "  and 5 more\n" in out
    size = (tmp_path / "m.skse").stat().st_size
    told, unit = re.search(r"saved as m.skse \(([\d.]+) (kB|MB)\)", out).groups()
    assert float(told) * {"kB": 1e3, "MB": 1e6}[unit] == pytest.approx(size, rel=5e-3)
    assert main(["show", "m.skse"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 26
    assert main(["show", "m.skse", "--top", "4"]) == 0
    assert capsys.readouterr().out.endswith("  and 21 more\n")


@pytest.mark.parametrize(("top", "drawn"), [([], 12), (["--top", "4"], 4), (["--top", "25"], 25)])
def test_pictures_hold_what_is_asked_for(model, capsys, monkeypatch, top, drawn):
    pytest.importorskip("matplotlib").use("Agg")
    from sklearn_sparse_eig.plotting import ComponentsDisplay

    displays, plot = [], ComponentsDisplay.plot

    def watched(self, **options):
        displays.append(plot(self, **options))
        return displays[-1]

    monkeypatch.setattr(ComponentsDisplay, "plot", watched)
    capsys.readouterr()
    assert main(["show", "m.skse", "--plot", "m.png", "--json", *top]) == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1 and "plot saved as m.png" in err
    assert [len(bars) for bars in displays[0].bars_] == [drawn]
    assert (f"{drawn} largest of up to 25" in err) == (drawn < 25)
    assert ("--top draws more" in err) == (not top)


def first_column(path):
    lines = path.read_text().splitlines()
    return [line.rpartition(",")[0] for line in lines]


def test_rows_have_names(tmp_path, monkeypatch):
    ad = pytest.importorskip("anndata")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letters").mkdir()
    for i in range(9):
        (tmp_path / "letters" / f"{i}.txt").write_text("snow and ice" if i % 2 else "sun and sand")
    arguments = ["-k", "1", "-s", "2", "--memory", "8e6", "--batch-size", "4", "-q"]
    assert main(["fit", "letters", "-o", "m.skse", *arguments]) == 0
    assert main(["transform", "m.skse", "letters", "--batch-size", "2", "-o", "s.csv"]) == 0
    assert first_column(tmp_path / "s.csv") == ["row", *(f"letters/{i}.txt" for i in range(9))]
    cells = ad.AnnData(np.random.default_rng(0).normal(size=(9, 5)))
    cells.obs_names = [f"cell {i}, twin" for i in range(9)]
    cells.write_h5ad("cells.h5ad")
    assert main(["fit", "cells.h5ad", "-o", "c.skse", *arguments]) == 0
    assert main(["transform", "c.skse", "cells.h5ad", "-o", "s.csv"]) == 0
    assert first_column(tmp_path / "s.csv") == ["row", *(f'"cell {i}, twin"' for i in range(9))]
    assert (tmp_path / "s.csv").read_text().startswith("row,component_0\n")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("log", [[], ["--log-counts"]])
def test_transform_says_where_a_value_is_missing(model, capsys, value, log):
    X = np.abs(np.load("x.npy"))
    X[17, 3] = value
    np.save("y.npy", X)
    arguments = ["--as-given", *log, "--batch-size", "7", "-o", "s.npy"]
    assert main(["transform", "m.skse", "y.npy", *arguments]) == 1
    err = capsys.readouterr().err
    told = "NaN" if np.isnan(value) else "infinity"
    assert f"There is {told} in column 3 of y.npy, batch 2, row 17" in err
    assert "supervised" not in err and "np." not in err
