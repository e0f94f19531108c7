"""The measurement of the MAM* experiments: residues modulo consecutive primes."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from ._base import Measurement
from ._registry import register

# Primes that are found in no time, and more than anybody asks for.
_MANY = 4096


@register
class PrimeResidueMeasurement(Measurement):
    """One block per prime p; column n has a single 1/sqrt(K) per block, at row n mod p.

    This is the deterministic ensemble of the public MAM* experiments, kept for comparison. It has
    no signs, so any diffuse background or non-zero mean in the data adds a large spurious
    eigenvector, and runs of consecutive features collide. Prefer ``"sparse_sign"``.

    Parameters
    ----------
    n_features : int
    n_measurements : int
        Upper bound on the number of measurements. The K consecutive primes with the largest sum
        not above it are taken, and the attribute ``n_measurements`` is their sum.
    seed : int, default=0
        Ignored, because nothing is random.
    n_blocks : int, default=13
        Number K of primes.

    Raises
    ------
    ValueError
        If the first ``n_blocks`` primes already sum to more than ``n_measurements``.

    References
    ----------
    Boahen, Brugiapaglia, Chou, Iwen, Krahmer, arXiv:2507.17036 and its public experiments.
    """

    name = "prime_residue"

    def __init__(
        self, n_features: int, n_measurements: int, seed: int = 0, n_blocks: int = 13
    ) -> None:
        self.n_blocks = int(n_blocks)
        self.primes = _consecutive_primes(self.n_blocks, int(n_measurements))
        super().__init__(n_features, int(self.primes.sum()), 0)

    def spec(self) -> dict[str, Any]:
        return super().spec() | {"n_blocks": self.n_blocks}

    def nonzeros_per_column(self) -> int:
        return self.n_blocks

    def columns(self, ids: np.ndarray) -> sp.csr_array:
        offsets = np.concatenate([[0], np.cumsum(self.primes)[:-1]])
        rows = np.asarray(ids, dtype=np.int64)[:, None] % self.primes + offsets
        indptr = np.arange(0, rows.size + 1, self.n_blocks)
        data = np.full(rows.size, 1.0 / np.sqrt(self.n_blocks))
        return sp.csr_array((data, rows.ravel(), indptr), shape=(len(rows), self.n_measurements))


def _consecutive_primes(count: int, total: int) -> np.ndarray:
    """Return the `count` consecutive primes with the largest sum that is at most `total`."""
    # The first c primes sum to at least c^2: for many there is no need to find them all.
    if count < 1 or (count > _MANY and count * count > total):
        raise ValueError(
            f"n_measurements={total} is too small for n_blocks={count} primes, which sum to at "
            f"least {count * count}; n_blocks must be at least 1."
        )
    # The largest prime is near total / count, and the count-th prime below count (ln count +
    # ln ln count) + 6 (Rosser); a margin covers the gaps between them.
    smallest = int(count * 2.0 * np.log(count + 2.0)) + 16
    limit = max(smallest, 2 * total // count + 16)
    sieve = np.ones(limit, dtype=bool)
    sieve[:2] = False
    for p in range(2, int(limit**0.5) + 1):
        if sieve[p]:
            sieve[p * p :: p] = False
    primes = np.flatnonzero(sieve)
    running = np.concatenate([[0], np.cumsum(primes)])
    sums = running[count:] - running[:-count]
    last = int(np.searchsorted(sums, total, side="right")) - 1
    if last < 0:
        raise ValueError(
            f"n_measurements={total} is too small for n_blocks={count} primes; "
            f"the first {count} primes need {int(sums[0])}."
        )
    return primes[last : last + count]
