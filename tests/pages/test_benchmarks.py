"""The benchmarks' scripts, pages and overview name each other."""

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def run_all():
    spec = importlib.util.spec_from_file_location("run_all", FOLDER / "run_all.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_script_is_run_and_listed(run_all):
    scripts = sorted(
        str(path.relative_to(FOLDER))
        for path in FOLDER.glob("*/*.py")
        if not path.name.startswith(("_", "check_"))
    )
    overview = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(run_all.SCRIPTS.values()) == scripts
    assert sorted(re.findall(r"(?m)^\| `(\S+)` \|", overview)) == scripts


def test_every_table_has_one_place(run_all):
    for name in run_all.SCRIPTS:
        text = run_all.page_of(name).read_text(encoding="utf-8")
        assert "| new |" in run_all.replace_table(text, name, "| new |")


def test_every_table_is_filled_by_a_script(run_all):
    pages = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("results/*.md"))
    assert sorted(re.findall("<!-- table: (.*) -->", pages)) == sorted(run_all.SCRIPTS)
