"""The command line: files in, a model out, and sentences where something is wrong."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig.cli import main

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 12)) * np.r_[[5.0] * 3, [1.0] * 9] + RNG.normal(size=(300, 1)) * (
    np.arange(12) < 3
)
GENES = [f"gene{i}" for i in range(12)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    (tmp_path / "names.txt").write_text("\n".join(GENES) + "\n")
    (tmp_path / "notes.md").write_text("notes")
    return tmp_path


def fit(*arguments):
    return main(["fit", "x.npy", "-o", "m.skse", "-k", "1", "-s", "3", "-q", *arguments])


def test_fit_show_info_and_transform(folder, capsys):
    status = main(["fit", "x.npy", "-o", "m.skse", "-k", "1", "-s", "3", "--names", "names.txt"])
    assert status == 0
    out = capsys.readouterr().out
    assert (
        "component 0: variance" in out and "gene0" in out and "300 rows; saved as m.skse (" in out
    )
    assert main(["show", "m.skse", "--top", "2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {n for n, _ in shown["components"][0]["loadings"]} <= {"gene0", "gene1", "gene2"}
    assert len(shown["components"][0]["loadings"]) == 2 and shown["n_samples"] == 300
    assert main(["info", "m.skse"]) == 0
    out = capsys.readouterr().out
    assert "estimator: SketchedSparsePCA" in out and "n_features_in_: 12" in out
    for name in ("scores.npy", "scores.csv"):
        assert main(["transform", "m.skse", "x.npy", "-o", name]) == 0
    expected = SketchedSparsePCA.load("m.skse").transform(X)
    np.testing.assert_array_equal(np.load("scores.npy"), expected)
    table = np.loadtxt("scores.csv", skiprows=1, ndmin=2, delimiter=",")
    np.testing.assert_array_equal(table[:, 0], np.arange(300))
    np.testing.assert_allclose(table[:, 1:], expected, rtol=1e-7)
    assert main(["transform", "m.skse", "x.npy", "--no-names", "-o", "scores.csv"]) == 0
    bare = np.loadtxt("scores.csv", skiprows=1, ndmin=2, delimiter=",")
    np.testing.assert_array_equal(bare, table[:, 1:])


def test_merge_is_fitting_all_rows(folder, capsys):
    np.save("a.npy", X[:100])
    np.save("b.npy", X[100:])
    for name in "ab":
        arguments = ["fit", f"{name}.npy", "-o", f"{name}.skse", "-k", "1", "-s", "3", "-q"]
        assert main(arguments) == 0
    assert main(["merge", "a.skse", "b.skse", "-o", "ab.skse"]) == 0
    assert "2 files, 300 rows" in capsys.readouterr().out
    merged = SketchedSparsePCA.load("ab.skse")
    assert merged.support_.tolist() == [0, 1, 2]
    np.testing.assert_allclose(merged.var_, X.var(axis=0), rtol=1e-10)


def test_a_run_goes_on_from_its_checkpoint(folder, capsys):
    bad = X.copy()
    bad[250] = np.nan
    np.save("x.npy", bad)
    checkpoint = ["--checkpoint", "run.ckpt", "--batch-size", "50"]
    assert fit(*checkpoint) == 1
    assert "NaN" in capsys.readouterr().err
    assert main(["info", "run.ckpt"]) == 0
    assert "checkpoint: 250 rows in 5 batches" in capsys.readouterr().out
    np.save("x.npy", X)
    assert fit(*checkpoint) == 0
    resumed = SketchedSparsePCA.load("m.skse").sketch_.to_bytes()
    assert fit("--batch-size", "50") == 0
    assert SketchedSparsePCA.load("m.skse").sketch_.to_bytes() == resumed


def test_sketches_are_shown_and_merged(folder, capsys):
    for name, rows in (("a", X[:100]), ("b", X[100:])):
        sketch = EigenSketch(12, n_measurements=None, measurement="identity")
        sketch.update(rows).as_shard(name).save(f"{name}.sketch")
    assert main(["merge", "a.sketch", "b.sketch", "-o", "ab.sketch"]) == 0
    arguments = ["show", "ab.sketch", "-k", "1", "-s", "3", "--names", "names.txt"]
    assert main(arguments) == 0
    assert "gene2" in capsys.readouterr().out
    assert main(["info", "ab.sketch"]) == 0
    assert "shards: a, b" in capsys.readouterr().out
    shutil.copy("a.sketch", "again.sketch")
    assert main(["merge", "a.sketch", "again.sketch", "-o", "aa.sketch"]) == 1
    assert "shard a is here already" in capsys.readouterr().err


def test_covariances_too(folder, capsys):
    assert main(["fit", "x.npy", "-o", "c.skse", "--estimator", "covariance"]) == 0
    assert main(["show", "c.skse", "--json"]) == 0
    assert "noise_variance" in capsys.readouterr().out


def test_cells_to_named_programmes(folder, capsys):
    ad = pytest.importorskip("anndata")
    cells = ad.AnnData(sp.csr_matrix(np.maximum(X, 0)))
    cells.var_names = GENES
    cells.write_h5ad("cells.h5ad")
    assert main(["fit", "cells.h5ad", "-o", "p.skse", "-k", "1", "-s", "3"]) == 0
    assert "gene1" in capsys.readouterr().out
    assert main(["transform", "p.skse", "cells.h5ad", "-o", "s.npy"]) == 0
    assert main(["transform", "p.skse", "cells.h5ad", "--columns", "gene1", "-o", "s.npy"]) == 1
    assert "Feature 0 is 'gene1' in the input and 'gene0'" in capsys.readouterr().err


def test_raw_counts_of_cells_are_told_of_and_mended(folder, capsys):
    ad = pytest.importorskip("anndata")
    counts = np.random.default_rng(0).poisson(30.0, (50, 12)) * (np.arange(12) != 4)
    cells = ad.AnnData(sp.csr_matrix(counts.astype(np.float32)))
    cells.var_names = GENES
    cells.write_h5ad("cells.h5ad")
    arguments = ["fit", "cells.h5ad", "-o", "p.skse", "-k", "1", "-s", "3"]
    assert main(arguments) == 0
    assert "--log-counts takes logarithms" in capsys.readouterr().err
    assert main([*arguments, "--log-counts"]) == 0
    assert "raw counts" not in capsys.readouterr().err
    expected = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    pca = SketchedSparsePCA.load("p.skse")
    np.testing.assert_allclose(pca.var_, expected.var(axis=0), rtol=1e-6, atol=1e-12)
    assert main(["transform", "p.skse", "cells.h5ad", "--log-counts", "-o", "s.npy"]) == 0
    np.testing.assert_allclose(np.load("s.npy"), pca.transform(expected), rtol=1e-4, atol=1e-5)
    assert main(["fit", "x.npy", "--log-counts", "-o", "m.skse", "-q"]) == 1
    assert "Counts are numbers and not negative" in capsys.readouterr().err


TOPICS = [["sea", "ship", "sail"], ["snow", "ski", "ice"]]


def test_counts_are_logarithms_of_whole_entries_and_told_of_to_transform(folder, capsys):
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.uniform(0, 9, size=12), size=(60, 12)) * rng.integers(1, 5, (60, 1))
    half = sp.csr_array(counts)
    twice = sp.csr_array(
        (np.repeat(half.data, 2), np.repeat(half.indices, 2), 2 * half.indptr), shape=half.shape
    )
    sp.save_npz("twice.npz", twice)
    assert main(["fit", "twice.npz", "--log-counts", "-o", "m.skse", "-k1", "-s3", "-q"]) == 0
    whole = 2.0 * counts
    logs = np.log1p(whole * 1e4 / whole.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(SketchedSparsePCA.load("m.skse").mean_, logs.mean(axis=0))
    capsys.readouterr()
    # What was not told how its rows were read, as in earlier releases.
    forgotten = SketchedSparsePCA.load("m.skse")
    del forgotten._rows_read_as
    forgotten.save("m.skse")
    for given, told in ([], True), (["--log-counts"], False):
        assert main(["transform", "m.skse", "twice.npz", "-o", "s.npy", *given]) == 0
        assert ("look like raw counts" in capsys.readouterr().err) == told


def test_a_file_that_is_named_twice_is_not_counted_twice(folder, capsys):
    np.save("x.npy", np.random.default_rng(0).normal(size=(40, 6)))
    assert main(["fit", "x.npy", "-o", "m.skse", "-k1", "-s2", "-q"]) == 0
    assert main(["merge", "m.skse", "./m.skse", "-o", "sum.skse"]) == 1
    assert "./m.skse is given twice" in capsys.readouterr().err


def letters(n, seed=0):
    rng = np.random.default_rng(seed)
    return [
        " ".join(
            ["the", *rng.choice(TOPICS[i % 2], 6), *(f"w{j}" for j in rng.integers(99, size=3))]
        )
        for i in range(n)
    ]


TEXT_FIT = "-k 1 -s 6 --memory 8e6 --batch-size 40 --stop-words english".split()


def words_of(shown):
    return {name for name, _ in json.loads(shown)["components"][0]["loadings"]}


def test_a_folder_of_text_to_named_topics(folder, capsys):
    (folder / "letters").mkdir()
    for i, text in enumerate(letters(100)):
        (folder / "letters" / f"{i:03d}.txt").write_text(text)
    assert main(["fit", "letters/", "-o", "topics.skse", *TEXT_FIT]) == 0
    out = capsys.readouterr().out
    assert all(f"  {word}" in out for word in sum(TOPICS, [])) and "100 rows" in out
    assert main(["show", "topics.skse", "--json"]) == 0
    assert words_of(capsys.readouterr().out) == set(sum(TOPICS, []))
    assert main(["info", "topics.skse"]) == 0
    assert "stop_words='english'" in capsys.readouterr().out
    # New documents are read as those of the fit were.
    assert main(["transform", "topics.skse", "letters", "-o", "s.npy"]) == 0
    scores = np.load("s.npy")[:, 0]
    assert (np.sign(scores[0::2]) == -np.sign(scores[1::2])).all()


def test_columns_of_text_are_resumed_and_merged_with_names(folder, capsys):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for day, seed in (("a", 0), ("b", 1)):
        pd.DataFrame({"n": 1.0, "body": letters(120, seed)}).to_parquet(f"{day}.parquet")
        arguments = ["fit", f"{day}.parquet", "--text-column", "body", "-q", *TEXT_FIT]
        assert main([*arguments, "-o", f"{day}.skse", "--checkpoint", f"{day}.ckpt"]) == 0
    assert main(["merge", "a.skse", "b.skse", "-o", "ab.skse"]) == 0
    capsys.readouterr()
    assert main(["show", "ab.skse", "--json"]) == 0
    assert words_of(capsys.readouterr().out) == set(sum(TOPICS, []))
    # Nothing is read again but for the names.
    assert main([*arguments, "-o", "again.skse", "--checkpoint", "b.ckpt"]) == 0
    assert main(["show", "again.skse", "--json"]) == 0
    assert words_of(capsys.readouterr().out) == set(sum(TOPICS, []))


def test_a_picture_is_saved(folder):
    pytest.importorskip("matplotlib").use("Agg")
    assert fit() == 0
    assert main(["show", "m.skse", "--plot", "m.png"]) == 0
    assert (folder / "m.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "no.npy", "-o", "m"], "There is no file no.npy."),
        (["fit", "notes.md", "-o", "m"], "is not known by its suffix"),
        (["fit", "names.txt", "--text-column", "a", "-o", "m", "-q"], "has no column 'a'"),
        (["fit", "names.txt", "--stop-words", "none.txt", "-o", "m"], "none.txt: No such file"),
        (["fit", "x.npy", "-o", "no/m", "-q"], "could not be written"),
        (["fit", "x.npy", "-o", "m", "-k", "0", "-q"], "--components"),
        (["fit", "x.npy", "-o", "m", "--every", "soon", "-q"], "--every must be"),
        (["fit", "x.npy", "-o", "m", "--checkpoint", "names.txt", "-q"], "cannot be loaded"),
        (["fit", "x.npy", "-o", "m", "--checkpoint", "names.txt"], "choose another path for the"),
        (["fit", "x.npy", "-o", "m", "--columns", "a,b", "-q"], "give --columns as integers"),
        (["show", "names.txt"], "names.txt cannot be loaded"),
        (["show", "no.skse"], "no.skse: No such file or directory."),
        (["info", "x.npy"], "x.npy cannot be loaded"),
        (["merge", "x.npy", "-o", "m"], "x.npy cannot be loaded"),
        (["transform", "x.npy", "x.npy", "-o", "m.txt"], "ends with .npy or .csv"),
    ],
)
def test_errors_are_sentences(folder, capsys, arguments, sentence):
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert sentence in err and "Traceback" not in err
    assert err.splitlines()[-1].startswith("sparse-eig: error: ")
    assert not (folder / "m").exists()


def test_a_foreign_checkpoint_is_left_alone(folder):
    before = (folder / "names.txt").read_text()
    assert fit("--checkpoint", "names.txt") == 1
    assert (folder / "names.txt").read_text() == before


def test_debug_shows_where(folder, capsys):
    assert main(["show", "names.txt", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["fit"], ["merge"], ["show"], ["transform"], ["info"]])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "examples:\n  sparse-eig " in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [[], ["melt"], ["fit", "x.npy"], ["fit", "x", "-o", "m", "-z"]]
)
def test_wrong_arguments_end_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_the_module_is_the_command(folder):
    command = [sys.executable, "-m", "sklearn_sparse_eig", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("sparse-eig ")
