"""Readers of files, one class per file, registered by the names of formats.

To add one: a file with a subclass of :class:`Reader` that is decorated with :func:`register`.
Libraries are imported in methods, by :func:`needed`, so that nobody needs those of other formats.
"""

from ..._base.folders import import_files
from ._base import Reader, Wanted, needed
from ._registry import find_reader, reader_names, register

__all__ = ["Reader", "Wanted", "find_reader", "needed", "reader_names", "register"]

import_files(__name__)
