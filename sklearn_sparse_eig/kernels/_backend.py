"""Which backend runs the kernels: Numba or SciPy, by context, environment or what is installed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Literal

from ._compiling import compile_clock

_BACKENDS = ("numba", "scipy")
_ENVIRONMENT_VARIABLE = "SKLEARN_SPARSE_EIG_BACKEND"
_chosen: ContextVar[str | None] = ContextVar("sklearn_sparse_eig_backend", default=None)


def _resolve(name: str, source: str) -> str:
    """Check a backend asked for by `source`, and that it can be had."""
    if name not in _BACKENDS:
        raise ValueError(f"{source} must be one of {_BACKENDS}, got {name!r}.")
    if name == "numba" and find_spec("numba") is None:
        raise ImportError(
            f"{source} asks for the 'numba' backend but numba is not installed. Install the extra "
            f"'fast' (pip install \"sklearn_sparse_eig[fast]\") or choose the 'scipy' backend."
        )
    return name


def get_backend() -> str:
    """Return the name of the backend the next kernel call will use.

    The innermost :func:`use_backend` decides, else the environment variable
    ``SKLEARN_SPARSE_EIG_BACKEND``, else Numba where installed.

    Returns
    -------
    {"numba", "scipy"}
    """
    name = _chosen.get()
    if name is not None:
        return name
    name = os.environ.get(_ENVIRONMENT_VARIABLE)
    if name:
        return _resolve(name, f"The environment variable {_ENVIRONMENT_VARIABLE}")
    return "scipy" if find_spec("numba") is None else "numba"


@contextmanager
def use_backend(name: Literal["numba", "scipy"]) -> Iterator[None]:
    """Choose the backend within a ``with`` block, for the current thread or task only.

    Parameters
    ----------
    name : {"numba", "scipy"}

    Examples
    --------
    >>> from sklearn_sparse_eig.kernels import get_backend, use_backend
    >>> with use_backend("scipy"):
    ...     get_backend()
    'scipy'
    """
    token = _chosen.set(_resolve(name, "use_backend"))
    try:
        yield
    finally:
        _chosen.reset(token)


def twin(part: str = "") -> ModuleType:
    """Import the module of the current backend, or a part of it, on first use."""
    name = get_backend()
    if name == "numba":
        compile_clock.listen()
    return import_module(f"._{name}{part}", __package__)
