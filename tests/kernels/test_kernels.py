"""The kernels: one definition, two twins, the same bits whatever the number of threads."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import chi2

from sklearn_sparse_eig import kernels
from sklearn_sparse_eig._base import threads as _threads
from sklearn_sparse_eig.kernels import use_backend
from sklearn_sparse_eig.kernels._hashing import hash_columns as reference_hash

HAS_NUMBA = find_spec("numba") is not None
needs_numba = pytest.mark.skipif(not HAS_NUMBA, reason="numba is not installed")
BACKENDS = [pytest.param("numba", marks=needs_numba), "scipy"]
ROOT = Path(kernels.__file__).parents[2]


@pytest.fixture(params=BACKENDS)
def backend(request):
    with use_backend(request.param):
        yield request.param


def assert_twins_agree(call, rtol=1e-12):
    """`call` returns an array or a tuple of arrays; compare the two backends."""
    results = []
    for name in ("numba", "scipy"):
        with use_backend(name):
            result = call()
        results.append(result if isinstance(result, tuple) else (result,))
    for fast, plain in zip(*results, strict=True):
        assert fast.dtype == plain.dtype
        assert fast.shape == plain.shape
        scale = np.abs(plain).max(initial=1.0)
        np.testing.assert_allclose(fast, plain, rtol=rtol, atol=rtol * scale)


def measurement_matrix(n_columns, seed, n_blocks, block_size):
    """M itself, dense, from the definition."""
    rows, signs = reference_hash(np.arange(n_columns), seed, n_blocks, block_size)
    M = np.zeros((n_blocks * block_size, n_columns))
    M[rows, np.arange(n_columns)[:, None]] = signs / np.sqrt(n_blocks)
    return M


def random_csr(rng, n, density=0.5, max_row=9, high=2**62, index_dtype=np.int64):
    """CSR arrays with empty rows, unsorted and repeated ids."""
    lengths = rng.integers(1, max_row + 1, n) * (rng.random(n) < density)
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    nnz = indptr[-1]
    return rng.standard_normal(nnz), rng.integers(0, high, nnz).astype(index_dtype), indptr


hashes = st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 9), st.integers(1, 40))
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=25, deadline=None)


# ------------------------------------------------------------------------------------- the hash

PINNED_ROWS = [
    [614, 1450, 2206],
    [99, 1975, 2121],
    [955, 1838, 2712],
    [735, 1634, 2471],
    [779, 1784, 2534],
    [310, 1299, 2445],
    [985, 1255, 2520],
]
PINNED_SIGNS = [
    [1, -1, -1],
    [-1, 1, 1],
    [1, -1, 1],
    [-1, -1, -1],
    [-1, 1, 1],
    [-1, 1, -1],
    [1, 1, -1],
]
PINNED_WIDE = [[1661062785, 4695252782]]


def test_hash_is_pinned(backend):
    """These values are in saved sketches: a change needs a new HASH_VERSION."""
    assert kernels.HASH_VERSION == 1
    ids = [0, 1, 2, 1000, 2**32, 2**62, 2**63 - 1]
    rows, signs = kernels.hash_columns(ids, 42, 3, 1000)
    np.testing.assert_array_equal(rows, PINNED_ROWS)
    np.testing.assert_array_equal(signs, PINNED_SIGNS)
    rows, signs = kernels.hash_columns([5], 2**64 - 1, 2, 2**32 - 1)
    np.testing.assert_array_equal(rows, PINNED_WIDE)


def test_hash_shapes(backend):
    rows, signs = kernels.hash_columns(np.array([], dtype=np.int64), 1, 4, 10)
    assert rows.shape == signs.shape == (0, 4)
    assert rows.dtype == np.int64 and signs.dtype == np.float64
    narrow = kernels.hash_columns(np.array([3, 7], dtype=np.int32), 1, 4, 10)
    wide = kernels.hash_columns(np.array([3, 7], dtype=np.int64), 1, 4, 10)
    np.testing.assert_array_equal(narrow[0], wide[0])


n_adversarial = 20_000
ADVERSARIAL = {
    "range": np.arange(n_adversarial),
    "step 1000": np.arange(n_adversarial) * 1000,
    "step 2^40": np.arange(n_adversarial) << 40,
    "step golden": np.arange(n_adversarial) * (0x9E3779B97F4A7C15 >> 20),
    "top bits only": (np.arange(n_adversarial) << 47) + 12345,
    "end of the range": 2**63 - 1 - np.arange(n_adversarial),
    "two bits set": np.array([(1 << i) | (1 << j) for i in range(63) for j in range(63)]),
}


@pytest.mark.parametrize("ids", ADVERSARIAL.values(), ids=ADVERSARIAL.keys())
@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_hash_quality(ids, seed):
    ids = np.unique(ids)
    n, K, b = len(ids), 8, 64
    rows, signs = reference_hash(ids, seed, K, b)
    joint = 2 * rows + (signs > 0)
    # Uniform over (bucket, sign) in each block, at a level no honest hash fails in these trials.
    for k in range(K):
        counts = np.bincount(joint[:, k] - 2 * k * b, minlength=2 * b)
        assert ((counts - n / (2 * b)) ** 2).sum() * (2 * b) / n < chi2.isf(1e-6, 2 * b - 1)
    # Sign balance, and independence of the signs of two blocks.
    assert np.abs(signs.mean(axis=0)).max() < 5.5 / np.sqrt(n)
    assert np.abs((signs[:, 1:] * signs[:, :-1]).mean(axis=0)).max() < 5.5 / np.sqrt(n)
    # Neighbouring columns: inner products have mean 0 and variance 1 / (K b).
    agree = (rows[1:] == rows[:-1]) * signs[1:] * signs[:-1]
    products = agree.sum(axis=1) / K
    assert abs(products.mean()) < 5.5 / np.sqrt(K * b * n)
    assert abs(products.var() * K * b - 1) < 5.5 * np.sqrt(b / K / n + 2 / n)


def test_seeds_are_independent():
    ids = np.arange(n_adversarial)
    for one, two in [(0, 1), (1, 2), (7, 2**63 + 7)]:
        (rows, signs), (others, flips) = (reference_hash(ids, s, 4, 64) for s in (one, two))
        rate = ((rows == others) & (signs == flips)).mean()
        assert abs(rate - 1 / 128) < 5.5 * np.sqrt(1 / 128 / ids.size / 4)


# ------------------------------------------------------------------------------------- the twins


@needs_numba
@few
@given(seed=seeds, key=hashes)
def test_twins_hash(seed, key):
    ids = np.random.default_rng(seed).integers(0, 2**63 - 1, 50)
    assert_twins_agree(lambda: kernels.hash_columns(ids, *key))


@needs_numba
@few
@given(
    seed=seeds,
    key=hashes,
    shape=st.tuples(st.integers(0, 20), st.integers(0, 90)),
    dtype=st.sampled_from(["float32", "float64", "uint8", "int64", "float16", ">f8", "bool"]),
    layout=st.sampled_from(["C", "F", "strided", "reversed"]),
)
def test_twins_sketch_dense(seed, key, shape, dtype, layout):
    n, N = shape
    X = (100 * np.random.default_rng(seed).random((2 * n, 3 * N))).astype(dtype)
    X = {"strided": X[::2, ::3], "reversed": X[:n, :N][::-1, ::-1]}.get(layout, X[:n, :N])
    if layout in "CF":
        X = np.array(X, order=layout)
    assert_twins_agree(lambda: kernels.sketch_dense(X, *key))
    expected = X.astype(float) @ measurement_matrix(N, *key).T
    np.testing.assert_allclose(kernels.sketch_dense(X, *key), expected, rtol=1e-12, atol=1e-10)


def test_sketch_dense_long_rows(backend, monkeypatch):
    """Several steps over the columns, odd ends, a read-only array."""
    module = sys.modules[f"sklearn_sparse_eig.kernels._{backend}"]
    monkeypatch.setattr(module, "_TABLE" if backend == "numba" else "_CHUNK", 400)
    X = np.random.default_rng(0).standard_normal((19, 1234))
    X.flags.writeable = False
    Y = kernels.sketch_dense(X, 3, 4, 11)
    assert Y.dtype == np.float64 and Y.flags.c_contiguous
    np.testing.assert_allclose(Y, X @ measurement_matrix(1234, 3, 4, 11).T, atol=1e-11)


@needs_numba
@few
@given(
    seed=seeds,
    key=hashes,
    n=st.integers(0, 12),
    index_dtype=st.sampled_from([np.int32, np.int64]),
    dtype=st.sampled_from([np.float32, np.float64, np.int16]),
)
def test_twins_sparse(seed, key, n, index_dtype, dtype):
    rng = np.random.default_rng(seed)
    data, ids, indptr = random_csr(rng, n, high=np.iinfo(index_dtype).max, index_dtype=index_dtype)
    data = (9 * data).astype(dtype)
    assert_twins_agree(lambda: kernels.sketch_csr(data, ids, indptr, *key))
    assert_twins_agree(lambda: kernels.expand_csr(data, ids, indptr, *key))
    m = key[1] * key[2]
    expanded = kernels.expand_csr(data, ids, indptr, *key)
    dense = csr_array(expanded, shape=(n, m)).toarray()
    np.testing.assert_allclose(dense, kernels.sketch_csr(data, ids, indptr, *key), atol=1e-10)
    for weights in (None, rng.standard_normal(n)):
        start = rng.standard_normal((m, m))

        def outer(weights=weights, start=start):
            S = start.copy()
            kernels.add_outer(S, *expanded, weights)
            return S

        assert_twins_agree(outer)
        scaled = dense if weights is None else dense * weights[:, None]
        np.testing.assert_allclose(outer(), start + dense.T @ scaled, rtol=1e-10, atol=1e-8)
    W = rng.standard_normal((n, seed % 40))
    start = rng.standard_normal((m, W.shape[1]))

    def cross():
        S = start.copy()
        kernels.add_cross(S, *expanded, W)
        return S

    assert_twins_agree(cross)
    np.testing.assert_allclose(cross(), start + dense.T @ W, rtol=1e-10, atol=1e-9)


def test_sparse_row_slices(backend):
    """A slice of indptr selects rows; chunks smaller than a row do not matter."""
    data, ids, indptr = random_csr(np.random.default_rng(0), 30, max_row=70)
    whole = kernels.sketch_csr(data, ids, indptr, 1, 3, 20)
    part = data, ids, indptr[7:20]
    np.testing.assert_allclose(kernels.sketch_csr(*part, 1, 3, 20), whole[7:19], atol=1e-12)
    expanded = kernels.expand_csr(*part, 1, 3, 20)
    assert expanded[2][0] == 0
    np.testing.assert_allclose(csr_array(expanded, shape=(12, 60)).toarray(), whole[7:19])
    S = np.zeros((60, 5))
    W = np.ones((12, 5))
    values, columns, starts = kernels.expand_csr(data, ids, indptr, 1, 3, 20)
    kernels.add_cross(S, values, columns, starts[7:20], W)
    np.testing.assert_allclose(S, whole[7:19].T @ W, atol=1e-11)
    S = np.zeros((60, 60))
    kernels.add_outer(S, values, columns, starts[7:20])
    np.testing.assert_allclose(S, whole[7:19].T @ whole[7:19], atol=1e-11)


def test_scipy_chunks(monkeypatch):
    with use_backend("scipy"):
        data, ids, indptr = random_csr(np.random.default_rng(0), 30, max_row=70)
        R = np.random.default_rng(1).standard_normal((60, 4))

        def everything():
            out, square = np.zeros((60, 60)), np.zeros((60, 60))
            kernels.add_cross_gram(out, ids, data, (1, 3, 20), (2, 3, 20))
            kernels.add_outer(square, *kernels.expand_csr(data, ids, indptr, 1, 3, 20))
            yield from (out, square, kernels.sketch_csr(data, ids, indptr, 1, 3, 20))
            yield from (kernels.adjoint(ids, R, 1, 3, 20), kernels.hash_columns(ids, 1, 3, 20)[0])
            yield kernels.adjoint_energy(5, 99, R, 1, 3, 20)

        whole = list(everything())
        monkeypatch.setattr("sklearn_sparse_eig.kernels._scipy._CHUNK", 50)
        for one, two in zip(whole, everything(), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-12, atol=1e-12)


@needs_numba
@few
@given(
    seed=seeds,
    key=hashes,
    n_columns=st.integers(0, 33),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_twins_adjoint(seed, key, n_columns, dtype):
    rng = np.random.default_rng(seed)
    R = rng.standard_normal((key[1] * key[2], n_columns)).astype(dtype)
    ids = rng.integers(2**62 - 100, 2**62 + 100, 70)
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    assert_twins_agree(lambda: kernels.adjoint(ids, R, *key), rtol)
    start = int(ids[0])
    for stop in (start, start + 75):
        assert_twins_agree(lambda stop=stop: kernels.adjoint_energy(start, stop, R, *key), rtol)
    rows = kernels.adjoint(np.arange(start, start + 75), R, *key)
    energy = kernels.adjoint_energy(start, start + 75, R, *key)
    assert rows.dtype == energy.dtype == dtype
    np.testing.assert_allclose((rows**2).sum(axis=1), energy, rtol=1e-4, atol=1e-5)


@needs_numba
@few
@given(seed=seeds, key_a=hashes, key_b=hashes, same=st.booleans())
def test_twins_cross_gram(seed, key_a, key_b, same):
    rng = np.random.default_rng(seed)
    key_b = key_a if same else key_b
    start = rng.standard_normal((key_a[1] * key_a[2], key_b[1] * key_b[2]))
    far = rng.integers(0, 2**62, 9)
    for ids, diag in [((17, 80), rng.random(63)), ((5, 5), None), (far, None)]:

        def gram(ids=ids, diag=diag):
            out = start.copy()
            kernels.add_cross_gram(out, ids, diag, key_a, key_b)
            return out

        assert_twins_agree(gram)
    out = np.zeros_like(start)
    kernels.add_cross_gram(out, (17, 80), diag := rng.random(63), key_a, key_b)
    M, Omega = (measurement_matrix(80, *key)[:, 17:] for key in (key_a, key_b))
    np.testing.assert_allclose(out, (M * diag) @ Omega.T, atol=1e-11)


@needs_numba
@few
@given(seed=seeds, key=hashes, width=st.integers(1, 20), n_bits=st.integers(0, 62))
def test_twins_bit_tests(seed, key, width, n_bits):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2**n_bits, 30)
    values = rng.standard_normal((30, width))
    start = rng.standard_normal((key[1] * key[2], 1 + n_bits, width))

    def cells():
        out = start.copy()
        kernels.add_bit_tests(out, ids, values, *key)
        return out

    assert_twins_agree(cells)
    for bit in {0, n_bits - 1} if n_bits else ():
        is_set = (ids >> bit & 1).astype(bool)
        rows, signs = kernels.hash_columns(ids[is_set], *key)
        expected = start[:, 1 + bit].copy()
        for block in range(key[1]):
            scaled = signs[:, [block]] / np.sqrt(key[1]) * values[is_set]
            np.add.at(expected, rows[:, block], scaled)
        np.testing.assert_allclose(cells()[:, 1 + bit], expected, atol=1e-11)


@pytest.mark.parametrize("n_blocks", [1, 4, 7, 8])
def test_adjoint_identity(backend, n_blocks):
    """<M u, v> = <u, M^T v>."""
    rng = np.random.default_rng(0)
    key = (2**63 + 1, n_blocks, 37)
    u, v = rng.standard_normal((3, 500)), rng.standard_normal((37 * n_blocks, 5))
    back = kernels.adjoint(np.arange(500), v, *key)
    np.testing.assert_allclose(kernels.sketch_dense(u, *key) @ v, u @ back, rtol=1e-10, atol=1e-10)


def test_wide_measurements(backend):
    """Rows beyond 2^31 cannot be made dense, but hash and expand."""
    rows, _ = kernels.hash_columns(np.arange(100), 1, 3, 2**32 - 1)
    assert rows.max() > 2**32
    _, indices, indptr = kernels.expand_csr(np.ones(2), [5, 6], [0, 2], 1, 3, 2**32 - 1)
    assert indices.dtype == indptr.dtype == np.int64
    np.testing.assert_array_equal(indices, rows[5:7].ravel())


# ------------------------------------------------------------------------------- threads, backends


@pytest.mark.parametrize("n", [0, 1, 7, 8, 100])
@pytest.mark.parametrize("parts", [1, 3, 8])
@pytest.mark.parametrize("multiple", [1, 8])
def test_split_range(n, parts, multiple):
    intervals = _threads.split_range(n, parts, multiple)
    assert [i for lo, hi in intervals for i in range(lo, hi)] == list(range(n))
    assert len(intervals) <= parts
    assert all(lo % multiple == 0 and lo < hi for lo, hi in intervals)


def test_thread_count(monkeypatch):
    for value, expected in [("3", 3), ("5,2", 5), ("0", None), ("no", None), ("", None)]:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert _threads.thread_count() == expected if expected else _threads.thread_count() >= 1


def test_errors_cross_threads(monkeypatch):
    def fail(lo, hi):
        raise ZeroDivisionError

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with pytest.raises(ZeroDivisionError):
        _threads.run_ranges(fail, 10, work=1e9)


def test_bits_do_not_depend_on_threads(backend, monkeypatch):
    monkeypatch.setattr(_threads, "_SERIAL_WORK", 0)
    rng = np.random.default_rng(0)
    key = (5, 4, 30)
    X = rng.standard_normal((29, 777))
    csr = random_csr(rng, 50)
    expanded = kernels.expand_csr(*csr, *key)
    W, R = rng.standard_normal((50, 43)), rng.standard_normal((120, 21)).astype(np.float32)

    def everything():
        S, square, gram = np.ones((120, 43)), np.ones((120, 120)), np.ones((120, 120))
        kernels.add_cross(S, *expanded, W)
        kernels.add_outer(square, *expanded)
        kernels.add_cross_gram(gram, (0, 500), None, key, (6, 4, 30))
        yield from (S, square, gram, *kernels.expand_csr(*csr, *key))
        yield from (kernels.sketch_dense(X, *key), kernels.sketch_dense(X.T.copy().T, *key))
        yield from (kernels.sketch_csr(*csr, *key), *kernels.hash_columns(csr[1], *key))
        yield from (kernels.adjoint(csr[1], R, *key), kernels.adjoint_energy(3, 1000, R, *key))

    results = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        results.append([array.tobytes() for array in everything()])
    assert all(result == results[0] for result in results[1:])


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_import_is_light():
    code = "import sys, sklearn_sparse_eig.kernels; sys.exit('numba' in sys.modules)"
    assert run_python(code).returncode == 0


def test_numba_missing():
    code = """
import importlib.util as util
find = util.find_spec
util.find_spec = lambda name, *rest: None if name == "numba" else find(name, *rest)
from sklearn_sparse_eig import kernels
try:
    print(kernels.get_backend(), kernels.sketch_dense([[1.0]], 0, 1, 3).shape)
    with kernels.use_backend("numba"):
        pass
except ImportError as error:
    print(error)
"""
    # An empty variable counts as unset, whatever the surrounding test run asks for.
    output = run_python(code, SKLEARN_SPARSE_EIG_BACKEND="").stdout
    assert output.startswith("scipy (1, 3)")
    assert 'pip install "sklearn_sparse_eig[fast]"' in output
    asked = run_python(code, SKLEARN_SPARSE_EIG_BACKEND="numba").stdout
    assert "SKLEARN_SPARSE_EIG_BACKEND" in asked and "[fast]" in asked


def test_backend_choice(monkeypatch):
    monkeypatch.delenv("SKLEARN_SPARSE_EIG_BACKEND", raising=False)
    assert kernels.get_backend() == ("numba" if HAS_NUMBA else "scipy")
    monkeypatch.setenv("SKLEARN_SPARSE_EIG_BACKEND", "scipy")
    assert kernels.get_backend() == "scipy"
    monkeypatch.setenv("SKLEARN_SPARSE_EIG_BACKEND", "fortran")
    with pytest.raises(ValueError, match="SKLEARN_SPARSE_EIG_BACKEND.*fortran"):
        kernels.get_backend()
    with pytest.raises(ValueError, match="use_backend.*nope"), use_backend("nope"):
        pass
    with use_backend("scipy"):
        assert kernels.get_backend() == "scipy"


@needs_numba
def test_compiles_without_a_cache_directory():
    from sklearn_sparse_eig.kernels._numba import _jit

    namespace = {}
    exec("def double(x):\n    return 2 * x", namespace)  # no file, hence no place for a cache
    assert _jit(namespace["double"])(21) == 42


@needs_numba
def test_a_change_of_any_kernel_file_renews_what_is_cached():
    from sklearn_sparse_eig.kernels import _numba, _numba_base, _numba_rows

    stamps = {
        kernel._cache._cache_file._source_stamp
        for kernel in (_numba_base._encode_ids, _numba_rows._expand, _numba._gather)
    }
    assert stamps == {_numba_base._stamp()}


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.hash_columns([1], -1, 2, 2), "seed"),
        (lambda: kernels.hash_columns([1], 2**64, 2, 2), "seed"),
        (lambda: kernels.hash_columns([1], 0, 0, 2), "n_blocks"),
        (lambda: kernels.hash_columns([1], 0, 1, 2**32), "block_size"),
        (lambda: kernels.hash_columns([1.5], 0, 1, 2), "ids"),
        (lambda: kernels.sketch_dense(np.ones(3), 0, 1, 2), "2 dimensions"),
        (lambda: kernels.sketch_dense(np.ones((3, 3)) * 1j, 0, 1, 2), "real"),
        (lambda: kernels.sketch_csr([1.0], [1], [0, 2], 0, 1, 2), "indptr ends"),
        (lambda: kernels.sketch_csr([1.0], [1], [1, 0], 0, 1, 2), "non-decreasing"),
        (lambda: kernels.add_cross(np.ones((2, 1)), [1.0], [2], [0, 1], [[1.0]]), "indices"),
        (lambda: kernels.add_cross(np.ones((2, 1)), [1.0], [-1], [0, 1], [[1.0]]), "indices"),
        (lambda: kernels.add_cross(np.ones((2, 1)), [1.0], [1], [0, 1], [[1.0, 2]]), "W must"),
        (lambda: kernels.add_cross(np.ones((2, 2)).T, [1.0], [1], [0, 1], [[1, 2]]), "S must"),
        (lambda: kernels.add_outer(np.ones((2, 3)), [1.0], [1], [0, 1]), "shape"),
        (lambda: kernels.add_outer(np.ones((2, 2)), [1.0], [1], [0, 1], [1, 2]), "weights"),
        (lambda: kernels.adjoint([1], np.ones((3, 1)), 0, 2, 2), "rows"),
        (lambda: kernels.adjoint_energy(3, 2, np.ones((4, 1)), 0, 2, 2), "start"),
        (lambda: kernels.add_cross_gram(np.ones((2, 2)), (0, 3), [1], *[(0, 1, 2)] * 2), "diag"),
        (lambda: kernels.add_cross_gram(np.ones((2, 3)), (0, 3), None, *[(0, 1, 2)] * 2), "out"),
        (lambda: kernels.add_bit_tests(np.ones((2, 3, 4)), [4], np.ones((1, 4)), 0, 1, 2), "ids"),
        (lambda: kernels.add_bit_tests(np.ones((2, 3, 4)), [1], np.ones((2, 4)), 0, 1, 2), "row"),
        (lambda: kernels.add_bit_tests(np.ones((2, 3)), [1], np.ones((1, 3)), 0, 1, 2), "cells"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
