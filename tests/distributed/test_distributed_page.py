"""The code of the page on engines, also where it needs one."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "doc" / "distributed.md"

pytestmark = pytest.mark.slow


def run_page(engine, **names):
    """Run the blocks of the page that need no engine or the given one."""
    text, ran = PAGE.read_text(encoding="utf-8"), 0
    for block in re.finditer(r"^```(python|py)\n(.*?)^```", text, flags=re.S | re.M):
        heading = (re.findall(r"(?m)^## (.*)$", text[: block.start()]) or [""])[-1]
        if block[1] == "py" and heading != engine:
            continue
        line = text[: block.start(2)].count("\n")
        exec(compile("\n" * line + block[2], str(PAGE), "exec"), names)
        ran += heading == engine
    assert ran


def test_dask():
    pytest.importorskip("dask.array", reason="dask is not installed: the extra dask")
    run_page("Dask")


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_spark(spark):
    run_page("Spark", spark=spark)
