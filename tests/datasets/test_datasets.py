"""The generators keep what they promise: exact structure, exact population, same rows again."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_sparse_eig.datasets import load_pitprops, make_sparse_spiked_covariance

LAYOUTS = ["disjoint", "overlapping", "common"]


def population(bunch):
    n_features = bunch.components.shape[1]
    U = bunch.components.toarray()
    noise = np.broadcast_to(bunch.noise_variance, n_features)
    return (U.T * bunch.eigenvalues) @ U + np.diag(noise)


def to_dense(X):
    return X.toarray() if sp.issparse(X) else X


def on(features, X):
    """The given sorted features of X, dense; SciPy would make an array as long as X is wide."""
    row, kept = X.nonzero()[0], np.isin(X.indices, features)
    out = np.zeros((X.shape[0], len(features)))
    out[row[kept], np.searchsorted(features, X.indices[kept])] = X.data[kept]
    return out


def supports(bunch):
    return [set(row) for row in np.split(bunch.components.indices, bunch.components.indptr[1:-1])]


# ---------------------------------------------------------------- pit props


def test_pitprops_is_a_correlation_matrix():
    bunch = load_pitprops()
    assert bunch.data.shape == (13, 13) and bunch.data.dtype == np.float64
    assert len(bunch.feature_names) == 13 and bunch.n_samples == 180
    assert_array_equal(bunch.data, bunch.data.T)
    assert_array_equal(np.diag(bunch.data), 1.0)
    assert np.linalg.eigvalsh(bunch.data)[0] > 0
    assert "Jeffers" in bunch.DESCR and "frame" not in bunch


@pytest.mark.parametrize("k, optimum", [(5, 3.406), (10, 4.173)])
def test_pitprops_description_states_the_true_optima(k, optimum):
    bunch = load_pitprops()
    subsets = np.array(list(combinations(range(13), k)))
    blocks = bunch.data[subsets[:, :, None], subsets[:, None, :]]
    assert round(np.linalg.eigvalsh(blocks)[:, -1].max(), 3) == optimum
    assert f"{optimum} for k = {k}" in bunch.DESCR


def test_pitprops_frame():
    pytest.importorskip("pandas")
    bunch = load_pitprops(as_frame=True)
    assert list(bunch.frame.columns) == list(bunch.frame.index) == bunch.feature_names
    assert_array_equal(bunch.frame.to_numpy(), bunch.data)


# ---------------------------------------------------------------- planted components


@settings(max_examples=60, deadline=None)
@given(
    support=st.sampled_from(LAYOUTS),
    n_components=st.integers(1, 8),
    extra=st.integers(0, 12),
    n_features=st.sampled_from([200, 10**6, 2**62]),
    seed=st.integers(0, 2**32 - 1),
)
def test_components_are_orthonormal_and_laid_out_as_asked(
    support, n_components, extra, n_features, seed
):
    n_nonzero = max(4, n_components) + extra
    bunch = make_sparse_spiked_covariance(
        0,
        n_features,
        eigenvalues=np.arange(n_components, 0, -1.0),
        n_nonzero_coefs=n_nonzero,
        support=support,
        random_state=seed,
    )
    U = bunch.components
    assert U.shape == (n_components, n_features) and U.has_canonical_format
    V = on(bunch.support, U)
    assert_allclose(V @ V.T, np.eye(n_components), atol=1e-13)
    assert_array_equal(V.max(axis=1), abs(V).max(axis=1))

    shared = {"disjoint": 0, "overlapping": n_nonzero // 2, "common": n_nonzero}[support]
    layout = supports(bunch)
    assert all(len(s) == n_nonzero for s in layout)
    assert all(len(s & t) == shared for s, t in zip(layout, layout[1:], strict=False))
    if support != "common":
        assert all(not s & t for i, s in enumerate(layout) for t in layout[i + 2 :])
    assert_array_equal(bunch.support, sorted(set.union(*layout)))
    assert bunch.support.dtype == np.int64


def test_disjoint_entries_are_of_similar_size():
    bunch = make_sparse_spiked_covariance(0, n_nonzero_coefs=50, random_state=0)
    sizes = abs(bunch.components).toarray()
    assert all(row.max() <= 2 * row[row > 0].min() for row in sizes)


def test_as_many_common_features_as_components():
    bunch = make_sparse_spiked_covariance(0, 4, n_nonzero_coefs=4, support="common", random_state=3)
    assert_allclose((bunch.components.T @ bunch.components).toarray(), np.eye(4), atol=1e-12)


def test_components_depend_on_nothing_but_their_own_parameters():
    reference = make_sparse_spiked_covariance(0, random_state=5).components
    for changed in [
        {"n_samples": 7},
        {"noise": "lognormal"},
        {"sparse": True, "n_samples": 3},
        {"mean": 2.0, "n_samples": 2, "dtype": np.float32},
        {"batch_size": 4, "n_samples": 9},
    ]:
        bunch = make_sparse_spiked_covariance(**{"n_samples": 0, **changed}, random_state=5)
        assert_array_equal(bunch.components.indices, reference.indices)
        assert_array_equal(bunch.components.data, reference.data)


# ---------------------------------------------------------------- population


@pytest.mark.parametrize("support", LAYOUTS)
@pytest.mark.parametrize(
    "noise, mean", [(0.0, None), (0.5, 3.0), ("lognormal", np.arange(30.0)), (np.ones(30), None)]
)
def test_dense_rows_have_the_population_covariance(support, noise, mean):
    n_samples = 20_000
    bunch = make_sparse_spiked_covariance(
        n_samples, 30, eigenvalues=(4, 2), support=support, noise=noise, mean=mean, random_state=0
    )
    C = population(bunch)
    X = bunch.data - bunch.mean
    assert X.shape == (n_samples, 30)
    # For Gaussian rows an entry of X^T X / n has variance (C_ii C_jj + C_ij^2) / n, and the mean
    # of a column C_ii / n: six standard deviations leave 2e-9 for each of the 930 numbers tested.
    spread = np.sqrt((np.outer(C.diagonal(), C.diagonal()) + C**2) / n_samples)
    assert np.all(abs(X.T @ X / n_samples - C) <= 6 * spread + 1e-12)
    assert np.all(abs(X.mean(axis=0)) <= 6 * np.sqrt(C.diagonal() / n_samples) + 1e-9)


@pytest.mark.parametrize("density", [0.02, 0.5])
@pytest.mark.parametrize("mean", [None, sp.csr_array(([5.0, -2.0], ([0, 0], [1, 28])), (1, 30))])
def test_sparse_rows_have_the_population_covariance(density, mean):
    n_samples = 100_000
    bunch = make_sparse_spiked_covariance(
        n_samples,
        30,
        eigenvalues=(4, 2),
        n_nonzero_coefs=5,
        noise=np.linspace(0, 2, 30),
        mean=mean,
        sparse=True,
        density=density,
        random_state=0,
    )
    C = population(bunch)
    X = bunch.data.toarray() - to_dense(bunch.mean)
    # Compound Poisson noise adds 3 v^2 / rate to the fourth moment of its own feature only.
    rate = -np.log1p(-density)
    excess = np.diag(3 * np.square(bunch.noise_variance) / rate)
    spread = np.sqrt((np.outer(C.diagonal(), C.diagonal()) + C**2 + excess) / n_samples)
    assert np.all(abs(X.T @ X / n_samples - C) <= 6 * spread + 1e-12)
    assert np.all(abs(X.mean(axis=0)) <= 6 * np.sqrt(C.diagonal() / n_samples) + 1e-12)


def test_density_is_the_share_of_entries_hit():
    bunch = make_sparse_spiked_covariance(
        2000, 500, sparse=True, density=0.1, n_nonzero_coefs=5, random_state=0
    )
    noise_only = np.setdiff1d(np.arange(500), bunch.support)
    entries = 2000 * noise_only.size
    hits = bunch.data[:, noise_only].nnz
    assert abs(hits - 0.1 * entries) <= 6 * np.sqrt(0.1 * 0.9 * entries)


def test_rows_of_the_signal_alone_lie_in_the_span():
    for is_sparse in (False, True):
        bunch = make_sparse_spiked_covariance(50, 100, noise=0, sparse=is_sparse, random_state=0)
        X, U = to_dense(bunch.data), bunch.components.toarray()
        assert_allclose(X @ U.T @ U, X, atol=1e-12)
        assert np.linalg.matrix_rank(X) == 4


# ---------------------------------------------------------------- rows, types, batches


@settings(max_examples=40, deadline=None)
@given(
    n_samples=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    is_sparse=st.booleans(),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_features=st.sampled_from([60, 257]),
)
def test_batches_are_the_rows_and_can_be_read_again(
    n_samples, batch_size, is_sparse, dtype, n_features
):
    params = {"sparse": is_sparse, "dtype": dtype, "random_state": 1, "noise": "lognormal"}
    whole = make_sparse_spiked_covariance(n_samples, n_features, **params).data
    bunch = make_sparse_spiked_covariance(n_samples, n_features, batch_size=batch_size, **params)
    assert "data" not in bunch
    for _ in range(2):
        batches = list(bunch.batches)
        assert len(batches) == len(bunch.batches)
        assert all(1 <= X.shape[0] <= batch_size and X.dtype == dtype for X in batches)
        assert_array_equal(np.vstack([to_dense(X) for X in batches]), to_dense(whole))


def test_interleaved_iterations_do_not_disturb_each_other():
    batches = make_sparse_spiked_covariance(6, 50, batch_size=2, random_state=0).batches
    for first, second in zip(batches, batches, strict=True):
        assert_array_equal(first, second)


def test_random_state():
    def rows(random_state):
        return make_sparse_spiked_covariance(5, 50, random_state=random_state).data

    assert_array_equal(rows(3), rows(3))
    assert_array_equal(rows(3), rows(np.random.RandomState(3)))
    assert not np.array_equal(rows(3), rows(4))
    state = np.random.RandomState(0)
    assert not np.array_equal(rows(state), rows(state))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index_dtype", [None, np.int32, np.int64])
def test_types_of_sparse_rows(dtype, index_dtype):
    X = make_sparse_spiked_covariance(
        20, 100, sparse=True, dtype=dtype, index_dtype=index_dtype, random_state=0
    ).data
    assert isinstance(X, sp.csr_array) and X.dtype == dtype and X.has_canonical_format
    assert X.indices.dtype == X.indptr.dtype == (index_dtype or np.int32)
    assert_allclose(X.sum(axis=1), X.toarray().sum(axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_features", [10**8, 2**62])
def test_huge_sparse_rows(n_features):
    bunch = make_sparse_spiked_covariance(
        300,
        n_features,
        sparse=True,
        noise=0.1,
        mean=sp.csr_array(([1.0], ([0], [n_features - 1])), (1, n_features)),
        index_dtype=np.int64,
        batch_size=100,
        random_state=0,
    )
    assert bunch.support.size == 40 and bunch.support[-1] < n_features
    for X in bunch.batches:
        assert X.shape == (100, n_features) and X.indices.dtype == np.int64
        assert X.indices.min() >= 0 and X.indices.max() == n_features - 1
        # 41 stored entries of signal and mean in each row, and about 50 of noise.
        assert 100 * 41 <= X.nnz <= 100 * 41 + 5000 + 6 * np.sqrt(5000)
        scores = on(bunch.support, X) @ on(bunch.support, bunch.components).T
        # n s^2 / variance is chi-squared: for n = 100, half the variance is five deviations below
        # in its logarithm.
        assert np.all(scores.var(axis=0) > bunch.eigenvalues / 2)


def test_no_rows():
    wide = make_sparse_spiked_covariance(0, 2**62, random_state=0)
    assert wide.data.shape == (0, 2**62) and wide.components.nnz == 40
    narrow = make_sparse_spiked_covariance(0, 50, mean=np.ones(50), batch_size=3)
    assert len(narrow.batches) == 0 and list(narrow.batches) == []


def test_lognormal_variances_average_to_one():
    variance = make_sparse_spiked_covariance(
        0, 10**6, noise="lognormal", random_state=0
    ).noise_variance
    assert_allclose(np.log(variance).mean(), -2, atol=0.02)
    assert_allclose(np.log(variance).std(), 2, atol=0.02)
    # exp(2 z - 2) has variance e^4 - 1 = 54: the mean of a million has standard error 0.007.
    assert_allclose(variance.mean(), 1, atol=0.05)


def test_what_was_given_comes_back_as_a_copy():
    noise, mean, eigenvalues = np.ones(50), np.ones(50), np.array([3.0, 2.0])
    bunch = make_sparse_spiked_covariance(
        4, 50, eigenvalues=eigenvalues, noise=noise, mean=mean, batch_size=2, random_state=0
    )
    before = list(bunch.batches)
    noise[:] = mean[:] = eigenvalues[:] = 100
    assert_array_equal(before, list(bunch.batches))
    assert_array_equal(bunch.eigenvalues, [3, 2])
    assert_array_equal(bunch.mean, np.ones(50))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "params, message",
    [
        ({"eigenvalues": (2, 0)}, r"positive finite.*got \(2, 0\)"),
        ({"eigenvalues": ()}, "one for each component"),
        ({"eigenvalues": 3.0}, "must be a list"),
        ({"eigenvalues": (1, np.inf)}, "positive finite"),
        ({"n_features": 39}, "take 40 features, and n_features=39; lower n_nonzero_coefs"),
        ({"n_features": 24, "support": "overlapping"}, "take 25 features"),
        ({"n_features": 9, "support": "common"}, "take 10 features"),
        ({"n_nonzero_coefs": 3, "support": "common"}, "at least 4 are needed"),
        ({"n_nonzero_coefs": 3, "support": "overlapping"}, "at least 4 are needed"),
        ({"n_nonzero_coefs": 0}, "n_nonzero_coefs must be an integer, at least 1; got 0"),
        ({"support": "shared"}, "one of .*'common', 'disjoint', 'overlapping'.*'shared'"),
        ({"noise": np.ones(99)}, r"\(100,\); got shape \(99,\)"),
        ({"noise": -1.0}, "not negative"),
        ({"noise": np.nan}, "finite"),
        ({"noise": "white"}, "'lognormal'; got 'white'"),
        ({"mean": np.ones(3)}, r"shape \(100,\).*got shape \(3,\)"),
        ({"mean": np.inf}, "mean must be finite"),
        ({"mean": 1.0, "sparse": True}, "would fill every entry"),
        ({"density": 1.0, "sparse": True}, "strictly between 0 and 1; got 1.0"),
        ({"density": "thin", "sparse": True}, "got 'thin'"),
        ({"dtype": np.int64}, "float64 or float32"),
        ({"n_features": 2**40, "index_dtype": np.int32, "sparse": True}, "use np.int64"),
        ({"n_features": 2**63, "sparse": True}, "at most 4611686018427387904"),
        ({"n_samples": -1}, "n_samples must be an integer, at least 0; got -1"),
        ({"n_samples": 2.5}, "got 2.5"),
        ({"batch_size": 0}, "batch_size must be an integer, at least 1"),
    ],
)
def test_errors_say_what_is_needed_and_what_was_given(params, message):
    with pytest.raises(ValueError, match=message):
        make_sparse_spiked_covariance(**{"n_samples": 5, "n_features": 100, **params})
