"""What a sketch takes of memory at its peak, while rows are added and in a recovery.

The counts are those of the arrays in use at a time, and were compared with measured peaks
(``benchmarks/huge/bench_memory.py``, tests/laws).
"""

from dataclasses import dataclass

from ._limits import DENSE_EIGEN, MAX_CANDIDATES, MAX_SUPPORT, SWEPT_AT_MOST

# Floats in the buffers of measured rows: 16 MB, beyond which BLAS gains nothing from longer ones.
BUFFER = 1 << 21
# The least that makes blocks of several rows, and the share of the sketch that is worth as much.
_LEAST_BUFFER, _BUFFER_SHARE = 1 << 12, 1 / 16
# Arrays of the size of the buffer: rows as measured, shifted and weighted.
_ROW_ARRAYS = 3
# And entries of sparse rows that two threads sort.
_SORTED_ARRAYS = 2
# Tall arrays of the width of the leading subspace at a time, and of the number of components.
_RANK_ARRAYS, _TALL_ARRAYS = 3, 8
# Vectors with an entry for each feature, where there are any.
_VECTORS = 8
# Vectors of the moments, copies of them and what is computed from them.
_MOMENT_VECTORS = 10
# The same where noise is modelled by them.
_NOISE_VECTORS = 24
# Matrices of the small problem, with its sums over a second reading; vectors, and a bound on them.
_SMALL_ARRAYS, _SMALL_VECTORS, _SMALL_MOST = 6, 1300, 230_000
# Square matrices of the width of the sketch, and of a symmetric one for its eigenvectors.
_GRAM_ARRAYS, _EIGEN_ARRAYS = 5, 3.2
# Features that are ranked at a time in a sweep over all of them, and the arrays that this takes.
_SWEPT, _SWEEP_ARRAYS = 1 << 17, 5
# Candidates of a component at least, as of a recovery that sees all features.
_LEAST_CANDIDATES = 200
# Share of the budget that the small problem may take, if not more nonzeros are asked for.
_SMALL_SHARE = 1 / 5


def moments_bytes(n_features: int) -> float:
    """Return what the moments of the features take, with the copy made while rows are added."""
    return 8.0 * _MOMENT_VECTORS * n_features


def polishing_bytes(n_features: int, n_components: int, n_nonzero: int) -> float:
    """Return what power steps over all features take, with small problems between them."""
    p = min(max(2 * n_components * n_nonzero, _LEAST_CANDIDATES), MAX_CANDIDATES, n_features)
    return 8.0 * _power_steps(n_features, n_components, p)


def row_buffer(budget: float, state: float) -> int:
    """Return the floats that a block of rows may take, for a budget and a state in bytes."""
    room = (budget - 2.0 * state) / (8 * (_ROW_ARRAYS + _SORTED_ARRAYS))
    return int(min(max(room, _LEAST_BUFFER), BUFFER))


def most_candidates(budget: float) -> int:
    """Return how many features the small problem may have, if not more are asked for."""
    floats = _SMALL_SHARE * budget / 8
    return int(min(max(floats / _SMALL_ARRAYS, 1.0) ** 0.5, MAX_CANDIDATES))


@dataclass(frozen=True)
class Needs:
    """Bytes at the peak, for sketches of any size of the same data.

    Parameters
    ----------
    n_features, n_components, n_nonzero : int
    needs_moments : bool
        Whether noise is modelled by the moments of features. Then features that are hashed are
        sketched a second time.
    max_candidates : int
        Features of the small problem at most, unless more nonzeros than that are asked for.
    """

    n_features: int
    n_components: int
    n_nonzero: int
    needs_moments: bool
    max_candidates: int

    def exact(self) -> float:
        """Return the peak for the whole covariance."""
        N = self.n_features
        state = 8.0 * (N * N + 2 * N)
        work = _power_steps(N, self.n_components, min(N, MAX_CANDIDATES))
        return self._peak(state, N * N, 8.0 * (work + _VECTORS * N))

    def ranged(self, k: int) -> float:
        """Return the peak where the features are kept on one side and k numbers on the other."""
        N = self.n_features
        state = 8.0 * (N * k + 2 * (N + k))
        return self._peak(
            state, N * k, 8.0 * (self._work(N, k, (_LEAST_CANDIDATES, N)) + _VECTORS * N)
        )

    def hashed(self, m: int, k: int) -> float:
        """Return the peak where both sides are hashed."""
        # What noise adds to the sketch: summed up alone, then kept in half of the memory.
        work = max(m * k, 0.5 * m * k + max(self._work(m, k, (0, m // 3)), self._sweep()))
        work += m * k * self.needs_moments
        return self._peak(8.0 * (m * k + 2 * (m + k)), m * k, 8.0 * work)

    def symmetric(self, m: int) -> float:
        """Return the peak where both sides are hashed alike."""
        # Eigenvectors come from a full decomposition, or from the basis of Lanczos iterations.
        rank = self._rank(m)
        is_full = m <= DENSE_EIGEN or 4 * rank >= m
        spectrum = _EIGEN_ARRAYS * m * m if is_full else 2 * (3 * rank + 20) * m
        work = max(self._work(m, m, (0, m // 3)), spectrum, self._sweep())
        work += m * m * (1 + self.needs_moments)
        return self._peak(8.0 * (m * m + 2 * m), m * m, 8.0 * work)

    def _peak(self, state, cross, work):
        buffer = min(max(_LEAST_BUFFER, _BUFFER_SHARE * cross), BUFFER)
        updating = 2.0 * state + 8.0 * _ROW_ARRAYS * buffer
        peak = max(updating, state + work)
        return peak + 8.0 * _NOISE_VECTORS * self.n_features * self.needs_moments

    def _work(self, m, k, candidates):
        """Return the floats of the arrays that a recovery makes from products with m x k.

        The small problem has at least and at most so many candidates.
        """
        r = self.n_components
        least, most = candidates
        allowed = max(self.max_candidates, r * self.n_nonzero)
        p = min(max(2 * r * self.n_nonzero, least), MAX_CANDIDATES, most, allowed)
        vectors = _RANK_ARRAYS * m * min(self._rank(k), k)
        solving = _power_steps(m, min(r, k), p)
        return max(vectors, solving) + (_GRAM_ARRAYS * k * k if k < m else 0)

    def _sweep(self):
        """Return the floats of a sweep over the features, unless none is ever made."""
        is_swept = self.n_features <= SWEPT_AT_MOST
        return is_swept * _SWEEP_ARRAYS * min(self.n_features, _SWEPT)

    def _rank(self, k):
        """Return the largest width of a leading subspace."""
        return max(self.n_components, min(MAX_SUPPORT // self.n_nonzero, k // 3))


def _power_steps(height, r, p):
    """Return the floats of power steps over so many rows, and of small problems between them."""
    tall = _TALL_ARRAYS * height * r
    small = _SMALL_ARRAYS * p * p + min(_SMALL_VECTORS * p, _SMALL_MOST)
    return max(tall, tall // 2 + small)
