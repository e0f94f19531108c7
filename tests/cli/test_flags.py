"""Messages speak of options as they are typed."""

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import sklearn_sparse_eig
from sklearn_sparse_eig.cli import main
from sklearn_sparse_eig.cli._flags import SPOKEN, in_flags

FILES = [
    path
    for path in Path(sklearn_sparse_eig.__file__).parent.rglob("*.py")
    if path.name != "_flags.py"
]


@cache
def said():
    """Return all texts of the library."""
    nodes = (node for path in FILES for node in ast.walk(ast.parse(path.read_text())))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


@pytest.mark.parametrize("phrase", SPOKEN)
def test_what_is_translated_is_said(phrase):
    assert any(phrase in text for text in said())


def test_names_of_parameters_and_nothing_else_become_options():
    told = in_flags("n_nonzero_coefs=3 and every must be 1; for every noise, model.n_components_")
    assert told == "--nonzeros=3 and --every must be 1; for every noise, model.n_components_"
    assert in_flags("my_n_components") == "my_n_components"


@pytest.mark.parametrize(
    ("file", "content", "arguments", "told"),
    [
        ("a.txt", b"caf\xe9", [], "--encoding latin-1"),
        ("a.csv", b"x,y\n1,a\n2,b\n", [], "by --drop or --columns"),
        ("a.csv", b"x,y\n1,a\n2,b\n", [], "give --text-column if"),
        ("a.dat", b"1", [], "Name it by --format"),
        ("a.csv", b"x,y\n1,2\n2,3\n", ["-s", "3"], "--nonzeros=3 must be"),
        ("a.csv", b"x,y\n1,2\n2,\n", [], "accept missing values encoded as NaN natively."),
    ],
)
def test_errors_name_what_is_typed(tmp_path, monkeypatch, capsys, file, content, arguments, told):
    if file.endswith(".csv"):
        pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    Path(file).write_bytes(content)
    assert main(["fit", file, "-o", "m.skse", *arguments]) == 1
    err = capsys.readouterr().err
    assert told in err and "sklearn" not in err and "=\n" not in err and "= " not in err


def test_warnings_name_what_is_typed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("x.npy", rng.normal(size=(400, 40)) * 0.98 ** np.arange(40))
    assert main(["fit", "x.npy", "-o", "m.skse", "-k", "1"]) == 0
    err = capsys.readouterr().err
    assert "n_nonzero_coefs" not in err and "refine" not in err.replace("in Python, with", "")
