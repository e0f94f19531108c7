"""Types as a user meets them: ``mypy --strict`` accepts right use and names each mistake."""

import re
import runpy
from pathlib import Path
from unittest import mock

import pytest

import sklearn_sparse_eig
from sklearn_sparse_eig.ood import SCORES

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
ROOT = Path(sklearn_sparse_eig.__file__).parents[1]
_REPORT = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: .*\[(?P<code>[a-z-]+)\]$")
_MARK = re.compile(r"# error: (?P<code>[a-z-]+)$")


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """Return {script: {(line, code)}} of one run of mypy over both scripts."""
    api = pytest.importorskip("mypy.api")
    cache = tmp_path_factory.mktemp("mypy")
    config = cache / "mypy.ini"
    # Nothing but what a user needs for packages that do not state their types.
    config.write_text("[mypy]\nignore_missing_imports = True\n")
    if ROOT == CHECKOUT:  # what is not installed is found by its path
        config.write_text(f"{config.read_text()}mypy_path = {ROOT}\n")
    scripts = ["user_script.py", "wrong_script.py"]
    options = ["--strict", "--follow-imports=silent", f"--cache-dir={cache}"]
    options += [f"--config-file={config}", "--no-pretty", "--hide-error-context"]
    out, err, _ = api.run([*options, *(str(HERE / name) for name in scripts)])
    assert err == ""
    found = {name: set() for name in scripts}
    for line in out.splitlines():
        if ": error: " in line:
            match = _REPORT.match(line)
            assert match, line
            found[Path(match["file"]).name].add((int(match["line"]), match["code"]))
    return found


def marked(script):
    lines = enumerate((HERE / script).read_text().splitlines(), start=1)
    return {(n, match["code"]) for n, line in lines if (match := _MARK.search(line))}


def test_right_use_passes(reported):
    assert reported["user_script.py"] == set()


def test_each_mistake_is_found_in_its_line(reported):
    expected = marked("wrong_script.py")
    assert len(expected) > 50
    assert reported["wrong_script.py"] == expected


def test_package_contradicts_itself_nowhere(tmp_path):
    api = pytest.importorskip("mypy.api")
    config = f"--config-file={CHECKOUT / 'pyproject.toml'}"
    package = str(CHECKOUT / "sklearn_sparse_eig")
    out, err, status = api.run([config, f"--cache-dir={tmp_path}", package])
    assert (status, err) == (0, ""), out


def test_what_is_promised_to_the_checker_is_what_happens():
    with mock.patch.dict(SCORES):  # the script registers one, which others must not see
        runpy.run_path(str(HERE / "user_script.py"))["main"]()
