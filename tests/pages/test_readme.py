"""The README's example prints what the README says."""

import contextlib
import io
import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_example_prints_what_the_readme_says():
    found = re.search(
        r"<!-- example -->\n```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", README, re.S
    )
    code, expected = found.groups()
    assert len(code.splitlines()) <= 20
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert printed.getvalue() == expected


def test_commands_are_one_line_each():
    for marker in ("run command", "test command"):
        (block,) = re.findall(rf"<!-- {marker} -->\n```bash\n(.*?)```", README, re.S)
        assert len(block.splitlines()) == 1
