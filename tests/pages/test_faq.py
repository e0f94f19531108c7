"""Every warning of the library is explained in doc/faq.md, and every explained one exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "doc" / "faq.md").read_text(encoding="utf-8")
# What a warning says, from the first column of the tables; * stands for what differs.
QUOTED = [
    quote
    for line in PAGE.splitlines()
    if line.startswith('| "')
    for quote in re.findall(r'"([^"]+)"', line.split(" | ")[0])
]
# Texts that are made elsewhere than where they are told.
MADE_ELSEWHERE = {
    "str(failure)": ("gradients/torch/engines/_vmap.py", "EngineFailure"),
    "fit.shortfall": ("lowrank/_fit.py", None),
}


def _text(node):
    """Return the text of an expression, with * for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return "*"


def _warnings():
    """Return the text of each call of warn_user, by its place."""
    found = {}
    package = ROOT / "sklearn_sparse_eig"
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "warn_user":
                text, place = _text(node.args[0]), f"{file.relative_to(package)}:{node.lineno}"
                if text == "*":
                    text = _made_elsewhere(package, ast.unparse(node.args[0]))
                found[place] = text
    return found


def _made_elsewhere(package, expression):
    file, name = MADE_ELSEWHERE[expression]
    tree = ast.parse((package / file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if name and isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            return _text(node.args[0])
        targets = [ast.unparse(t) for t in node.targets] if isinstance(node, ast.Assign) else []
        if not name and "shortfall" in targets and isinstance(node.value, ast.JoinedStr):
            return _text(node.value)
    raise AssertionError(f"the text of {expression} is not where it was: {file}")


WARNINGS = _warnings()


def _says(text, quote):
    return re.search(".*".join(map(re.escape, quote.split("*"))), text) is not None


@pytest.mark.parametrize("place", WARNINGS)
def test_each_warning_is_explained(place):
    text = WARNINGS[place]
    assert any(_says(text, quote) for quote in QUOTED), f"doc/faq.md does not explain: {text}"


@pytest.mark.parametrize("quote", QUOTED)
def test_each_explained_warning_exists(quote):
    assert any(_says(text, quote) for text in WARNINGS.values())


def test_warnings_are_found():
    assert len(WARNINGS) > 30 and len(QUOTED) > 30
