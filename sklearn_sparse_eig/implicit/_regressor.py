"""Regression with what gradient descent on a diagonal network computes: the estimator."""

from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator
from sklearn.utils.validation import check_is_fitted

from .._base.fitting import fitting
from .._base.progress import listening
from .._base.rows import validate_array, validate_regression, validate_rows
from .._base.symmetric import check_real
from .._base.threads import limit_blas
from .._base.typed import Auto, BaseEstimator, MultiOutputMixin, RegressorMixin, available_if
from .._base.weights import WeightedScoreMixin
from ._cross_validation import fit_on_comparable_columns, is_applicable
from ._descent import Descent, solution_sharpness
from ._design import Design
from ._equations import labels_of_groups, make_equations
from ._linear_predictor import LinearPredictor
from ._options import CONSTRAINTS, NetworkOptions
from ._results import results_of, warn_of_large_scale
from ._row_weights import of_all_rows, rows_that_count
from ._training import Trained, train


def _has_partial_fit(model: Any) -> bool:
    if model.solver != "gd":
        raise AttributeError(f"partial_fit needs solver='gd', got solver={model.solver!r}.")
    if model.fit_intercept:
        raise AttributeError("partial_fit needs fit_intercept=False: a stream cannot be centred.")
    return True


class DiagonalNetworkRegressor(
    LinearPredictor, WeightedScoreMixin, MultiOutputMixin, RegressorMixin, BaseEstimator
):
    """Linear regression with the sparse bias of gradient descent on a diagonal network.

    The coefficients are over-parameterised as w = u^L - v^L elementwise, all weights start at
    ``init_scale``, and gradient descent runs on the squared loss of X w. With more features than
    samples it ends near the interpolant of least l1 norm: this is sparse regression without a
    penalty to choose. ``solver="limit"`` does not follow gradient flow but computes its end, by
    Newton's method on as many unknowns as there are samples.

    Parameters
    ----------
    depth : int, default=4
        Number of factors L, at least 2. More factors make the coefficients sparser at the same
        initialisation. At 2, the norm falls only with the logarithm of ``init_scale``.
    init_scale : float or "auto", default="auto"
        Value of every weight at the start. A smaller one makes coefficients sparser: the l1 norm
        exceeds the smallest by a factor of at most 1 +
        :func:`~sklearn_sparse_eig.implicit.l1_gap_bound`. Compare it with
        ``max|w| ** (1 / depth)``. ``"auto"`` is 0.03 times this number for the coefficient that
        the feature most correlated with y would have alone, so that the fit to ``c * y`` is c
        times that to y.
    positive : bool, default=False
        Whether w = u^L, so that coefficients are non-negative.
    joint : bool, default=False
        Whether all targets share their features. The sum over features of the norm of their
        coefficients over targets is then small, instead of the l1 norm of each target. This needs
        ``"limit"``, or ``"mirror"`` with ``learning_rate="auto"``, and X an array or sparse matrix.
    groups : array-like of shape (n_features,) or None, default=None
        Labels of groups of features that are selected together. The sum of the norms of the groups
        is then small, and depends on the units of the features. With ``joint`` a group covers all
        targets. The same requirements hold as for ``joint``.
    solver : {"auto", "limit", "mirror", "gd"}, default="auto"
        ``"auto"`` runs gradient flow on columns of equal deviation and stops at the time that
        predicts best in five-fold cross-validation. The folds do not depend on the order of the
        rows, and copies of a row are in one fold. Coefficients outside ``support_`` are zero. If
        later is always better, as for equations without noise, it takes the limit. It means
        ``"mirror"`` if ``stopping`` is a rule, and ``"limit"`` with ``weight_normalization`` or a
        ``LinearOperator``.
        ``"limit"`` is the exact end of gradient flow. The equations X w = y must have a solution.
        ``"mirror"`` follows gradient flow in the coefficients by implicit steps of growing length,
        or by explicit ones of size ``learning_rate``. It can be stopped early, for noisy data.
        ``"gd"`` is gradient descent on the weights, step by step.
    weight_normalization : bool, default=False
        Whether the norm and the direction of the weights are trained separately. This has the
        effect of a smaller ``init_scale`` if the weights grow much in training; see
        ``magnification_``. It needs ``solver="limit"``.
    lr_ratio : float, default=1.0
        Learning rate of the norm relative to that of the direction, with ``weight_normalization``.
        A smaller ratio makes coefficients sparser, and training would be slower.
    learning_rate : float or "auto", default="auto"
        Size of the steps of ``"gd"``, and of the multiplicative updates of ``"mirror"``, for the
        loss ||X w - y||^2 / (2 n_samples). ``"auto"`` takes steps that are safe at the current
        point, and implicit ones for ``"mirror"``. Not used by ``"auto"`` and ``"limit"``.
    max_iter : int, default=10000
        Largest number of steps.
    tol : float, default=1e-8
        Training ends at ``||X w - y|| <= tol * ||y||``. Except with ``solver="limit"``, it also
        ends when the gradient in w has fallen by this factor.
    stopping : {"discrepancy", "validation"}, float or None, default=None
        Rule that stops ``"mirror"`` or ``"gd"`` earlier, when the residual has the size of the
        noise, or at the least error on held-out rows. A number is the time at which
        ``solver="auto"`` stops, in the units of ``stopping_time_``, instead of cross-validation.
    average : bool or "auto", default="auto"
        Whether ``solver="auto"`` takes the average of the flow until the time at which it stops,
        or the flow itself. ``"auto"`` is the average unless the flow predicts clearly better.
    noise_level : float or None, default=None
        Standard deviation of the noise in y, for ``stopping="discrepancy"``.
    validation_fraction : float, default=0.1
        Share of the rows that ``stopping="validation"`` holds out.
    refit_support : bool, default=False
        Whether to replace the coefficients of the support by their least squares fit and the others
        by zero, which removes the small coefficients that gradient descent leaves everywhere. The
        support consists of the coefficients above the geometric mean of the largest one and the
        initialisation, ``init_scale**depth``, at most as many as there are samples.
    fit_intercept : bool, default=True
        Whether to fit to centred data. The intercept itself is not regularised: the interpolant has
        least norm among those of centred data, not among those with an intercept in the norm.
    random_state : int, RandomState instance or None, default=None
        Seed of the choice of held-out rows.
    verbose : int, default=0
        1 reports how far a fit is, once it has taken five seconds.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,) or (n_targets, n_features)
        The coefficients w.
    intercept_ : float or ndarray of shape (n_targets,)
        The intercept.
    weights_ : ndarray of shape (n_sides, n_features) or (n_sides, n_features, n_targets)
        The weights u and, unless ``positive``, v. With ``joint`` or ``groups`` they are the gates
        of each group in place of features: u^L - v^L is the norm of its coefficients.
    support_ : ndarray of bool, shape as ``coef_``
        Coefficients that count as nonzero; see ``refit_support``.
    dual_coef_ : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Vector nu such that the coefficients are a function of the dual variable X^T nu. None for
        ``"auto"`` and ``"gd"``, and if an intercept was fitted.
    l1_norm_ : float or ndarray of shape (n_targets,)
        The l1 norm of the coefficients. For groups it is the sum of their norms, and a single
        number if ``joint``.
    l1_gap_ : float or ndarray of shape (n_targets,)
        Bound on how far this is above the least l1 norm of a solution of X w = y, computed from
        ``dual_coef_`` by duality. None except for ``"limit"`` without intercept.
    interpolation_residual_ : float or ndarray of shape (n_targets,)
        ``||X w - y|| / ||y||`` on the training data, centred if an intercept is fitted.
    init_scale_ : float or ndarray of shape (n_targets,)
        Value of every weight at the start; with ``solver="auto"``, for columns of deviation 1.
    stopping_time_ : float or ndarray of shape (n_targets,)
        Time chosen by ``solver="auto"``, relative to that at which the first coefficient grows. Its
        inverse is comparable to ``alpha / alpha_max`` of the lasso. It is 0 if no feature helps to
        predict, infinite for the limit, and None with other solvers.
    effective_init_scale_ : float or ndarray of shape (n_targets,)
        Initialisation from which plain gradient flow has the same end. It is ``init_scale_``, or
        smaller (seldom larger) with weight normalisation.
    magnification_ : float or ndarray of shape (n_targets,)
        ``(init_scale_ / effective_init_scale_) ** depth``; infinite beyond floating point numbers.
    n_iter_ : int or ndarray of shape (n_targets,)
        Number of steps, which are Newton steps for ``"limit"``.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    DiagonalNetworkRegressorCV : Cross-validation over depth, scale and time.
    diagonal_network_path : Solutions close to the lasso path, from one run.
    learning_rate_path : What larger steps do.

    Notes
    -----
    ``"limit"`` takes five to ten Newton steps if a sparse solution exists, and twenty to forty if
    none does. Each takes some conjugate gradient steps of O(n_samples n_features) or, if these are
    slow, a factorisation of O(n_samples^2 n_features). Memory is O(n_samples^2) besides X. With
    ``joint`` or ``groups`` there are ten to thirty steps of O(n_samples^2 n_features). Targets are
    fitted one by one unless ``joint``. X may be dense, CSR or a ``LinearOperator``.

    ``doc/implicit_regularisation.md`` has formulas and proofs, and says when to prefer other
    estimators. The sparse bias at depth L is from [1]_, and weight normalisation from [2]_. The
    solver, the bound and the law of the magnification are derived on that page.

    References
    ----------
    .. [1] Chou, Maly, Rauhut, "More is less: inducing sparsity via overparameterization",
       Information and Inference 12 (2023), arXiv:2112.11027.
    .. [2] Chou, Rauhut, Ward, "Robust implicit regularization via weight normalization",
       arXiv:2305.05448.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import DiagonalNetworkRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 300))
    >>> y = 2 * X[:, 3] - X[:, 70] + 0.5 * X[:, 200]
    >>> model = DiagonalNetworkRegressor().fit(X, y)
    >>> np.flatnonzero(model.coef_), model.coef_[[3, 70, 200]].round(6)
    (array([  3,  70, 200]), array([ 2. , -1. ,  0.5]))
    """

    coef_: np.ndarray
    intercept_: float | np.ndarray
    weights_: np.ndarray
    support_: np.ndarray
    dual_coef_: np.ndarray | None
    l1_norm_: float | np.ndarray
    l1_gap_: float | np.ndarray | None
    interpolation_residual_: float | np.ndarray
    init_scale_: float | np.ndarray
    stopping_time_: float | np.ndarray | None
    effective_init_scale_: float | np.ndarray
    magnification_: float | np.ndarray
    n_iter_: int | np.ndarray

    _parameter_constraints: dict = CONSTRAINTS

    def __init__(
        self,
        depth: int = 4,
        init_scale: float | Auto = "auto",
        *,
        positive: bool = False,
        joint: bool = False,
        groups: ArrayLike | None = None,
        solver: Literal["limit", "mirror", "gd"] | Auto = "auto",
        weight_normalization: bool = False,
        lr_ratio: float = 1.0,
        learning_rate: float | Auto = "auto",
        max_iter: int = 10000,
        tol: float = 1e-08,
        stopping: Literal["discrepancy", "validation"] | float | None = None,
        average: bool | Auto = "auto",
        noise_level: float | None = None,
        validation_fraction: float = 0.1,
        refit_support: bool = False,
        fit_intercept: bool = True,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.depth = depth
        self.init_scale = init_scale
        self.positive = positive
        self.joint = joint
        self.groups = groups
        self.solver = solver
        self.weight_normalization = weight_normalization
        self.lr_ratio = lr_ratio
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.stopping = stopping
        self.average = average
        self.noise_level = noise_level
        self.validation_fraction = validation_fraction
        self.refit_support = refit_support
        self.fit_intercept = fit_intercept
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        grouped = self.joint or self.groups is not None
        tags.input_tags.sparse = not (grouped and self.fit_intercept)
        return tags

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the coefficients.

        Parameters
        ----------
        X : {array-like, sparse matrix, LinearOperator} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows, which are not all zero. 2 stands for the row twice.

        Returns
        -------
        self : DiagonalNetworkRegressor

        Raises
        ------
        ValueError
            If X, y or a weight is not numeric or not finite, if the equations have no solution for
            ``solver="limit"``, if ``learning_rate`` is beyond the bound of stability, or if
            parameters contradict each other.
        """
        options = NetworkOptions.of(self)
        data, targets = self._check_data(X, y, reset=True)
        # Products that memory bounds: threads would wait for one another.
        with limit_blas(1), listening(type(self).__name__, self.verbose):
            self._fit(options, data, targets, sample_weight)
        return self

    @available_if(_has_partial_fit)
    @fitting(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Make one step of gradient descent on the given rows.

        This needs ``solver="gd"`` and ``fit_intercept=False``, because a stream cannot be centred.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or y is not numeric or not finite, or a step of this ``learning_rate`` diverges.
        """
        options = NetworkOptions.of(self)
        first = not hasattr(self, "weights_")
        data, targets = self._check_data(X, y, reset=first)
        self._one_target = targets.ndim == 1
        Y = targets.reshape(len(targets), -1)
        unstopped = replace(options, stopping=None)
        equations = make_equations(unstopped, *rows_that_count(data, Y, sample_weight)[:3])
        Y, design = equations.Y, equations.design
        if first:
            options = options.for_equations(design, Y)
        else:
            options = replace(options, init_scale=np.atleast_1d(self.init_scale_))
        shape = (1 if self.positive else 2, design.shape[1], Y.shape[1])
        weights = np.broadcast_to(options.init_scale, shape).copy()
        if not first:
            weights = self.weights_.reshape(shape)
        descent = Descent(self.depth, weights, equations.n_samples)
        gradient = design.rmatvec(design.matvec(descent.coef()) - Y)
        gradient /= equations.n_samples
        descent.step(design, gradient, self.learning_rate)
        with np.errstate(over="ignore", invalid="ignore"):
            coef = descent.coef()
        # A coefficient is a power of a weight, and overflows before it.
        if not (np.isfinite(coef).all() and np.isfinite(descent.weights).all()):
            raise ValueError(
                f"learning_rate={self.learning_rate:g} is too large: the coefficients are no "
                "longer finite. Use a smaller one, or 'auto'."
            )
        n_iter = 1 if first else self.n_iter_ + 1
        end = Trained(coef, descent.weights, n_iter)
        self._store(results_of(options, end, design, Y), np.zeros(Y.shape[1]))
        return self

    def sharpness(self, X: Any) -> float | np.ndarray:
        """Return the sharpness of the training loss at the weights, assuming they interpolate.

        This is the largest eigenvalue of the Hessian of ||X w - y||^2 / (2 n_samples) in the
        weights, without its part proportional to the residual. Gradient descent stays at the
        weights for learning rates below 2 divided by the sharpness.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        float or ndarray of shape (n_targets,)
        """
        check_is_fitted(self)
        X = validate_rows(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        weights = self.weights_.reshape(*self.weights_.shape[:2], -1)
        if self.joint or self.groups is not None:
            raise ValueError("The sharpness is that of weights without joint=True or groups.")
        values = [solution_sharpness(Design(X), w, self.depth) for w in np.moveaxis(weights, -1, 0)]
        return values[0] if self.coef_.ndim == 1 else np.array(values)

    # ---------------------------------------------------------------------------------- details

    def _check_data(self, X, y, reset):
        if isinstance(X, LinearOperator):
            if self.stopping == "validation":
                raise ValueError("stopping='validation' needs rows, X is a LinearOperator.")
            self.n_features_in_ = X.shape[1]
            check_real(X, "X")
            y = validate_array(y, "y", ensure_2d=False, dtype=np.float64)
            if len(y) != X.shape[0]:
                raise ValueError(f"X has {X.shape[0]} rows, but y has {len(y)}.")
            return X, y
        return validate_regression(self, X, y, accept_sparse="csr", reset=reset)

    def _fit(self, options, X, y, sample_weight):
        self._one_target = y.ndim == 1
        n, Y = len(y), y.reshape(len(y), -1)
        X, Y, weights, kept = rows_that_count(X, Y, sample_weight)
        labels = labels_of_groups(options, X)
        if options.solver == "auto" and is_applicable(X):
            self._store(*fit_on_comparable_columns(options, X, Y, labels, weights))
            return
        if options.solver == "auto":
            options = options.for_operators()
        equations = make_equations(options, X, Y, weights, labels, self.random_state)
        options = options.for_equations(equations.design, equations.Y)
        end = train(options, equations)
        found = results_of(options, end, equations.design, equations.Y, labels)
        if options.solver == "limit" and not isinstance(self.init_scale, str):
            warn_of_large_scale(options, found, X.shape[1])
        if self.fit_intercept:
            found = replace(found, dual_coef=None, l1_gap=None)
        elif found.dual_coef is not None:
            found = replace(found, dual_coef=of_all_rows(found.dual_coef, weights, kept, n))
        self._store(found, equations.intercept(found.coef))

    def _store(self, found, intercept, taus=None):
        """Set all fitted attributes."""
        one, n_iter = self._one_target, found.n_iter
        self.coef_ = found.coef[:, 0].copy() if one else found.coef.T.copy()
        self.intercept_ = float(intercept[0]) if one else intercept
        self.weights_ = found.weights[..., 0].copy() if one else found.weights
        self.support_ = found.support[:, 0] if one else found.support.T
        nu = found.dual_coef
        self.dual_coef_ = nu[:, 0] if one and nu is not None else nu
        self.n_iter_ = n_iter if np.ndim(n_iter) == 0 else (int(n_iter[0]) if one else n_iter)
        self._set_number("l1_norm_", found.l1_norm, self.joint)
        self._set_number("l1_gap_", found.l1_gap, self.joint)
        self._set_number("interpolation_residual_", found.interpolation_residual)
        self._set_number("init_scale_", found.init_scale)
        self._set_number("effective_init_scale_", found.effective_init_scale)
        self._set_number("magnification_", found.magnification)
        self._set_number("stopping_time_", taus)

    def _set_number(self, name, values, of_all=False):
        """Set an attribute with one number for each target, or one of all."""
        single = values is not None and (self._one_target or of_all)
        setattr(self, name, float(values[0]) if single else values)
