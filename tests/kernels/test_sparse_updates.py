"""Products of sparse rows added to a sketch: the definition, twins, threads, chunks and batches."""

from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_sparse_eig import EigenSketch, kernels
from sklearn_sparse_eig._base import threads as _threads
from sklearn_sparse_eig.kernels import use_backend
from sklearn_sparse_eig.kernels._hashing import hash_columns as reference_hash

HAS_NUMBA = find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")
BACKENDS = [pytest.param("numba", marks=needs_numba), "scipy"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    with use_backend(request.param):
        yield request.param


def rows_of(rng, n, length, n_ids, skew=0.0):
    """CSR arrays of n rows of up to `length` nonzeros; the larger the skew, the more ids recur."""
    lengths = rng.integers(0, length + 1, n)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    ids = (n_ids * rng.random(indptr[-1]) ** (1.0 + skew)).astype(np.int64)
    return rng.standard_normal(len(ids)), ids, indptr


def measured(data, ids, indptr, key):
    """X M^T, dense, from the definition of the hash."""
    rows, signs = reference_hash(ids, *key)
    Y = np.zeros((len(indptr) - 1, key[1] * key[2]))
    row = np.repeat(np.arange(len(Y)), np.diff(indptr))
    np.add.at(Y, (row[:, None], rows), signs * data[:, None] / np.sqrt(key[1]))
    return Y


def updated(csr, W, weights, key):
    S, total = np.zeros((key[1] * key[2], W.shape[1])), np.zeros(key[1] * key[2])
    kernels.add_measured(S, total, *csr, W, weights, *key)
    return S, total


@pytest.mark.parametrize("backend_name", BACKENDS)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    key=st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 9), st.integers(1, 40)),
    n=st.integers(0, 60),
    k=st.integers(0, 200),
    skew=st.sampled_from([0.0, 3.0, 20.0]),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_products_are_those_of_the_definition(backend_name, seed, key, n, k, skew, dtype):
    rng = np.random.default_rng(seed)
    data, ids, indptr = rows_of(rng, n, 30, 2**40, skew)
    data = data.astype(dtype)
    W, weights = rng.standard_normal((n, k)), rng.standard_normal(n)
    Y = measured(data.astype(float), ids, indptr, key)
    with use_backend(backend_name):
        S, total = updated((data, ids, indptr), W, weights, key)
    assert_allclose(S, Y.T @ (weights[:, None] * W), rtol=1e-12, atol=1e-11)
    assert_allclose(total, Y.T @ weights, rtol=1e-12, atol=1e-11)


def csr_of(rng, n, width, length):
    """CSR arrays with empty rows, unsorted and repeated columns, from the middle of others."""
    lengths = rng.integers(0, length + 1, n + 2)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    columns = rng.integers(0, width, indptr[-1]).astype(rng.choice([np.int32, np.int64]))
    return rng.standard_normal(len(columns)), columns, indptr[1:-1]


def dense_of(csr, width):
    data, columns, indptr = csr
    out = np.zeros((len(indptr) - 1, width))
    inside = slice(indptr[0], indptr[-1])
    np.add.at(out, (np.repeat(np.arange(len(out)), np.diff(indptr)), columns[inside]), data[inside])
    return out


@pytest.mark.parametrize("seed", range(12))
def test_products_of_sparse_rows_are_those_of_the_definition(backend, seed):
    rng = np.random.default_rng(seed)
    n, m, k = rng.integers(0, 40), *rng.integers(1, 30, 2)
    left, right = csr_of(rng, n, m, 12), csr_of(rng, n, k, 5)
    Y, W = dense_of(left, m), dense_of(right, k)
    start = rng.standard_normal((m, k))
    S = start.copy()
    kernels.add_sparse_cross(S, left, right)
    assert_allclose(S, start + Y.T @ W, rtol=1e-12, atol=1e-11)
    for weights in (None, rng.standard_normal(n)):
        expected = Y.T @ (Y if weights is None else weights[:, None] * Y)
        for upper in (False, True):
            square = np.zeros((m, m))
            kernels.add_outer(square, *left, weights, upper=upper)
            kept = np.triu if upper else np.asarray
            assert_allclose(kept(square), kept(expected), rtol=1e-12, atol=1e-11)


def test_sparse_products_need_as_many_rows_on_both_sides():
    one, two = ([1.0], [0], [0, 1]), ([1.0], [0], [0, 1, 1])
    with pytest.raises(ValueError, match="as many rows, got 1 and 2"):
        kernels.add_sparse_cross(np.zeros((2, 2)), one, two)


@needs_numba
@pytest.mark.parametrize("k", [5, 72, 130])
def test_chunks_and_recurring_columns_change_rounding_only(monkeypatch, k):
    """Long batches, cut anyhow, with sums of recurring columns or without."""
    from sklearn_sparse_eig.kernels import _numba_presums, _numba_updates

    rng = np.random.default_rng(0)
    csr, key = rows_of(rng, 500, 60, 3000, skew=4.0), (3, 8, 16)
    W, weights = rng.standard_normal((500, k)), rng.random(500)
    Y = measured(*csr, key)
    expected = Y.T @ (weights[:, None] * W)
    found = _numba_presums.find_presums(*csr, 8)
    assert found.size > 100  # columns recur
    for rows, entries, most, share in [
        (1 << 10, 1 << 17, 1 << 14, 1 / 16),
        (7, 1 << 17, 1 << 14, 1 / 16),
        (1 << 10, 90, 20, 1 / 16),
        (64, 1 << 17, 20, 1.0),
    ]:
        monkeypatch.setattr(_numba_updates, "_ROWS", rows)
        monkeypatch.setattr(_numba_updates, "_ENTRIES", entries)
        monkeypatch.setattr(_numba_presums, "_MOST", most)
        monkeypatch.setattr(_numba_presums, "_SHARE", share)
        S, total = updated(csr, W, weights, key)
        assert_allclose(S, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
        assert_allclose(total, Y.T @ weights, atol=1e-11)


@needs_numba
def test_recurring_columns_are_told_from_the_others():
    """Every nonzero is either left in its row or listed under its column; columns are exact."""
    from sklearn_sparse_eig.kernels._numba_presums import find_presums

    rng = np.random.default_rng(1)
    data, ids, indptr = rows_of(rng, 400, 50, 20_000, skew=6.0)
    found = find_presums(data, ids, indptr, 8)
    n, g = 400, found.size
    left = sp.csr_array((found.data, found.indices, found.indptr), shape=(n + g, 20_000))
    assert_array_equal(left.data[left.indptr[n] :], np.ones(g))
    columns = left.indices[left.indptr[n] :]
    assert len(np.unique(columns)) == g
    assert np.diff(found.starts).min() >= 3
    lists = sp.csr_array((found.values, found.rows, found.starts), shape=(g, n))
    back = left[:n] + lists.T @ left[n:]
    whole = sp.csr_array((data, ids, indptr), shape=(n, 20_000))
    assert abs(back - whole).max() < 1e-12
    assert find_presums(data, np.arange(len(ids)), indptr, 8) is None  # nothing recurs
    assert find_presums(data, ids, indptr, 2) is None  # nothing is saved


def test_bits_do_not_depend_on_threads(backend, monkeypatch):
    monkeypatch.setattr(_threads, "_SERIAL_WORK", 0)
    rng = np.random.default_rng(0)
    cases = [
        (rows_of(rng, 90, 40, n_ids, skew), (5, n_blocks, 20))
        for n_ids, skew, n_blocks in [(2**40, 0.0, 8), (500, 5.0, 8), (2**40, 0.0, 1)]
    ]
    W, weights = rng.standard_normal((90, 200)), rng.random(90)
    left, right = csr_of(rng, 90, 50, 20), csr_of(rng, 90, 50, 6)

    def everything():
        for csr, key in cases:
            yield from updated(csr, W, weights, key)
        S, square = np.zeros((50, 50)), np.zeros((50, 50))
        kernels.add_sparse_cross(S, left, right)
        kernels.add_outer(square, *left, weights, upper=True)
        yield from (S, square)

    results = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        results.append([array.tobytes() for array in everything()])
    assert all(result == results[0] for result in results[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"S": np.ones((3, 2))}, "S must"),
        ({"total": np.ones(3)}, "total must"),
        ({"W": np.ones((2, 2))}, "W must"),
        ({"weights": np.ones(2)}, "weights must"),
        ({"indptr": [0, 3]}, "indptr ends"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {
        "S": np.zeros((4, 2)),
        "total": np.zeros(4),
        "data": [1.0],
        "indices": [1],
        "indptr": [0, 1],
        "W": np.ones((1, 2)),
        "weights": [1.0],
    }
    with pytest.raises(ValueError, match=message):
        kernels.add_measured(*(arguments | change).values(), 0, 2, 2)


# ------------------------------------------------------------------------------- as users call them


def sketch_of(batches, weights=None, **options):
    options = {"n_measurements": 2048, "range_size": 40, "random_state": 0} | options
    sketch = EigenSketch(20_000, **options)
    for i, rows in enumerate(batches):
        sketch.update(rows, None if weights is None else weights[i])
    return sketch


def text(rng, n, z=20, full=0):
    """Rows of counts whose features recur; the first `full` features are never zero, and large."""
    ids = (20_000 * rng.random((n, z)) ** 4).astype(int)
    rows = np.repeat(np.arange(n), z)
    X = sp.csr_array((1.0 + rng.random(n * z), (rows, ids.ravel())), shape=(n, 20_000))
    if full:
        values, columns = 1e4 + rng.random((n, full)), np.tile(np.arange(full), n)
        part = (values.ravel(), (np.repeat(np.arange(n), full), columns))
        X = sp.csr_array(X + sp.csr_array(part, shape=X.shape))
    return X


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("full", [0, 2])
@pytest.mark.parametrize("mam", [False, True])
def test_any_splitting_into_batches_gives_the_same_sketch(backend, center, full, mam):
    """The rows as one batch, one by one at first, and as dense rows."""
    rng = np.random.default_rng(0)
    X, weights = text(rng, 300, full=full), rng.integers(1, 4, 300).astype(float)
    options = {"center": center, "range_size": None if mam else 40}
    whole = sketch_of([X], [weights], **options)
    cuts = [0, 1, 2, 5, 40, 300]
    parts = [slice(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    split = sketch_of([X[s] for s in parts], [weights[s] for s in parts], **options)
    dense = sketch_of([X.toarray()], [weights], **options)
    scale = np.abs(whole.matrix()).max()
    for other in (split, dense):
        assert_allclose(other.matrix(), whole.matrix(), atol=1e-12 * scale)


@pytest.mark.parametrize("range_size", [None, 40, 500])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("n_ids", [30, 20_000])
def test_entries_are_added_as_their_matrix_is(backend, range_size, mirror, n_ids):
    """Few entries in each row are products of sparse rows, many are not."""
    rng = np.random.default_rng(4)
    i, j, values = *rng.integers(0, n_ids, (2, 400)), rng.standard_normal(400)
    sketch = sketch_of([], range_size=range_size)
    sketch.update_entries(i[:150], j[:150], values[:150], mirror=mirror)
    sketch.update_entries(i[150:], j[150:], values[150:], mirror=mirror)
    A = sp.coo_array((values, (i, j)), shape=(20_000, 20_000)).tocsr()
    A = A + A.T if mirror else (A + A.T) / 2
    A = A - sp.diags_array(A.diagonal() / 2) if mirror else A
    ids = np.arange(20_000)
    M, Omega = sketch.measurement.columns(ids), sketch.test.columns(ids)
    expected = (M.T @ (A @ Omega)).toarray()
    assert_allclose(sketch.matrix(), expected, atol=1e-12 * np.abs(expected).max())


def test_rows_are_deleted_by_opposite_weights(backend):
    rng = np.random.default_rng(2)
    X, more = text(rng, 200), text(rng, 90)
    kept = sketch_of([X])
    changed = sketch_of([X, more, more], [None, 2.0, -2.0])
    assert_allclose(changed.matrix(), kept.matrix(), atol=1e-12 * np.abs(kept.matrix()).max())


@pytest.mark.parametrize("n_rows", [3, 300])
def test_a_refused_batch_leaves_every_bit(backend, n_rows):
    rng = np.random.default_rng(3)
    sketch = sketch_of([text(rng, 50)])
    before = sketch.to_bytes()
    bad = text(rng, n_rows)
    bad.data[-1] = 1e200
    with pytest.raises(ValueError, match="squared"):
        sketch.update(bad)
    assert sketch.to_bytes() == before
