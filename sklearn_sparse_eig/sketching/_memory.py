"""What a sketch takes of memory at its peak, while rows are added and in a recovery.

The counts are those of the arrays in use at a time, and were compared with measured peaks
(``benchmarks/huge/bench_memory.py``, tests/laws).
"""

from dataclasses import dataclass

from ._limits import MAX_CANDIDATES, MAX_SUPPORT

# Floats in the buffers of measured rows: 16 MB, beyond which BLAS gains nothing from longer ones.
BUFFER = 1 << 21
# The least that makes blocks of several rows, and the share of the sketch that is worth as much.
_LEAST_BUFFER, _BUFFER_SHARE = 1 << 12, 1 / 16
# Arrays of the size of the buffer: rows as measured, shifted and weighted.
_ROW_ARRAYS = 3
# Tall arrays of the width of the leading subspace at a time, and of the number of components.
_RANK_ARRAYS, _TALL_ARRAYS = 3, 8
# Vectors with an entry for each feature, where there are any.
_VECTORS = 8
# Vectors of the moments, copies of them and what is computed from them.
_MOMENT_VECTORS = 10
# Matrices of the small problem, with its sums over a second reading, and vectors.
_SMALL_ARRAYS, _SMALL_VECTORS = 6, 500
# Square matrices of the width of the sketch.
_GRAM_ARRAYS = 5
# Candidates of a component at least, as of a recovery that sees all features.
_LEAST_CANDIDATES = 200
# Share of the budget that the small problem may take, if not more nonzeros are asked for.
_SMALL_SHARE = 1 / 4


def moments_bytes(n_features: int) -> float:
    """Return what the moments of the features take, with the copy made while rows are added."""
    return 8.0 * _MOMENT_VECTORS * n_features


def polishing_bytes(n_features: int, n_components: int, n_nonzero: int) -> float:
    """Return what power steps over all features take, with small problems between them."""
    p = min(max(2 * n_components * n_nonzero, _LEAST_CANDIDATES), MAX_CANDIDATES, n_features)
    return 8.0 * _power_steps(n_features, n_components, p)


def row_buffer(budget: float, state: float) -> int:
    """Return the floats that a block of rows may take, for a budget and a state in bytes."""
    room = (budget - 2.0 * state) / (8 * _ROW_ARRAYS)
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
    """

    n_features: int
    n_components: int
    n_nonzero: int
    needs_moments: bool

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
        work = max(m * k, 0.5 * m * k + self._work(m, k, (0, m // 3))) + m * k * self.needs_moments
        return self._peak(8.0 * (m * k + 2 * (m + k)), m * k, 8.0 * work)

    def symmetric(self, m: int) -> float:
        """Return the peak where both sides are hashed alike."""
        work = m * m + self._work(m, m, (0, m // 3)) + m * m * self.needs_moments
        return self._peak(8.0 * (m * m + 2 * m), m * m, 8.0 * work)

    def _peak(self, state, cross, work):
        buffer = min(max(_LEAST_BUFFER, _BUFFER_SHARE * cross), BUFFER)
        updating = 2.0 * state + 8.0 * _ROW_ARRAYS * buffer
        return max(updating, state + work) + self.needs_moments * moments_bytes(self.n_features)

    def _work(self, m, k, candidates):
        """Return the floats of the arrays that a recovery makes from products with m x k.

        The small problem has at least and at most so many candidates.
        """
        r = self.n_components
        rank = max(r, min(MAX_SUPPORT // self.n_nonzero, k // 3))
        least, most = candidates
        p = min(max(2 * r * self.n_nonzero, least), MAX_CANDIDATES, most)
        vectors = _RANK_ARRAYS * m * min(rank, k)
        solving = _power_steps(m, min(r, k), p)
        return max(vectors, solving) + (_GRAM_ARRAYS * k * k if k < m else 0)


def _power_steps(height, r, p):
    """Return the floats of power steps over so many rows, and of small problems between them."""
    tall = _TALL_ARRAYS * height * r
    return max(tall, tall // 2 + _SMALL_ARRAYS * p * p + _SMALL_VECTORS * p)
