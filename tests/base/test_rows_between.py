"""Rows of a matrix, block by block, are views of it."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from sklearn_sparse_eig._base.sparse import rows_between

RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((9, 5)) < 0.4, RNG.normal(size=(9, 5)), 0.0)
DENSE[3:5] = 0.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("indices", [np.int32, np.int64])
@given(data=st.data())
def test_they_are_the_rows(dtype, indices, data):
    low = data.draw(st.integers(0, 9))
    high = data.draw(st.integers(low, 9))
    X = sp.csr_array(DENSE.astype(dtype))
    X.indices, X.indptr = X.indices.astype(indices), X.indptr.astype(indices)
    rows = rows_between(X, low, high)
    np.testing.assert_array_equal(rows.toarray(), X[low:high].toarray())
    assert rows.dtype == dtype and rows.indices.dtype == indices
    assert rows.has_canonical_format and rows.has_sorted_indices
    for part in ("data", "indices"):
        # Nothing is copied, so that a block of a large matrix takes no memory.
        view = getattr(rows, part)
        assert not len(view) or np.shares_memory(view, getattr(X, part))
    rows.check_format()  # last, because SciPy copies what is part of a larger array
    np.testing.assert_array_equal(rows_between(DENSE, low, high), DENSE[low:high])
