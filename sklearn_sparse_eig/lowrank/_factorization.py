"""Deep matrix factorisation, stopped while it is of low rank: the estimator."""

from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.fitting import fitting
from .._base.rows import validate_array, validate_rows
from .._base.typed import (
    ArrayLike,
    Auto,
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from ._fit import fit_complete, fit_missing, is_symmetric
from ._greedy import row_coordinates
from ._stopped_run import RUN_CONSTRAINTS, StoppedRun, StoppingRule, run_of


class DeepMatrixFactorization(
    StoppedRun, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
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
        **RUN_CONSTRAINTS,
        "solver": [StrOptions({"auto", "spectral", "gd", "greedy"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        depth: int = 3,
        init_scale: float = 0.1,
        *,
        init_perturbation: float = 0.0,
        learning_rate: float | Auto = "auto",
        stopping: StoppingRule = "plateau",
        rank: int | None = None,
        time: float | None = None,
        noise_level: float | None = None,
        tol: float = 0.05,
        solver: Literal["auto", "spectral", "gd", "greedy"] = "auto",
        max_iter: int = 100_000,
    ) -> None:
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

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
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
        X = validate_rows(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        observed = ~np.isnan(X)
        run, symmetric = run_of(self, self.max_iter), is_symmetric(X)
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

    def transform(self, X: ArrayLike) -> np.ndarray:
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
        X = validate_rows(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        coordinates = row_coordinates(X, ~np.isnan(X), self.components_.T)
        return coordinates * self.filter_[: self.n_components_]

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Return the rows with given coordinates: ``X @ components_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        X = validate_array(X, dtype=np.float64)
        if X.shape[1] != self.n_components_:
            raise ValueError(
                f"X has {X.shape[1]} columns, but there are {self.n_components_} components."
            )
        return X @ self.components_

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the negative mean squared error of denoised rows, over entries that are known.

        The rows' own entries are fitted, so a higher rank never does worse: to choose parameters
        hide some entries of the rows, as in ``doc/low_rank_and_smooth.md``.

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
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
