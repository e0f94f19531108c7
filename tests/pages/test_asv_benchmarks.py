"""Each benchmark for asv runs once, at a small size; asv is needed for its own check alone."""

import importlib
import inspect
import itertools
import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "asv"
CONFIGURATION = json.loads((FOLDER / "asv.conf.json").read_text(encoding="utf-8"))
KINDS = ("time_", "peakmem_")
SMALL = {"n_samples": 80, "n_features": 60, "memory_budget": 4e6}


def package():
    """Return the modules of the benchmarks, imported as asv does, under another name."""
    root = FOLDER / CONFIGURATION["benchmark_dir"]
    spec = spec_from_file_location(
        "asv_benchmarks", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules["asv_benchmarks"] = module_from_spec(spec)
    names = sorted(path.stem for path in root.glob("*.py") if not path.stem.startswith("_"))
    return [importlib.import_module(f"asv_benchmarks.{name}") for name in names]


@pytest.fixture(scope="module")
def classes():
    before = sys.path.copy()  # the benchmarks add the folders of the scripts
    found = [
        item
        for module in package()
        for _, item in inspect.getmembers(module, inspect.isclass)
        if item.__module__ == module.__name__
    ]
    yield found
    sys.path[:] = before


def methods(cls):
    return [name for name in dir(cls) if name.startswith(KINDS)]


def test_what_users_call_is_timed_and_its_memory_is_tracked(classes):
    assert {cls.__name__ for cls in classes} == {"Streams", "SparseEigsh", "Detector"}
    for cls in classes:
        assert {name.split("_")[0] + "_" for name in methods(cls)} == set(KINDS)


@pytest.mark.filterwarnings("ignore")  # small sizes are not what the benchmarks are made for
@pytest.mark.parametrize("name", ["Streams", "SparseEigsh", "Detector"])
def test_each_runs_once(name, classes):
    (cls,) = (item for item in classes if item.__name__ == name)
    assert len(cls.params) == len(cls.param_names)
    for parameters in itertools.product(*cls.params):
        benchmark = cls()
        for size in SMALL.keys() & vars(cls).keys():
            setattr(benchmark, size, SMALL[size])
        benchmark.setup(*parameters)
        for method in methods(cls):
            getattr(benchmark, method)(*parameters)


def test_asv_finds_them():
    pytest.importorskip("asv.console")  # the folder of the benchmarks is called asv too
    command = [sys.executable, "-m", "asv", "check", "--environment", "existing:same"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
