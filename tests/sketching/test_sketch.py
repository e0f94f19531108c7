"""The state of a sketch: the ways in, what is exact, what is refused; laws are in test_laws."""

import json
import struct
from hashlib import blake2b

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig._base.rows import check_rows
from sklearn_sparse_eig.estimator_checks import check_sketch_entries
from sklearn_sparse_eig.kernels import HASH_VERSION
from sklearn_sparse_eig.sketching import IdentityMeasurement

N = 150
REGIMES = {
    "mam": {"n_measurements": 48},
    "two_sided": {"n_measurements": 64, "range_size": 24},
    "range": {"n_measurements": None, "measurement": "identity", "range_size": 24},
    "exact": {"n_measurements": None, "measurement": "identity"},
    "gaussian": {"n_measurements": 32, "measurement": "gaussian"},
    "prime_residue": {"n_measurements": 240, "measurement": "prime_residue"},
}
HASHED = ["mam", "two_sided", "gaussian", "prime_residue"]


def new(regime, n_features=N, **options):
    return EigenSketch(n_features, random_state=7, **REGIMES[regime], **options)


def rows(n=30, n_features=N, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n_features))


def explicit(sketch, A):
    """M A Omega^T."""
    ids = np.arange(sketch.n_features)
    return sketch.measurement.columns(ids).toarray().T @ A @ sketch.test.columns(ids).toarray()


def assert_untouched(sketch, call, match):
    before = sketch.to_bytes()
    with pytest.raises(ValueError, match=match):
        call()
    assert sketch.to_bytes() == before


# ---------------------------------------------------------------------------------------- entries


@pytest.mark.parametrize("random_state", [0, 1])
@pytest.mark.parametrize("regime", REGIMES)
def test_entries_tiles_operator_matrix(regime, random_state):
    check_sketch_entries(lambda: new(regime), random_state=random_state)


@pytest.mark.parametrize("regime", ["mam", "two_sided", "gaussian"])
def test_entries_of_a_very_wide_matrix(regime):
    check_sketch_entries(lambda: new(regime, 2**62))


@pytest.mark.parametrize("regime", REGIMES)
def test_the_symmetric_part_is_sketched(regime):
    rng = np.random.default_rng(0)
    i, j, values = rng.integers(0, N, 80), rng.integers(0, N, 80), rng.standard_normal(80)
    A = np.zeros((N, N))
    np.add.at(A, (i, j), values)  # duplicates add
    for mirror, symmetric in ((False, (A + A.T) / 2), (True, A + A.T - np.diag(np.diag(A)))):
        sketch = new(regime).update_entries(i, j, values, mirror=mirror)
        np.testing.assert_allclose(sketch.matrix(), explicit(sketch, symmetric), atol=1e-12)


def test_large_ids_of_any_integer_type_are_exact():
    wide = 2**62
    ids = np.array([2**53 + 1, wide - 1])
    expected = new("mam", wide).update_entries(ids, ids[::-1], [1.0, 1.0]).matrix()
    for i, j in (
        (ids.astype(np.uint64), ids[::-1]),
        (ids, ids[::-1].astype(np.uint64)),
        (ids.tolist(), ids[::-1].tolist()),
    ):
        found = new("mam", wide).update_entries(i, j, [1.0, 1.0])
        np.testing.assert_array_equal(found.matrix(), expected)


def test_operator_is_read_through_products_alone():
    A = rows(N)
    A = A + A.T
    seen = []

    def matmat(V):
        seen.append(V.shape[1])
        return A @ V

    operator = LinearOperator((N, N), matvec=lambda v: A @ v, matmat=matmat, dtype=float)
    sketch = new("two_sided").update_operator(operator)
    np.testing.assert_allclose(sketch.matrix(), explicit(sketch, A), atol=1e-11)
    assert sum(seen) == sketch.shape[1]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.float32])
def test_matrices_of_other_types(dtype):
    A = (np.add.outer(np.arange(N), np.arange(N)) % 3 == 0).astype(dtype)
    sketch = new("two_sided").update_operator(A)
    np.testing.assert_allclose(sketch.matrix(), explicit(sketch, A.astype(float)), atol=1e-11)
    A[0, 1] = not A[0, 1]
    with pytest.raises(ValueError, match=r"symmetric, but max \|A - A\^T\| is 1"):
        new("two_sided").update_operator(A)


def test_entries_have_no_mean_and_no_samples():
    sketch = new("mam").update_entries([1], [1], [2.0])
    assert sketch.content == "entries"
    assert sketch.effective_samples is None and sketch.n_samples == 0
    assert not sketch.measured_mean().any()
    assert sketch.feature_mean() is None and sketch.feature_variance() is None
    assert sketch.total_variance() == pytest.approx(2.0)  # a single column has norm one
    assert new("two_sided").update_entries([1], [1], [2.0]).total_variance() is None
    exact = new("exact").update_entries([1, 3], [1, 2], [2.0, 1.0], mirror=True)
    assert exact.feature_variance()[1] == 2.0 and exact.total_variance() == 2.0


def test_rows_and_entries_do_not_mix():
    entries, data = new("mam").update_entries([1], [2], [1.0]), new("mam").update(rows())
    assert_untouched(entries, lambda: entries.update(rows()), "holds matrix entries, so rows")
    assert_untouched(
        data, lambda: data.update_entries([1], [2], [1.0]), "holds matrix rows, so entries"
    )
    assert_untouched(data, lambda: data.update_operator(np.eye(N)), "holds matrix rows")
    assert_untouched(data, lambda: data.merge(entries), "holds matrix rows, so entries")


# ----------------------------------------------------------------------------------- exact moments


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("regime", REGIMES)
def test_feature_moments(regime, sparse, center):
    X, weights = rows() + 2.0, np.random.default_rng(1).uniform(0.5, 2.0, 30)
    if sparse:
        X = np.where(rows(seed=2) > 0.8, X, 0.0)
    sketch = new(regime, center=center)
    for part in (slice(0, 11), slice(11, 30)):
        block = sp.csr_array(X[part]) if sparse else X[part]
        sketch.update(block, sample_weight=weights[part])
    mean = np.average(X, axis=0, weights=weights)
    variance = np.average((X - center * mean) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(sketch.feature_mean(), mean, atol=1e-13)
    assert sketch.measured_mean() == pytest.approx(sketch.measurement.measure(mean[None, :])[0])
    if regime == "range":  # the identity on one side holds the means, moments the variances
        assert sketch.settings()["feature_moments"]
    np.testing.assert_allclose(sketch.feature_variance(), variance, rtol=1e-12, atol=1e-13)
    assert sketch.total_variance() == pytest.approx(variance.sum(), rel=1e-12)


@pytest.mark.parametrize("regime", ["mam", "two_sided", "range"])
def test_total_variance_without_moments_is_unbiased(regime):
    X = rows(40, 60)
    total = X.var(axis=0).sum()
    settings_ = REGIMES[regime]
    found = [
        EigenSketch(60, random_state=seed, feature_moments=False, **settings_)
        .update(X)
        .total_variance()
        for seed in range(200)
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - total) < 4 * error
    assert np.std(found) < 0.3 * total


def test_moments_are_not_tracked_where_the_exact_matrix_is():
    assert not new("exact").settings()["feature_moments"]
    assert new("two_sided").settings()["feature_moments"]
    assert not new("two_sided", 2**21).settings()["feature_moments"]
    assert new("two_sided", feature_moments=False).update(rows()).feature_mean() is None
    grown = new("two_sided").nbytes - new("two_sided", feature_moments=False).nbytes
    assert grown == 24 * N


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
def test_a_large_mean_costs_no_accuracy(regime, merged):
    # mean / sigma = 1e4: sums of squares in float64 without a shift would lose half the digits.
    mean = 1e4 * np.random.default_rng(3).choice([-1.0, 1.0], N)
    centred = rows(400)
    X = centred + mean
    centred = X - mean  # what is left of the rows once they were rounded
    reference = new(regime).update(centred).matrix()
    sketches = [new(regime) for _ in range(2 if merged else 1)]
    for number, part in enumerate(np.split(X, 8)):
        sketches[number % len(sketches)].update(part)
    sketch = sum(sketches[1:], sketches[0])
    gap = np.linalg.norm(sketch.matrix() - reference) / np.linalg.norm(reference)
    assert gap <= 1e-7
    variance = centred.var(axis=0)
    np.testing.assert_allclose(sketch.feature_variance(), variance, rtol=1e-7)
    assert sketch.total_variance() == pytest.approx(variance.sum(), rel=1e-7)
    np.testing.assert_allclose(sketch.feature_mean(), X.mean(axis=0), rtol=1e-12)


def test_float32_rows_are_summed_in_float64():
    X = (rows(500) + 100.0).astype(np.float32)
    for regime in REGIMES:
        sketch, reference = new(regime).update(X), new(regime).update(X.astype(np.float64))
        np.testing.assert_allclose(sketch.matrix(), reference.matrix(), rtol=1e-12, atol=1e-10)


# ------------------------------------------------------------------------------------------- wide


@pytest.mark.parametrize("regime", ["mam", "two_sided", "gaussian"])
def test_nothing_of_the_length_of_a_row_is_made(regime):
    wide = 2**62
    rng = np.random.default_rng(0)
    ids = np.sort(rng.integers(0, wide, (20, 5)), axis=1)
    values = rng.standard_normal((20, 5))
    X = sp.csr_array((values.ravel(), ids.ravel(), np.arange(0, 101, 5)), shape=(20, wide))
    sketch = new(regime, wide, identification=None).update(X)
    assert sketch.nbytes < 1e6
    assert new(regime, wide).nbytes < 60e6  # with the identification, which is as long as an id
    assert sketch.feature_mean() is None and sketch.feature_variance() is None
    columns = sketch.measurement.columns(ids.ravel()), sketch.test.columns(ids.ravel())
    spread = np.kron(np.eye(20), np.ones((1, 5))) * values.ravel()
    Y, W = (spread @ side.toarray() for side in columns)
    expected = (Y - Y.mean(axis=0)).T @ (W - W.mean(axis=0)) / 20
    np.testing.assert_allclose(sketch.matrix(), expected, atol=1e-13)
    # A in one go, and the same A as entries
    flat = spread - spread.mean(axis=0)
    A = flat.T @ flat / 20
    i, j = (part.ravel() for part in np.meshgrid(ids.ravel(), ids.ravel(), indexing="ij"))
    entries = new(regime, wide, identification=None).update_entries(i, j, A.ravel())
    np.testing.assert_allclose(entries.matrix(), expected, atol=1e-13)


@pytest.mark.parametrize("regime", REGIMES)
def test_index_types_and_formats_agree(regime):
    X = sp.csr_array(np.where(rows() > 1.0, rows(), 0.0))
    wide = sp.csr_array(X)
    wide.indices, wide.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    twice = sp.coo_array(X)
    order = np.argsort(twice.coords[0], kind="stable")
    doubled = sp.csr_array(  # every entry in two halves
        (
            np.repeat(twice.data[order] / 2, 2),
            np.repeat(twice.coords[1][order], 2),
            2 * X.indptr,
        ),
        shape=X.shape,
    )
    expected = new(regime).update(X).to_bytes()
    assert new(regime).update(wide).to_bytes() == expected
    kept = doubled.copy()
    for other in (X.tocsc(), X.tocoo(), sp.csr_matrix(X), doubled):
        found = new(regime).update(other)
        reference = EigenSketch.from_bytes(expected)
        np.testing.assert_allclose(found.matrix(), reference.matrix(), atol=1e-13)
        np.testing.assert_allclose(
            found.feature_variance(), reference.feature_variance(), atol=1e-13
        )
    assert doubled.nnz == kept.nnz  # the caller's matrix is not summed in place


# ------------------------------------------------------------------------- weights, deletion, reset


def test_effective_samples():
    X = rows(10)
    assert new("mam").update(X).effective_samples == 10
    assert new("mam").update(X, sample_weight=3).effective_samples == pytest.approx(30)
    weights = np.arange(10)
    repeated = new("mam").update(X[np.repeat(np.arange(10), weights)])
    weighted = new("mam").update(X, sample_weight=weights)
    assert weighted.effective_samples == pytest.approx(repeated.effective_samples)
    left = new("mam").update(X).update(X[:4], sample_weight=-1)
    assert left.effective_samples == pytest.approx(6)
    # Geometric forgetting of one row at a time: (1 + f) / (1 - f) in the limit.
    fading = new("mam")
    for _ in range(200):
        fading.update(X[:1]).scale(0.9)
    assert fading.effective_samples == pytest.approx(1.9 / 0.1, rel=1e-6)
    merged = new("mam").update(X).merge(new("mam").update(X))
    assert merged.effective_samples == 20
    assert new("mam").effective_samples is None


@pytest.mark.parametrize("how", ["update", "subtract"])
@pytest.mark.parametrize("regime", REGIMES)
def test_deleting_everything_resets(regime, how):
    X = rows() + 1e3
    empty = new(regime).to_bytes()
    sketch = new(regime).update(X[:20]).update(X[20:])
    if how == "update":
        sketch.update(X[5:], sample_weight=-1.0).update(X[:5], sample_weight=-1.0)
    else:
        sketch = sketch - new(regime).update(X[::-1])
    assert sketch.to_bytes() == empty
    with pytest.raises(ValueError, match="The sketch is empty"):
        sketch.matrix()
    # As good as new: neither the old mean nor rounding is left, and entries are welcome.
    assert sketch.update(rows()).to_bytes() == new(regime).update(rows()).to_bytes()
    assert (new(regime).update(X) - new(regime).update(X)).update_entries([0], [0], [1.0])


@pytest.mark.parametrize("regime", REGIMES)
def test_subtract_is_the_inverse_of_merge(regime):
    one, two = new(regime).update(rows(seed=1) + 5.0), new(regime).update(rows(seed=2) - 5.0)
    back = one + two - two
    np.testing.assert_allclose(back.matrix(), one.matrix(), atol=1e-10)
    np.testing.assert_allclose(back.feature_variance(), one.feature_variance(), atol=1e-11)
    assert back.total_variance() == pytest.approx(one.total_variance())
    assert back.n_samples == 30
    assert back.effective_samples == pytest.approx(30)


def test_copies_are_independent():
    sketch = new("two_sided").update(rows())
    before = sketch.to_bytes()
    copy = sketch.copy()
    assert copy.to_bytes() == before
    copy.update(rows(seed=1)).scale(0.5)
    assert sketch.to_bytes() == before
    assert sketch.matrix() is not sketch.matrix()


# ------------------------------------------------------------------------------------------- bytes


def blobs():
    return [
        new("two_sided", 20).to_bytes(),
        new("two_sided", 20).update(rows(5, 20)).to_bytes(),
        EigenSketch(20, n_measurements=8, feature_moments=False, random_state=0)
        .update_entries([1], [2], [3.0])
        .to_bytes(),
    ]


BLOBS = blobs()


def resealed(data, edit):
    """The blob with its header edited and a checksum that fits: not damage, but another writer."""
    prefix = struct.Struct("<8sHI")
    magic, version, length = prefix.unpack_from(data)
    header = json.loads(data[prefix.size : prefix.size + length])
    edit(header)
    text = json.dumps(header).encode()
    body = prefix.pack(magic, version, len(text)) + text + data[prefix.size + length : -16]
    return body + blake2b(body, digest_size=16).digest()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(BLOBS), st.data())
def test_bit_flips_are_refused(blob, data):
    places = data.draw(
        st.lists(st.integers(0, 8 * len(blob) - 1), min_size=1, max_size=4, unique=True)
    )
    flipped = bytearray(blob)
    for place in places:
        flipped[place // 8] ^= 1 << (place % 8)
    with pytest.raises(ValueError, match="sketch"):
        EigenSketch.from_bytes(bytes(flipped))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(BLOBS), st.data())
def test_truncation_and_padding_are_refused(blob, data):
    # Evenly over signature, header, every array and the checksum, not only over the long arrays.
    regions = [0, 8, 10, 14, 200, len(blob) - 16, len(blob) - 1]
    low = data.draw(st.sampled_from(regions))
    cut = data.draw(st.integers(low, min(low + 60, len(blob) - 1)))
    for bad in (blob[:cut], blob + blob[:cut] if cut else blob + b"\0", blob[len(blob) - cut :]):
        with pytest.raises(ValueError, match="sketch"):
            EigenSketch.from_bytes(bad)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_refused(data):
    for bad in (data, BLOBS[0][:14] + data, BLOBS[0][:8] + data):
        with pytest.raises(ValueError, match="sketch"):
            EigenSketch.from_bytes(bad)


@pytest.mark.parametrize("value", [None, 3, "text", [1, 2], {"a": 1}, 1.5])
def test_other_objects_are_refused(value):
    with pytest.raises(ValueError, match=f"Expected bytes of a sketch, got {type(value).__name__}"):
        EigenSketch.from_bytes(value)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, "u1")])
def test_buffers_are_read(kind):
    for blob in BLOBS:
        again = EigenSketch.from_bytes(kind(blob))
        assert again.to_bytes() == blob
        again.update_entries([0], [0], [1.0]) if again.content != "rows" else again.update(
            rows(2, 20)
        )


def test_other_versions_and_signatures_are_refused():
    blob = BLOBS[1]
    with pytest.raises(ValueError, match="format version 2, this release reads version 1"):
        EigenSketch.from_bytes(blob[:8] + struct.pack("<H", 2) + blob[10:])
    with pytest.raises(ValueError, match="are not a sketch"):
        EigenSketch.from_bytes(b"SSEother" + blob[8:])

    def newer_hash(header):
        header["settings"]["measurement"]["hash_version"] = HASH_VERSION + 1

    with pytest.raises(ValueError, match=f"hash version {HASH_VERSION + 1}"):
        EigenSketch.from_bytes(resealed(blob, newer_hash))


def _set(*path, value):
    def edit(header):
        for key in path[:-1]:
            header = header[key]
        header[path[-1]] = value

    return edit


def _drop(*path):
    def edit(header):
        for key in path[:-1]:
            header = header[key]
        del header[path[-1]]

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        _set("settings", "measurement", "n_measurements", value=32),
        _set("settings", "measurement", "n_measurements", value="many"),
        _set("settings", "measurement", "n_features", value=21),
        _set("settings", "measurement", "name", value="unknown"),
        _set("settings", "measurement", "extra", value=1),
        _set("settings", "measurement", value=None),
        _set("settings", "test", value="identity"),
        _set("settings", "feature_moments", value=False),
        _set("content", value="words"),
        _set("n_samples", value=None),
        _set("scalars", "weight", value="five"),
        _set("scalars", "weight", value=5.0),
        _set("scalars", value=[]),
        _drop("settings", "center"),
        _drop("content"),
        _drop("scalars", "_power"),
        _drop("moments_weight"),
    ],
)
def test_impossible_headers_are_refused(edit):
    # The checksum holds, so the writer meant it; the header still makes no sense.
    assert EigenSketch.from_bytes(resealed(BLOBS[1], lambda header: None))
    with pytest.raises(ValueError, match=r"sketch|measurement|n_measurements|float|literal"):
        EigenSketch.from_bytes(resealed(BLOBS[1], edit))


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("regime", REGIMES)
def test_bad_rows_leave_the_state_alone(regime):
    sketch, X = new(regime).update(rows()), rows(4)
    holes = X.copy()
    holes[2, 3] = np.inf
    sparse_holes = sp.csr_array(holes)
    for bad, weights, match in (
        (holes, None, "NaN or infinity"),
        (sparse_holes, None, "NaN or infinity"),
        (X[:, 1:], None, f"X has {N - 1} features, but this sketch was made for {N}"),
        (sp.csr_array(X[:, 1:]), None, f"X has {N - 1} features"),
        (X[0], None, r"two dimensions .* got shape \(150,\)"),
        (X[None], None, "two dimensions"),
        (X + 1j, None, "real and numeric, got dtype complex128"),
        (X.astype(str), None, "real and numeric"),
        (X.astype(object), None, "real and numeric, got dtype object"),
        (X, np.ones(3), "one entry for each of the 4 rows, got shape \\(3,\\)"),
        (X, np.ones((4, 1)), "one entry for each of the 4 rows"),
        (X, [1, 2, np.nan, 1], "sample_weight contains NaN"),
        (X, np.inf, "sample_weight contains NaN"),
    ):
        assert_untouched(sketch, lambda b=bad, w=weights: sketch.update(b, sample_weight=w), match)


def test_values_that_cannot_be_squared_are_refused_and_others_passed_on():
    largest = np.full((2, N), 1e150)
    assert check_rows(largest, N) is largest
    sketch = new("two_sided").update(rows())
    for huge in (np.full((2, N), 1e160), np.full((2, N), -1e306), sp.csr_array(rows() * 1e200)):
        assert_untouched(sketch, lambda X=huge: sketch.update(X), "cannot be squared")


@pytest.mark.parametrize("regime", ["mam", "two_sided", "exact"])
def test_bad_entries_leave_the_state_alone(regime):
    sketch = new(regime).update_entries([1], [2], [3.0])
    for i, j, values, match in (
        ([0, 1], [1], [1.0, 2.0], "vectors of one length"),
        ([[0]], [[1]], [[1.0]], "vectors of one length"),
        ([0], [1], [np.nan], "values contains NaN"),
        ([0.0], [1], [1.0], "i must hold integers, got dtype float64"),
        ([0], [N], [1.0], r"j must lie in \[0, n_features=150\), got 150 to 150"),
        ([-1], [0], [1.0], r"i must lie in .* got -1 to -1"),
        ([True], [0], [1.0], "i must hold integers"),
    ):
        assert_untouched(sketch, lambda a=(i, j, values): sketch.update_entries(*a), match)
    tile = np.ones((2, 3))
    assert_untouched(
        sketch, lambda: sketch.update_tile([0], [0, 1, 2], tile), r"shape \(1, 3\), got \(2, 3\)"
    )
    A = rows(N)
    returns_nan = LinearOperator((N, N), matvec=lambda v: v * np.nan, dtype=float)
    for bad, match in (
        (A, "A must be symmetric"),
        (A[:10], r"must have shape \(150, 150\), got \(10, 150\)"),
        (np.full((N, N), np.nan), "NaN or infinity"),
        (returns_nan, "NaN or infinity in a product; the sketch is unchanged"),
        (LinearOperator((3, 3), matvec=lambda v: v, dtype=float), "must have shape"),
    ):
        assert_untouched(sketch, lambda b=bad: sketch.update_operator(b), match)


def test_nothing_is_no_update():
    for regime in REGIMES:
        sketch, empty = new(regime), new(regime).to_bytes()
        sketch.update(np.empty((0, N))).update(sp.csr_array((0, N))).update_entries([], [], [])
        assert sketch.to_bytes() == empty
        sketch.update(rows(), sample_weight=0.0)
        assert sketch.content is None
        with pytest.raises(ValueError, match="The sketch is empty"):
            sketch.matrix()


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_bad_factors(factor):
    sketch = new("mam").update(rows())
    assert_untouched(sketch, lambda: sketch.scale(factor), "positive and finite")


def test_merge_takes_only_sketches():
    sketch = new("mam")
    for bad in (None, 3, "sketch"):
        with pytest.raises(TypeError, match="Can only merge another EigenSketch"):
            sketch.merge(bad)
        with pytest.raises(TypeError, match="unsupported operand"):
            sketch + bad


def test_constructor_errors():
    for n_features in (0, 2**62 + 1):
        with pytest.raises(
            ValueError, match=rf"n_features must lie in \[1, 2\*\*62\], got {n_features}"
        ):
            EigenSketch(n_features, n_measurements=8)
    with pytest.raises(ValueError, match="random_state must be at least 0, got -1"):
        EigenSketch(10, n_measurements=8, random_state=-1)
    with pytest.raises(ValueError, match="random_state must be an int"):
        EigenSketch(10, n_measurements=8, random_state="seed")
    with pytest.raises(ValueError, match="n_measurements must be at least 1"):
        EigenSketch(10, n_measurements=8, range_size=0)


def test_random_states():
    def spec(random_state):
        sketch = EigenSketch(10, n_measurements=8, range_size=4, random_state=random_state)
        return sketch.settings()

    assert spec(3) == spec(np.int64(3)) != spec(4)
    assert spec(np.random.default_rng(3)) == spec(np.random.default_rng(3))
    assert spec(np.random.RandomState(3)) == spec(np.random.RandomState(3))
    assert spec(None) != spec(None)
    generator = np.random.default_rng(3)
    assert spec(generator) != spec(generator)  # it is advanced
    # M and Omega are independent
    assert spec(3)["measurement"]["seed"] != spec(3)["test"]["seed"]


def test_regimes_know_themselves():
    exact, ranged, mam, two = (new(name) for name in ("exact", "range", "mam", "two_sided"))
    assert [s.is_exact for s in (exact, ranged, mam, two)] == [True, False, False, False]
    assert [s.is_symmetric for s in (exact, ranged, mam, two)] == [True, False, True, False]
    assert [s.shape for s in (exact, ranged, mam, two)] == [(N, N), (N, 24), (48, 48), (64, 24)]
    assert isinstance(ranged.measurement, IdentityMeasurement)
    assert "shape=(64, 24), n_samples=30" in repr(two.update(rows()))
    X = rows() + 3.0
    np.testing.assert_allclose(exact.update(X).matrix(), np.cov(X.T, bias=True), atol=1e-12)


# ---------------------------------------------------------------------------------- rows as entries


def in_coordinates(X, seed=0):
    """Return the entries of X in random order, some cut in two, under unrelated row ids."""
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(X)
    values = X[rows, columns]
    part = rng.uniform(size=len(values)) * values
    order = rng.permutation(2 * len(values))
    names = rng.permutation(10**6)[: len(X)] - 5 * 10**5
    rows, columns = np.tile(rows, 2)[order], np.tile(columns, 2)[order]
    return names[rows], columns, np.concatenate([part, values - part])[order]


@pytest.mark.parametrize("regime", REGIMES)
def test_rows_that_come_as_entries(regime):
    X = np.where(rows() > 1.0, rows(), 0.0)
    X[3] = X[17] = 0.0  # seen only in the number of rows
    whole = new(regime).update(sp.csr_array(X))
    sketch = new(regime).update_coo(*in_coordinates(X[:20]), n_rows=20)
    sketch.update_coo(*in_coordinates(X[20:]))
    np.testing.assert_allclose(sketch.matrix(), whole.matrix(), atol=1e-12)
    assert sketch.n_samples == whole.n_samples
    sketch.update_coo(*in_coordinates(X[20:], seed=1), sample_weight=-1.0)
    first = new(regime).update(sp.csr_array(X[:20]))
    np.testing.assert_allclose(sketch.matrix(), first.matrix(), atol=1e-11)


@pytest.mark.parametrize(
    ("entries", "options", "message"),
    [
        (([0, 0], [1], [1.0]), {}, r"vectors of one length, got shapes \(2,\), \(1,\)"),
        (([0], [N], [1.0]), {}, r"lie in \[0, n_features=\d+\), got \d+ to \d+.* & \(2\*\*62"),
        (([0], [-1], [1.0]), {}, "got -1 to -1"),
        (([0], np.array([2**63 + 5], dtype=np.uint64), [1.0]), {}, "got 9223372036854775813"),
        (([0], [1.0], [1.0]), {}, "feature_ids must hold integers, got dtype float64"),
        ((["a"], [1], [1.0]), {}, "row_ids must hold integers"),
        (([0], [1], ["x"]), {}, "values must be real"),
        (([0], [1], [np.nan]), {}, "NaN or infinity"),
        (([0, 1], [1, 1], [1.0, 2.0]), {"n_rows": 1}, "n_rows=1, but row_ids holds 2"),
    ],
)
def test_entries_of_rows_that_do_not_fit(entries, options, message):
    sketch = new("two_sided").update(rows())
    assert_untouched(sketch, lambda: sketch.update_coo(*entries, **options), message)
