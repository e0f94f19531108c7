"""Deep matrix factorisation, stopped while it is of low rank: the scikit-learn shells."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.covariance import EmpiricalCovariance
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ._compat import Interval, StrOptions, fit_context
from .lowrank import effective_rank
from .lowrank._fit import Run, fit_complete, fit_missing, fit_spectrum, is_symmetric
from .lowrank._greedy import row_coordinates
from .lowrank._moments import RunningCovariance, covariance_of_sketch

_RUN_CONSTRAINTS = {
    "depth": [Interval(Integral, 2, None, closed="left")],
    "init_scale": [Interval(Real, 0, None, closed="neither")],
    "init_perturbation": [Interval(Real, 0, None, closed="left")],
    "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "stopping": [StrOptions({"plateau", "rank", "time", "discrepancy"})],
    "rank": [Interval(Integral, 1, None, closed="left"), None],
    "time": [Interval(Real, 0, None, closed="left"), None],
    "noise_level": [Interval(Real, 0, None, closed="left"), None],
    "tol": [Interval(Real, 0, 1, closed="neither")],
}


def _run_of(estimator, max_iter):
    return Run(
        depth=estimator.depth,
        init_scale=estimator.init_scale,
        init_perturbation=estimator.init_perturbation,
        learning_rate=estimator.learning_rate,
        stopping=estimator.stopping,
        rank=estimator.rank,
        time=estimator.time,
        noise_level=estimator.noise_level,
        tol=estimator.tol,
        max_iter=max_iter,
    )


class _StoppedRun:
    """What both estimators tell of the run."""

    def _set_run(self, fit):
        self.eigenvalues_ = fit.values
        self.spectrum_ = fit.spectrum
        self.filter_ = fit.filter
        self.effective_rank_ = effective_rank(fit.values)
        self.n_components_ = fit.n_components
        self.components_ = fit.vectors[:, : fit.n_components].T
        self.low_rank_intervals_ = fit.stop.intervals
        self.interval_is_nonempty_ = fit.stop.nonempty
        self.stopping_time_ = fit.stop.time
        self.learning_rate_ = fit.step
        self.n_iter_ = fit.n_iter

    def path(self, times):
        """Return the run at other times, as gradient flow makes it.

        Parameters
        ----------
        times : array-like of shape (n_times,)
            In gradient-flow time: steps times ``learning_rate_``.

        Returns
        -------
        eigenvalues : ndarray of shape (n_times, k)
            In the order of ``spectrum_``.
        effective_ranks : ndarray of shape (n_times,)

        Raises
        ------
        ValueError
            If a time is negative, or X had missing entries: there is no closed form for these.
        """
        check_is_fitted(self)
        if getattr(self, "_has_missing", False):
            raise ValueError(
                'path needs a matrix without missing entries. Fit with solver="gd" and '
                'stopping="time" for single times.'
            )
        times = np.asarray(times, dtype=np.float64)
        if times.ndim != 1 or not (times >= 0).all():
            raise ValueError("times must be a vector of non-negative numbers.")
        values = _run_of(self, 1).make_flow(self.spectrum_).values_at(times)
        return values, np.array([effective_rank(row) for row in values])


class DeepMatrixFactorization(
    _StoppedRun, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Low-rank approximation that stops at a rank instead of being told one.

    Gradient descent on the product of several matrices, started small, learns the large singular
    values of X one after the other. Stopped on the longest plateau between two of them, it is a
    denoiser whose rank the data have chosen. Without missing entries the whole run is known in
    closed form from one decomposition of X; with missing entries (NaN) it completes the matrix.

    Parameters
    ----------
    depth : int, default=3
        Number of factors, at least 2. More separate the singular values more sharply and take
        longer.
    init_scale : float, default=0.1
        Size of the factors at the start. The singular values start at ``init_scale ** depth``, in
        the units of X: scale X, or this, so that it lies well below those to be learned.
    init_perturbation : float, default=0.0
        How much smaller one factor starts, at most ``init_scale``. Only matters for symmetric
        matrices: at 0 their negative eigenvalues are never learned.
    learning_rate : float or "auto", default="auto"
        Step size of gradient descent. ``"auto"`` is the largest for which the eigenvalues rise
        without overshooting. The closed form uses it for ``n_iter_`` alone.
    stopping : {"plateau", "rank", "time", "discrepancy"}, default="plateau"
        ``"plateau"`` the rank after which the next singular value takes longest to follow,
        relative to the time so far; ``"rank"`` that of ``rank``; ``"time"`` at ``time``;
        ``"discrepancy"`` when the residual's spectral norm is down to ``noise_level``.
    rank : int or None, default=None
        For ``"rank"`` the rank, for ``"plateau"`` the largest that is considered.
    time : float or None, default=None
        Gradient-flow time, steps times step size, for ``"time"``.
    noise_level : float or None, default=None
        A bound on the spectral norm of the noise in X (for n x m entries of standard deviation
        sigma, about sigma (sqrt(n) + sqrt(m))). ``low_rank_intervals_`` then holds for every
        matrix that near to X.
    tol : float, default=0.05
        What counts as learned (all but this share) and as not yet there (this share).
    solver : {"auto", "spectral", "gd", "greedy"}, default="auto"
        ``"spectral"`` the closed form of gradient flow, without missing entries. ``"gd"`` literal
        gradient descent, with missing entries on the factors themselves, which can take very many
        steps. ``"greedy"`` the limit of a vanishing start, rank by rank with alternating least
        squares, with missing entries. ``"auto"`` is ``"greedy"`` where there are missing entries,
        else ``"spectral"``.
    max_iter : int, default=100000
        Most steps of ``"gd"``, and most alternations at each rank of ``"greedy"``.

    Attributes
    ----------
    eigenvalues_ : ndarray of shape (k,)
        Singular values of the stopped product; eigenvalues where X is symmetric.
    spectrum_ : ndarray of shape (k,)
        Those of X. With missing entries, for ``"greedy"`` the spectral norm of the residual at
        rank 0, 1, and so on.
    filter_ : ndarray of shape (k,)
        ``eigenvalues_ / spectrum_``: 1 is learned, 0 is not. Ones where entries are missing.
    components_ : ndarray of shape (n_components_, n_features)
        Right singular vectors that have been learned, the entry of largest magnitude positive.
    n_components_ : int
        The rank chosen.
    effective_rank_ : float
        Of the stopped product, see :func:`effective_rank`.
    low_rank_intervals_ : ndarray of shape (n_ranks, 3)
        Rows (rank, beginning, end), see :func:`low_rank_intervals`.
    interval_is_nonempty_ : bool or None
        Whether that of the rank chosen is; None where a time was chosen.
    stopping_time_ : float
    learning_rate_ : float
    n_iter_ : int
        Steps of gradient descent that lead there, made or not; alternations for ``"greedy"``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where all features of X had string names.

    See Also
    --------
    DeepFactorizationCovariance : The same for covariances.
    low_rank_intervals, effective_rank
    sklearn.decomposition.TruncatedSVD : Where the rank is known.

    Notes
    -----
    Stopped on a plateau this *is* the truncated singular value decomposition, up to ``tol``: it is
    as good as one that was told the rank, and not better. The longest plateau is asymptotically
    the largest ratio of neighbouring singular values. Do not use it where the spectrum decays
    without a gap (its rank is arbitrary there; choose one by cross-validation), where noise is far
    above the signal, or to shrink singular values optimally for a known noise: it hardly shrinks
    those that it has learned. X is not centred.

    Time O(n m min(n, m)) for the decomposition, and O(k) for the run, whatever its length. Each
    alternation of ``"greedy"`` costs O(n m r^2), each step of ``"gd"`` with missing entries
    O(depth n m min(n, m)).

    References
    ----------
    H.-H. Chou, C. Gieshoff, J. Maly, H. Rauhut, *Gradient descent for deep matrix factorization:
    dynamics and implicit bias towards low rank*, arXiv:2011.13772 (the phenomenon, and stopping by
    effective rank); J. Wang, H.-H. Chou, arXiv:2605.28613 (its persistence under noise). The
    formulas used here are derived in ``doc/low_rank_and_smooth.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import DeepMatrixFactorization
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40))
    >>> noisy = signal + 0.3 * rng.normal(size=signal.shape)
    >>> model = DeepMatrixFactorization().fit(noisy)
    >>> model.n_components_
    3
    >>> denoised = model.inverse_transform(model.transform(noisy))
    >>> bool(np.linalg.norm(denoised - signal) < 0.4 * np.linalg.norm(noisy - signal))
    True
    """

    _parameter_constraints: dict = {
        **_RUN_CONSTRAINTS,
        "solver": [StrOptions({"auto", "spectral", "gd", "greedy"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        depth=3,
        init_scale=0.1,
        *,
        init_perturbation=0.0,
        learning_rate="auto",
        stopping="plateau",
        rank=None,
        time=None,
        noise_level=None,
        tol=0.05,
        solver="auto",
        max_iter=100_000,
    ):
        self.depth = depth
        self.init_scale = init_scale
        self.init_perturbation = init_perturbation
        self.learning_rate = learning_rate
        self.stopping = stopping
        self.rank = rank
        self.time = time
        self.noise_level = noise_level
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Run on X, and stop.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing. A symmetric matrix is decomposed into eigenvectors.
        y : Ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X has infinite entries or an empty row or column, is too small in scale for
            ``init_scale``, the step size is not stable (the message says the bound), the stopping
            rule lacks its parameter, or solver and missing entries do not go together.

        Warns
        -----
        UserWarning
            If the low-rank interval of the rank is empty; the message says its ends.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        observed = ~np.isnan(X)
        run, symmetric = _run_of(self, self.max_iter), is_symmetric(X)
        if observed.all():
            if self.solver == "greedy":
                raise ValueError(
                    'solver="greedy" is for missing entries, and X has none. Use "spectral".'
                )
            fit = fit_complete(X, run, symmetric=symmetric, literal=self.solver == "gd")
        elif self.solver == "spectral":
            raise ValueError(
                f'solver="spectral" needs all entries, and X misses {(~observed).sum()} (NaN). '
                'Use "greedy" or "gd".'
            )
        else:
            literal = self.solver == "gd"
            fit = fit_missing(X, observed, run, symmetric=symmetric, literal=literal)
        self._has_missing = not observed.all()
        self._set_run(fit)
        return self

    def transform(self, X):
        """Return the coordinates of rows in the components, filtered as those of the fit were.

        ``inverse_transform(transform(X))`` denoises rows, and completes those with missing
        entries: their coordinates are fitted to what is known of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            NaN where missing.

        Returns
        -------
        ndarray of shape (n_samples, n_components_)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        coordinates = row_coordinates(X, ~np.isnan(X), self.components_.T)
        return coordinates * self.filter_[: self.n_components_]

    def inverse_transform(self, X):
        """Return the rows with given coordinates: ``X @ components_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = check_array(X, dtype=np.float64)
        if X.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {X.shape[1]} columns, but there are {self.n_components_} components."
            )
        return X @ self.components_

    def score(self, X, y=None):
        """Return the negative mean squared error of denoised rows, over entries that are known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        float
        """
        error = self.inverse_transform(self.transform(X)) - np.asarray(X, dtype=np.float64)
        return -float(np.nanmean(error**2))

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class DeepFactorizationCovariance(_StoppedRun, EmpiricalCovariance):
    """Covariance of low rank plus noise, the rank being where a deep factorisation dwells.

    The eigenvalues of the empirical covariance are filtered as gradient descent on a product of
    ``depth`` matrices would, stopped on its longest plateau. The variance that is left goes in
    equal parts to all directions that have not been learned, so that the result can be inverted.

    Parameters
    ----------
    depth, init_scale, init_perturbation, learning_rate, stopping, rank, time, noise_level, tol
        As in :class:`DeepMatrixFactorization`. ``init_scale ** depth`` is in the units of a
        variance.
    noise_variance : float or "auto", default="auto"
        Variance of the directions that have not been learned. ``"auto"`` is their mean, which
        keeps the trace. At 0 the result is singular, and its precision a pseudo-inverse.
    store_precision : bool, default=True
        Keep the inverse too.
    assume_centered : bool, default=False
        Whether the mean is known to be zero.

    Attributes
    ----------
    covariance_ : ndarray of shape (n_features, n_features)
        With eigenvalues ``filter_ * spectrum_ + (1 - filter_) * noise_variance_``. From a
        compressed sketch, of the features in ``support_`` alone.
    precision_ : ndarray of shape (n_features, n_features)
        Its inverse, where ``store_precision``.
    location_ : ndarray of shape (n_features,)
        The mean.
    noise_variance_ : float
    support_ : ndarray of int64 or None
        After a fit to a compressed sketch, the features that the covariance is about.
    n_samples_seen_ : int
    eigenvalues_, spectrum_, filter_, components_, n_components_, effective_rank_, \
low_rank_intervals_, interval_is_nonempty_, stopping_time_, learning_rate_, n_iter_
        As in :class:`DeepMatrixFactorization`; the eigenvectors of the covariance are meant.
    n_features_in_ : int

    See Also
    --------
    DeepMatrixFactorization
    sklearn.covariance.LedoitWolf, sklearn.covariance.OAS : Without a low-rank structure.
    sklearn.decomposition.PCA : The same form of covariance for a rank that is given.

    Notes
    -----
    For a spectrum without a gap, use ``LedoitWolf`` or ``OAS``: here a rank would be chosen all
    the same. Eigenvalues that have been learned keep the upward bias of sample eigenvalues when
    features are many.

    O(p^2) memory, O(n p^2) time for n rows of p features and O(p^3) for the decomposition.

    References
    ----------
    As :class:`DeepMatrixFactorization`. The floor, and so the shrinkage of each eigenvalue towards
    the mean of those not learned, is derived here.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import DeepFactorizationCovariance
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 2)) @ rng.normal(size=(2, 30)) + 0.3 * rng.normal(size=(100, 30))
    >>> model = DeepFactorizationCovariance().fit(X)
    >>> model.n_components_, round(model.noise_variance_, 2)
    (2, 0.09)
    """

    _parameter_constraints: dict = {
        **EmpiricalCovariance._parameter_constraints,
        **_RUN_CONSTRAINTS,
        "noise_variance": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
    }

    def __init__(
        self,
        depth=3,
        init_scale=0.1,
        *,
        init_perturbation=0.0,
        learning_rate="auto",
        stopping="plateau",
        rank=None,
        time=None,
        noise_level=None,
        tol=0.05,
        noise_variance="auto",
        store_precision=True,
        assume_centered=False,
    ):
        super().__init__(store_precision=store_precision, assume_centered=assume_centered)
        self.depth = depth
        self.init_scale = init_scale
        self.init_perturbation = init_perturbation
        self.learning_rate = learning_rate
        self.stopping = stopping
        self.rank = rank
        self.time = time
        self.noise_level = noise_level
        self.tol = tol
        self.noise_variance = noise_variance

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit to X alone, forgetting what was seen before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is not finite, has no variance beyond the start of the run, or the stopping rule
            lacks its parameter.

        Warns
        -----
        UserWarning
            If the low-rank interval of the rank is empty, or X has a single row.
        """
        X = validate_data(self, X, dtype=np.float64)
        return self._add(RunningCovariance.empty(X.shape[1]), X)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None):
        """Add rows: the result is that of one fit to all of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As :meth:`fit`, and if the last fit was to a sketch.
        """
        first = not hasattr(self, "_moments")
        X = validate_data(self, X, dtype=np.float64, reset=first)
        moments = RunningCovariance.empty(X.shape[1]) if first else self._moments
        if moments is None:
            raise ValueError("The last fit was to a sketch: add the rows to that sketch instead.")
        return self._add(moments, X)

    def _add(self, moments, X):
        moments = moments.add(X)
        if moments.n_samples == 1:
            warnings.warn("Only one sample available: the covariance of it is zero.", stacklevel=3)
        n_informed = moments.n_samples - (not self.assume_centered)
        self._filter(moments.covariance(self.assume_centered), n_informed=n_informed)
        self._moments, self.support_ = moments, None
        self.n_samples_seen_ = moments.n_samples
        self.location_ = (
            np.zeros(self.n_features_in_) if self.assume_centered else moments.mean.copy()
        )
        return self

    @fit_context(prefer_skip_nested_validation=True)
    def fit_sketch(self, sketch, *, n_components=None, **options):
        """Fit to an :class:`EigenSketch` rather than to rows.

        An exact sketch is the covariance, and the result is that of :meth:`fit` to its rows. A
        compressed one is recovered first: the covariance is then about the features of the sparse
        vectors that are found, ``support_``, and 0 elsewhere is not claimed.

        Parameters
        ----------
        sketch : EigenSketch
        n_components : int, default=None
            Sparse vectors to recover from a compressed sketch.
        **options
            For :meth:`EigenSketch.recover`, such as ``n_nonzero_coefs``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the sketch is empty, or compressed and n_components is not given.
        """
        A, mean, support, noise = covariance_of_sketch(sketch, n_components, options)
        if self.assume_centered and sketch.center:
            raise ValueError("assume_centered=True needs a sketch with center=False.")
        self.n_features_in_ = len(A)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._filter(A, noise, sketch.n_samples - sketch.center)
        self._moments, self.support_ = None, support
        self.n_samples_seen_ = sketch.n_samples
        self.location_ = mean
        return self

    def _filter(self, A, noise=0.0, n_informed=np.inf):
        """Set the filtered covariance of A, and of `noise` times the identity beside it.

        At most `n_informed` eigenvalues are not zero for lack of rows.
        """
        if not np.any(A):
            # As other estimators of the family: a single row, or constant ones.
            self._set_zero(A, noise)
            return
        values, vectors = np.linalg.eigh(A)
        values = np.maximum(values[::-1], 0.0)
        n_informed = min(n_informed, len(A))
        run = _run_of(self, 1)
        fit = fit_spectrum(values, vectors[:, ::-1], run, n_informed=n_informed)
        self._set_run(fit)
        left = 1.0 - self.filter_
        if self.noise_variance != "auto":
            self.noise_variance_ = float(self.noise_variance)
        else:
            shares = left.sum()
            self.noise_variance_ = noise + (
                float(left @ self.spectrum_ / shares) if shares > 0 else 0.0
            )
        kept = self.filter_ * (self.spectrum_ + noise) + left * self.noise_variance_
        self._set_covariance((fit.vectors * kept) @ fit.vectors.T)

    def _set_zero(self, A, noise):
        self.eigenvalues_ = self.spectrum_ = self.filter_ = np.zeros(len(A))
        self.components_ = np.zeros((0, len(A)))
        self.effective_rank_, self.n_components_ = 0.0, 0
        self.low_rank_intervals_ = np.zeros((0, 3))
        self.interval_is_nonempty_ = None
        self.stopping_time_, self.learning_rate_, self.n_iter_ = 0.0, np.inf, 0
        automatic = self.noise_variance == "auto"
        self.noise_variance_ = noise if automatic else float(self.noise_variance)
        self._set_covariance(self.noise_variance_ * np.eye(len(A)))
