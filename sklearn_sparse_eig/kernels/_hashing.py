"""The versioned hash that defines every sparse-sign measurement matrix.

A hash is the plain triple ``(seed, n_blocks, block_size)``, written (seed, K, b). It stands for a
matrix M of shape (K * b, N) that is never stored: column j has one entry +-1/sqrt(K) in each of K
blocks of b rows. N is unbounded below 2**63, for a column depends on its own id alone.

The arithmetic below is a file format: sketches saved by one release are merged by another. Any
change of a constant, a shift or a rounding must raise ``HASH_VERSION``.
"""

import numpy as np

HASH_VERSION = 1

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def mix64(z: np.ndarray) -> np.ndarray:
    """Finalise 64-bit integers by the bijection of the splitmix64 generator.

    Parameters
    ----------
    z : ndarray of uint64

    Returns
    -------
    ndarray of uint64, of the same shape
    """
    z = (z ^ (z >> _SHIFTS[0])) * _MULTIPLIERS[0]
    z = (z ^ (z >> _SHIFTS[1])) * _MULTIPLIERS[1]
    return z ^ (z >> _SHIFTS[2])


def hash_columns(
    ids: np.ndarray, seed: int, n_blocks: int, block_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Hash column ids to one signed bucket per block: the definition, in NumPy.

    With uint64 arithmetic modulo 2**64::

        base = mix64(id + mix64(seed))
        h_k  = mix64(base + (k + 1) * 0x9E3779B97F4A7C15)
        row  = k * block_size + (((h_k >> 32) * block_size) >> 32)
        sign = +1 if h_k & 1 else -1

    The bucket reads the high half of h_k and the sign its lowest bit, so they are independent.
    An id is mixed twice before it meets a bucket, hence arithmetic progressions, powers of two
    and constant low bits are as good as random ids.

    Parameters
    ----------
    ids : ndarray of int64, shape (n_ids,)
    seed : int, 0 <= seed < 2**64
    n_blocks : int
    block_size : int, 1 <= block_size < 2**32

    Returns
    -------
    rows : ndarray of int64, shape (n_ids, n_blocks)
    signs : ndarray of float64, shape (n_ids, n_blocks), +-1

    Notes
    -----
    Cost O(n_ids * n_blocks) in time and temporary memory.
    """
    # One-element arrays, not scalars: NumPy wraps uint64 arrays silently but warns on scalars.
    offset = mix64(np.array([seed], dtype=np.uint64))
    base = mix64(np.asarray(ids).astype(np.uint64) + offset)
    steps = np.arange(1, n_blocks + 1, dtype=np.uint64) * _GOLDEN
    h = mix64(base[:, None] + steps)
    half = np.uint64(32)
    buckets = (((h >> half) * np.uint64(block_size)) >> half).astype(np.int64)
    rows = buckets + np.arange(n_blocks, dtype=np.int64) * block_size
    signs = np.where(h & np.uint64(1), 1.0, -1.0)
    return rows, signs
