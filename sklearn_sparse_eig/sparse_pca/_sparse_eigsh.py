"""Sparse eigenvectors of a matrix that is at hand, to be read as often as needed."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from .._base.dtypes import check_finite, check_squares
from .._base.progress import listening, tell
from .._base.rows import admit
from .._base.symmetric import check_real, is_linear_operator, symmetric_part
from .._base.threads import limit_blas
from .._base.typed import Auto, MatrixLike
from ..recovery import (
    NonzeroCounts,
    SparseEigenpairs,
    Which,
    assemble_pairs,
    lanczos_errors,
    largest_rows,
    sparse_principal_vectors,
    upper_bounds,
)

# Features that a matrix which is not an array already may have for its block of candidates to hold
# them all: seconds of work, and 128 MB; and the candidates where it has more.
_MAX_BLOCK = 4000
_MAX_CANDIDATES = 1000
# Row blocks that are tried as starts, and supports given to the local search: more of either gained
# nothing on correlations of genes.
_ROW_STARTS, _STARTS = 32, 6
# Entries below this share of a vector's largest count as zero.
_NUMERICAL_ZERO = 1e-9
# Features up to which an operator is applied to all unit vectors, for the certificate.
_MAX_UNIT_VECTORS = 2500


def sparse_eigsh(
    A: MatrixLike | LinearOperator,
    k: int = 1,
    *,
    n_nonzero_coefs: NonzeroCounts = "auto",
    which: Which = "LA",
    n_candidates: int | Auto = "auto",
    tol: float = 0.0,
    random_state: int | None = 0,
    certificate: bool = False,
    positive: bool = False,
    verbose: int = 0,
) -> SparseEigenpairs:
    """Find sparse eigenvectors of a symmetric matrix.

    This is ``scipy.sparse.linalg.eigsh`` with few nonzeros per vector. The matrix may be
    indefinite, and a ``LinearOperator`` that only forms products is enough. For a matrix that can
    only be streamed, see :class:`EigenSketch`.

    Parameters
    ----------
    A : ndarray, sparse matrix or LinearOperator of shape (n, n)
        Symmetric matrix. It is not modified.
    k : int, default=1
        Number of eigenpairs.
    n_nonzero_coefs : int, sequence of int or "auto", default="auto"
        Number of nonzeros of each vector. ``"auto"`` returns the eigenvectors with the zeros that
        they have: this is the whole answer if the eigenvectors of A are sparse, and dense
        otherwise.
    which : {"LA", "SA", "LM"}, default="LA"
        Which eigenvalues to find: the algebraically largest, the algebraically smallest, or those
        of largest magnitude.
    n_candidates : int or "auto", default="auto"
        Number of features that the sparse problem may choose from; they are those with most weight
        in the leading eigenvectors. ``"auto"`` takes all features of an array, and of a sparse
        matrix up to n = 4000; otherwise it takes at least 1000.
    tol : float, default=0.0
        Relative accuracy of the leading eigenvectors. 0 means machine precision.
    random_state : int or None, default=0
        Seed of the start of the Lanczos iteration and of the sparse search.
    certificate : bool, default=False
        Whether to bound also what any vector with as many nonzeros could reach, over all n
        features. The result then has ``upper_bound`` and ``optimality_gap``. If the search for the
        bound meets a better first vector, among all features, the vectors follow from that one.
        This takes a second or two.
    positive : bool, default=False
        Whether vectors must have no negative entries. The unconstrained vectors are kept if they
        have none. The others are local optima for which no exchange is certified, or the best of
        all supports if these are few. The certificate bounds vectors of any signs. Needs a number
        for n_nonzero_coefs.
    verbose : int, default=0
        1 reports how far products, vectors and the certificate are, once they have taken five
        seconds.

    Returns
    -------
    SparseEigenpairs
        ``eigenvectors`` is a csc_array of shape (n, k); later vectors solve the problem deflated
        by the earlier ones. ``residual`` is the largest ||A v - lambda v||. The errors are the
        distances to the eigenpairs of A after one step of block Lanczos from the vectors; if more
        nonzeros were needed, they show how far the sparse vectors are from eigenvectors.

    Raises
    ------
    ValueError
        If A is not square, real, symmetric and finite, if k or n_nonzero_coefs is out of range, or
        if a certificate is wanted for an operator on more than 2500 features.

    Notes
    -----
    The sparse vectors are local optima, found from several starts: exchanging one nonzero for
    another of the ``n_candidates`` does not improve them. If there are at most a thousand supports,
    the best of all is returned. The certificate leaves out features that cannot help, and closes
    the gap by branch and bound where that ends soon, as it mostly does for up to 20 nonzeros of
    strongly correlated features: a gap below 1e-9 is a proof of optimality. See
    ``doc/sparse_eigenproblem.md``. The time is that of the Lanczos products with A, of one product
    for each candidate if A is a LinearOperator, and O(s^2 p) per round of exchanges on p
    candidates. Memory is O(n k + p^2).

    Examples
    --------
    >>> from sklearn_sparse_eig import sparse_eigsh
    >>> from sklearn_sparse_eig.datasets import load_pitprops
    >>> pairs = sparse_eigsh(load_pitprops().data, 1, n_nonzero_coefs=5)
    >>> round(float(pairs.eigenvalues[0]), 4)
    3.4062
    >>> pairs = sparse_eigsh(load_pitprops().data, 1, n_nonzero_coefs=5, certificate=True)
    >>> bool(pairs.optimality_gap[0] < 1e-9)  # no five features do better
    True
    """
    A, n = _check_matrix(A)
    if which not in ("LA", "SA", "LM"):
        raise ValueError(f"which must be 'LA', 'SA' or 'LM', got {which!r}.")
    _check_count("k", k, n)
    automatic = isinstance(n_nonzero_coefs, str) and n_nonzero_coefs == "auto"
    if not isinstance(n_candidates, str) or n_candidates != "auto":
        _check_count("n_candidates", n_candidates, np.inf, "'auto' or an integer")
    if not isinstance(tol, Real) or not tol >= 0.0:
        raise ValueError(f"tol must be a number of at least 0, got {tol!r}.")
    if automatic and positive:
        raise ValueError(
            f"positive=True needs numbers for n_nonzero_coefs, got 'auto'. Give n={n} for vectors "
            "of any number of nonzeros."
        )
    rng = np.random.default_rng(random_state)
    with listening("sparse_eigsh", verbose):
        if automatic:
            vectors = _eigenvectors(A, n, k, which, tol, rng)
            vectors[np.abs(vectors) <= _NUMERICAL_ZERO * np.abs(vectors).max(axis=0)] = 0.0
            vectors /= np.linalg.norm(vectors, axis=0)
            ids = np.arange(n)
        else:
            sizes = _check_sizes(n_nonzero_coefs, k, n)
            if n_candidates == "auto":
                is_block = isinstance(A, np.ndarray) or (sp.issparse(A) and n <= _MAX_BLOCK)
                n_candidates = n if is_block else max(_MAX_CANDIDATES, 2 * int(sizes.max()))
            ids = _candidates(A, n, k, which, tol, rng, min(int(n_candidates), n))
            if len(ids) < sizes.max():
                raise ValueError(
                    f"n_candidates={n_candidates} must be at least n_nonzero_coefs={sizes.max()}."
                )
            search = {"which": which, "positive": positive, "rng": rng}
            vectors = _sparse_vectors(A, n, ids, k, sizes, **search)
        bounds = None
        if certificate:
            sizes = np.count_nonzero(vectors, axis=0) if automatic else sizes
            values = np.einsum("ij,ij->j", vectors, _products(A, n, ids, vectors)[ids])
            bounds, better = upper_bounds(_entries(A, n), sizes, values, which)
            if better is not None and not automatic and not positive:
                ids, vectors = _with_better_first(A, n, ids, vectors, better, sizes, search)
    return _assembled(A, n, ids, vectors, bounds)


def _assembled(A, n, ids, vectors, bounds):
    """Return vectors with rows at ids, their values and their errors."""
    used = np.any(vectors != 0, axis=1)
    ids, vectors = ids[used], vectors[used]
    products = _products(A, n, ids, vectors)
    quadratic = vectors.T @ products[ids]
    eigenvalues = np.diagonal(quadratic).copy()
    inverse = np.linalg.inv(np.linalg.qr(vectors)[1])
    added = np.einsum("ji,jk,ki->i", inverse, quadratic, inverse)
    products[ids] -= vectors * eigenvalues
    placed = np.zeros(products.shape)
    placed[ids] = vectors
    vector_errors, value_errors = lanczos_errors(lambda V: np.asarray(A @ V), placed)
    return assemble_pairs(
        ids,
        vectors,
        eigenvalues,
        n,
        added_variance=added,
        residual=np.linalg.norm(products, axis=0).max(),
        eigenvector_errors=vector_errors,
        eigenvalue_errors=value_errors,
        upper_bound=bounds,
    )


def _check_count(name: str, value: Any, largest: float, kind: str = "an integer") -> None:
    """Raise ValueError unless a value is an integer, no bool, from 1 to the largest."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be {kind}, got {value!r}.")
    if not 1 <= int(value) <= largest:
        interval = "be at least 1" if np.isinf(largest) else f"lie in [1, n={largest}]"
        raise ValueError(f"{name} must {interval}, got {value!r}.")


def _check_sizes(n_nonzero_coefs: Any, k: int, n: int) -> np.ndarray:
    """Return the nonzeros of each vector, shape (k,)."""
    several = isinstance(n_nonzero_coefs, Sequence | np.ndarray) and np.ndim(n_nonzero_coefs) > 0
    sizes = n_nonzero_coefs if several else [n_nonzero_coefs] * k
    if len(sizes) not in (1, k):
        raise ValueError(
            f"n_nonzero_coefs must be an integer or k={k} of them, got {n_nonzero_coefs!r}."
        )
    for size in sizes:
        _check_count("n_nonzero_coefs", size, n, "'auto' or integers")
    return np.broadcast_to(np.array(sizes, dtype=np.int64), (k,))


def _check_matrix(A: Any) -> tuple[Any, int]:
    """Return A as float64 array, CSR array or LinearOperator, and its size."""
    operator = is_linear_operator(A)
    if not operator and not sp.issparse(A):
        A = np.asarray(A)
    check_real(A)
    if not operator:
        A = admit(A, "A")
        A = (
            sp.csr_array(A, dtype=np.float64)
            if sp.issparse(A)
            else A.astype(np.float64, copy=False)
        )
    if len(A.shape) != 2 or A.shape[0] != A.shape[1] or A.shape[0] == 0:
        raise ValueError(f"A must be a square matrix, got shape {tuple(A.shape)}.")
    if not operator:
        check_finite(A, "A")
        check_squares(A, "A")
        A = symmetric_part(A)
    return A, A.shape[0]


def _eigenvectors(A, n, k, which, tol, rng):
    """Return k eigenvectors with canonical signs, shape (n, k), leading first."""
    if n <= _MAX_CANDIDATES or k >= n // 2:
        values, vectors = eigh(_principal_block(A, n, np.arange(n)))
    else:
        start = rng.standard_normal(n)
        if not np.any(A @ start):  # the zero matrix, from which Lanczos iterations cannot start
            return np.eye(n, k)
        values, vectors = eigsh(A, k=k, which=which, tol=tol, v0=start)
    key = {"LA": values, "SA": -values, "LM": np.abs(values)}[which]
    order = np.argsort(-key, kind="stable")[:k]
    vectors = vectors[:, order]
    largest = np.argmax(np.abs(vectors), axis=0)
    return vectors * np.where(vectors[largest, np.arange(k)] < 0, -1.0, 1.0)


def _candidates(A, n, k, which, tol, rng, count):
    """Return the features with most weight in the leading eigenvectors."""
    if count >= n:
        return np.arange(n)
    # A few more than k: a sparse vector may lean on eigenvectors that come later.
    return largest_rows(_eigenvectors(A, n, min(k + 5, n - 1), which, tol, rng), count)


def _sparse_vectors(A, n, ids, k, sizes, **search):
    """Return sparse vectors of the problem on some features."""
    block = _principal_block(A, n, ids)
    with limit_blas(1):  # thousands of small decompositions
        return sparse_principal_vectors(
            block, k, sizes, starts=_STARTS, n_row_starts=_ROW_STARTS, **search
        ).vectors


def _with_better_first(A, n, ids, vectors, better, sizes, search):
    """Return the features and vectors that follow where the first is at least a better one."""
    together = np.union1d(ids, np.flatnonzero(better))
    guesses = np.zeros((len(together), vectors.shape[1]))
    guesses[np.searchsorted(together, ids)] = vectors
    guesses[:, 0] = better[together]
    found = _sparse_vectors(A, n, together, len(sizes), sizes, start_vectors=guesses, **search)
    return together, found


def _principal_block(A, n, ids):
    """Return A[ids][:, ids] as a dense symmetric array."""
    if isinstance(A, LinearOperator):
        block, step = np.empty((len(ids), len(ids))), 64
        for low in range(0, len(ids), step):
            units = np.eye(len(ids), min(step, len(ids) - low), -low)
            block[:, low : low + step] = _products(A, n, ids, units)[ids]
            tell("products with A", "vectors", low, len(ids))
        return 0.5 * (block + block.T)
    if len(ids) == n:
        return A.toarray() if sp.issparse(A) else A
    block = A[ids][:, ids]
    return block.toarray() if sp.issparse(block) else block


def _entries(A, n):
    """Return A, from its products if that is all it offers."""
    if not isinstance(A, LinearOperator):
        return A
    if n > _MAX_UNIT_VECTORS:
        raise ValueError(
            f"certificate=True needs the entries of A, and an operator on {n} features would have "
            f"to be applied to as many vectors (at most {_MAX_UNIT_VECTORS}). Give an array or a "
            "sparse matrix."
        )
    return _principal_block(A, n, np.arange(n))


def _products(A, n, ids, vectors):
    """Return A V for vectors V with rows at ids, shape (n, number of vectors)."""
    dense = np.zeros((n, vectors.shape[1]))
    dense[ids] = vectors
    return np.asarray(A @ dense)
