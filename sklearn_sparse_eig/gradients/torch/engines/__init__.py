"""Engines that compute per-sample gradients of torch modules, one class per file, by name.

To add one: a file in this folder with a subclass of :class:`Engine` that is decorated with
:func:`register`. Imported only when a torch module is given.
"""

from ...._base.folders import import_files
from ._base import Batch, Engine, EngineFailure
from ._by_samples import BySamplesEngine
from ._capture import Capture
from ._registry import engine_names, make_engines, register

__all__ = [
    "Batch",
    "BySamplesEngine",
    "Capture",
    "Engine",
    "EngineFailure",
    "engine_names",
    "make_engines",
    "register",
]

import_files(__name__)
