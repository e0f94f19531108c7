"""Limits on sizes that sketching and recovery share."""

# Features beyond which features are identified by their ids unless asked otherwise. A sketch that
# holds ids has half of the memory for the rest, and its rows take longer, while the two or three
# sweeps of a recovery go over some 10**8 features a second for few components, and a fifth of that
# for twenty: up to here they take no more than half a minute.
IDENTIFICATION_LIMIT = 1 << 27
# The most features over which sweeps are made where others may have been lost.
SWEPT_AT_MOST = 1 << 30
# A feature over the noise of a bucket, from which its id was spelled: in
# benchmarks/huge/bench_huge.py nearly all were at 2.7, all at 5.3.
SPELLED_FROM = 4.0
# The small sparse eigenproblem is solved on at most this many features: a second of work. Where
# more nonzeros than that are asked for in all, it grows with them up to a bound on memory (128 MB).
MAX_CANDIDATES = 1000
MAX_SUPPORT = 4000
# Up to this size a full symmetric eigendecomposition is faster than Lanczos iterations.
DENSE_EIGEN = 600
# Relative size of what rounding leaves of a sum that should vanish.
ROUNDING = 64 * 2.0**-52
