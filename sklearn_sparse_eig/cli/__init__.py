"""The command ``sparse-eig``: files in, a model out."""

from ._main import main

__all__ = ["main"]
