"""The few hot loops of the library, each in a fast (Numba) and a plain (SciPy) twin.

Everything here speaks of a sparse-sign *measurement matrix* M of shape (m, N), m = K * b, that is
never stored: it is the triple ``(seed, n_blocks, block_size)`` = (seed, K, b), and column j has one
entry +-1/sqrt(K) in each of K blocks of b rows (see :func:`hash_columns`). Column ids are any
integers in [0, 2**63).

The twins agree to rounding. Within one backend the bits of a result do not depend on the number of
threads. Numba is imported at the first kernel call, never before.

CSR arguments are the three arrays ``data, indices, indptr``, not a matrix, because ids may exceed
any shape SciPy accepts. ``indptr`` may start anywhere: a slice of it selects rows without a copy.
"""

import numpy as np

from .._base.typed import ArrayLike
from ._backend import get_backend, twin, use_backend
from ._checks import (
    check_csr,
    check_float,
    check_hash,
    check_ids,
    check_out,
    check_real,
    check_target,
)
from ._compiling import compile_clock
from ._dense import add_moments, centre_columns, sketch_dense_twice
from ._hashing import HASH_VERSION, mix64

__all__ = [
    "HASH_VERSION",
    "add_bit_tests",
    "add_cross",
    "add_cross_gram",
    "add_measured",
    "add_moments",
    "add_outer",
    "add_sparse_cross",
    "adjoint",
    "adjoint_energy",
    "compile_clock",
    "centre_columns",
    "expand_csr",
    "get_backend",
    "hash_columns",
    "sketch_csr",
    "sketch_dense",
    "sketch_dense_twice",
    "sparse_share",
    "use_backend",
]


def hash_columns(
    ids: ArrayLike, seed: int, n_blocks: int, block_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hash column ids to one signed bucket per block.

    Parameters
    ----------
    ids : array-like of int, shape (n_ids,), in [0, 2**63)
    seed : int, 0 <= seed < 2**64
    n_blocks : int
        K, the number of nonzeros of a column of M.
    block_size : int, 1 <= block_size < 2**32
        b, the number of buckets of a block.

    Returns
    -------
    rows : ndarray of int64, shape (n_ids, K)
        ``rows[:, k]`` lies in [k * b, (k + 1) * b).
    signs : ndarray of float64, shape (n_ids, K), +-1
        Column ``ids[i]`` of M is ``signs[i] / sqrt(K)`` at ``rows[i]``.

    Notes
    -----
    Cost O(n_ids K). The hash is part of the saved format, see ``HASH_VERSION``.
    """
    return twin().hash_columns(check_ids(ids), *check_hash(seed, n_blocks, block_size))


def sketch_dense(X: ArrayLike, seed: int, n_blocks: int, block_size: int) -> np.ndarray:
    """Measure dense rows: Y = X M^T, column j of X having id j.

    Parameters
    ----------
    X : array-like of shape (n, N), any real dtype and memory order
        Never copied whole; dtypes other than float32 and float64 are converted by tiles.
    seed, n_blocks, block_size : int
        The hash (seed, K, b).

    Returns
    -------
    Y : ndarray of float64, shape (n, K * b), C order

    Notes
    -----
    Cost O(n N K) operations, O(n (N + m)) bytes moved. Sums are in float64.
    """
    X = check_real(X, "X")
    if X.ndim != 2:
        raise ValueError(f"X must have 2 dimensions, got shape {X.shape}.")
    return twin().sketch_dense(X, *check_hash(seed, n_blocks, block_size))


def sketch_csr(
    data: ArrayLike,
    indices: ArrayLike,
    indptr: ArrayLike,
    seed: int,
    n_blocks: int,
    block_size: int,
) -> np.ndarray:
    """Measure sparse rows into a dense array: Y = X M^T for X in CSR.

    Parameters
    ----------
    data : array-like of float, shape (nnz,)
    indices : array-like of int32 or int64, shape (nnz,)
        Column ids. Duplicates add, order is free.
    indptr : array-like of int, shape (n + 1,)
    seed, n_blocks, block_size : int
        The hash (seed, K, b).

    Returns
    -------
    Y : ndarray of float64, shape (n, K * b), C order

    Notes
    -----
    Cost O(nnz K + n m), whatever N.
    """
    csr = check_csr(data, indices, indptr)
    return twin().sketch_csr(*csr, *check_hash(seed, n_blocks, block_size))


def expand_csr(
    data: ArrayLike,
    indices: ArrayLike,
    indptr: ArrayLike,
    seed: int,
    n_blocks: int,
    block_size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure sparse rows into sparse rows: Y = X M^T in CSR, K entries per nonzero of X.

    Parameters
    ----------
    data, indices, indptr : array-like
        X in CSR, as for :func:`sketch_csr`.
    seed, n_blocks, block_size : int
        The hash (seed, K, b).

    Returns
    -------
    data : ndarray of float64, shape (nnz * K,)
    indices : ndarray of int32 or int64, shape (nnz * K,)
        Not sorted, duplicates possible within a row. int32 where everything fits.
    indptr : ndarray of the dtype of `indices`, shape (n + 1,)

    Notes
    -----
    Cost O(nnz K) in time and memory.
    """
    csr = check_csr(data, indices, indptr)
    return twin().expand_csr(*csr, *check_hash(seed, n_blocks, block_size))


def add_cross(
    S: np.ndarray, data: ArrayLike, indices: ArrayLike, indptr: ArrayLike, W: ArrayLike
) -> None:
    """Add a cross product in place: S += Y^T W, Y sparse and W dense.

    Parameters
    ----------
    S : ndarray of float64, shape (m, k), C order
        Updated in place.
    data, indices, indptr : array-like
        Y of shape (n, m) in CSR; duplicates add, order is free.
    W : array-like of float, shape (n, k)

    Notes
    -----
    Cost O(nnz(Y) k) operations. Entries are sorted by their row of S, of which each thread owns
    some.
    """
    check_out(S, "S")
    csr = check_csr(data, indices, indptr, width=len(S))
    W = np.ascontiguousarray(check_float(W, "W", 2), dtype=np.float64)
    if W.shape != (len(csr[2]) - 1, S.shape[1]):
        raise ValueError(f"W must have shape {(len(csr[2]) - 1, S.shape[1])}, got {W.shape}.")
    twin().add_cross(S, *csr, W)


def add_measured(
    S: np.ndarray,
    total: np.ndarray,
    data: ArrayLike,
    indices: ArrayLike,
    indptr: ArrayLike,
    W: ArrayLike,
    weights: ArrayLike,
    seed: int,
    n_blocks: int,
    block_size: int,
) -> None:
    """Measure sparse rows and add their products in place: S += (X M^T)^T diag(w) W.

    The same as :func:`expand_csr` and :func:`add_cross`, but the measured rows are never stored.

    Parameters
    ----------
    S : ndarray of float64, shape (K * b, k), C order
        Updated in place.
    total : ndarray of float64, shape (K * b,)
        Updated in place too: total += (X M^T)^T w.
    data, indices, indptr : array-like
        X in CSR, as for :func:`sketch_csr`.
    W : array-like of float, shape (n, k)
    weights : array-like of float, shape (n,)
    seed, n_blocks, block_size : int
        The hash (seed, K, b).

    Notes
    -----
    Cost O(nnz K k) operations, fewer where columns recur: their rows of W are summed before they
    are hashed. Each thread owns some blocks of S.
    """
    seed, n_blocks, block_size = check_hash(seed, n_blocks, block_size)
    check_out(S, "S", (n_blocks * block_size, None))
    check_out(total, "total", (len(S),))
    csr = check_csr(data, indices, indptr)
    n = len(csr[2]) - 1
    W = np.ascontiguousarray(check_float(W, "W", 2), dtype=np.float64)
    if W.shape != (n, S.shape[1]):
        raise ValueError(f"W must have shape {(n, S.shape[1])}, got {W.shape}.")
    weights = np.ascontiguousarray(check_float(weights, "weights", 1), dtype=np.float64)
    if len(weights) != n:
        raise ValueError(f"weights must have {n} entries, got {len(weights)}.")
    twin().add_measured(S, total, *csr, W, weights, seed, n_blocks, block_size)


def sparse_share() -> float:
    """Return the share of nonzeros in Y up to which sparse rows are added to S faster than by BLAS.

    It depends on the backend: compiled rows stay faster for longer.
    """
    return twin().SPARSE_SHARE


def add_outer(
    S: np.ndarray,
    data: ArrayLike,
    indices: ArrayLike,
    indptr: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    upper: bool = False,
) -> None:
    """Add weighted outer products in place: S += sum_r weights[r] y_r y_r^T, y_r sparse.

    Parameters
    ----------
    S : ndarray of float64, shape (m, m), C order
        Updated in place; need not be symmetric.
    data, indices, indptr : array-like
        The rows y_r, of length m, in CSR; duplicates add, order is free.
    weights : array-like of float, shape (n,), or None
        None stands for ones.
    upper : bool, default=False
        Whether only the upper triangle counts: the lower one is left as it is, or changed anyhow
        where that costs nothing.

    Notes
    -----
    Cost O(sum_r nnz(y_r)^2), half of it with `upper`. Each thread owns a range of rows of S.
    """
    check_out(S, "S", (len(S), len(S)))
    csr = check_csr(data, indices, indptr, width=len(S))
    if weights is not None:
        weights = np.ascontiguousarray(check_float(weights, "weights", 1), dtype=np.float64)
        if len(weights) != len(csr[2]) - 1:
            raise ValueError(f"weights must have {len(csr[2]) - 1} entries, got {len(weights)}.")
    twin().add_outer(S, *csr, weights, bool(upper))


def add_sparse_cross(
    S: np.ndarray,
    left: tuple[ArrayLike, ArrayLike, ArrayLike],
    right: tuple[ArrayLike, ArrayLike, ArrayLike],
) -> None:
    """Add a cross product of sparse rows in place: S += Y^T W.

    Parameters
    ----------
    S : ndarray of float64, shape (m, k), C order
        Updated in place.
    left, right : tuples (data, indices, indptr)
        Y of shape (n, m) and W of shape (n, k) in CSR; duplicates add, order is free.

    Notes
    -----
    Cost O(sum_r nnz(y_r) nnz(w_r)). Each thread owns a range of rows of S.
    """
    check_out(S, "S")
    left, right = check_csr(*left, width=len(S)), check_csr(*right, width=S.shape[1])
    if len(left[2]) != len(right[2]):
        raise ValueError(
            f"left and right must have as many rows, got {len(left[2]) - 1} and "
            f"{len(right[2]) - 1}."
        )
    twin().add_sparse_cross(S, left, right)


def adjoint(ids: ArrayLike, R: ArrayLike, seed: int, n_blocks: int, block_size: int) -> np.ndarray:
    """Return the rows of M^T R for the given column ids.

    Parameters
    ----------
    ids : array-like of int, shape (n_ids,)
    R : array-like of float32 or float64, shape (K * b, r)
    seed, n_blocks, block_size : int
        The hash (seed, K, b).

    Returns
    -------
    ndarray of shape (n_ids, r), in the dtype of R

    Notes
    -----
    Cost O(n_ids K r). The K terms of an entry are added in the dtype of R.
    """
    seed, n_blocks, block_size = check_hash(seed, n_blocks, block_size)
    R = check_target(R, n_blocks, block_size)
    return twin().adjoint(check_ids(ids), R, seed, n_blocks, block_size)


def adjoint_energy(
    start: int, stop: int, R: ArrayLike, seed: int, n_blocks: int, block_size: int
) -> np.ndarray:
    """Return the squared l2 norms of rows start..stop-1 of M^T R.

    Parameters
    ----------
    start, stop : int, 0 <= start <= stop
    R : array-like of float32 or float64, shape (K * b, r)
    seed, n_blocks, block_size : int
        The hash (seed, K, b).

    Returns
    -------
    ndarray of shape (stop - start,), in the dtype of R

    Notes
    -----
    Cost O((stop - start) K r) operations on R, which should fit in the cache; M^T R is never
    stored. All sums are in the dtype of R, for speed: they have at most K * r terms.
    """
    start, stop = int(start), int(stop)
    if not 0 <= start <= stop:
        raise ValueError(f"need 0 <= start <= stop, got start={start}, stop={stop}.")
    seed, n_blocks, block_size = check_hash(seed, n_blocks, block_size)
    R = check_target(R, n_blocks, block_size)
    return twin().adjoint_energy(start, stop, R, seed, n_blocks, block_size)


def add_cross_gram(
    out: np.ndarray,
    ids: tuple[int, int] | ArrayLike,
    diag: ArrayLike | None,
    hash_a: tuple[int, int, int],
    hash_b: tuple[int, int, int],
) -> None:
    """Add a weighted Gram matrix of two measurements in place: out += sum_j d_j M_j Omega_j^T.

    Parameters
    ----------
    out : ndarray of float64, shape (m_a, m_b), C order
        Updated in place.
    ids : tuple (start, stop), or array-like of int
        The columns j: a tuple is a range, anything else a vector of ids.
    diag : array-like of float, one entry per column, or None
        The weights d_j. None stands for ones.
    hash_a, hash_b : tuple (seed, n_blocks, block_size)
        The hashes of M, giving the rows of `out`, and of Omega, giving its columns.

    Notes
    -----
    Cost O(n_ids K_a K_b). Each thread owns some row blocks of `out`.
    """
    hash_a, hash_b = check_hash(*hash_a), check_hash(*hash_b)
    check_out(out, "out", (hash_a[1] * hash_a[2], hash_b[1] * hash_b[2]))
    ids = range(int(ids[0]), int(ids[1])) if isinstance(ids, tuple) else check_ids(ids)
    if diag is not None:
        diag = np.ascontiguousarray(check_float(diag, "diag", 1), dtype=np.float64)
        if len(diag) != len(ids):
            raise ValueError(f"diag must have {len(ids)} entries, got {len(diag)}.")
    twin().add_cross_gram(out, ids, diag, hash_a, hash_b)


def add_bit_tests(
    cells: np.ndarray,
    ids: ArrayLike,
    values: ArrayLike,
    seed: int,
    n_blocks: int,
    block_size: int,
) -> None:
    """Measure rows together with the binary digits of their ids, in place.

    For P with rows ``values`` at ``ids``, ``cells[:, 0] += M P`` and ``cells[:, 1 + i] += M P_i``,
    where P_i keeps the rows whose id has bit i set.

    Parameters
    ----------
    cells : ndarray of float64, shape (K * b, 1 + n_bits, width), C order
        Updated in place.
    ids : array-like of int, shape (n_ids,), in [0, 2**n_bits)
        Duplicates add.
    values : array-like of float, shape (n_ids, width)
    seed, n_blocks, block_size : int
        The hash (seed, K, b).

    Notes
    -----
    Cost O(n_ids K width (1 + h)), h the mean number of bits set. Ids are sorted by bucket first,
    so that each bucket is loaded once, and each thread owns a range of buckets.
    """
    seed, n_blocks, block_size = check_hash(seed, n_blocks, block_size)
    ids, values = check_ids(ids), check_float(values, "values", 2)
    check_out(cells, "cells", (n_blocks * block_size, None, values.shape[1]))
    if len(ids) != len(values):
        raise ValueError(f"values must have one row for each of {len(ids)} ids, got {len(values)}.")
    n_bits = cells.shape[1] - 1
    if len(ids) and not (ids.min() >= 0 and int(ids.max()) < 2**n_bits):
        raise ValueError(
            f"ids must lie in [0, 2**{n_bits}), got {int(ids.min())} to {int(ids.max())}."
        )
    values = np.ascontiguousarray(values, dtype=np.float64)
    twin().add_bit_tests(cells, ids.astype(np.int64), values, seed, n_blocks, block_size)
