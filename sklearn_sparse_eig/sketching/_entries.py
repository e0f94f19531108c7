"""Adding a symmetric matrix to the state of a sketch: by its entries, or by products with it."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from .. import kernels
from .._base.entries import check_ids
from .._base.symmetric import check_matrix_values
from .._base.threads import shared_pool
from ._state import SketchState
from ._variance import check_products

# Share of nonzeros below which products with rows of a matrix are added as sparse ones.
_SPARSE_SHARE = 0.1
# Columns of the test matrix that an operator is multiplied with at a time.
_COLUMNS = 32


def check_entries(i, j, values, n_features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row and column ids and finite values as vectors of one length."""
    i, j = (np.atleast_1d(np.asarray(a)) for a in (i, j))
    values = np.atleast_1d(check_matrix_values(values, "values"))
    if not (i.shape == j.shape == values.shape and i.ndim == 1):
        raise ValueError(
            f"i, j and values must be vectors of one length, got shapes {i.shape}, {j.shape} "
            f"and {values.shape}."
        )
    return check_ids(i, "i", n_features), check_ids(j, "j", n_features), values


def add_entries(
    state: SketchState, i: np.ndarray, j: np.ndarray, values: np.ndarray, mirror: bool
) -> None:
    """Add the symmetric part of checked entries, with their mirror images if these are meant."""
    ids, local = np.unique(np.concatenate([i, j]), return_inverse=True)
    rows, columns = local[: len(i)], local[len(i) :]
    A = sp.csr_array((values, (rows, columns)), shape=(len(ids), len(ids)))
    A = (A + A.T) * (1.0 if mirror else 0.5)
    if mirror:  # the diagonal has no mirror image
        A = A - sp.diags_array(A.diagonal() / 2)
    A = sp.csr_array(A)
    rows = sp.csr_array((A.data, ids[A.indices], A.indptr), shape=(len(ids), state.n_features))
    with shared_pool():
        if not _add_few_products(state, ids, rows):
            add_products(state, ids, lambda low, high: state.test.measure(rows[low:high]))


def _add_few_products(state, ids, rows):
    """Add M[:, ids] (rows Omega^T) if these products are sparse; return whether they are."""
    share = state.test.nonzeros_per_column() * rows.nnz / (max(1, rows.shape[0]) * state.shape[1])
    if share > _SPARSE_SHARE or state._identification is not None:
        return False
    step = max(1, int(state.row_buffer // (1 + 2 * share * state.shape[1])))
    for low in range(0, len(ids), step):
        high = min(low + step, len(ids))
        left = state.measurement.columns(ids[low:high])
        right = state.test.measure_sparse(rows[low:high])
        # The sum of the magnitudes in a row, for those at one place may be several.
        check_products(abs(right).sum(axis=1))
        state.content = "entries"
        state.journal.keep(state._cross, left.indices)
        sides = [(side.data, side.indices, side.indptr) for side in (left, right)]
        kernels.add_sparse_cross(state._cross, *sides)
    return True


def products_with(state: SketchState, A) -> np.ndarray:
    """Return A Omega^T for a LinearOperator of the size of the sketch."""
    columns = state.test.columns(np.arange(state.n_features)).tocsc()
    starts = range(0, state.shape[1], _COLUMNS)
    return np.hstack([A.matmat(columns[:, c : c + _COLUMNS].toarray()) for c in starts])


def add_products(
    state: SketchState, ids: np.ndarray, products: Callable[[int, int], np.ndarray]
) -> None:
    """Add M[:, ids] B to S, where products(low, high) gives rows low..high-1 of B."""
    state.content = "entries"
    step = max(1, state.row_buffer // state.shape[1])
    for low in range(0, len(ids), step):
        high = min(low + step, len(ids))
        columns = state.measurement.columns(ids[low:high])
        block = np.ascontiguousarray(products(low, high))
        check_products(block)
        state.journal.keep(state._cross, columns.indices)
        kernels.add_cross(state._cross, columns.data, columns.indices, columns.indptr, block)
        if state._identification is not None:
            state._identification.add_products(ids[low:high], block)
