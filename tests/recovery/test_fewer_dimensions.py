"""Matrices of fewer dimensions than vectors are asked for."""

import numpy as np
import pytest

from sklearn_sparse_eig import EigenSketch

N = 30


@pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")
@pytest.mark.parametrize("sizes", [[1, 2, 3], [3, 1, 1], [1, 1, 6], [5, 5, 5]])
@pytest.mark.parametrize(
    "form",
    [
        {"n_measurements": 200, "range_size": 32},
        {"n_measurements": 100},
        {"n_measurements": None, "measurement": "identity", "range_size": 16},
        {"n_measurements": None, "measurement": "identity"},
    ],
)
def test_sizes_that_differ_where_the_matrix_has_one_dimension(form, sizes):
    v = np.zeros(N)
    v[[3, 8, 20]] = 0.6, 0.64, 0.48
    sketch = EigenSketch(N, **form, random_state=0).update_operator(np.outer(v, v))
    pairs = sketch.recover(3, n_nonzero_coefs=sizes, noise=None)
    vectors = pairs.eigenvectors.toarray()
    assert vectors.shape == (N, 3)
    assert (np.count_nonzero(vectors, axis=0) <= sizes).all()
    # The first vector is the best of its size: the largest entries of v.
    expected = np.sort(v**2)[::-1][: sizes[0]].sum()
    np.testing.assert_allclose(pairs.eigenvalues[0], expected, rtol=1e-9)
    np.testing.assert_allclose((v @ vectors) ** 2, pairs.eigenvalues, atol=1e-9)
