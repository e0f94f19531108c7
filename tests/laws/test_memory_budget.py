"""What an estimator allocates beyond the rows of its user stays below ``memory_budget``."""

import gc
import tracemalloc
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.kernels import use_backend

pytestmark = pytest.mark.filterwarnings("ignore::sklearn_sparse_eig.RecoveryWarning")

N_COMPONENTS, N_NONZERO = 2, 6
HASHED = {"sketch": "two_sided", "measurement": "sparse_sign", "n_measurements": 640}
# Name: features, whether rows are sparse, budget, regime that results, further parameters.
CASES = {
    "exact": (300, False, 8e6, "exact", {}),
    "range": (3000, False, 5e6, "range", {}),
    "range, auto": (3000, False, 5e6, "range", {"n_nonzero_coefs": "auto"}),
    "range, wide spectrum": (3000, False, 8e6, "range", {"n_nonzero_coefs": 20}),
    "range, diagonal": (3000, False, 5e6, "range", {"noise": "diagonal"}),
    "range, no noise": (3000, False, 5e6, "range", {"noise": None}),
    "hashed": (20_000, True, 6e6, "compressed", {"sketch": "two_sided"}),
    "hashed, forced": (3000, False, 5e6, "compressed", {"n_measurements": 640, "range_size": 128}),
    "hashed, diagonal": (5000, True, 8e6, "compressed", {"noise": "diagonal", **HASHED}),
    "mam": (3000, False, 6e6, "compressed", {"sketch": "mam"}),
}


# Where numba is not installed, the other backend is what runs by default.
_TWIN = [pytest.mark.slow] if find_spec("numba") else []


@pytest.fixture(params=["numba", pytest.param("scipy", marks=_TWIN)])
def backend(request):
    if request.param == "numba" and find_spec("numba") is None:
        pytest.skip("needs numba")
    with use_backend(request.param):
        yield request.param


def regime(sketch):
    if sketch.is_exact:
        return "exact"
    return "range" if sketch.measurement.keeps_features else "compressed"


def batches(n_features, sparse):
    rows = make_sparse_spiked_covariance(
        600,
        n_features,
        eigenvalues=(40.0, 30.0),
        n_nonzero_coefs=N_NONZERO,
        noise=0.05 if sparse else 1.0,
        sparse=sparse,
        random_state=0,
    ).data
    return rows, [rows[low : low + 200] for low in range(0, 600, 200)]


def peak(run):
    """Return the peak of what is allocated while something runs, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CASES)
def test_budget_is_kept(name, backend):
    n_features, sparse, budget, expected, parameters = CASES[name]
    rows, parts = batches(n_features, sparse)
    parameters = {"n_nonzero_coefs": N_NONZERO, "memory_budget": budget} | parameters

    def make():
        return SketchedSparsePCA(N_COMPONENTS, random_state=0, **parameters)

    # What is compiled and imported once.
    _ = make().fit(rows), make().partial_fit(parts[0]).components_
    streamed, whole = make(), make()

    def stream():
        for part in parts:
            streamed.partial_fit(part)
        assert streamed.components_.shape == (N_COMPONENTS, n_features)

    assert peak(stream) <= budget
    assert regime(streamed.sketch_) == expected
    assert peak(lambda: whole.fit(rows)) <= budget


def test_large_budgets_are_not_left_unused():
    for n_features in (20_000, 100_000, 10**7):
        pca = SketchedSparsePCA(4, n_nonzero_coefs=20, memory_budget=64e6, random_state=0)
        assert pca.partial_fit(sp.csr_array((2, n_features))).sketch_.nbytes >= 0.35 * 64e6


def test_a_flat_spectrum_keeps_it_too():
    """Many directions are followed beside the components where many stand out."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(40, 3000)) * (rng.random((40, 3000)) < 0.02)
    rows = rng.normal(size=(600, 40)) @ factors + 0.01 * rng.normal(size=(600, 3000))
    pca = SketchedSparsePCA(2, n_nonzero_coefs=10, memory_budget=8e6, random_state=0)

    def stream():
        for low in range(0, 600, 200):
            pca.partial_fit(rows[low : low + 200])
        assert pca.components_.nnz == 20

    assert peak(stream) <= 8e6


@pytest.mark.parametrize("weights", [None, "given"])
def test_reading_a_sketch_takes_less_than_another(weights):
    """Products with the sketch, and its variances, are made without a copy of it."""
    rows, _ = batches(3000, False)
    pca = SketchedSparsePCA(2, n_nonzero_coefs=6, measurement="identity", range_size=128)
    w = None if weights is None else np.arange(1.0, 601.0)
    sketch = pca.set_params(random_state=0).partial_fit(rows, sample_weight=w).sketch_
    S = sketch.operator()
    P, W = rows[:3].T, np.eye(128)[:, :3]
    written = sketch.matrix()
    np.testing.assert_allclose(S @ W, written @ W, atol=1e-10)
    np.testing.assert_allclose(S.T @ P, written.T @ P, atol=1e-8)

    def read():
        for _ in range(2):
            S @ W
            S.T @ P
        sketch.check_variance()
        assert sketch.total_variance() > 0.0

    assert peak(read) <= sketch.nbytes / 2
