"""Limits on sizes that sketching and recovery share."""

# Features beyond which features are identified by their ids unless asked otherwise: a recovery
# makes ten or twenty sweeps, and over more features these would take minutes.
IDENTIFICATION_LIMIT = 1 << 27
# The small sparse eigenproblem is solved on at most this many features: a second of work. Where
# more nonzeros than that are asked for in all, it grows with them up to a bound on memory (128 MB).
MAX_CANDIDATES = 1000
MAX_SUPPORT = 4000
# Up to this size a full symmetric eigendecomposition is faster than Lanczos iterations.
DENSE_EIGEN = 600
# Relative size of what rounding leaves of a sum that should vanish.
ROUNDING = 64 * 2.0**-52
