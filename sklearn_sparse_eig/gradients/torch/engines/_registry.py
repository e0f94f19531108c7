"""Engines by name, and their order where the library chooses."""

from collections.abc import Sequence

import torch

from .._layers import Layer
from ._base import Engine

_REGISTRY: dict[str, type[Engine]] = {}


def register(cls: type[Engine]) -> type[Engine]:
    """Make an engine class known by its ``name``, and return it: a class decorator."""
    _REGISTRY[cls.name] = cls
    return cls


def engine_names() -> list[str]:
    """Return ``"auto"`` and the names of all registered engines, those it tries first."""
    ranked = sorted(_REGISTRY, key=lambda name: (_REGISTRY[name].rank is None, _rank(name), name))
    return ["auto", *ranked]


def make_engines(engine: str, module: torch.nn.Module, layers: Sequence[Layer]) -> list[Engine]:
    """Return the engines to try, each for the layers that those before it leave.

    Raises
    ------
    ValueError
        If there is no such engine.
    """
    if engine not in engine_names():
        raise ValueError(f"engine must be one of {', '.join(engine_names())}, got {engine!r}.")
    names = [engine]
    if engine == "auto":
        names = sorted((n for n in _REGISTRY if _REGISTRY[n].rank is not None), key=_rank)
    return [_REGISTRY[name](module, layers) for name in names]


def _rank(name):
    return _REGISTRY[name].rank or 0.0
