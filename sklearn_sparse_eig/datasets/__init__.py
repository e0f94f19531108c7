"""Data with known sparse structure: a generator and a small classic."""

from ._pitprops import load_pitprops
from ._spiked import make_sparse_spiked_covariance

__all__ = ["load_pitprops", "make_sparse_spiked_covariance"]
