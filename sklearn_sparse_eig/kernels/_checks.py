"""Checks of the arguments of kernels: compiled twins do not look at bounds.

Whatever could write outside an array stops here.
"""

import numpy as np

from .._base.typed import ArrayLike


def check_hash(seed: int, n_blocks: int, block_size: int) -> tuple[int, int, int]:
    """Return a hash triple as Python integers within their bounds."""
    seed, n_blocks, block_size = int(seed), int(n_blocks), int(block_size)
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must lie in [0, 2**64), got {seed}.")
    if n_blocks < 1:
        raise ValueError(f"n_blocks must be at least 1, got {n_blocks}.")
    if not 1 <= block_size < 2**32:
        raise ValueError(f"block_size must lie in [1, 2**32), got {block_size}.")
    return seed, n_blocks, block_size


def check_ids(ids: ArrayLike) -> np.ndarray:
    """Return column ids as a contiguous vector of int32 or int64."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ValueError(f"ids must be a vector of integers, got {ids.dtype} {ids.shape}.")
    keep = ids.dtype == np.int32
    return np.ascontiguousarray(ids, dtype=np.int32 if keep else np.int64)


def check_real(array: ArrayLike, name: str) -> np.ndarray:
    """Return `array`, refusing what is not real and numeric."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be real and numeric, got dtype {array.dtype}.")
    return array


def check_float(array: ArrayLike, name: str, ndim: int) -> np.ndarray:
    """Return a C-contiguous float32 or float64 array; other dtypes become float64."""
    array = check_real(array, name)
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), got shape {array.shape}.")
    keep = array.dtype == np.float32
    return np.ascontiguousarray(array, dtype=np.float32 if keep else np.float64)


def check_csr(data, indices, indptr, width=None):
    """Return checked CSR arrays; every index is below `width` where that is given."""
    data, indices = check_float(data, "data", 1), check_ids(indices)
    indptr = np.ascontiguousarray(indptr, dtype=np.int64)
    if indptr.ndim != 1 or not len(indptr):
        raise ValueError(f"indptr must be a vector of at least one entry, got {indptr.shape}.")
    if indptr[0] < 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(
            f"indptr must be non-negative and non-decreasing, got one from {indptr[0]} to "
            f"{indptr[-1]} with a smallest step of {np.diff(indptr).min(initial=0)}."
        )
    if indptr[-1] > min(len(data), len(indices)):
        raise ValueError(
            f"indptr ends at {indptr[-1]}, but there are {len(data)} data, {len(indices)} indices."
        )
    used = indices[indptr[0] : indptr[-1]]
    if width is not None and len(used) and not (used.min() >= 0 and used.max() < width):
        raise ValueError(f"indices must lie in [0, {width}), got {used.min()} to {used.max()}.")
    return data, indices, indptr


def check_out(array, name, shape=(None, None)):
    """Refuse an output that a kernel could not update in place."""
    fits = (
        isinstance(array, np.ndarray)
        and array.dtype == np.float64
        and array.ndim == len(shape)
        and array.flags.carray
    )
    if not fits:
        raise ValueError(
            f"{name} must be a writable C-contiguous float64 array of {len(shape)} dimensions."
        )
    if any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}.")


def check_target(R, n_blocks, block_size):
    """Return R as an array that M^T can multiply."""
    R = check_float(R, "R", 2)
    if len(R) != n_blocks * block_size:
        raise ValueError(f"R must have K * b = {n_blocks * block_size} rows, got {len(R)}.")
    return R
