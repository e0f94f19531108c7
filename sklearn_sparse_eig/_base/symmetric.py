"""What counts as a symmetric matrix, in every part of the package."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from .entries import check_values

# Largest |A - A^T| that passes for rounding, as a share of the largest |A|. A Gram matrix that
# was computed in single precision is off by about 1e-7; a matrix that is not meant to be symmetric
# by very much more.
SYMMETRY_TOLERANCE = 1e-6
# Rows of the tiles that are compared with their mirror images: both stay in the cache.
_TILE = 256


def check_real(A: Any, name: str = "A") -> None:
    """Raise ValueError if the entries of a matrix, or operator, are complex or no numbers."""
    dtype = getattr(A, "dtype", None)
    if dtype is not None and np.dtype(dtype).kind == "c":
        raise ValueError(
            f"{name} must be real, got dtype {dtype}. The real symmetric matrix "
            "[[Re, -Im], [Im, Re]] of a Hermitian one has the same eigenvalues, each twice."
        )


def check_matrix_values(values: Any, name: str) -> np.ndarray:
    """Return entries of a real symmetric matrix as finite float64, of whatever shape."""
    values = np.asarray(values)
    check_real(values, name)
    return check_values(values, name)


def is_linear_operator(A: Any) -> bool:
    """Whether A is SciPy's operator, which offers products alone."""
    return isinstance(A, LinearOperator)


def symmetric_part(A: Any, name: str = "A") -> Any:
    """Return (A + A^T) / 2 of a matrix that is symmetric but for rounding.

    Parameters
    ----------
    A : ndarray or sparse array of float, square
    name : str, default="A"
        What the message calls it.

    Raises
    ------
    ValueError
        If A is further from symmetric than rounding explains.
    """
    gap = abs(A - A.T).max() if sp.issparse(A) else _asymmetry(A)
    if gap == 0.0:
        return A
    if gap > SYMMETRY_TOLERANCE * max(A.max(), -A.min()):
        raise ValueError(
            f"{name} must be symmetric, but max |{name} - {name}^T| is {gap:.3g}; pass "
            f"({name} + {name}.T) / 2 if the symmetric part is meant."
        )
    half = 0.5 * (A + A.T)
    return sp.csr_array(half) if sp.issparse(A) else half


def _asymmetry(A):
    """Return the largest |A_ij - A_ji| of an array, which is read once and not copied."""
    gap = 0.0
    for i in range(0, len(A), _TILE):
        for j in range(i, len(A), _TILE):
            difference = A[i : i + _TILE, j : j + _TILE] - A[j : j + _TILE, i : i + _TILE].T
            gap = np.maximum(gap, np.abs(difference, out=difference).max())
    return float(gap)
