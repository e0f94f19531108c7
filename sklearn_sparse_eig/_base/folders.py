"""Registries that are filled by files: to add a kind is to add a file, named nowhere else."""

import sys
from importlib import import_module
from pkgutil import iter_modules


def import_files(package: str) -> None:
    """Import all modules of a folder, in which kinds register themselves.

    Parameters
    ----------
    package : str
        Its full name. The last line of its ``__init__`` is ``import_files(__name__)``, after the
        imports of public names, which readers and type checkers follow.
    """
    for module in iter_modules(sys.modules[package].__path__):
        import_module(f"{package}.{module.name}")
