"""Rows from files to a fitted estimator: readers, progress, checkpoints, and files of results.

Nothing here is imported with the package; readers import their libraries when they are used.
"""

from ._fit_stream import fit_stream
from ._load import load

__all__ = ["fit_stream", "load"]
