"""What pytest collects besides the tests, the doctests of modules, and how workers share cores."""

import os
from importlib.util import find_spec

import joblib

# What needs an extra; without it these cannot be imported, nor are they used.
_NEEDS = {
    "sklearn_sparse_eig/gradients/torch": "torch",
    "sklearn_sparse_eig/diagnostics/_curvature.py": "torch",
    "sklearn_sparse_eig/kernels/_numba*.py": "numba",
}
collect_ignore_glob = [path for path, package in _NEEDS.items() if not find_spec(package)]
# Scripts that a type checker reads: one of them is wrong on purpose.
collect_ignore = ["tests/typing/user_script.py", "tests/typing/wrong_script.py"]

# Whether a change is accepted depends on the change alone. Tests that are run by hand draw new
# examples each time.
if os.environ.get("CI") and find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("acceptance", derandomize=True)
    settings.load_profile("acceptance")


def pytest_configure(config):
    """Give each worker of pytest-xdist its share of the cores, in the environment it inherits."""
    n_workers = getattr(config.option, "numprocesses", None)
    if n_workers:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, joblib.cpu_count() // n_workers)))
