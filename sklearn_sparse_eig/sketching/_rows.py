"""Adding rows to the state of a sketch, in blocks whose buffers have a fixed size."""

from collections.abc import Iterator
from contextlib import nullcontext
from enum import Enum, auto

import numpy as np
import scipy.sparse as sp

from .. import kernels
from .._base.rows import check_finite_rows
from .._base.sparse import rows_between
from .._base.threads import limit_blas, shared_pool
from ._accumulate import add_dense, weighted_sum
from ._centring import centre, first_rows, is_due, is_outweighed, may_be_full
from ._dense_rows import (
    FEW_ROWS,
    STRIP,
    add_kept,
    add_symmetric,
    is_large,
    measure_at_once,
    measures_at_once,
)
from ._state import Side, SketchState
from ._variance import check_sums

# Below this share of nonzeros a scattered outer product beats a dense one (measured: 1/8 to 1/12).
_SCATTER_SHARE = 0.1
# Rows of a block at least.
_FEWEST = 4


def add_rows(
    state: SketchState,
    X: np.ndarray | sp.csr_array,
    weights: float | np.ndarray,
    decay: float | np.ndarray = 1.0,
) -> None:
    """Add rows known to be good: a real array or finite canonical CSR, and weights that fit.

    An array that is not finite is refused when its sums are known, which saves reading it before.
    A weight says how many rows a row stands for, a decay how far it is forgotten already.
    """
    given = X
    X, weights, decay = _without_weightless(X, weights, decay)
    if X is not given:  # what is left out is refused like the rest
        check_finite_rows(given)
    if X.shape[0] == 0:
        return
    state.content = "rows"
    weights = weights * decay
    squares = np.multiply(weights, decay)
    state._weight_squares += float(squares.sum() if squares.ndim else squares * X.shape[0])
    # More than a few rows are spread over threads of ours: no bit depends on their number.
    is_many = X.shape[0] >= FEW_ROWS
    blas = limit_blas(1) if is_many else nullcontext()
    # What is infinite is refused at the end.
    with np.errstate(over="ignore", invalid="ignore"), shared_pool(), blas:
        for rows, part, way in _blocks(state, X, weights):
            _add_block(state, rows, part, way)
    check_sums(state, X)
    state._reset_if_deleted(np.max(np.abs(weights)))


def _without_weightless(X, weights, decay):
    """Leave out rows of weight zero, which are no rows at all and have no part in a mean."""
    if np.ndim(weights) == 0:
        return X if weights else X[:0], weights, decay
    kept = np.flatnonzero(weights)
    if len(kept) == len(weights):
        return X, weights, decay
    return X[kept], weights[kept], decay if np.ndim(decay) == 0 else decay[kept]


class Way(Enum):
    """How the products of measured rows are added."""

    DENSE = auto()  # by BLAS
    SCATTERED = auto()  # by the few nonzeros of each, after their shifts were subtracted
    FUSED = auto()  # the same, but measured while they are added: rows without shifts


def _blocks(state: SketchState, X, weights) -> Iterator[tuple]:
    """Yield rows, their weights and the way to add them, block by block."""
    start = 0
    while start < X.shape[0]:
        for way in _ways(state, X):
            # Less than what few rows take saves little, and costs much.
            step = max(_FEWEST, state.row_buffer // max(_buffer_width(state, X, way), 1))
            stop = min(start + step, X.shape[0])
            rows = X if (start, stop) == (0, X.shape[0]) else rows_between(X, start, stop)
            part = weights if np.ndim(weights) == 0 else weights[start:stop]
            if way is not Way.FUSED or not _may_shift(state, rows, part):
                break
        yield rows, part, way
        start = stop


def _ways(state, X):
    """Return the ways to add rows, the best first."""
    if not _is_scattered(state, X):
        return [Way.DENSE]
    is_hashed = state.measurement.hash_settings is not None
    # Products with both sides alike are of sparse rows with sparse rows.
    if state.is_symmetric or not is_hashed or state._left.shift.any():
        return [Way.SCATTERED]
    return [Way.FUSED, Way.SCATTERED]


def _may_shift(state, X, weights):
    """Whether these rows, if they are to give the shifts of the left side, might need some."""
    total = _total_weight(weights, X.shape[0])
    if not (state.center and is_outweighed(state.weight, total)):
        return False
    some = first_rows(weights, X.shape[0])
    part = weights if np.ndim(weights) == 0 else weights[:some]
    return may_be_full(state.measurement, rows_between(X, 0, some), part, weights, X.shape[0])


def _total_weight(weights, n):
    return float(weights) * n if np.ndim(weights) == 0 else float(weights.sum())


def _is_scattered(state, X):
    """Whether rows are so sparse that outer products of their nonzeros cost less than BLAS."""
    if not sp.issparse(X):
        return False
    measured = state.measurement.nonzeros_per_column() * X.nnz / X.shape[0]
    shifted = np.count_nonzero(state._left.shift)
    share = _SCATTER_SHARE if state.is_symmetric else kernels.sparse_share()
    return measured + shifted <= share * state.measurement.n_measurements


def _buffer_width(state, X, way):
    """Return the floats that a measured row takes while it is added."""
    others = 0 if state.is_symmetric else state.shape[1]
    if others and state.measurement.keeps_features and not sp.issparse(X):
        return others + STRIP  # what is kept is not copied whole
    nonzeros = X.nnz // X.shape[0] if sp.issparse(X) else 0
    # Each is counted thrice: for fused rows the k-vectors, these in strips, and as many sums of
    # recurring features, and the tables in which these are found.
    if way is Way.FUSED:
        return others + 3 * nonzeros
    if way is Way.SCATTERED:  # a value and an index for each nonzero measured
        return others + 2 * state.measurement.nonzeros_per_column() * nonzeros
    return others + state.shape[0]


def _add_block(state, X, weights, way):
    n = X.shape[0]
    total = _total_weight(weights, n)
    is_kept = state.measurement.keeps_features and isinstance(X, np.ndarray) and is_large(state, X)
    at_once = not is_kept and measures_at_once(state, X)
    if at_once:
        Y, W = measure_at_once(state, X, weights, total)
    else:
        Y = X if is_kept else None if way is Way.FUSED else _measure(state.measurement, X, way)
        W = Y if state.is_symmetric else state.test.measure(X)
    if state._identification is not None:
        state._identification.add_rows(X, W, weights)
    if state.center and is_outweighed(state.weight, total):
        # Rows that are measured while they are added need no shift on the left side.
        left = np.zeros(state.shape[0]) if Y is None else centre(Y, weights)
        state._move_shifts(left, *([] if state.is_symmetric else [centre(W, weights)]))
    if is_kept and state.is_symmetric:
        add_symmetric(state, X, weights)
    elif is_kept:
        add_kept(state, X, _shifted(W, state._right), weights, total)
    elif way is Way.FUSED:
        _fuse(state, X, W, weights)
    elif way is Way.SCATTERED:
        _scatter(state, Y, W, weights)
    else:
        _multiply(state, Y, W, weights)
    if state._moments is not None and not (is_kept or at_once):
        state._moments.update(X, weights, total)
    before = state.n_samples
    state.weight += total
    direction = np.sign(weights)
    state.n_samples += int(direction * n if np.ndim(direction) == 0 else direction.sum())
    if is_due(before, state.n_samples):
        state._follow_mean(fewest=sp.issparse(X))


def _measure(M, X, way):
    return M.measure(X) if way is Way.DENSE else M.measure_sparse(X)


def _multiply(state, Y, W, weights):
    """Add rows measured densely: the cost is one BLAS product."""
    state._keep_sums(None)
    Y = _shifted(Y, state._left)
    W = Y if state.is_symmetric else _shifted(W, state._right)
    add_dense(state._cross, Y, None if state.is_symmetric else W, weights)
    state._left.total += weighted_sum(Y, weights)
    if not state.is_symmetric:
        state._right.total += weighted_sum(W, weights)
        state._power += float(np.sum(np.multiply(weights, np.einsum("ij,ij->i", W, W))))


def _scatter(state, Y, W, weights):
    """Add rows measured sparsely, by outer products of their few nonzeros."""
    Y = _sparse_shifted(Y, state._left)
    state._keep_sums(Y.indices)
    state._left.total += weighted_sum(Y, weights)
    if state.is_symmetric:
        row_weights = np.broadcast_to(np.asarray(weights, dtype=np.float64), Y.shape[0])
        kernels.add_outer(state._cross, Y.data, Y.indices, Y.indptr, row_weights, upper=True)
        return
    W = _shifted(W, state._right)
    weighted = W * (weights if np.ndim(weights) == 0 else weights[:, None])
    kernels.add_cross(state._cross, Y.data, Y.indices, Y.indptr, weighted)
    state._right.total += weighted.sum(axis=0)
    state._power += float(np.vdot(W, weighted))


def _fuse(state, X, W, weights):
    """Add sparse rows that have no shift on the left side, while they are measured."""
    W = _shifted(W, state._right)
    row_weights = np.full(len(W), weights) if np.ndim(weights) == 0 else weights
    M = state.measurement
    # Hashing twice pays only where most of C is left alone.
    few = 2 * X.nnz * M.nonzeros_per_column() < M.n_measurements
    state._keep_sums(M.columns(X.indices).indices if few else None)
    csr = X.data, X.indices, X.indptr
    sums = state._cross, state._left.total
    kernels.add_measured(*sums, *csr, W, row_weights, *M.hash_settings)
    state._right.total += row_weights @ W
    state._power += float(row_weights @ np.einsum("ij,ij->i", W, W))


def _shifted(rows, side: Side):
    """Return rows - shift as a float64 array in C order, without a copy where there is no shift."""
    if not side.shift.any():
        return np.ascontiguousarray(rows, dtype=np.float64)
    return np.subtract(rows, side.shift, dtype=np.float64, order="C")


def _sparse_shifted(rows, side: Side):
    """Return CSR rows - shift, for a shift with few nonzeros."""
    places = np.flatnonzero(side.shift)
    if not len(places):
        return rows
    n = rows.shape[0]
    indptr = np.arange(n + 1) * len(places)
    parts = np.tile(side.shift[places], n), np.tile(places, n), indptr
    return sp.csr_array(rows - sp.csr_array(parts, shape=rows.shape))
