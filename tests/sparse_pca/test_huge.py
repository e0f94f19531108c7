"""2**62 features: nothing of their number is ever made, and structured ids are as good as any."""

import itertools
import pickle
import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig.recovery.decoders import Decoder
from sklearn_sparse_eig.sketching.measurements import SparseSignMeasurement

N = 2**62
# A vector of length N would be 2**62 bytes at least; the sketches here are of a few megabytes.
MEMORY_CAP = 200e6
SKETCHES = {
    "mam": {"n_measurements": 128, "identification": (96, 8)},
    "two_sided": {"n_measurements": 256, "range_size": 48, "identification": (96, 16)},
}
all_sketches = pytest.mark.parametrize("kind", SKETCHES)


@pytest.fixture(autouse=True)
def memory_cap():
    """Let no test of this file pass a peak that any vector over the features would break."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEMORY_CAP


def sketch_of(kind, *, seed=0, **options):
    return EigenSketch(N, random_state=seed, **(SKETCHES[kind] | options))


def readings(sketch):
    """Return all that a sketch tells of A: the numbers that are linear in it."""
    cells = sketch.identify(np.eye(sketch.identification_fold.shape[1]))
    return np.concatenate([sketch.matrix().ravel(), cells.ravel()])


class Planted:
    """Rows along two directions of three features each, with a mean, and idle features besides."""

    n = 400

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.support = np.sort(rng.integers(0, N, 6))
        self.vectors = np.kron(np.eye(2), np.ones((3, 1)) / np.sqrt(3))
        scores = rng.normal(size=(self.n, 2)) * (9.0, 6.0)
        idle = rng.integers(0, N, (self.n, 4))
        ids = np.hstack([np.broadcast_to(self.support, (self.n, 6)), idle])
        noise = 0.3 * rng.normal(size=idle.shape)
        self.values = scores @ self.vectors.T + 1.0
        data = np.hstack([self.values, noise])
        indptr = np.arange(0, data.size + 1, data.shape[1])
        self.rows = sp.csr_array((data.ravel(), ids.ravel(), indptr), shape=(self.n, N))
        self.rows.sort_indices()
        # Over the rows, an idle feature occurs once: its mean is 1 / n of its value.
        self.noise_power = np.square(noise).sum() * (1.0 - 1.0 / self.n)

    def covariance(self):
        return np.cov(self.values.T, bias=True)


@pytest.fixture(scope="module")
def planted():
    return Planted()


# -------------------------------------------------------------------------------- before recovery


@all_sketches
def test_life_of_a_sketch(kind, planted):
    rows, half = planted.rows, planted.n // 2
    whole = sketch_of(kind).update(rows)
    scale = np.abs(readings(whole)).max()
    parts = [sketch_of(kind).update(part) for part in (rows[:half], rows[half:])]
    sent = [EigenSketch.from_bytes(part.to_bytes()) for part in parts]
    merged = sent[0].merge(pickle.loads(pickle.dumps(sent[1])))
    assert_allclose(readings(merged), readings(whole), atol=1e-13 * scale)
    assert_allclose(merged.total_variance(), whole.total_variance(), rtol=1e-12)
    assert_allclose(readings(merged - parts[1]), readings(parts[0]), atol=1e-12 * scale)
    assert len(whole.to_bytes()) < whole.nbytes + 10_000
    assert whole.feature_mean() is None and whole.feature_variance() is None


def test_life_of_an_estimator(planted):
    rows, half = planted.rows, planted.n // 2
    make = SketchedSparsePCA(2, n_nonzero_coefs=3, memory_budget=4e6, random_state=0)
    first, second = (clone(make).partial_fit(part) for part in (rows[:half], rows[half:]))
    merged = pickle.loads(pickle.dumps(first)).merge(second)
    whole = clone(make).partial_fit(rows)
    scale = np.abs(readings(whole.sketch_)).max()
    assert_allclose(readings(merged.sketch_), readings(whole.sketch_), atol=1e-13 * scale)
    assert merged.n_features_in_ == N and merged.n_samples_seen_ == planted.n
    assert len(pickle.dumps(merged)) < merged.sketch_.nbytes + 10_000
    assert f"n_features={N}" in repr(merged.sketch_)


@pytest.mark.parametrize("option", [{"measurement": "identity"}, {"noise": "diagonal"}])
def test_what_keeps_features_is_refused(planted, option):
    pca = SketchedSparsePCA(2, random_state=0, **option)
    with pytest.raises(ValueError, match=r"memory_budget=2.56e\+08 bytes is too small") as refusal:
        pca.partial_fit(planted.rows)
    ((name, value),) = option.items()
    # No machine has the memory: the advice is not to buy it.
    assert f"{name}='{value}'" in str(refusal.value) and "at its default" in str(refusal.value)


@pytest.mark.parametrize(
    ("option", "shape"),
    [
        ({"feature_moments": True}, "(128, 128) of n_features=.*, with feature"),
        ({"range_size": "identity"}, f"(128, {N}) of n_features=.*, without feature"),
        ({"measurement": "identity", "n_measurements": None}, f"({N}, {N}) of n_features="),
    ],
)
def test_a_sketch_that_keeps_features_is_refused(option, shape):
    shape = shape.replace("(", r"\(", 1).replace(")", r"\)", 1)
    with pytest.raises(MemoryError, match=f"A sketch of shape {shape}.* bytes. Compress both"):
        sketch_of("mam", **option)


# --------------------------------------------------------------------------------- after recovery


class KnownSupport(Decoder):
    """Names the planted features, so that what follows is tested whatever the search finds."""

    name = "known_support"

    def __init__(self, support):
        self.support = support

    def decode(self, measurement, Q, size=None):
        energy = np.square(measurement.adjoint(np.ascontiguousarray(Q), self.support)).sum(axis=1)
        return np.sort(self.support[np.argsort(-energy)[:size]])

    def strongest(self, fit, size):
        return np.arange(size), np.zeros(size)  # idle features, as all that are left


@pytest.fixture(params=["known_support", "auto"])
def decoder(request, planted):
    return KnownSupport(planted.support) if request.param == "known_support" else request.param


@pytest.fixture
def fitted(planted, decoder):
    pca = SketchedSparsePCA(
        2, n_nonzero_coefs=3, decoder=decoder, memory_budget=8e6, random_state=0
    )
    for low in range(0, planted.n, 100):
        pca.partial_fit(planted.rows[low : low + 100])
    return pca


class Names(Sequence):
    """A name for each feature, made when asked."""

    def __len__(self):
        return N

    def __getitem__(self, feature):
        return f"feature {feature:x}"


def test_answers(fitted, planted):
    support = planted.support
    assert fitted.components_.shape == (2, N)
    assert len(fitted.components_.indptr) == 3
    assert_array_equal(fitted.support_, support)
    assert_array_equal(fitted.get_support(indices=True), support)
    assert_array_equal(fitted.n_nonzero_coefs_, [3, 3])
    loadings = fitted.eigenpairs_.eigenvectors.data.reshape(2, 3)
    # The planted vectors, up to the noise that the two leave in each other over few rows.
    assert_allclose(loadings, 1 / np.sqrt(3), atol=0.05)
    eigenvalues = np.linalg.eigvalsh(planted.covariance())[:-3:-1]
    assert_allclose(fitted.explained_variance_, eigenvalues, rtol=0.05)
    assert 0.8 < fitted.explained_variance_ratio_.sum() < 1.2  # the total is an estimate here
    assert_array_equal(fitted.get_feature_names_out(), ["sketchedsparsepca0", "sketchedsparsepca1"])
    described = fitted.describe(Names())
    names = {name for component in described for name, _ in component}
    assert names == {f"feature {i:x}" for i in support}
    assert fitted.describe(max_features=1)[0][0][0] in support


def test_projections(fitted, planted):
    rows, values = planted.rows, planted.values
    mean = fitted.mean_
    assert mean.shape == (1, N)
    assert_array_equal(mean.indices, planted.support)
    assert_allclose(mean.data, values.mean(axis=0), atol=0.1)  # decoded, through collisions
    loadings = np.zeros((6, 2))
    components = fitted.components_
    position = np.searchsorted(planted.support, components.indices)
    loadings[position, np.repeat([0, 1], 3)] = components.data
    Z = fitted.transform(rows)
    assert_allclose(Z, (values - mean.data) @ loadings, atol=1e-9)
    back = fitted.inverse_transform(Z)
    assert sp.issparse(back) and back.shape == rows.shape and back.nnz == 6 * planted.n
    assert_allclose(fitted.transform(back), Z, atol=1e-9)
    inside = (values - values.mean(axis=0)) @ loadings
    total = np.trace(planted.covariance()) * planted.n + planted.noise_power
    assert_allclose(
        fitted.explained_variance_score(rows), np.square(inside).sum() / total, rtol=1e-9
    )
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(rows), Z)


def test_without_centring(planted, decoder):
    pca = SketchedSparsePCA(
        2, n_nonzero_coefs=3, decoder=decoder, center=False, memory_budget=8e6, random_state=0
    ).partial_fit(planted.rows)
    assert pca.mean_.shape == (1, N) and not pca.mean_.data.any()
    assert_allclose(
        pca.transform(planted.rows), planted.values @ pca._projection().loadings, atol=1e-9
    )


def test_refined_on_the_data(planted, decoder):
    """The second pass of ``fit`` reads the candidates' columns: their covariance is exact."""
    pca = SketchedSparsePCA(
        2, n_nonzero_coefs=3, decoder=decoder, memory_budget=8e6, random_state=0
    ).fit(planted.rows)
    assert_array_equal(pca.support_, planted.support)
    covariance, V = planted.covariance(), pca._projection().loadings
    assert_allclose(pca.eigenpairs_.eigenvalues, np.diag(V.T @ covariance @ V), rtol=1e-9)
    assert_allclose(pca.mean_.data, planted.values.mean(axis=0), rtol=1e-9)


def test_around_an_estimator(fitted, planted):
    assert "SketchedSparsePCA" in fitted._repr_html_()
    pandas = pytest.importorskip("pandas")
    fitted.set_output(transform="pandas")
    frame = fitted.transform(planted.rows[:3])
    assert isinstance(frame, pandas.DataFrame) and frame.shape == (3, 2)


def test_dense_answers_are_refused(fitted):
    with pytest.raises(ValueError, match=rf"4.61e\+18 bytes, for n_features={N}. Use get_support"):
        fitted.get_support()
    with pytest.raises(ValueError, match=rf"components_ of shape \(2, {N}\) would take 7.38e\+19"):
        fitted.densify()
    assert sp.issparse(fitted.components_)  # as they were


# --------------------------------------------------------------------------------------- turnstile

GOLDEN = 0x9E3779B97F4A7C15  # the increment in the hash itself
N_IDS = 256


def _id_families():
    rng = np.random.default_rng(0)
    steps = np.arange(N_IDS)
    powers = [1 << i for i in range(62)]
    base = int(rng.integers(0, N))
    return {
        "stride 2**40": [i << 40 for i in range(N_IDS)],
        "stride 2**53": [(i << 53) + 12345 for i in range(N_IDS)],
        "odd stride": [7 + i * (2**54 - 33) for i in range(N_IDS)],
        "decimal stride": [i * 10**15 for i in range(N_IDS)],
        "stride of the hash": [(i * GOLDEN) % N for i in range(N_IDS)],
        "sums of two powers of two": [a + b for a, b in itertools.combinations(powers, 2)][::7],
        "two bits flipped": [base ^ a ^ b for a, b in itertools.combinations(powers, 2)][::7],
        "low 32 bits constant": (rng.permutation(2**20)[:N_IDS] << 32) | 0xDEADBEEF,
        "high bits constant": 2**61 + 2**60 + steps,
        "crosses of 16 features": [i * 100_003 + j for i in range(16) for j in range(16)],
    }


FAMILIES = {
    name: np.array([int(i) for i in ids[:N_IDS]], dtype=np.int64)
    for name, ids in _id_families().items()
}
all_families = pytest.mark.parametrize("family", FAMILIES)


def test_families_are_distinct_ids():
    for ids in FAMILIES.values():
        assert len(np.unique(ids)) == N_IDS and ids.min() >= 0 and ids.max() < N


@all_sketches
@all_families
def test_entries_inserted_and_deleted(kind, family):
    rng = np.random.default_rng(1)
    ids = FAMILIES[family]
    i, j = rng.choice(ids, (2, 2000))
    values = rng.normal(size=2000) * 10.0 ** rng.integers(-3, 4, 2000)
    kept = np.arange(2000) < 300
    stream, order = sketch_of(kind), rng.permutation(2000)
    for part in np.array_split(order, 7):
        stream.update_entries(i[part], j[part], values[part])
    rounding = 1e-12 * np.abs(readings(stream)).max()
    gone = rng.permutation(np.flatnonzero(~kept))
    for part in np.array_split(gone, 5):
        stream.update_entries(i[part], j[part], -values[part])
    rest = sketch_of(kind).update_entries(i[kept], j[kept], values[kept])
    assert_allclose(readings(stream), readings(rest), atol=rounding)
    stream.update_entries(i[kept], j[kept], -values[kept])
    assert np.abs(readings(stream)).max() < rounding


@all_sketches
def test_halves_of_entries_merge(kind):
    rng = np.random.default_rng(2)
    i, j = rng.integers(0, N, (2, 3000))
    values = rng.normal(size=3000)
    whole = sketch_of(kind).update_entries(i, j, values)
    half = rng.random(3000) < 0.5
    parts = [sketch_of(kind).update_entries(i[h], j[h], values[h]) for h in (half, ~half)]
    rounding = 1e-13 * np.abs(readings(whole)).max()
    assert_allclose(readings(parts[0] + parts[1]), readings(whole), atol=rounding)
    # An entry may be deleted in another shard than it was added in.
    parts[1].update_entries(i[half], j[half], -values[half])
    left = sketch_of(kind).update_entries(i[~half], j[~half], values[~half])
    assert_allclose(readings(parts[0] + parts[1]), readings(left), atol=10 * rounding)


@all_sketches
def test_rows_inserted_and_deleted(kind, planted):
    rows, cut = planted.rows, 250
    stream = sketch_of(kind).update(rows)
    rounding = 1e-12 * np.abs(readings(stream)).max()
    for low in range(0, cut, 50):
        stream.update(rows[low : low + 50], sample_weight=-1.0)
    rest = sketch_of(kind).update(rows[cut:])
    assert_allclose(readings(stream), readings(rest), atol=rounding)
    assert stream.n_samples == planted.n - cut
    stream.update(rows[cut:], sample_weight=-1.0)
    assert stream.content is None and stream.n_samples == 0


# --------------------------------------------------------------------------------- structured ids

SEEDS, ROWS = 20, 1024
# Standard errors: of honest comparisons, on 38 degrees of freedom, one in 16,000 passes 4.5.
SIGMAS = 4.5


def spread(measurement, ids):
    """Return how far columns of M are from orthogonal and its rows from equally used.

    Each number rises when ids share buckets more often than independent draws would.
    """
    columns = measurement.columns(ids)
    gram = (columns @ columns.T).toarray()
    off = gram - np.diag(np.diag(gram))
    load = np.bincount(columns.indices, minlength=measurement.n_measurements)
    return (
        np.square(off).sum(),  # squared coherences, expected (T^2 - T) / m
        np.linalg.eigvalsh(gram)[[0, -1]] @ (-1.0, 1.0),  # width of the spectrum
        np.square(load - load.mean()).sum(),  # collisions in single blocks, whatever the signs
    )


def compare(make, ids):
    """Return the excess of each number over that of random ids, in standard errors."""
    rng = np.random.default_rng(3)
    # A seed of M for each of the two, so that both samples are independent.
    structured = np.array([spread(make(seed), ids) for seed in range(SEEDS)])
    random = np.array(
        [spread(make(SEEDS + seed), rng.integers(0, N, len(ids))) for seed in range(SEEDS)]
    )
    error = np.sqrt((structured.var(axis=0, ddof=1) + random.var(axis=0, ddof=1)) / SEEDS)
    return (structured.mean(axis=0) - random.mean(axis=0)) / error


def hashed(seed):
    return SparseSignMeasurement(N, ROWS, seed=seed)


@all_families
def test_structured_ids_are_as_well_spread_as_random_ones(family):
    assert np.abs(compare(hashed, FAMILIES[family])).max() < SIGMAS


@all_families
def test_coherence_is_that_of_independent_buckets(family):
    """The mean of a squared inner product is 1 / m, which needs no random ids to compare with."""
    coherence = [spread(hashed(seed), FAMILIES[family])[0] for seed in range(SEEDS)]
    expected = N_IDS * (N_IDS - 1) / ROWS
    # A pair shares c of K buckets, c ~ Binomial(K, K / m), and has the product (sum of c signs)
    # / K, of mean square c / K^2 and mean fourth power (3 c^2 - 2 c) / K^4.
    K, p = 8, 8 / ROWS
    square = K * (K - 1) * p**2 + K * p
    variance = (3 * square - 2 * K * p) / K**4 - ROWS**-2.0
    pairs = SEEDS * N_IDS * (N_IDS - 1) / 2
    error = 2 * np.sqrt(pairs * variance) / SEEDS
    assert abs(np.mean(coherence) - expected) < SIGMAS * error


# What an id may go through by mistake, and a family that it ruins.
FAULTS = {
    "32 bits": (lambda ids: ids & 0xFFFFFFFF, "low 32 bits constant"),
    "double precision": (lambda ids: ids.astype(np.float64).astype(np.int64), "high bits constant"),
    "remainder": (lambda ids: ids % 4096, "stride 2**40"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_weak_hash_is_found_out(fault):
    spoil, family = FAULTS[fault]

    class Careless(SparseSignMeasurement):
        def columns(self, ids):
            return super().columns(spoil(ids))

    excess = compare(lambda seed: Careless(N, ROWS, seed=seed), FAMILIES[family])
    assert excess.max() > 10 * SIGMAS
