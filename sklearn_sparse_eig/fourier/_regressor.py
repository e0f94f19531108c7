"""Smooth interpolation by more frequencies than points: the estimator."""

from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.fitting import fitting
from .._base.messages import warn_user
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
from ._fit import CONVERGED, contradictions, fit_trigonometric, natural_period
from ._frequencies import FREQUENCIES_PER_POINT
from ._leave_one_out import choose_ridge
from ._options import FourierOptions

# A relative residual below which a function passes through its points.
_THROUGH = 1e-8
# Values between the points beyond those at them by this factor are swings.
_SWING = 3.0

SolverName = Literal["auto", "fft", "least_squares", "kernel", "nufft"]


class WeightedFourierRegressor(WeightedScoreMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Interpolation by the smoothest of many trigonometric polynomials.

    With more frequencies than points, infinitely many combinations pass through the data. This is
    the one of least weighted norm, sum_k (1 + |k|)^(2 q) |theta_k|^2, which prefers low
    frequencies: the wilder the weight, the smoother the function. With fewer frequencies than
    points it is least squares. On a grid it is one fast Fourier transform.

    Parameters
    ----------
    n_frequencies : int or None, default=None
        Number of frequencies p; ``"real"`` has the symmetric ones up to ``(p - 1) // 2``, so an
        even number is as the odd one below. None for eight for each point, at least: their
        weights decay, so more change little.
    weight_exponent : float, default=2.0
        q, the number of derivatives that the norm measures. 0 is the plain interpolant of least
        norm, which is zero between the points where there are many frequencies.
    period : float, array-like of shape (n_features,) or "auto", default="auto"
        ``"auto"`` takes the points for equidistant in one period: range n / (n - 1); or twice
        that, as suits a function that is not periodic, where ``alpha="auto"`` and it predicts
        points left out better.
    basis : {"real", "complex"}, default="real"
        ``"complex"`` has one-sided frequencies 0, ..., p - 1, the model whose risk is
        :func:`trigonometric_risk`. Its interpolants of real data are complex between the points,
        and ``predict`` returns their real part; targets may be complex.
    alpha : float or "auto", default="auto"
        Ridge: weight of the norm beside the sum of squared errors. 0 interpolates. ``"auto"`` is
        the one that predicts each point best from the others, and 0 for targets without noise.
    solver : {"auto", "fft", "least_squares", "kernel", "nufft"}, default="auto"
        ``"auto"`` is ``"fft"`` where the points are a grid, in any order, each once; of fewer than
        200 others ``"least_squares"`` where frequencies are not more than points, else
        ``"kernel"``; beyond ``"nufft"``, conjugate gradients on fast transforms at scattered
        points, unless they fail to converge for up to 4096 points.

    Attributes
    ----------
    coef_ : ndarray of shape (n_frequencies,) or (n_frequencies, n_targets), complex
        Of exp(2 pi i k (x - x_min) / period), for the frequencies of ``frequencies_``. None for
        several features.
    dual_coef_ : ndarray of shape (n_samples, n_targets) or None
        For several features, the weights of the kernel functions of the samples.
    frequencies_ : ndarray of int, shape (n_frequencies,)
    period_ : ndarray of shape (n_features,)
    alpha_ : float
    interpolation_residual_ : float
        Norm of the errors at the points relative to that of the targets.
    solver_ : str
        The one used.
    n_iter_ : int
        Iterations of ``"nufft"``; 0 for the others, which are direct.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where all features of X had string names.

    See Also
    --------
    trigonometric_risk : Its exact expected error.
    sklearn.kernel_ridge.KernelRidge, sklearn.preprocessing.SplineTransformer

    Notes
    -----
    Do not use it for noisy targets with ``alpha=0``, which passes through the noise, and may swing
    far beyond the targets between scattered points (a warning tells it); for points with large
    gaps, where it swings back to the mean; or in more than a few variables: there the basis is the
    tensor product, the kernel the product of those of the variables. A function that is not
    periodic has a jump at the ends: ``period="auto"`` finds out, with ``alpha="auto"``; else give
    it a period longer than its range.

    ``alpha="auto"`` costs two decompositions of n x n, and is chosen on 500 of more points.

    Time O(n log n + p) on a grid, O(n p^2) for least squares, O(n^2 p + n^3) for the kernel,
    O(n + p log p) for each iteration of ``"nufft"``; these are few where ``alpha`` is not tiny or
    points are spread evenly, and many where some points nearly coincide. Prediction
    O(n + p log p) in all, to 1e-12 of the sum of the coefficients' magnitudes; O(n p) for several
    variables.

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
    interpolation_residual_: float
    solver_: SolverName
    n_iter_: int

    _parameter_constraints: dict = {
        "n_frequencies": [Interval(Integral, 1, None, closed="left"), None],
        "weight_exponent": [Interval(Real, 0, None, closed="left")],
        "period": [Interval(Real, 0, None, closed="neither"), "array-like", StrOptions({"auto"})],
        "basis": [StrOptions({"real", "complex"})],
        "alpha": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
        "solver": [StrOptions({"auto", "fft", "least_squares", "kernel", "nufft"})],
    }

    def __init__(
        self,
        n_frequencies: int | None = None,
        *,
        weight_exponent: float = 2.0,
        period: float | ArrayLike | Auto = "auto",
        basis: Literal["real", "complex"] = "real",
        alpha: float | Auto = "auto",
        solver: SolverName = "auto",
    ) -> None:
        self.n_frequencies = n_frequencies
        self.weight_exponent = weight_exponent
        self.period = period
        self.basis = basis
        self.alpha = alpha
        self.solver = solver

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to points and targets.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            In any order. Points that occur twice must have the same targets, unless ``alpha > 0``
            or there are no more frequencies than points.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Complex only for ``basis="complex"``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the input is not finite, a point has two targets to interpolate, ``solver="fft"``
            and the points are not a grid, or the period does not fit the features.

        Warns
        -----
        ConvergenceWarning
            If the iterations of ``"nufft"`` end before the solution is reached.
        UserWarning
            If with ``alpha=0`` the function swings far beyond the targets between the points.
        """
        complex_targets = self.basis == "complex" and np.asarray(y).dtype.kind == "c"
        if complex_targets:
            y = np.asarray(y)
            parts = np.stack([y.real, y.imag], axis=-1).reshape(len(y), -1)
            X, parts = validate_rows(self, X, parts, dtype=np.float64, multi_output=True)
            y = (parts[:, ::2] + 1j * parts[:, 1::2]).reshape(y.shape)
        else:
            X, y = validate_regression(self, X, y)
        Y = y.reshape(len(y), -1)
        wanted = self.n_frequencies or FREQUENCIES_PER_POINT * len(X)
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
            _warn_of_swings(function, X, Y)
        return function, fitted

    def _check_period(self, X):
        if isinstance(self.period, str):
            return natural_period(X)
        period = np.asarray(self.period, dtype=np.float64)
        if period.ndim and period.shape != (X.shape[1],):
            raise ValueError(
                f"period must be a number or one for each of the {X.shape[1]} features, got "
                f"shape {period.shape}."
            )
        if not np.all((period > 0) & np.isfinite(period)):
            raise ValueError(f"period must be positive and finite, got {self.period!r}.")
        return np.broadcast_to(period, X.shape[1]).copy()

    def _values(self, X):
        values = self._function(X)
        return values if self._complex_targets else values.real

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the values of the function.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Beyond the period the function repeats.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            Complex where the targets were.
        """
        check_is_fitted(self)
        X = validate_rows(self, X, dtype=np.float64, reset=False)
        values = self._values(X)
        return values[:, 0] if self._one_target else values

    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination, of complex targets too.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
            At most 1, higher is better.
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


def _warn_of_swings(function, X, Y):
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
            f"at most {largest:.3g}: they are noisy, or some points nearly coincide. Set "
            "alpha='auto', which chooses a ridge, or give one."
        )
