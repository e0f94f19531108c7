"""What pytest collects besides the tests: doctests of all modules that can be imported here."""

from importlib.util import find_spec

# Modules that need an extra; without it they cannot be imported, nor are they used.
_NEEDS = {
    "sklearn_sparse_eig/gradients/torch/__init__.py": "torch",
    "sklearn_sparse_eig/gradients/torch/_layers.py": "torch",
    "sklearn_sparse_eig/gradients/torch/_network.py": "torch",
    "sklearn_sparse_eig/gradients/torch/_samples.py": "torch",
    "sklearn_sparse_eig/kernels/_numba.py": "numba",
}
collect_ignore = [path for path, package in _NEEDS.items() if not find_spec(package)]
# Scripts that a type checker reads: one of them is wrong on purpose.
collect_ignore += ["tests/typing/user_script.py", "tests/typing/wrong_script.py"]
