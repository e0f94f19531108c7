"""Deep matrix factorisation, stopped while it is of low rank: the estimator."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.dtypes import check_squares
from .._base.fitting import fitting
from .._base.progress import listening
from .._base.rows import validate_array, validate_rows
from .._base.typed import (
    ArrayLike,
    Auto,
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from ._fit import fit_complete, fit_missing, is_symmetric
from ._held_out import make_offsets
from ._row_model import RowModel
from ._stopped_run import RUN_CONSTRAINTS, StoppedRun, StoppingRule, run_of
from ._warnings import warn_if_only_mean, warn_if_running_away, warn_if_unlinked


class DeepMatrixFactorization(
    StoppedRun, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Low-rank approximation that finds its rank instead of being told one.

    Gradient descent on the product of several matrices, from a small start, learns the large
    singular values of X one after the other. Stopped on the longest plateau between two of them, it
    is a denoiser whose rank is chosen by the data: the whole run is known in closed form from one
    decomposition of X. With missing entries (NaN) it completes the matrix, and the rank is the one
    that predicts entries best that were held out.

    Parameters
    ----------
    depth : int, default=3
        Number of factors, at least 2. More factors separate the singular values more sharply and
        take longer.
    init_scale : float, default=0.1
        Size of the factors at the start. The singular values start at ``init_scale ** depth``, in
        the units of X. Scale X, or this parameter, so that this lies well below the singular values
        to be learned.
    init_perturbation : float, default=0.0
        Amount by which one factor starts smaller, at most ``init_scale``. It matters only for
        symmetric matrices, whose negative eigenvalues are never learned at 0.
    learning_rate : float or "auto", default="auto"
        Step size of gradient descent. ``"auto"`` is the largest step for which the eigenvalues rise
        without overshooting. The closed form uses it only for ``n_iter_``.
    stopping : {"auto", "plateau", "rank", "time", "discrepancy", "validation"}, default="auto"
        Stopping rule. ``"plateau"`` stops at the rank after which the next singular value takes
        longest to follow, relative to the time so far. ``"rank"`` stops at ``rank`` and ``"time"``
        at ``time``. ``"discrepancy"`` stops when the spectral norm of the residual has fallen to
        ``noise_level``. ``"validation"`` holds a share of the known entries out, and takes the rank
        and the amount of shrinkage that predict them best. ``"auto"`` is ``"rank"`` if ``rank`` is
        given, else ``"validation"`` for ``solver="greedy"``, for few entries determine a plateau
        badly, and ``"plateau"`` otherwise.
    rank : int or None, default=None
        The rank for ``"rank"``, and the largest rank that is considered for ``"plateau"`` and
        ``"validation"``.
    time : float or None, default=None
        Time of the gradient flow for ``"time"``, which is the number of steps times their size.
    noise_level : float or None, default=None
        A bound on the spectral norm of the noise in X: about sigma (sqrt(n) + sqrt(m)) for n x m
        entries of standard deviation sigma. If it is given, ``low_rank_intervals_`` holds for every
        matrix within this distance of X.
    tol : float, default=0.05
        A singular value counts as learned if at most this share of it is missing, and as not yet
        there if at most this share of it has been reached.
    solver : {"auto", "spectral", "gd", "greedy"}, default="auto"
        ``"spectral"`` is the closed form of gradient flow, without missing entries. ``"gd"`` is
        literal gradient descent; with missing entries it runs on the factors themselves, and can
        take very many steps. ``"greedy"`` is the limit of a vanishing start, computed rank by rank
        with alternating least squares, for missing entries. ``"auto"`` is ``"greedy"`` if entries
        are missing, ``stopping="validation"`` or ``center="effects"``, and ``"spectral"``
        otherwise.
    max_iter : int, default=100000
        Largest number of steps of ``"gd"``, and of alternations at each rank of ``"greedy"``.
    center : {"auto", "columns", "effects"} or None, default="auto"
        What is subtracted from X before. A mean far from zero is the largest singular value, and a
        plateau behind it ends the run there. ``"columns"`` subtracts the mean of each column, as
        PCA does. ``"effects"`` subtracts one number for each column and one for each row, shrunk
        as far as their variances demand, which suits tables of ratings; it needs
        ``solver="greedy"``. ``"auto"`` is ``"effects"`` or None with ``stopping="validation"``,
        whichever predicts better, and None otherwise.
    validation_fraction : float, default=0.1
        Share of the known entries that ``"validation"`` holds out at a time: once, or up to five
        times where that makes less than 1000 entries.
    random_state : int, RandomState instance or None, default=None
        Which entries are held out. Pass an int for the same result at every call.
    verbose : int, default=0
        1 reports how far a fit is, once it has taken five seconds.

    Attributes
    ----------
    eigenvalues_ : ndarray of shape (k,)
        Singular values of the stopped product, or its eigenvalues if X is symmetric.
    spectrum_ : ndarray of shape (k,)
        Singular values or eigenvalues of X. For ``"greedy"`` with missing entries, these are the
        spectral norms of the residual at rank 0, 1, and so on.
    filter_ : ndarray of shape (k,)
        ``eigenvalues_ / spectrum_``, which is 1 for values that have been learned and 0 for those
        that have not. If entries are missing, all are ones.
    components_ : ndarray of shape (n_components_, n_features)
        Right singular vectors that have been learned, with the entry of largest magnitude positive.
    mean_ : ndarray of shape (n_features,)
        What is subtracted from each row, zeros if nothing is.
    n_components_ : int
        The rank chosen, and one more where rows have effects of their own.
    effective_rank_ : float
        Effective rank of the stopped product; see :func:`effective_rank`.
    low_rank_intervals_ : ndarray of shape (n_ranks, 3)
        Rows (rank, beginning, end); see :func:`low_rank_intervals`.
    interval_is_nonempty_ : bool or None
        Whether the interval of the chosen rank is nonempty; None if a time was chosen.
    stopping_time_ : float
        Time of the gradient flow at which it is stopped.
    learning_rate_ : float
        Step size that was used.
    n_iter_ : int
        Number of steps of gradient descent that lead to the result, whether or not they were made;
        for ``"greedy"``, the number of alternations.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    DeepFactorizationCovariance : The same for covariances.
    low_rank_intervals : The intervals of ``low_rank_intervals_``.
    effective_rank : The effective rank of a spectrum.
    sklearn.decomposition.TruncatedSVD : An approximation of a rank that is known.

    Notes
    -----
    Stopped on a plateau, this *is* the truncated singular value decomposition up to ``tol``: it is
    as good as one that was told the rank, and not better. Asymptotically, the longest plateau is
    the largest ratio of neighbouring singular values. Do not use it if the spectrum decays without
    a gap, where its rank is arbitrary (choose one by cross-validation); if noise is far above the
    signal; or to shrink singular values optimally for a known noise, because it hardly shrinks
    those that it has learned. ``stopping="validation"`` shrinks, and has no need of a gap.

    The decomposition takes O(n m min(n, m)) time, and the run O(k), whatever its length. Each
    alternation of ``"greedy"`` takes O(n m r^2), and each step of ``"gd"`` with missing entries
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

    mean_: np.ndarray
    n_features_in_: int
    feature_names_in_: np.ndarray

    _parameter_constraints: dict = {
        **RUN_CONSTRAINTS,
        "stopping": [StrOptions({"auto", "plateau", "rank", "time", "discrepancy", "validation"})],
        "solver": [StrOptions({"auto", "spectral", "gd", "greedy"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "center": [StrOptions({"auto", "columns", "effects"}), None],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        depth: int = 3,
        init_scale: float = 0.1,
        *,
        init_perturbation: float = 0.0,
        learning_rate: float | Auto = "auto",
        stopping: StoppingRule | Literal["auto", "validation"] = "auto",
        rank: int | None = None,
        time: float | None = None,
        noise_level: float | None = None,
        tol: float = 0.05,
        solver: Literal["auto", "spectral", "gd", "greedy"] = "auto",
        max_iter: int = 100_000,
        center: Literal["auto", "columns", "effects"] | None = "auto",
        validation_fraction: float = 0.1,
        random_state: Any = None,
        verbose: int = 0,
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
        self.center = center
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Fit the factorisation to X, up to the time at which it is stopped.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Matrix, with NaN for missing entries. A symmetric one is decomposed into eigenvectors.
        y : Ignored

        Returns
        -------
        self : DeepMatrixFactorization

        Raises
        ------
        ValueError
            If X has infinite entries or an empty row or column, if its scale is too small for
            ``init_scale``, if the step size is not stable (the message gives the bound), if the
            stopping rule lacks its parameter, or if the solver does not suit the missing entries.

        Warns
        -----
        UserWarning
            If the low-rank interval of the rank is empty; the message gives its ends. If the only
            component is the mean, if completed entries are far beyond the known ones, or if the
            known entries do not link all rows and columns: each message says what to give.
        """
        X = validate_rows(self, X, dtype=np.float64, ensure_all_finite="allow-nan")
        check_squares(X)
        observed = ~np.isnan(X)
        solver = self._choose_solver(observed)
        run, symmetric = self._run(solver), is_symmetric(X)
        literal = solver == "gd"
        with listening(type(self).__name__, self.verbose):
            if solver == "greedy" or not observed.all():
                rng = check_random_state(self.random_state)
                fit, offsets = fit_missing(
                    X, observed, run, symmetric=symmetric, literal=literal, rng=rng
                )
            else:
                offsets = make_offsets(run.center, X, np.ones(X.shape))
                # What is symmetric has eigenvectors only as it is.
                symmetric = symmetric and not offsets.columns.any()
                fit = fit_complete(X - offsets.columns, run, symmetric=symmetric, literal=literal)
        self._has_flow = solver != "greedy" and bool(observed.all())
        self._set_run(fit)
        self.mean_ = offsets.columns
        self._rows = fit.rows or RowModel.of(offsets, self.components_.T)
        warn_if_unlinked(observed, run.center)
        warn_if_running_away(X, observed, self)
        warn_if_only_mean(X, observed, self)
        return self

    def _choose_solver(self, observed):
        """Return the solver, after checking that it can do what is asked."""
        held_out = [
            f"{name}={value!r}"
            for name, value, needs in (
                ("stopping", self.stopping, "validation"),
                ("center", self.center, "effects"),
            )
            if value == needs
        ]
        n_missing = int((~observed).sum())
        if self.solver == "auto":
            return "greedy" if n_missing or held_out else "spectral"
        if self.solver != "greedy" and held_out:
            raise ValueError(
                f'{held_out[0]} needs solver="greedy" or "auto", got solver={self.solver!r}.'
            )
        if self.solver == "greedy" and not n_missing and not held_out:
            raise ValueError(
                'solver="greedy" is for missing entries, and X has none. Use "spectral".'
            )
        if self.solver == "spectral" and n_missing:
            raise ValueError(
                f'solver="spectral" needs all entries, and X misses {n_missing} (NaN). '
                'Use "greedy" or "gd".'
            )
        return self.solver

    def _run(self, solver):
        """Return the run with its stopping rule and centring decided."""
        stopping, center = self.stopping, self.center
        if stopping == "auto":
            by_solver = "validation" if solver == "greedy" else "plateau"
            stopping = by_solver if self.rank is None else "rank"
        if center == "auto" and stopping != "validation":
            center = None
        return replace(
            run_of(self, self.max_iter),
            stopping=stopping,
            center=center,
            validation_fraction=self.validation_fraction,
        )

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the coordinates of rows in the components, filtered like those of the fit.

        ``inverse_transform(transform(X))`` denoises rows. Rows with missing entries are completed
        as well, because their coordinates are fitted to the entries that are known.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with NaN for missing entries.

        Returns
        -------
        ndarray of shape (n_samples, n_components_)
        """
        check_is_fitted(self)
        X = validate_rows(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        check_squares(X)
        return self._coordinates(X)

    def _coordinates(self, X: np.ndarray) -> np.ndarray:
        """Return what `transform` does, of checked rows and as an array whatever the output."""
        coordinates = self._rows.coordinates(X, ~np.isnan(X), self.components_)
        return coordinates * self.filter_[: self.n_components_]

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Return the rows with the given coordinates: ``X @ components_ + mean_``.

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
        return X @ self.components_ + self.mean_

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the negative mean squared error of denoised rows over the known entries.

        The entries of the rows are fitted themselves, so a higher rank never does worse. To choose
        parameters, hide some entries of the rows, as in ``doc/low_rank_and_smooth.md``.

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
