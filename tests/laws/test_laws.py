"""The public checks over every measurement, regime, decoder and estimator, and that they can fail.

Hypothesis draws what the fixed checks cannot enumerate: batches, orders, shards, integer weights.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig import estimator_checks as checks
from sklearn_sparse_eig.distributed import fit_partitions, merge_copies, tree_merge
from sklearn_sparse_eig.estimator_checks._compare import assert_same_fit, assert_same_sketch
from sklearn_sparse_eig.estimator_checks._draw import cut, estimator_rows
from sklearn_sparse_eig.estimator_checks._estimator import _one_pass
from sklearn_sparse_eig.recovery.decoders import HTPDecoder
from sklearn_sparse_eig.sketching import (
    GaussianMeasurement,
    IdentityMeasurement,
    PrimeResidueMeasurement,
    SparseSignMeasurement,
)

MEASUREMENTS = [
    SparseSignMeasurement(300, 64, seed=3),
    SparseSignMeasurement(40, 9, seed=2**64 - 1, n_blocks=1),
    SparseSignMeasurement(2**62, 96, seed=3),
    GaussianMeasurement(300, 33, seed=3),
    GaussianMeasurement(5, 1),
    GaussianMeasurement(2**62, 20),
    IdentityMeasurement(70),
    PrimeResidueMeasurement(300, 260),
    PrimeResidueMeasurement(2**62, 100, n_blocks=5),
]
N = 200
REGIMES = {
    "mam": {"n_measurements": 48},
    "two_sided": {"n_measurements": 64, "range_size": 24},
    "range": {"n_measurements": None, "measurement": "identity", "range_size": 24},
    "exact": {"n_measurements": None, "measurement": "identity"},
    "gaussian": {"n_measurements": 32, "measurement": "gaussian"},
    "gaussian_two_sided": {"n_measurements": 32, "measurement": "gaussian", "range_size": 16},
    "prime_residue": {"n_measurements": 240, "measurement": "prime_residue"},
}


def sketches(regime, n_features=N, **options):
    """A factory of empty sketches."""
    return lambda: EigenSketch(n_features, random_state=7, **REGIMES[regime], **options)


def sparse_rows(n=40, n_features=N, density=0.02, seed=0):
    rng = np.random.default_rng(seed)
    return sp.random_array(
        (n, n_features),
        density=density,
        random_state=rng,
        data_sampler=rng.standard_normal,
        format="csr",
    )


def name_of(check):
    return check.func.__name__


# ------------------------------------------------------------------------------------ all the laws


@pytest.mark.parametrize("measurement", MEASUREMENTS, ids=repr)
@pytest.mark.parametrize("random_state", [0, 1])
def test_measurement_laws(measurement, random_state):
    for check in checks.yield_measurement_checks(measurement):
        check(random_state=random_state)


@pytest.mark.parametrize("rows", ["dense", "float32", "sparse", "denser_csr"])
@pytest.mark.parametrize("regime", REGIMES)
def test_sketch_laws(regime, rows):
    X = {
        "dense": None,
        "float32": np.random.default_rng(1).normal(3.0, size=(25, N)).astype(np.float32),
        "sparse": sparse_rows(),  # about 4 nonzeros a row: scattered where it pays
        "denser_csr": sparse_rows(density=0.5),  # multiplied
    }[rows]
    for check in checks.yield_sketch_checks(sketches(regime), X):
        check()


@pytest.mark.parametrize("options", [{"center": False}, {"feature_moments": False}], ids=str)
@pytest.mark.parametrize("regime", REGIMES)
def test_sketch_laws_under_other_settings(regime, options):
    for X in (None, sparse_rows()):
        for check in checks.yield_sketch_checks(sketches(regime, **options), X):
            check()


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["mam", "two_sided", "gaussian", "gaussian_two_sided"])
def test_sketch_laws_of_very_wide_rows(regime):
    for check in checks.yield_sketch_checks(sketches(regime, 2**62)):
        check()


@pytest.mark.parametrize("regime", ["two_sided", "mam", "exact"])
def test_dense_and_sparse_rows_mix(regime):
    make_sketch, X = sketches(regime), sparse_rows()
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((20, N)) + 5.0
    expected = make_sketch().update(np.vstack([dense, X.toarray()]))
    for order in ((dense, X), (X, dense)):
        mixed = make_sketch()
        for rows in order:
            mixed.update(rows)
        assert_same_sketch(mixed, expected, "mixed rows", 1e-10)
    merged = make_sketch().update(X) + make_sketch().update(dense)
    assert_same_sketch(merged, expected, "merged", 1e-10)


@pytest.mark.parametrize(
    "other",
    [
        EigenSketch(N, n_measurements=64, range_size=24, random_state=8),
        EigenSketch(N, n_measurements=64, range_size=32, random_state=7),
        EigenSketch(N, n_measurements=72, range_size=24, random_state=7),
        EigenSketch(N + 1, n_measurements=64, range_size=24, random_state=7),
        EigenSketch(N, n_measurements=64, range_size=24, random_state=7, center=False),
        EigenSketch(N, n_measurements=64, range_size=24, random_state=7, feature_moments=False),
        EigenSketch(N, n_measurements=64, random_state=7),
        EigenSketch(N, n_measurements=64, measurement="gaussian", range_size=24, random_state=7),
        EigenSketch(N, n_measurements=None, measurement="identity", range_size=24, random_state=7),
    ],
    ids=["seed", "range", "size", "features", "center", "moments", "mam", "gaussian", "identity"],
)
def test_merge_refuses_different_settings(other):
    X = np.random.default_rng(0).standard_normal((12, N))
    checks.check_sketch_merge_refuses(sketches("two_sided")().update(X), other)
    checks.check_sketch_merge_refuses(other, sketches("two_sided")().update(X))


@pytest.mark.parametrize("decoder", ["htp", "median", HTPDecoder(max_iter=5)], ids=str)
def test_decoder_laws(decoder):
    for check in checks.yield_decoder_checks(decoder):
        for random_state in range(3):
            check(random_state=random_state)


@pytest.mark.parametrize("measurement", MEASUREMENTS[:1] + MEASUREMENTS[3:4], ids=repr)
def test_htp_needs_few_measurements(measurement):
    # Four times the support is enough, for ensembles with and without zeros.
    size = measurement.n_measurements // 8
    checks.check_decoder_exact_case("htp", measurement, n_rows=size)


ESTIMATORS = {
    "exact": SketchedSparsePCA(3, random_state=0),
    "int": SketchedSparsePCA(3, n_nonzero_coefs=4, random_state=0),
    "uncentred": SketchedSparsePCA(2, center=False, random_state=0),
    "forgetting": SketchedSparsePCA(2, n_nonzero_coefs=4, forgetting=0.99, random_state=0),
    "two_sided": SketchedSparsePCA(
        2, n_nonzero_coefs=4, sketch="two_sided", n_measurements=56, range_size=32, random_state=0
    ),
    "range": SketchedSparsePCA(
        2, n_nonzero_coefs=4, measurement="identity", range_size=24, random_state=0
    ),
    "mam": SketchedSparsePCA(2, n_nonzero_coefs=4, sketch="mam", n_measurements=56, random_state=0),
    "diagonal": SketchedSparsePCA(3, n_nonzero_coefs=4, noise="diagonal", random_state=0),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in ("mam", "two_sided") else [])
        for name in ESTIMATORS
    ],
)
def test_estimator_laws(name):
    if name == "forgetting":
        # With forgetting, a repeated row is not a weight: the copies age.
        for check in checks.yield_estimator_checks(ESTIMATORS[name]):
            if name_of(check) != "check_estimator_weights":
                check()
    else:
        checks.check_sketch_estimator(ESTIMATORS[name])


def test_estimator_laws_on_sparse_rows():
    X = sp.csr_array(estimator_rows(None, 0) * (sparse_rows(240, 60, 0.4) != 0).toarray())
    checks.check_sketch_estimator(ESTIMATORS["int"], X)


# ------------------------------------------------------------------------------- hypothesis: laws


@st.composite
def row_sets(draw):
    """A regime, rows, dense or CSR, integer weights, and positions to cut the rows at."""
    regime = draw(st.sampled_from(sorted(REGIMES)))
    n = draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mean = draw(st.sampled_from([0.0, 100.0]))
    X = rng.standard_normal((n, N)) * 10.0 ** draw(st.integers(-6, 6)) + mean
    if draw(st.booleans()):
        density = draw(st.sampled_from([0.0, 0.02, 0.4]))
        X = sp.csr_array(rng.standard_normal((n, N)) * (rng.random((n, N)) < density))
    weights = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    ends = sorted(draw(st.lists(st.integers(0, n), max_size=5)))
    order = draw(st.permutations(range(len(ends) + 1)))
    return regime, X, np.array(weights), ends, order


common = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_same(actual, desired, X, rtol=1e-9, count=True):
    """Equal up to rounding of the rows' own size: their variance may be far smaller, or zero."""
    if count:
        assert actual.n_samples == desired.n_samples
    assert actual.weight == pytest.approx(desired.weight)
    if desired.content is None or desired.weight == 0:
        assert actual.content is None or actual.weight == 0
        return
    values = X.data if sp.issparse(X) else X
    size = np.square(values).sum() if values.size else 1.0
    np.testing.assert_allclose(
        actual.matrix(), desired.matrix(), rtol=rtol, atol=1e-14 * size + 1e-300
    )


@common
@given(row_sets())
def test_batches_and_orders(drawn):
    regime, X, _, ends, order = drawn
    make_sketch = sketches(regime)
    batches = cut(X, ends)
    parts = make_sketch()
    for i in order:
        parts.update(batches[i])
    assert_same(parts, make_sketch().update(X), X)


@common
@given(row_sets(), st.integers(2, 4))
def test_shards_merge(drawn, fan_in):
    regime, X, weights, ends, order = drawn
    make_sketch = sketches(regime)
    rows, parts = cut(X, ends), cut(weights, ends)
    shards = [make_sketch().update(rows[i], sample_weight=parts[i]) for i in order]
    whole = make_sketch().update(X, sample_weight=weights)
    assert_same(tree_merge(shards, fan_in=fan_in), whole, X)


@common
@given(row_sets())
def test_integer_weights_repeat(drawn):
    regime, X, weights, ends, _ = drawn
    make_sketch = sketches(regime)
    weighted = make_sketch()
    for rows, part in zip(cut(X, ends), cut(weights, ends), strict=True):
        weighted.update(rows, sample_weight=part)
    repeated = make_sketch().update(X[np.repeat(np.arange(X.shape[0]), weights)])
    assert_same(weighted, repeated, X, count=False)


@common
@given(row_sets())
def test_deletion_undoes(drawn):
    regime, X, weights, ends, _ = drawn
    make_sketch = sketches(regime)
    rows, parts = cut(X, ends), cut(weights, ends)
    left = make_sketch().update(X, sample_weight=weights)
    for gone, part in zip(rows[:-1], parts[:-1], strict=True):
        left.update(gone, sample_weight=-part)
    expected = make_sketch().update(rows[-1], sample_weight=parts[-1])
    assert_same(left, expected, X)


# ----------------------------------------------------------------------------- the checks can fail


class Broken(SparseSignMeasurement):
    """A measurement with one fault at a time."""

    fault = None

    def adjoint(self, R, ids):
        return super().adjoint(R, ids) * (1.0 + 1e-9 * (self.fault == "adjoint"))

    def measure_sparse(self, X):
        Y = super().measure_sparse(X)
        return Y[::-1] if self.fault == "order" else Y

    def cross_gram(self, other, diag=None):
        return super().cross_gram(other, None if self.fault == "diagonal" else diag)

    def adjoint_energy(self, R, start, stop):
        return np.sqrt(super().adjoint_energy(R, start, stop) ** (2 - (self.fault == "root")))

    def spec(self):
        spec = super().spec()
        return spec | {"seed": 0} if self.fault == "spec" else spec


@pytest.mark.parametrize("fault", ["adjoint", "order", "diagonal", "root", "spec"])
def test_measurement_checks_fail_when_they_should(fault):
    measurement = Broken(100, 32, seed=5)
    for check in checks.yield_measurement_checks(measurement):
        check()
    measurement.fault = fault
    with pytest.raises(AssertionError, match=r"against|differ|but it was"):
        for check in checks.yield_measurement_checks(measurement):
            check()


class Faulty(EigenSketch):
    """A sketch with one fault at a time."""

    fault = None

    def update(self, X, sample_weight=None):
        if self.fault == "weights":
            sample_weight = None if sample_weight is None else np.abs(sample_weight)
        if self.fault == "batch mean":
            X = X - X.mean(axis=0)
        if self.fault == "linear":
            X = np.abs(X)
        if self.fault == "lenient":
            X = np.nan_to_num(X)
        return super().update(X, sample_weight)

    def merge(self, other):
        if self.fault == "seed":
            return super().merge(self)
        return super().merge(other)

    def scale(self, factor):
        return super().scale(factor**2 if self.fault == "forgetting" else factor)

    def update_entries(self, i, j, values, *, mirror=False):
        return super().update_entries(i, j, values, mirror=mirror and self.fault != "mirror")

    @classmethod
    def from_bytes(cls, data):
        if cls.fault == "checksum":
            data = data[:-1] + b"\0" if len(data) > 1000 else data
            return super().from_bytes(Faulty.good)
        return super().from_bytes(data)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("weights", "check_sketch_deletion"),
        ("batch mean", "check_sketch_batching"),
        ("linear", "check_sketch_linearity"),
        ("linear", "check_sketch_definition"),
        ("lenient", "check_sketch_bad_input"),
        ("seed", "check_sketch_merge"),
        ("forgetting", "check_sketch_forgetting"),
        ("mirror", "check_sketch_entries"),
        ("checksum", "check_sketch_bytes"),
        ("checksum", "check_sketch_resume"),
    ],
)
def test_sketch_checks_fail_when_they_should(fault, law, monkeypatch):
    def make_sketch():
        return Faulty(N, random_state=7, **REGIMES["two_sided"])

    monkeypatch.setattr(Faulty, "good", make_sketch().to_bytes(), raising=False)
    monkeypatch.setattr(Faulty, "fault", fault)
    with pytest.raises(AssertionError, match=r"against|expected a ValueError"):
        getattr(checks, law)(make_sketch)


def test_seed_check_fails_without_a_seed():
    with pytest.raises(AssertionError, match="first difference"):
        checks.check_sketch_seed(lambda: EigenSketch(N, n_measurements=16))


class ForgetsTheFirst(SketchedSparsePCA):
    def partial_fit(self, X, y=None, sample_weight=None):
        return super().partial_fit(X[1:], y, None if sample_weight is None else sample_weight[1:])


class AgesWithTheBatch(SketchedSparsePCA):
    def partial_fit(self, X, y=None, sample_weight=None):
        if hasattr(self, "sketch_"):
            self.sketch_.scale(0.5)
        return super().partial_fit(X, y, sample_weight)


@pytest.mark.parametrize("broken", [ForgetsTheFirst, AgesWithTheBatch])
def test_estimator_checks_fail_when_they_should(broken):
    with pytest.raises(AssertionError, match="partial_fit cut at .* against"):
        checks.check_estimator_batches(broken(2, n_nonzero_coefs=4, random_state=0))


# ------------------------------------------------------------------------------------ distributed


@pytest.mark.parametrize("n_parts", [1, 2, 3, 8, 9, 63, 64, 65])
@pytest.mark.parametrize("fan_in", [2, 8])
def test_tree_is_balanced_and_by_position(n_parts, fan_in):
    sizes = []

    def merge(group):
        sizes.append(len(group))
        return sum(group, ())

    merged = tree_merge(((i,) for i in range(n_parts)), merge, fan_in)
    assert merged == tuple(range(n_parts))
    assert max(sizes) <= fan_in
    depth = max(1, int(np.ceil(np.log(n_parts) / np.log(fan_in) - 1e-9)))
    assert len(sizes) <= n_parts / (fan_in - 1) + depth


def test_tree_merge_holds_few_parts_of_a_stream():
    alive, peak = set(), 0

    def parts():
        nonlocal peak
        for i in range(500):
            alive.add(i)
            peak = max(peak, len(alive))
            yield frozenset([i])

    def merge(group):
        merged = frozenset().union(*group)
        alive.difference_update(merged)
        alive.add(max(merged))  # one object stands for the group
        return merged

    assert tree_merge(parts(), merge, 4) == frozenset(range(500))
    assert peak <= 4 * 6  # fan_in * (1 + log_4(500))


def test_tree_merge_leaves_parts_alone():
    X = np.random.default_rng(0).standard_normal((60, N))
    shards = [sketches("two_sided")().update(rows) for rows in np.split(X, 6)]
    before = [shard.to_bytes() for shard in shards]
    merged = tree_merge(shards, fan_in=2)
    single = tree_merge(shards[:1])
    assert single is not shards[0]
    single.update(X)
    assert [shard.to_bytes() for shard in shards] == before
    assert_same_sketch(merged, sketches("two_sided")().update(X), "tree", 1e-10)
    assert tree_merge(shards, fan_in=2).to_bytes() == merged.to_bytes()


@pytest.mark.parametrize("name", ["exact", "two_sided", "range", "mam"])
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_fit_partitions_is_one_fit(name, n_jobs):
    estimator, X = ESTIMATORS[name], estimator_rows(None, 0)
    blocks = [X[:1], X[:0], X[1:90], X[90:91], X[91:]]
    fitted = fit_partitions(estimator, iter(blocks), n_jobs=n_jobs)
    expected = _one_pass(estimator).fit(X)
    assert_same_fit(fitted, expected, X, "fit_partitions", 1e-9)
    assert not hasattr(estimator, "sketch_")
    serial = fit_partitions(estimator, blocks, n_jobs=1)
    assert fitted.sketch_.to_bytes() == serial.sketch_.to_bytes()


def test_merge_copies_of_estimators():
    X = estimator_rows(None, 0)
    first, second = (SketchedSparsePCA(random_state=0).partial_fit(rows) for rows in (X, 2 * X))
    components = first.components_.toarray()
    merged = merge_copies([first, second])
    assert (merged.n_samples_seen_, first.n_samples_seen_) == (2 * len(X), len(X))
    np.testing.assert_array_equal(first.components_.toarray(), components)


def test_distributed_errors():
    X = estimator_rows(None, 0)
    with pytest.raises(TypeError, match="EigenSketch cannot be fitted in shards"):
        fit_partitions(EigenSketch(N, n_measurements=16, random_state=0), [X])
    with pytest.raises(ValueError, match="no parts"):
        fit_partitions(SketchedSparsePCA(random_state=0), [X[:0]])
    with pytest.raises(ValueError, match="fan_in must be at least 2, got 1"):
        tree_merge([1, 2], sum, fan_in=1)
    with pytest.raises(ValueError, match="forgetting"):
        fit_partitions(SketchedSparsePCA(random_state=0, forgetting=0.9), [X, X])


def test_fit_partitions_changes_no_input():
    X = estimator_rows(None, 0)
    estimator = SketchedSparsePCA(2, random_state=0)
    before, settings_before = X.copy(), estimator.get_params()
    blocks = [X[:0], X[:90].tolist(), [], X[90:]]
    fitted = fit_partitions(estimator, blocks)
    assert fitted.n_samples_seen_ == len(X)
    np.testing.assert_array_equal(X, before)
    assert estimator.get_params() == settings_before
    assert not hasattr(estimator, "n_features_in_")
