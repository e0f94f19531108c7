"""Rows from files to a fitted estimator: readers, progress, checkpoints, and files of results.

Nothing here is imported with the package; readers import their libraries when they are used.
"""

from ._fit_stream import fit_stream
from ._iter_batches import Batches, iter_batches
from ._load import load

__all__ = ["Batches", "fit_stream", "iter_batches", "load"]
