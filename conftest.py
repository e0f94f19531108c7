"""What pytest collects besides the tests: doctests of all modules that can be imported here."""

from importlib.util import find_spec

# The compiled kernels are an extra; without it their module cannot be imported, nor is it used.
collect_ignore = [] if find_spec("numba") else ["sklearn_sparse_eig/kernels/_numba.py"]
