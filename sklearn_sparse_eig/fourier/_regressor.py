"""Smooth interpolation by more frequencies than points: the estimator."""

from dataclasses import replace
from datetime import timedelta
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.dtypes import check_squares
from .._base.fitting import fitting
from .._base.messages import warn_user
from .._base.progress import listening
from .._base.rows import validate_regression, validate_rows
from .._base.typed import (
    ArrayLike,
    Auto,
    BaseEstimator,
    MatrixLike,
    MultiOutputMixin,
    RegressorMixin,
)
from .._base.weights import WeightedScoreMixin, check_counts_of_rows
from ._datetimes import Clocks, refuse_datetimes, seconds_of_period
from ._fit import CONVERGED, contradictions, fit_trigonometric, natural_period
from ._frequencies import FREQUENCIES_PER_POINT
from ._leave_one_out import choose_ridge
from ._options import FourierOptions
from ._scattered import condition_number

# A relative residual below which a function passes through its points.
_THROUGH = 1e-8
# Points up to which a condition number is worth its time.
_MOST_DECOMPOSED = 1000
# Share of their range up to which predictions beyond the points are not told: a point that a split
# has left out at an end is as far.
_BEYOND = 0.1
# Values between the points beyond those at them by this factor are swings.
_SWING = 3.0

SolverName = Literal["auto", "fft", "least_squares", "kernel", "nufft"]


class WeightedFourierRegressor(WeightedScoreMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Interpolation by the smoothest of many trigonometric polynomials.

    With more frequencies than points, infinitely many combinations pass through the data. This
    regressor takes the one of least weighted norm, ``sum_k (1 + |k|)^(2 q) |theta_k|^2``, which
    prefers low frequencies: the larger the exponent, the smoother the function. With fewer
    frequencies than points it is least squares. On a grid it takes a single fast Fourier transform.

    It is periodic: beyond the points it returns to the beginning; it does not extrapolate.

    Parameters
    ----------
    n_frequencies : int or None, default=None
        Number of frequencies p. The basis ``"real"`` has the symmetric ones up to ``(p - 1) // 2``,
        so an even number has the effect of the odd one below it. None takes at least eight for each
        point; more would change little, because their weights decay.
    weight_exponent : float, default=2.0
        Exponent q, the number of derivatives that the norm measures. 0 gives the plain interpolant
        of least norm, which with many frequencies is zero between the points.
    period : float, timedelta, array-like of shape (n_features,) or "auto", default="auto"
        Period of each feature; of datetimes, a ``timedelta`` of Python, NumPy or pandas.
        ``"auto"`` assumes that the points are equidistant in one period, which is then their range
        times n / (n - 1). With ``alpha="auto"`` it also tries twice this period, which suits
        functions that are not periodic, and takes it if it predicts points that are left out
        better.
    basis : {"real", "complex"}, default="real"
        ``"complex"`` has one-sided frequencies 0, ..., p - 1, the model whose risk is
        :func:`trigonometric_risk`. Its interpolants of real data are complex between the points,
        and ``predict`` returns their real part. Targets may be complex.
    alpha : float or "auto", default="auto"
        Ridge, the weight of the norm against the sum of squared errors. 0 interpolates. ``"auto"``
        is the ridge that predicts each point best from the others, and 0 for targets without noise.
    solver : {"auto", "fft", "least_squares", "kernel", "nufft"}, default="auto"
        ``"auto"`` is ``"fft"`` if the points form a grid, in any order, each point once. For fewer
        than 200 other points it is ``"least_squares"`` if there are no more frequencies than
        points, and ``"kernel"`` otherwise. For more points it is ``"nufft"``, conjugate gradients
        on fast transforms at scattered points, unless these fail to converge for up to 4096 points.
    verbose : int, default=0
        1 reports how far the fit is, once it has taken five seconds.

    Attributes
    ----------
    coef_ : ndarray of shape (n_frequencies,) or (n_frequencies, n_targets), complex
        Coefficients of exp(2 pi i k (x - x_min) / period), for the frequencies k of
        ``frequencies_``. None for several features.
    dual_coef_ : ndarray of shape (n_samples, n_targets) or None
        Weights of the kernel functions of the samples, for several features.
    frequencies_ : ndarray of int, shape (n_frequencies,)
        The frequencies.
    period_ : ndarray of shape (n_features,)
        Period of each feature that was used, of datetimes in seconds.
    alpha_ : float
        Ridge that was used.
    interpolation_residual_ : float
        Norm of the errors at the points relative to that of the targets.
    solver_ : str
        Solver that was used.
    n_iter_ : int
        Number of iterations of ``"nufft"``; 0 for the other solvers, which are direct.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    trigonometric_risk : The exact expected error of this regressor.
    sklearn.kernel_ridge.KernelRidge : Interpolation with other kernels.
    sklearn.preprocessing.SplineTransformer : Splines, also for functions that are not periodic.

    Notes
    -----
    Do not use it for noisy targets with ``alpha=0``: it then passes through the noise, and may
    swing far beyond the targets between scattered points (a warning says so). Do not use it for
    points with large gaps, where it swings back to the mean, or in more than a few variables, where
    the basis is the tensor product and the kernel the product of those of the variables. A function
    that is not periodic has a jump at the ends. ``period="auto"`` with ``alpha="auto"`` detects
    this; otherwise set a period that is longer than the range of the points.

    ``alpha="auto"`` costs two decompositions of n x n matrices; if there are more than 500 points,
    it is chosen on 500 of them.

    The time is O(n log n + p) on a grid, O(n p^2) for least squares, O(n^2 p + n^3) for the kernel,
    and O(n + p log p) for each iteration of ``"nufft"``. There are few iterations if ``alpha`` is
    not tiny or the points are spread evenly, and many if some points nearly coincide. Predictions
    take O(n + p log p) in all, with an error of 1e-12 of the sum of the coefficients' magnitudes,
    or O(n p) for several variables.

    References
    ----------
    Y. Xie, H.-H. Chou, H. Rauhut, R. Ward, *Overparameterization and generalization error:
    weighted trigonometric interpolation*, arXiv:2006.08495 (one-sided frequencies on equidistant
    points). Symmetric frequencies, ridge and other points are derived in
    ``doc/low_rank_and_smooth.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import WeightedFourierRegressor
    >>> x = np.arange(16)[:, None] / 16
    >>> model = WeightedFourierRegressor(period=1.0).fit(x, np.exp(np.sin(2 * np.pi * x[:, 0])))
    >>> model.solver_, len(model.frequencies_)
    ('fft', 127)
    >>> float(np.round(model.predict([[0.03]])[0], 2)), float(np.round(np.exp(np.sin(0.1885)), 2))
    (1.21, 1.21)
    """

    coef_: np.ndarray | Any
    dual_coef_: np.ndarray | None
    frequencies_: np.ndarray
    period_: np.ndarray
    alpha_: float
    interpolation_residual_: float
    solver_: SolverName
    n_iter_: int
    # None as in pickles made before there were any, and the range where it is not the period.
    _clocks: Clocks | None = None
    _range: np.ndarray | None = None

    _parameter_constraints: dict = {
        "n_frequencies": [Interval(Integral, 1, None, closed="left"), None],
        "weight_exponent": [Interval(Real, 0, None, closed="left")],
        "period": [
            timedelta,
            np.timedelta64,
            Interval(Real, 0, None, closed="neither"),
            "array-like",
            StrOptions({"auto"}),
        ],
        "basis": [StrOptions({"real", "complex"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "solver": [StrOptions({"auto", "fft", "least_squares", "kernel", "nufft"})],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_frequencies: int | None = None,
        *,
        weight_exponent: float = 2.0,
        period: float | timedelta | ArrayLike | Auto = "auto",
        basis: Literal["real", "complex"] = "real",
        alpha: float | Auto = "auto",
        solver: SolverName = "auto",
        verbose: int = 0,
    ) -> None:
        self.n_frequencies = n_frequencies
        self.weight_exponent = weight_exponent
        self.period = period
        self.basis = basis
        self.alpha = alpha
        self.solver = solver
        self.verbose = verbose

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to points and targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points in any order: numbers, or datetimes of NumPy, pandas or Python, feature by
            feature. A ``DatetimeIndex`` is one feature. Points that occur twice must have the same
            targets, unless ``alpha > 0`` or there are no more frequencies than points.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets. They may be complex only for ``basis="complex"``.

        Returns
        -------
        self : WeightedFourierRegressor

        Raises
        ------
        ValueError
            If the input is not finite, or a datetime is missing; if a point has two targets to
            interpolate; if ``solver="fft"`` and the points are not a grid; or if the period does
            not fit the features.

        Warns
        -----
        ConvergenceWarning
            If the iterations of ``"nufft"`` end before the solution is reached.
        UserWarning
            If with ``alpha=0`` the function swings far beyond the targets between the points.
        """
        self._clocks = Clocks.of(X)
        X = self._numbers(X)
        complex_targets = self.basis == "complex" and np.asarray(y).dtype.kind == "c"
        if complex_targets:
            y = np.asarray(y)
            parts = np.stack([y.real, y.imag], axis=-1).reshape(len(y), -1)
            X, parts = validate_rows(self, X, parts, dtype=np.float64, multi_output=True)
            check_squares(parts, "y")
            y = (parts[:, ::2] + 1j * parts[:, 1::2]).reshape(y.shape)
        else:
            X, y = validate_regression(self, X, y)
        Y = y.reshape(len(y), -1)
        wanted = self.n_frequencies or FREQUENCIES_PER_POINT * len(X)
        self._range = natural_period(X) if isinstance(self.period, str) else None
        with listening(type(self).__name__, self.verbose):
            self._function, fitted = self._fit(X, Y, wanted)
        self._one_target, self._complex_targets = y.ndim == 1, complex_targets
        self.frequencies_ = self._function.frequencies
        self.solver_, self.n_iter_ = self._function.solver, self._function.n_iter
        if self._function.residual > CONVERGED:
            warn_user(
                f"Stopped after {self.n_iter_} iterations with a relative residual of "
                f"{self._function.residual:.3g}: some points nearly coincide, or there are about "
                "as many frequencies as points. Set alpha, or take other n_frequencies.",
                ConvergenceWarning,
            )
        self.coef_ = self._function.coefficients
        self.dual_coef_ = self._function.dual
        if self.coef_ is not None and self._one_target:
            self.coef_ = self.coef_[:, 0]
        size = np.linalg.norm(Y)
        error = np.linalg.norm((fitted if complex_targets else fitted.real) - Y)
        self.interpolation_residual_ = float(error / size) if size > 0 else float(error)
        return self

    def _fit(self, X, Y, n_frequencies):
        automatic = isinstance(self.alpha, str)
        options = FourierOptions(
            n_frequencies,
            self.weight_exponent,
            self._check_period(X),
            self.basis,
            0.0 if automatic else self.alpha,
            self.solver,
        )
        if automatic:
            longer = isinstance(self.period, str) and self.solver != "fft"
            options, smallest = choose_ridge(X, Y, options, longer=longer)
            if options.alpha == 0 and contradictions(X / options.period, Y)[2]:
                options = replace(options, alpha=smallest)
        self.period_, self.alpha_ = options.period, options.alpha
        function, fitted = fit_trigonometric(X, Y, options)
        if automatic and options.alpha == 0 and not _passes_through(fitted, Y):
            self.alpha_ = smallest
            function, fitted = fit_trigonometric(X, Y, replace(options, alpha=smallest))
        if not automatic and options.alpha == 0:
            _warn_of_swings(function, X, Y, self.period_)
        return function, fitted

    def _check_period(self, X):
        if isinstance(self.period, str):
            return natural_period(X)
        period = seconds_of_period(self.period, self._clocks, X.shape[1])
        period = np.asarray(period, dtype=np.float64)
        if period.ndim and period.shape != (X.shape[1],):
            raise ValueError(
                f"period must be a number or one for each of the {X.shape[1]} features, got "
                f"shape {period.shape}."
            )
        if not np.all((period > 0) & np.isfinite(period)):
            raise ValueError(f"period must be positive and finite, got {self.period!r}.")
        return np.broadcast_to(period, X.shape[1]).copy()

    def _numbers(self, X):
        """Return rows with seconds in the place of datetimes."""
        if self._clocks is not None:
            return self._clocks.numbers(X)
        refuse_datetimes(X)
        return X

    def _values(self, X):
        values = self._function(X)
        return values if self._complex_targets else values.real

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the values of the fitted function at given points.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points, datetimes where they were datetimes in ``fit``, of any resolution. Beyond one
            period the function repeats. It does not extrapolate.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            Values, which are complex if the targets were.

        Warns
        -----
        UserWarning
            If points are beyond those of the fit by a tenth of their range and the period was not
            given, for then it is only this range, or twice it.
        """
        check_is_fitted(self)
        X = validate_rows(self, self._numbers(X), dtype=np.float64, reset=False)
        self._warn_of_points_beyond(X)
        values = self._values(X)
        return values[:, 0] if self._one_target else values

    def _warn_of_points_beyond(self, X):
        """Warn of points that are further beyond those of the fit than what a split leaves out."""
        if self._range is None:
            return
        phases = (X - self._function.origin) / self._range
        n_beyond = np.count_nonzero(((phases < -_BEYOND) | (phases > 1 + _BEYOND)).any(axis=1))
        if n_beyond:
            warn_user(
                f"{n_beyond} of {len(X)} points are beyond those of the fit. The function is "
                "periodic, returns to its beginning there, and does not extrapolate. Give period= "
                "if it is known; for trends take another regressor."
            )

    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination, also for complex targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
            At most 1; higher is better.
        """
        predicted, y = self.predict(X), np.asarray(y)
        if y.dtype.kind != "c":
            return super().score(X, y, sample_weight)
        # Real and imaginary parts as targets, each weighted by its variance.
        parts = [np.stack([z.real, z.imag], axis=-1).reshape(len(z), -1) for z in (y, predicted)]
        weights = check_counts_of_rows(sample_weight, len(y))
        return r2_score(*parts, sample_weight=weights, multioutput="variance_weighted")


def _passes_through(fitted, Y):
    return bool(np.linalg.norm(fitted - Y) <= _THROUGH * np.linalg.norm(Y))


def _warn_of_swings(function, X, Y, period):
    """Warn where the function is far larger between neighbouring points than at any."""
    order = np.argsort(X[:, 0], kind="stable")
    if len(X) < 2:
        return
    steps = X[order[1:]] - X[order[:-1]]
    points = np.concatenate([X[order[:-1]] + share * steps for share in (0.25, 0.5, 0.75)])
    between, largest = np.abs(function(points)).max(), np.abs(Y).max()
    if between > _SWING * largest:
        warn_user(
            f"Between its points the interpolant goes up to {between:.3g}, where the targets are "
            f"at most {largest:.3g}: they are noisy, or some points nearly coincide."
            f"{_condition_of(function, X / period)} Set alpha='auto', which chooses a ridge, or "
            "give one."
        )


def _condition_of(function, phases):
    """Return a sentence with the condition number of the equations, of few enough points."""
    if len(phases) > _MOST_DECOMPOSED:
        return ""
    number = condition_number(phases, function.frequencies, function.variances)
    return f" The condition number of the equations is {number:.1e}."
