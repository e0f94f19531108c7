"""What pages tell readers to type first can be typed, and comes before anything else."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

DOC = Path(__file__).parents[2] / "doc"
GUIDE = (DOC / "guide.md").read_text(encoding="utf-8")
PAGES = re.search(r"```\{toctree\}\n:hidden:\n\n(.*?)```", GUIDE, flags=re.S)[1].split()
MODULES = [
    "sklearn_sparse_eig",
    "sklearn_sparse_eig.diagnostics",
    "sklearn_sparse_eig.distributed",
    "sklearn_sparse_eig.plotting",
    "sklearn_sparse_eig.streams",
    "sklearn_sparse_eig.text",
    "sklearn.model_selection",
    "sklearn.utils.estimator_checks",
]
# Methods of what is not ours, and decorators that are told apart on their page.
OTHERS = {"Timedelta", "predict_proba", "max", "eval"}


def _cells(page, heading):
    """Return the code in the columns of this heading."""
    found, column = [], None
    for line in (DOC / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if heading in cells:
            column = cells.index(heading)
        elif not line.startswith("|"):
            column = None
        elif column is not None and not line.startswith("|--"):
            found += re.findall(r"`([^`]+)`", cells[column])
    return found


LINES = [
    line
    for page in ("choosing.md", "guide.md", "recipes.md")
    for line in _cells(page, "type first")
    if not line.startswith(("sparse-eig ", "@"))
]


@pytest.mark.parametrize("line", LINES)
def test_first_lines_name_what_exists(line):
    modules = [importlib.import_module(name) for name in MODULES]
    functions, classes = {}, [m for module in modules for m in vars(module).values()]
    for module in modules:
        functions.update(vars(module))
    for node in ast.walk(ast.parse(line)):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id != "sum":
            function = functions[node.func.id]
            keywords = {k.arg for k in node.keywords}
            assert keywords <= set(inspect.signature(function).parameters), keywords
        elif isinstance(node.func, ast.Attribute) and node.func.attr not in OTHERS:
            assert any(hasattr(each, node.func.attr) for each in classes), node.func.attr


def test_there_are_first_lines():
    assert len(LINES) > 40


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_the_guide_begin_with_code(page):
    text = (DOC / f"{page}.md").read_text(encoding="utf-8")
    code = text.index("```")
    for other in (r"^## ", r"^\|", r"^\$\$"):
        found = re.search(other, text, flags=re.M)
        assert found is None or found.start() > code, found[0]
