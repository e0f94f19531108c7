"""What is special to each measurement ensemble; the laws they share are in ``test_laws``."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.kernels import HASH_VERSION
from sklearn_sparse_eig.sketching import (
    GaussianMeasurement,
    IdentityMeasurement,
    Measurement,
    PrimeResidueMeasurement,
    SparseSignMeasurement,
    register,
)
from sklearn_sparse_eig.sketching.measurements import from_spec, make_measurement


def norms(measurement, ids):
    return np.linalg.norm(measurement.columns(np.asarray(ids)).toarray(), axis=1)


@pytest.mark.parametrize(
    "measurement",
    [
        SparseSignMeasurement(1000, 80),
        SparseSignMeasurement(2**62, 21, n_blocks=3),
        IdentityMeasurement(1000),
        PrimeResidueMeasurement(1000, 500),
        PrimeResidueMeasurement(10**15, 30, n_blocks=3),
    ],
    ids=repr,
)
def test_unit_columns(measurement):
    ids = np.random.default_rng(0).integers(0, measurement.n_features, 200)
    np.testing.assert_allclose(norms(measurement, ids), 1.0, rtol=1e-14)
    assert (np.diff(measurement.columns(ids).indptr) == measurement.nonzeros_per_column()).all()


def test_gaussian_columns_are_normal():
    m = 64
    columns = GaussianMeasurement(500, m, seed=2).columns(np.arange(500)).toarray() * np.sqrt(m)
    assert kstest(columns.ravel(), "norm").pvalue > 1e-3
    # Independent between columns and between rows: no correlation beyond six standard errors.
    for table in (columns, columns.T):
        correlation = np.corrcoef(table)
        np.fill_diagonal(correlation, 0.0)
        assert np.abs(correlation).max() < 6 / np.sqrt(table.shape[1])


@pytest.mark.parametrize("cls", [SparseSignMeasurement, GaussianMeasurement])
def test_nearly_an_isometry(cls):
    # <M u, M v> = <u, v> in the mean over seeds, with a variance of about 2/m.
    rng = np.random.default_rng(0)
    u = rng.standard_normal(200) / np.sqrt(200)
    squares = [np.square(cls(200, 64, seed).measure(u[None, :])).sum() for seed in range(200)]
    assert np.mean(squares) == pytest.approx(u @ u, abs=5 * np.sqrt(2 / 64 / 200))
    assert np.std(squares) == pytest.approx(np.sqrt(2 / 64), rel=0.3)


def test_signs_leave_no_spurious_eigenvector():
    # The all-ones background is what unsigned ensembles turn into a leading eigenvector.
    spread = {}
    for measurement in (SparseSignMeasurement(5000, 240), PrimeResidueMeasurement(5000, 238)):
        values = np.linalg.eigvalsh(measurement.cross_gram(measurement))
        spread[measurement.name] = values[-1] / np.median(values)
    assert spread["sparse_sign"] < 4 < 20 < spread["prime_residue"]


# ------------------------------------------------------------------------------------ prime residue


@given(st.integers(1, 15), st.integers(0, 2000))
@settings(max_examples=60, deadline=None)
def test_primes_are_the_largest_run_that_fits(count, extra):
    known = [p for p in range(2, 3000) if all(p % d for d in range(2, int(p**0.5) + 1))]
    total = sum(known[:count]) + extra
    runs = [known[i : i + count] for i in range(len(known) - count + 1)]
    expected = max((run for run in runs if sum(run) <= total), key=sum)
    measurement = PrimeResidueMeasurement(50, total, n_blocks=count)
    assert measurement.primes.tolist() == expected
    assert measurement.n_measurements == sum(expected)


def test_prime_residues():
    measurement = PrimeResidueMeasurement(10**12, 41, n_blocks=5)
    assert measurement.primes.tolist() == [3, 5, 7, 11, 13]
    n = 10**12 - 1
    rows = measurement.columns(np.array([n])).indices
    assert rows.tolist() == [n % 3, 3 + n % 5, 8 + n % 7, 15 + n % 11, 26 + n % 13]
    with pytest.raises(ValueError, match="n_measurements=20 is too small.*n_blocks=5.*need 28"):
        PrimeResidueMeasurement(100, 20, n_blocks=5)
    with pytest.raises(ValueError, match="n_blocks=0"):
        PrimeResidueMeasurement(100, 20, n_blocks=0)


# ------------------------------------------------------------------------------ names, sizes, specs


@given(st.integers(1, 200))
def test_sizes_are_rounded_up_to_whole_blocks(n_measurements):
    made = make_measurement("sparse_sign", 100, n_measurements)
    assert n_measurements <= made.n_measurements < n_measurements + made.n_blocks
    assert made.n_measurements % made.n_blocks == 0
    # Eight blocks, or as many as leave about four buckets to each.
    assert made.n_blocks == 8 or (made.n_blocks < 8 and 4 * made.n_blocks <= max(n_measurements, 4))


@pytest.mark.parametrize("name", ["sparse_sign", "gaussian", "identity", "prime_residue"])
def test_names(name):
    size = None if name == "identity" else 300
    made = make_measurement(name, 500, size, seed=9)
    assert made.name == name
    assert make_measurement(made, 500, None) is made
    assert from_spec(made.spec()) == made
    assert made != make_measurement(name, 501, size, seed=9)
    assert (
        repr(made)
        == f"{type(made).__name__}({', '.join(f'{k}={v!r}' for k, v in made.spec().items())})"
    )


def test_seeds_decide():
    ids = np.arange(100)
    for cls in (SparseSignMeasurement, GaussianMeasurement):
        one, two = cls(100, 64, 1).columns(ids), cls(100, 64, 2).columns(ids)
        assert abs(one - two).max() > 0.1
        assert cls(100, 64, 1) != cls(100, 64, 2)


def test_columns_do_not_hang_on_n_features():
    # So that hash spaces can grow, and ids beyond N are ghosts of the same ensemble.
    ids = np.array([0, 3, 99])
    for cls in (SparseSignMeasurement, GaussianMeasurement):
        narrow, wide = cls(100, 32, 5), cls(2**62, 32, 5)
        assert narrow.has_ghosts
        assert (narrow.columns(ids) != wide.columns(ids)).nnz == 0
        ghosts = narrow.columns(100 + np.arange(50))
        assert (ghosts != wide.columns(100 + np.arange(50))).nnz == 0
        assert np.linalg.matrix_rank(ghosts.toarray()) == 32


def test_errors():
    with pytest.raises(ValueError, match=r"one of \['gaussian', .*'sparse_sign'\].* got 'gauss'"):
        make_measurement("gauss", 10, 5)
    with pytest.raises(ValueError, match="made for 10 features, but there are 11"):
        make_measurement(GaussianMeasurement(10, 5), 11, 5)
    with pytest.raises(ValueError, match="measurement='gaussian' needs n_measurements"):
        make_measurement("gaussian", 10, None)
    with pytest.raises(ValueError, match="measurement='sparse_sign' needs n_measurements"):
        EigenSketch(10, n_measurements=None)
    with pytest.raises(ValueError, match="n_measurements=30 and n_blocks=8; 32 fits"):
        SparseSignMeasurement(100, 30)
    with pytest.raises(ValueError, match="n_measurements must be at least 1, got 0"):
        GaussianMeasurement(10, 0)
    with pytest.raises(ValueError, match="n_features must be at least 1, got 0"):
        IdentityMeasurement(0)
    with pytest.raises(ValueError, match=r"seed must lie in \[0, 2\*\*64\), got -1"):
        GaussianMeasurement(10, 5, seed=-1)
    with pytest.raises(ValueError, match="n_features=10 values, got n_measurements=9"):
        make_measurement("identity", 10, 9)


def test_specs_of_other_versions_are_refused():
    spec = SparseSignMeasurement(100, 64).spec()
    with pytest.raises(ValueError, match=f"hash version {HASH_VERSION + 1}.*has {HASH_VERSION}"):
        from_spec(spec | {"hash_version": HASH_VERSION + 1})
    with pytest.raises(ValueError, match="Unknown measurement 'other'; known are"):
        from_spec(spec | {"name": "other"})


def test_an_instance_of_ones_own():
    class Halves(Measurement):
        name = "halves of tests"

        def columns(self, ids):
            ids = np.asarray(ids)
            parts = np.ones(len(ids)), ids % self.n_measurements, np.arange(len(ids) + 1)
            return sp.csr_array(parts, shape=(len(ids), self.n_measurements))

    X = np.random.default_rng(0).standard_normal((20, 12))
    sketch = EigenSketch(12, n_measurements=4, measurement=Halves(12, 4), random_state=0).update(X)
    folded = X.reshape(20, 3, 4).sum(axis=1)
    np.testing.assert_allclose(sketch.matrix(), np.cov(folded.T, bias=True), atol=1e-13)
    with pytest.raises(ValueError, match="Unknown measurement 'halves of tests'"):
        EigenSketch.from_bytes(sketch.to_bytes())
    try:
        register(Halves)
        again = EigenSketch.from_bytes(sketch.to_bytes())
        np.testing.assert_array_equal(again.matrix(), sketch.matrix())
    finally:
        from sklearn_sparse_eig.sketching.measurements import _registry

        del _registry._REGISTRY["halves of tests"]
