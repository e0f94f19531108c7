"""The README's examples print what the README says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


EXAMPLES = re.findall(
    r"<!-- example -->\n```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", README, re.S
)


@pytest.mark.parametrize("code, expected", EXAMPLES)
def test_examples_print_what_the_readme_says(code, expected):
    assert len(code.splitlines()) <= 20
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert printed.getvalue() == expected


def test_every_example_is_run():
    assert len(EXAMPLES) == README.count("<!-- example -->") == README.count("```python") >= 3


def test_commands_are_one_line_each():
    for marker in ("run command", "test command"):
        (block,) = re.findall(rf"<!-- {marker} -->\n```bash\n(.*?)```", README, re.S)
        assert len(block.splitlines()) == 1
