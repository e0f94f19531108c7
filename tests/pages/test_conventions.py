"""The table of scikit-learn's conventions names tests that exist, and checks that are run."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import sklearn
from sklearn.utils.fixes import parse_version

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
PAGE = (ROOT / "doc" / "conventions.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "| test |" not in line]
NAMED = sorted(set(re.findall(r"`([\w/]+\.py::test_\w+)`", PAGE)))
CHECKS = sorted(set(re.findall(r"`(check_\w+)`", "\n".join(ROWS))))


def test_each_convention_has_a_test():
    assert len(ROWS) > 30
    for row in ROWS:
        convention, kept, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert convention and kept
        assert re.search(r"`([\w/]+\.py::test_|check_)\w+`", tests), convention


@pytest.mark.parametrize("named", NAMED)
def test_named_tests_exist(named):
    file, name = named.split("::")
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"), reason="the table is of 1.9"
)
def test_named_checks_are_run(monkeypatch):
    monkeypatch.syspath_prepend(TESTS / "laws")
    contract, others = map(importlib.import_module, ("test_common", "test_conventions_of_sklearn"))
    run = {check.__name__ for check in others.OF_ALL + others.OF_TRANSFORMERS}
    for case in contract.CONTRACT.args[1]:
        check = getattr(case, "values", case)[1]
        run.add(getattr(check, "func", check).__name__)
    assert [name for name in CHECKS if name not in run] == []
