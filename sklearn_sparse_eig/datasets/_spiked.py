"""Rows whose covariance has known sparse eigenvectors.

The model is ``x = mean + sum_j sqrt(eigenvalue_j) z_j u_j + e``, where the ``z_j`` are independent
standard normal scores, the ``u_j`` are sparse and orthonormal, and ``e`` is noise with independent
entries. Nothing here is ever as large as the number of features unless the answer is.
"""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from scipy import sparse as sp
from sklearn.utils import Bunch, check_random_state

from .._base.typed import ArrayLike, Auto, MatrixLike, RandomSeed

# How far the support of each component is shifted from that of the component before, as a function
# of the number s of nonzero entries. This one number is all that tells the layouts apart.
_SUPPORT_SHIFT = {
    "disjoint": lambda s: s,
    "overlapping": lambda s: s - s // 2,
    "common": lambda s: 0,
}


def make_sparse_spiked_covariance(
    n_samples: int = 1000,
    n_features: int = 1000,
    *,
    eigenvalues: ArrayLike = (40.0, 30.0, 20.0, 15.0),
    n_nonzero_coefs: int = 10,
    support: Literal["disjoint", "overlapping", "common"] = "disjoint",
    noise: float | ArrayLike | Literal["lognormal"] = 1.0,
    mean: float | MatrixLike | None = None,
    sparse: bool = False,
    density: float | Auto = "auto",
    dtype: Any = np.float64,
    index_dtype: Any = None,
    batch_size: int | None = None,
    random_state: RandomSeed = None,
) -> Bunch:
    """Make rows whose covariance is a sum of sparse spikes and a diagonal.

    The population covariance is ``sum_j eigenvalues[j] * u_j u_j^T + diag(noise_variance)``, with
    orthonormal eigenvectors ``u_j`` of `n_nonzero_coefs` nonzero entries each.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows. Zero plants the components only, for any `n_features`.
    n_features : int, default=1000
        Number of features, up to ``2**62``. Dense rows cost memory for every feature; with
        ``sparse=True`` or ``n_samples=0`` nothing of this length is made.
    eigenvalues : array-like of shape (n_components,), default=(40.0, 30.0, 20.0, 15.0)
        Positive variances of the spikes. Noise comes on top.
    n_nonzero_coefs : int, default=10
        Number of nonzero entries of each component.
    support : {"disjoint", "overlapping", "common"}, default="disjoint"
        With "disjoint", no two components share a feature. With "overlapping", each component
        shares ``n_nonzero_coefs // 2`` features with the next one and none with others; this needs
        at least 4 nonzero entries. With "common", all have the same features; this needs at least
        as many nonzero entries as components. The features are drawn uniformly.
    noise : float, array-like of shape (n_features,) or "lognormal", default=1.0
        Standard deviation of the noise, for all features or for each. "lognormal" draws one per
        feature as ``exp(z - 1)`` with ``z`` standard normal: the variances average to 1, the median
        is 0.14, and the loudest of 1000 features is near 90, louder than the default spikes.
    mean : float, array-like of shape (n_features,) or sparse of shape (1, n_features), default=None
        Mean of the rows, zero by default. With ``sparse=True`` it must be an array, and its nonzero
        entries are stored in every row.
    sparse : bool, default=False
        Whether to make CSR rows. The signal is as in the dense case: every row has an entry at
        every feature of the support. The noise hits few entries; see `density`.
    density : float in (0, 1) or "auto", default="auto"
        With ``sparse=True``, the probability that the noise hits a given entry. Hits are scaled by
        about ``1 / sqrt(density)``, so that the variance of every feature is the one asked for.
        "auto" is 5 %, or less where that is more than 50 hits per row.
    dtype : {np.float64, np.float32}, default=np.float64
        Type of the rows. Each type has its own random rows: float32 is not float64 rounded.
    index_dtype : {np.int32, np.int64}, default=None
        Type of the indices of sparse rows. By default the smallest that fits.
    batch_size : int, default=None
        If given, rows are returned as `batches` of at most this many, made on demand, instead of
        `data`.
    random_state : int, RandomState instance or None, default=None
        Seed of components and rows. The rows do not depend on `batch_size`.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the entries

        data : ndarray or csr_array of shape (n_samples, n_features)
            The rows; only without `batch_size`. A csr_array with ``sparse=True``, and with
            ``n_samples=0``, where a dense array could not be as wide as is allowed.
        batches : iterable of ndarray or csr_array
            Only with `batch_size`. It can be iterated any number of times, and gives the same
            batches each time; ``len(batches)`` is their number.
        components : csr_array of shape (n_components, n_features), float64
            The planted eigenvectors, orthonormal rows, the entry of largest magnitude positive.
        eigenvalues : ndarray of shape (n_components,), float64
            The variances of the spikes, in the order of the components.
        support : ndarray of shape (n_support,), int64
            Sorted features which are nonzero in some component.
        noise_variance : float or ndarray of shape (n_features,)
            Variance of the noise; a float if all features have the same.
        mean : float, ndarray of shape (n_features,) or csr_array of shape (1, n_features)
            Mean of the rows, in the form in which it was given.

    Raises
    ------
    ValueError
        If values are out of range, if supports do not fit into `n_features`, if noise or mean have
        a wrong shape, or if a nonzero mean is a scalar with ``sparse=True``.

    Notes
    -----
    Components take ``O(n_components**3 * n_nonzero_coefs)`` time at worst ("common"). Dense rows
    take time O(n_samples * n_features) and memory O(batch_size * n_features), sparse rows time and
    memory proportional to their nonzero entries, up to the sorting of each row.

    The entries of a "disjoint" component are within a factor of 2 of each other, so that none is
    lost in the noise; the others are made orthogonal, and may have small entries.

    With isotropic noise the planted components are the top eigenvectors of the population
    covariance. With unequal noise they are not: they are the factors of factor analysis.

    Sparse noise is a Poisson number of Gaussian hits on each entry. Its covariance is exactly
    ``diag(noise_variance)``, but its fourth moment grows like ``1 / density``: the sample
    covariance comes close to the population covariance only when ``n_samples * density`` is large.
    For very wide rows choose a small `noise`.

    References
    ----------
    I. M. Johnstone, "On the distribution of the largest eigenvalue in principal components
    analysis", Annals of Statistics 29(2), 295-327, 2001, introduced the spiked covariance model.

    Examples
    --------
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> spiked = make_sparse_spiked_covariance(200, 50, eigenvalues=(9, 4), random_state=0)
    >>> spiked.data.shape, spiked.components.shape, spiked.support.shape
    ((200, 50), (2, 50), (20,))

    A stream of rows with a quintillion features:

    >>> spiked = make_sparse_spiked_covariance(
    ...     500, 10**18, sparse=True, noise=0.1, batch_size=200, random_state=0
    ... )
    >>> [X.shape[0] for X in spiked.batches]
    [200, 200, 100]
    """
    n_samples = _check_int("n_samples", n_samples, low=0)
    n_features = _check_int("n_features", n_features, low=1, high=2**62)
    n_nonzero_coefs = _check_int("n_nonzero_coefs", n_nonzero_coefs, low=1)
    if batch_size is not None:
        batch_size = _check_int("batch_size", batch_size, low=1)
    eigenvalues = _check_eigenvalues(eigenvalues)
    dtype = _check_dtype("dtype", dtype, np.float64, np.float32)
    if index_dtype is None:
        index_dtype = np.int32 if n_features <= 2**31 else np.int64
    index_dtype = _check_dtype("index_dtype", index_dtype, np.int64, np.int32)
    if n_features - 1 > np.iinfo(index_dtype).max:
        raise ValueError(
            f"index_dtype={index_dtype} cannot hold the index of the last of "
            f"n_features={n_features} features; use np.int64."
        )

    # 128 bits of entropy, from which every part below derives a stream of random numbers of its
    # own: asking for more rows, or for other noise, does not change the planted components.
    entropy = check_random_state(random_state).randint(2**32, size=4, dtype=np.uint32).tolist()
    components = _plant(len(eigenvalues), n_features, n_nonzero_coefs, support, _rng(entropy, 0))
    noise = _check_noise(noise, n_features, _rng(entropy, 1))
    mean = _check_mean(mean, n_features, sparse)

    model = (components, eigenvalues, noise, mean)
    if sparse or n_samples == 0:
        rows = _SparseRows(*model, _check_density(density, n_features), dtype, index_dtype)
    else:
        rows = _DenseRows(*model, dtype)
    if batch_size is None:
        out = {"data": rows.draw(n_samples, *_row_rngs(rows, entropy))}
    else:
        out = {"batches": _Batches(rows, n_samples, batch_size, entropy)}
    return Bunch(
        **out,
        components=components,
        eigenvalues=eigenvalues,
        support=np.unique(components.indices).astype(np.int64, copy=False),
        noise_variance=noise**2,
        mean=mean,
    )


def _plant(n_components, n_features, n_nonzero, support, rng):
    """Draw orthonormal sparse rows, as a csr_array of shape (n_components, n_features)."""
    if support not in _SUPPORT_SHIFT:
        raise ValueError(f"support must be one of {sorted(_SUPPORT_SHIFT)}; got {support!r}.")
    shift = _SUPPORT_SHIFT[support](n_nonzero)
    n_support = (n_components - 1) * shift + n_nonzero
    # r orthogonal vectors need r shared features; a single shared pair would have to be zero.
    least = {"disjoint": 1, "overlapping": 4 if n_components > 1 else 1, "common": n_components}
    if n_nonzero < least[support]:
        raise ValueError(
            f"n_nonzero_coefs={n_nonzero} is too small for {n_components} orthogonal components "
            f"with support={support!r}: at least {least[support]} are needed."
        )
    if n_support > n_features:
        raise ValueError(
            f"{n_components} components with n_nonzero_coefs={n_nonzero} and support={support!r} "
            f"take {n_support} features, and n_features={n_features}; lower n_nonzero_coefs, or "
            "let the components share features (support='overlapping' or 'common')."
        )
    # Without replacement, NumPy samples a few ids out of many in time and memory of the few.
    features = rng.choice(n_features, n_support, replace=False)
    positions = shift * np.arange(n_components)[:, None] + np.arange(n_nonzero)
    values = rng.uniform(0.5, 1.0, positions.shape) * rng.choice([-1.0, 1.0], positions.shape)
    _orthonormalize(values, shift)
    top = np.abs(values).argmax(axis=1)[:, None]
    values *= np.sign(np.take_along_axis(values, top, axis=1))

    indptr = n_nonzero * np.arange(n_components + 1)
    components = sp.csr_array(
        (values.ravel(), features[positions].ravel(), indptr), shape=(n_components, n_features)
    )
    components.sort_indices()
    return components


def _orthonormalize(values, shift):
    """Orthonormalise, in place, vectors of which each starts `shift` after the one before.

    Gram-Schmidt within the window of each vector, so that no vector gains an entry outside it:
    there, an earlier vector counts only by its part inside the window.
    """
    n_components, length = values.shape
    for j, vector in enumerate(values):
        inside = []
        for i in range(j):
            offset = (j - i) * shift
            if offset < length:
                inside.append(np.pad(values[i, offset:], (0, offset)))
        if inside:
            basis, _ = np.linalg.qr(np.transpose(inside))
            for _ in range(2):  # the second pass removes what cancellation left of the first
                vector -= basis @ (basis.T @ vector)
        vector /= np.linalg.norm(vector)


class _Batches:
    """Re-iterable batches of rows: each iteration starts the random streams afresh.

    The streams are read strictly row by row, so the rows do not depend on where batches end.
    """

    def __init__(self, rows, n_samples, batch_size, entropy):
        self._rows = rows
        self._entropy = entropy
        self.n_samples = n_samples
        self.batch_size = batch_size

    def __len__(self):
        return -(-self.n_samples // self.batch_size)

    def __iter__(self):
        rngs = _row_rngs(self._rows, self._entropy)
        for start in range(0, self.n_samples, self.batch_size):
            yield self._rows.draw(min(self.batch_size, self.n_samples - start), *rngs)

    def __repr__(self):
        return f"<{len(self)} batches of at most {self.batch_size} of {self.n_samples} rows>"


class _DenseRows:
    """Draws dense rows from a stream of scores and a stream of noise."""

    n_streams = 2

    def __init__(self, components, eigenvalues, noise, mean, dtype):
        self.columns, self.loadings = _loadings(components, eigenvalues)
        self.n_features = components.shape[1]
        self.noise, self.mean, self.dtype = noise, mean, dtype

    def draw(self, n_rows, score_rng, noise_rng):
        X = noise_rng.standard_normal((n_rows, self.n_features), dtype=self.dtype)
        X *= self.noise
        # A sparse product adds in the same order for any number of rows; BLAS may not.
        scores = score_rng.standard_normal((n_rows, self.loadings.shape[0]))
        X[:, self.columns] += scores @ self.loadings
        X += self.mean.toarray() if sp.issparse(self.mean) else self.mean
        return X


class _SparseRows:
    """Draws CSR rows from streams of scores and of numbers, places and sizes of the noise hits."""

    n_streams = 4

    def __init__(self, components, eigenvalues, noise, mean, density, dtype, index_dtype):
        self.has_mean = not np.isscalar(mean)
        if self.has_mean:
            # The mean is one more component, whose score is always one.
            mean = sp.csr_array(mean if sp.issparse(mean) else mean[None, :])
            components = sp.vstack([components, mean], format="csr")
            eigenvalues = np.append(eigenvalues, 1.0)
        self.columns, self.loadings = _loadings(components, eigenvalues)
        self.n_features = components.shape[1]
        # An entry hit by Poisson(rate) draws is untouched with probability 1 - density. Repeated
        # hits add up, which leaves the variance exact and needs no search for distinct columns.
        self.rate = -np.log1p(-density)
        self.noise, self.dtype, self.index_dtype = noise, dtype, index_dtype

    def draw(self, n_rows, score_rng, count_rng, column_rng, noise_rng):
        scores = score_rng.standard_normal((n_rows, self.loadings.shape[0] - self.has_mean))
        if self.has_mean:
            scores = np.hstack([scores, np.ones((n_rows, 1))])
        signal = scores @ self.loadings

        counts = count_rng.poisson(self.rate * self.n_features if np.any(self.noise) else 0, n_rows)
        hit = column_rng.integers(self.n_features, size=counts.sum())
        scale = self.noise if np.isscalar(self.noise) else self.noise[hit]
        noise = noise_rng.standard_normal(hit.size) * scale / np.sqrt(self.rate)

        row = np.arange(n_rows)
        rows = np.concatenate([row.repeat(self.columns.size), row.repeat(counts)])
        columns = np.concatenate([np.tile(self.columns, n_rows), hit])
        values = np.concatenate([signal.ravel(), noise]).astype(self.dtype, copy=False)
        X = sp.coo_array((values, (rows, columns)), shape=(n_rows, self.n_features)).tocsr()
        # SciPy's choice varies with its version. More than 2^31 entries need int64 all the same.
        index_dtype = np.promote_types(self.index_dtype, np.min_scalar_type(-X.nnz))
        X.indices = X.indices.astype(index_dtype, copy=False)
        X.indptr = X.indptr.astype(index_dtype, copy=False)
        return X


def _loadings(components, eigenvalues):
    """Features in use, and the components on them alone, scaled to their standard deviations."""
    columns, indices = np.unique(components.indices, return_inverse=True)
    values = components.data * np.sqrt(eigenvalues).repeat(np.diff(components.indptr))
    shape = (len(eigenvalues), columns.size)
    return columns, sp.csr_array((values, indices, components.indptr), shape=shape)


def _rng(entropy, stream):
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(stream,)))


def _row_rngs(rows, entropy):
    # Streams 0 and 1 belong to the components and to the noise levels.
    return [_rng(entropy, 2 + k) for k in range(rows.n_streams)]


def _check_int(name, value, low, high=None):
    if not isinstance(value, Integral) or value < low or (high is not None and value > high):
        bounds = f"at least {low}" + (f" and at most {high}" if high is not None else "")
        raise ValueError(f"{name} must be an integer, {bounds}; got {value!r}.")
    return int(value)


def _check_dtype(name, value, *allowed):
    allowed = [np.dtype(t) for t in allowed]
    if np.dtype(value) not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(str, allowed))}; got {value!r}.")
    return np.dtype(value)


def _check_eigenvalues(eigenvalues):
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim != 1 or not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            "eigenvalues must be a list of positive finite numbers, one for each component to "
            f"plant; got {eigenvalues!r}."
        )
    return values.copy()


def _check_noise(noise, n_features, rng):
    if isinstance(noise, str):
        if noise != "lognormal":
            raise ValueError(
                "noise must be a standard deviation, an array of one for each feature, or "
                f"'lognormal'; got {noise!r}."
            )
        return np.exp(rng.standard_normal(n_features) - 1.0)
    values = np.asarray(noise, dtype=np.float64)
    if values.shape not in ((), (n_features,)):
        raise ValueError(
            f"noise must be a number or of shape (n_features,) = ({n_features},); got shape "
            f"{values.shape}."
        )
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError("noise is a standard deviation: it must be finite and not negative.")
    return values.copy() if values.ndim else float(values)


def _check_mean(mean, n_features, sparse):
    if mean is None:
        return 0.0
    if sp.issparse(mean):
        shape, mean = (1, n_features), sp.csr_array(mean, dtype=np.float64, copy=True)
    else:
        shape, mean = (n_features,), np.array(mean, dtype=np.float64)
    if mean.ndim and mean.shape != shape:
        raise ValueError(
            f"mean must be a number, an array of shape ({n_features},), or sparse of shape "
            f"(1, {n_features}); got shape {mean.shape}."
        )
    if not np.isfinite(mean.data if sp.issparse(mean) else mean).all():
        raise ValueError("mean must be finite, but some of its entries are NaN or infinite.")
    if mean.ndim:
        return mean
    if sparse and mean:
        raise ValueError(
            f"mean={float(mean)} would fill every entry of the sparse rows; give an array, whose "
            "nonzero entries alone are stored, or use sparse=False."
        )
    return float(mean)


def _check_density(density, n_features):
    if isinstance(density, str) and density == "auto":
        return min(0.05, 50 / n_features)
    if not isinstance(density, Real) or not 0 < density < 1:
        raise ValueError(
            f"density must be 'auto' or a number strictly between 0 and 1; got {density!r}. For "
            "noise on every entry use sparse=False."
        )
    return float(density)
