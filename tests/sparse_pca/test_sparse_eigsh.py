"""Sparse eigenvectors of a matrix at hand: against SciPy, published optima and certificates."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import block_diag
from scipy.sparse.linalg import LinearOperator, aslinearoperator, eigsh
from sklearn.datasets import load_wine

from sklearn_sparse_eig import sparse_eigsh
from sklearn_sparse_eig.datasets import load_pitprops, make_sparse_spiked_covariance

SIGNED = np.array([50.0, -40.0, 30.0, -60.0, 20.0])


def planted(n, n_nonzero=8, seed=0):
    """A CSR matrix whose eigenvectors of nonzero eigenvalue are exactly sparse."""
    spiked = make_sparse_spiked_covariance(
        0, n, eigenvalues=np.abs(SIGNED), n_nonzero_coefs=n_nonzero, random_state=seed
    )
    U = spiked.components
    return sp.csr_array(U.T @ sp.diags_array(SIGNED) @ U), U.toarray()


def leading(values, which):
    return np.argsort(-{"LA": values, "SA": -values, "LM": np.abs(values)}[which])


def assert_certified(A, pairs):
    """Unit vectors, eigenvalues that are their Rayleigh quotients, and the residual as stated."""
    V = pairs.eigenvectors.toarray()
    A = A.toarray() if sp.issparse(A) else A
    np.testing.assert_allclose(np.linalg.norm(V, axis=0), 1.0, rtol=1e-12)
    assert (V[np.abs(V).argmax(axis=0), range(V.shape[1])] > 0).all()
    scale = np.abs(A).max()
    np.testing.assert_allclose(
        pairs.eigenvalues, np.einsum("ij,ij->j", V, A @ V), rtol=0, atol=1e-12 * scale * len(A)
    )
    residual = np.linalg.norm(A @ V - V * pairs.eigenvalues, axis=0).max()
    assert pairs.residual == pytest.approx(residual, abs=1e-10 * scale)
    np.testing.assert_array_equal(pairs.support, np.flatnonzero(V.any(axis=1)))


@pytest.mark.parametrize("n_nonzero_coefs", [8, "auto"])
@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
@pytest.mark.parametrize("n", [120, 3000])
def test_equals_eigsh_where_eigenvectors_are_sparse(n, which, n_nonzero_coefs):
    A, U = planted(n)
    k = 2 if which == "SA" else 3
    pairs = sparse_eigsh(A, k, n_nonzero_coefs=n_nonzero_coefs, which=which)
    values, vectors = eigsh(A, k=k, which=which, v0=np.ones(n))
    order = leading(values, which)
    np.testing.assert_allclose(pairs.eigenvalues, values[order], rtol=1e-10)
    cosines = np.abs(np.einsum("ij,ij->j", pairs.eigenvectors.toarray(), vectors[:, order]))
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-10)
    wanted = leading(SIGNED, which)[:k]
    np.testing.assert_allclose(pairs.eigenvectors.toarray().T, U[wanted], atol=1e-9)
    assert pairs.residual < 1e-8
    assert_certified(A, pairs)


@pytest.mark.parametrize("n_nonzero_coefs", [5, [7, 3], "auto"])
@pytest.mark.parametrize(("n", "n_candidates"), [(60, "auto"), (1100, 80)])
def test_all_kinds_of_matrix_agree(n, n_candidates, n_nonzero_coefs):
    rng = np.random.default_rng(0)
    B = rng.standard_normal((n, 20)) * rng.random((n, 1)) ** 4 * 0.7 ** np.arange(20)
    dense = B @ B.T
    dense[np.abs(dense) < 1e-3] = 0.0
    reads = []

    def matmat(V):
        reads.append(V.shape[1])
        return dense @ V

    operator = LinearOperator((n, n), matvec=lambda v: dense @ v, matmat=matmat, dtype=float)
    options = {"n_nonzero_coefs": n_nonzero_coefs, "n_candidates": n_candidates}
    expected = sparse_eigsh(dense, 2, **options)
    assert_certified(dense, expected)
    for A in (
        np.asfortranarray(dense),
        sp.csr_array(dense),
        sp.csc_matrix(dense),
        sp.coo_array(dense),
        aslinearoperator(dense),
        operator,
    ):
        found = sparse_eigsh(A, 2, **options)
        np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-9)
        np.testing.assert_allclose(
            found.eigenvectors.toarray(), expected.eigenvectors.toarray(), atol=1e-6
        )
    assert reads


def test_auto_is_the_dense_answer_where_that_is_dense():
    B = np.random.default_rng(0).standard_normal((40, 60))
    A = B @ B.T
    pairs = sparse_eigsh(A, 5)
    np.testing.assert_allclose(pairs.eigenvalues, np.linalg.eigvalsh(A)[:-6:-1], rtol=1e-12)
    np.testing.assert_allclose(pairs.added_variance, pairs.eigenvalues, rtol=1e-10)
    assert pairs.eigenvectors.nnz == 200 and pairs.residual < 1e-10 * pairs.eigenvalues[0]


# -------------------------------------------------------------------------------- published optima


@pytest.mark.parametrize(
    ("name", "n_nonzero", "optimum"),
    [("pitprops", 5, 3.406), ("pitprops", 10, 4.173), ("wine", 5, 3.43978), ("wine", 10, 4.59429)],
)
def test_published_optima(name, n_nonzero, optimum):
    if name == "pitprops":
        A = load_pitprops().data
    else:
        A = np.corrcoef(load_wine().data.T)
    pairs = sparse_eigsh(A, 1, n_nonzero_coefs=n_nonzero)
    # To the digits published, and the best of all supports of that size.
    digits = len(str(optimum).split(".")[1])
    assert round(float(pairs.eigenvalues[0]), digits) == optimum
    best = max(
        np.linalg.eigvalsh(A[np.ix_(support, support)])[-1]
        for support in map(list, combinations(range(len(A)), n_nonzero))
    )
    assert pairs.eigenvalues[0] == pytest.approx(best, rel=1e-12)
    assert pairs.eigenvectors.nnz == n_nonzero
    assert_certified(A, pairs)


def test_one_nonzero_is_the_largest_diagonal_entry():
    A = load_pitprops().data + np.diag(np.arange(13.0))
    for which, best in (("LA", A.diagonal().argmax()), ("SA", A.diagonal().argmin())):
        pairs = sparse_eigsh(A, 1, n_nonzero_coefs=1, which=which)
        assert pairs.support.tolist() == [best]
        assert pairs.eigenvalues[0] == A[best, best]


def test_more_nonzeros_never_explain_less():
    A = np.corrcoef(load_wine().data.T)
    values = [sparse_eigsh(A, 1, n_nonzero_coefs=s).eigenvalues[0] for s in range(1, 14)]
    assert (np.diff(values) > -1e-12).all()
    assert values[-1] == pytest.approx(np.linalg.eigvalsh(A)[-1], rel=1e-12)


def test_smallest_is_the_negative_of_the_largest():
    A = load_pitprops().data
    smallest = sparse_eigsh(A, 3, n_nonzero_coefs=4, which="SA")
    largest = sparse_eigsh(-A, 3, n_nonzero_coefs=4, which="LA")
    np.testing.assert_allclose(smallest.eigenvalues, -largest.eigenvalues, rtol=1e-12)
    np.testing.assert_allclose(
        smallest.eigenvectors.toarray(), largest.eigenvectors.toarray(), atol=1e-12
    )


def test_added_variance_is_the_trace_on_the_span():
    A = np.corrcoef(load_wine().data.T)
    pairs = sparse_eigsh(A, 4, n_nonzero_coefs=4)
    Q = np.linalg.qr(pairs.eigenvectors.toarray())[0]
    assert pairs.added_variance.sum() == pytest.approx(np.trace(Q.T @ A @ Q), rel=1e-12)
    assert pairs.added_variance[0] == pytest.approx(pairs.eigenvalues[0], rel=1e-12)


def test_candidates_bound_the_search():
    A, U = planted(3000)
    full = sparse_eigsh(A, 2, n_nonzero_coefs=8)
    few = sparse_eigsh(A, 2, n_nonzero_coefs=8, n_candidates=40)
    np.testing.assert_allclose(few.eigenvalues, full.eigenvalues, rtol=1e-10)
    with pytest.raises(ValueError, match="n_candidates=5 must be at least n_nonzero_coefs=8"):
        sparse_eigsh(A, 2, n_nonzero_coefs=8, n_candidates=5)


def test_reproducible_and_not_modifying():
    A, _ = planted(1500)
    dense = A.toarray()
    kept = dense.copy()
    options = {"n_nonzero_coefs": 6, "n_candidates": 100, "random_state": 3}
    first, second = (sparse_eigsh(dense, 3, **options) for _ in range(2))
    assert first.eigenvectors.data.tobytes() == second.eigenvectors.data.tobytes()
    np.testing.assert_array_equal(dense, kept)


@pytest.mark.parametrize(
    ("A", "options", "match"),
    [
        (np.ones((3, 4)), {}, r"square matrix, got shape \(3, 4\)"),
        (np.ones(4), {}, "square matrix"),
        (np.empty((0, 0)), {}, r"square matrix, got shape \(0, 0\)"),
        (np.triu(np.ones((3, 3))), {}, r"symmetric, but max \|A - A\^T\| is 1; pass"),
        (sp.csr_array(np.triu(np.ones((3, 3)))), {}, "symmetric"),
        (np.full((3, 3), np.nan), {}, "NaN or infinity"),
        (sp.csr_array(np.full((3, 3), np.inf)), {}, "NaN or infinity"),
        (np.eye(3) + 0j, {}, "A must be real, got dtype complex128"),
        (sp.csr_array(np.eye(3) + 0j), {}, "A must be real"),
        (aslinearoperator(np.eye(3) + 0j), {}, "A must be real"),
        (np.eye(3), {"k": 2.0}, "k must be an integer, got 2.0"),
        (np.eye(3), {"k": 4}, r"k must lie in \[1, n=3\], got 4"),
        (np.eye(3), {"k": 0}, r"k must lie in \[1, n=3\], got 0"),
        (np.eye(3), {"which": "BE"}, "which must be 'LA', 'SA' or 'LM', got 'BE'"),
        (np.eye(3), {"n_nonzero_coefs": 4}, r"n_nonzero_coefs must lie in \[1, n=3\], got 4"),
        (np.eye(3), {"n_nonzero_coefs": 0}, "n_nonzero_coefs must lie in"),
        (np.eye(3), {"n_nonzero_coefs": "few"}, "must be 'auto' or integers, got 'few'"),
        (
            np.eye(3),
            {"n_nonzero_coefs": 2.5},
            "n_nonzero_coefs must be 'auto' or integers, got 2.5",
        ),
        (np.eye(3), {"n_nonzero_coefs": [2.0]}, "must be 'auto' or integers, got 2.0"),
        (np.eye(3), {"n_nonzero_coefs": None}, "must be 'auto' or integers, got None"),
        (np.eye(3), {"n_nonzero_coefs": [1, 2]}, r"an integer or k=1 of them, got \[1, 2\]"),
        (np.eye(3), {"k": True}, "k must be an integer, got True"),
        (np.eye(3), {"n_candidates": 2.5}, "n_candidates must be 'auto' or an integer, got 2.5"),
        (np.eye(3), {"n_candidates": -3}, "n_candidates must be at least 1, got -3"),
        (np.eye(3), {"tol": -1.0}, "tol must be a number of at least 0, got -1.0"),
    ],
)
def test_errors(A, options, match):
    with pytest.raises(ValueError, match=match):
        sparse_eigsh(A, **options)


def test_rounding_in_single_precision_is_symmetric_enough():
    X = np.random.default_rng(0).standard_normal((200, 30)).astype(np.float32)
    A = X.T @ X
    A[0, 1] *= 1 + 3e-7  # what products in blocks of different order leave
    exact = sparse_eigsh(X.T.astype(float) @ X.astype(float), 2, n_nonzero_coefs=5)
    for rounded in (A, sp.csr_array(A)):
        assert abs(rounded - rounded.T).max() > 0
        found = sparse_eigsh(rounded, 2, n_nonzero_coefs=5)
        np.testing.assert_allclose(found.eigenvalues, exact.eigenvalues, rtol=1e-5)
    A[0, 1] += 1e-5 * np.abs(A).max()
    with pytest.raises(ValueError, match="symmetric"):
        sparse_eigsh(A)


@pytest.mark.parametrize("n_nonzero_coefs", ["auto", 3])
def test_the_zero_matrix(n_nonzero_coefs):
    for A in (sp.csr_array((1200, 1200)), np.zeros((5, 5))):
        pairs = sparse_eigsh(A, 2, n_nonzero_coefs=n_nonzero_coefs)
        np.testing.assert_array_equal(pairs.eigenvalues, 0.0)
        assert pairs.residual == 0.0 and (np.diff(pairs.eigenvectors.indptr) >= 1).all()
        np.testing.assert_allclose(np.linalg.norm(pairs.eigenvectors.toarray(), axis=0), 1.0)


# ------------------------------------------------------------------------------------ certificates


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
def test_the_best_of_all_supports_where_these_are_few(which):
    """Also of negative definite matrices, where an empty direction would beat every vector."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 13))
        size = int(rng.integers(1, n))
        G = rng.normal(size=(n, n))
        A = [-G @ G.T, G + G.T, G @ G.T][seed % 3]
        spectra = np.array(
            [np.linalg.eigvalsh(A[np.ix_(S, S)])[[0, -1]] for S in combinations(range(n), size)]
        )
        best = {
            "LA": spectra.max(),
            "SA": spectra.min(),
            "LM": np.abs(spectra).max(),
        }[which]
        pairs = sparse_eigsh(A, 1, n_nonzero_coefs=size, which=which, certificate=True)
        value = pairs.eigenvalues[0]
        assert (abs(value) if which == "LM" else value) == pytest.approx(best, rel=1e-9)
        assert pairs.upper_bound[0] == pytest.approx(best, rel=1e-9)
        assert pairs.optimality_gap[0] < 1e-9


def test_certificate():
    A = load_pitprops().data
    assert sparse_eigsh(A, n_nonzero_coefs=5).upper_bound is None
    assert sparse_eigsh(A, n_nonzero_coefs=5).optimality_gap is None
    pairs = sparse_eigsh(A, 3, n_nonzero_coefs=[5, 5, 3], certificate=True)
    assert pairs.upper_bound[0] == pairs.upper_bound[1] > pairs.upper_bound[2]
    assert (pairs.eigenvalues <= pairs.upper_bound + 1e-12).all()
    assert pairs.optimality_gap[0] < 1e-12 < pairs.optimality_gap[1]
    for given in (sp.csr_array(A), aslinearoperator(A)):
        again = sparse_eigsh(given, 3, n_nonzero_coefs=[5, 5, 3], certificate=True)
        np.testing.assert_allclose(again.upper_bound, pairs.upper_bound, rtol=1e-12)
    dense = sparse_eigsh(A, 1, certificate=True)  # all nonzeros: the largest eigenvalue
    assert dense.optimality_gap[0] < 1e-12


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
def test_what_the_certificate_meets_is_returned(which):
    """The strongest pair has no share in the leading eigenvectors, from which candidates come."""
    sign = -1.0 if which == "SA" else 1.0
    groups = np.kron(np.diag(np.linspace(1.0, 1.1, 10)), 0.5 * np.eye(20) + 0.5)
    A = block_diag(groups / groups.max(), [[1.0, 0.9], [0.9, 1.0]])
    n = len(A)
    options = {"n_nonzero_coefs": 2, "n_candidates": 10, "which": which}
    for given in (sign * A, sp.csr_array(sign * A)):
        without = sparse_eigsh(given, 2, **options)
        assert abs(without.eigenvalues[0]) <= 1.5
        pairs = sparse_eigsh(given, 2, certificate=True, **options)
        np.testing.assert_allclose(pairs.eigenvalues, [sign * 1.9, without.eigenvalues[0]])
        assert sorted(pairs.eigenvectors[:, [0]].nonzero()[0]) == [n - 2, n - 1]
        assert abs(pairs.optimality_gap[0]) < 1e-9
        assert (abs(pairs.upper_bound) >= abs(pairs.eigenvalues) * (1 - 1e-12)).all()
        options["positive"] = True  # where the search, of any signs, is no answer
        positive = sparse_eigsh(given, 2, certificate=True, **options)
        np.testing.assert_array_equal(positive.eigenvalues[0], without.eigenvalues[0])
        assert abs(positive.upper_bound[0]) == pytest.approx(1.9)
        options["positive"] = False


def test_certificate_of_an_operator_too_large():
    A = aslinearoperator(sp.eye_array(3000, format="csr"))
    with pytest.raises(ValueError, match="certificate=True needs the entries of A"):
        sparse_eigsh(A, 1, n_nonzero_coefs=2, n_candidates=10, certificate=True)


def test_certificate_of_a_large_sparse_matrix():
    A, _ = planted(20000)
    pairs = sparse_eigsh(A, 1, n_nonzero_coefs=8, certificate=True)
    assert pairs.eigenvalues[0] <= pairs.upper_bound[0] < 4.0 * pairs.eigenvalues[0]


def test_matrices_whose_squares_vanish_are_refused():
    """At 1e-200 it returned a vector of 0.8 of the best value."""
    rng = np.random.default_rng(0)
    B = rng.normal(size=(50, 6))
    A = B.T @ B
    best = sparse_eigsh(A, 1, n_nonzero_coefs=2)
    for scale in (1e-140, 1e-100, 1e100):
        found = sparse_eigsh(A * scale, 1, n_nonzero_coefs=2)
        np.testing.assert_allclose(found.eigenvalues / scale, best.eigenvalues, rtol=1e-9)
        assert found.support.tolist() == best.support.tolist()
    for form in (np.asarray, sp.csr_array):
        with pytest.raises(ValueError, match="squares vanish"):
            sparse_eigsh(form(A * 1e-200), 1, n_nonzero_coefs=2)
        assert sparse_eigsh(form(0 * A), 1, n_nonzero_coefs=2).eigenvalues == [0.0]
