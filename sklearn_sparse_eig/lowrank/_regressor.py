"""Matrix sensing, which is regression on a matrix of coefficients of low rank: the estimator."""

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from scipy.sparse.linalg import LinearOperator
from sklearn.base import RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.dtypes import check_squares, check_squares_count
from .._base.fitting import fitting
from .._base.messages import warn_user
from .._base.progress import listening
from .._base.rows import validate_array, validate_regression, validate_rows
from .._base.symmetric import check_real
from .._base.typed import Auto, BaseEstimator
from ._effective_rank import effective_rank
from ._greedy import most_ranks
from ._measurements import Measurements
from ._sensing import sense, sense_by_descent

# Singular values below this share of the largest are rounding.
_ROUNDING = 1e-10


class LowRankRegressor(RegressorMixin, BaseEstimator):
    """Linear regression on a matrix of coefficients that has low rank (matrix sensing).

    Each row of X is a matrix A_i, written row by row, and y_i = <A_i, W> + intercept + noise. A
    matrix W of rank r has r (n + m - r) degrees of freedom, so that about three times as many
    measurements find it, where ordinary least squares wants n m. It is what gradient descent on a
    product of matrices with a small start finds; ``solver="gd"`` runs that descent.

    Parameters
    ----------
    shape : (int, int) or None, default=None
        Rows n and columns m of W; n m is the number of features. None for as square as that number
        allows.
    rank : int or None, default=None
        Rank of W. None for the rank, and the amount of shrinkage, that predict held-out
        measurements best; 0 is a constant.
    solver : {"auto", "gd"}, default="auto"
        ``"auto"`` fits the factors of W by damped Gauss-Newton steps, rank after rank. ``"gd"`` is
        literal gradient descent on a product of ``depth`` factors from a random start, which shows
        how the rank grows; it takes very many steps.
    fit_intercept : bool, default=True
        Whether measurements of the zero matrix may differ from zero.
    depth : int, default=3
        Number of factors of ``"gd"``, at least 2.
    init_scale : float, default=0.01
        Size of the random factors at the start of ``"gd"``. The smaller, the more clearly the
        singular values are learned one after the other, and the longer that takes.
    learning_rate : float or "auto", default="auto"
        Step size of ``"gd"``. ``"auto"`` is one at which singular values rise without overshooting.
    max_iter : int, default=100000
        Largest number of steps.
    tol : float, default=1e-6
        ``"gd"`` ends when the residual is at most this share of the measurements. ``"auto"`` ends
        when a step gains less than the square of this share.
    validation_fraction : float, default=0.1
        Share of the measurements that is held out at a time where ``rank`` is None: once, or up to
        five times where that makes less than 200.
    random_state : int, RandomState instance or None, default=None
        What is held out, and the start of ``"gd"``. Pass an int for the same result at every call.
    verbose : int, default=0
        1 reports how far a fit is, once it has taken five seconds.

    Attributes
    ----------
    coef_ : ndarray of shape (n, m)
        W.
    intercept_ : float
    rank_ : int
        Rank of ``coef_``. Descent leaves all singular values above zero; see ``effective_rank_``.
    singular_values_ : ndarray of shape (min(n, m),)
        Singular values of ``coef_``.
    effective_rank_ : float
        Effective rank of ``coef_``; see :func:`effective_rank`.
    effective_ranks_ : ndarray of shape (n_looks, 2) or None
        Rows (step, effective rank) of the run of ``"gd"``: where it dwells at a rank, this is flat.
    n_iter_ : int
        Number of steps.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    DeepMatrixFactorization : If entries of the matrix itself are known.

    Notes
    -----
    For ``solver="auto"`` a step takes up to 300 products with X and its transpose. The search
    for the rank takes about twenty fits. Do not use it if W is not of low rank, where it has the
    error of the best low-rank matrix, or if there are more measurements than features and noise is
    small, where least squares is exact.

    References
    ----------
    B. Recht, M. Fazel, P. Parrilo, *Guaranteed minimum-rank solutions of linear matrix equations
    via nuclear norm minimization*, SIAM Review 52, 2010 (the problem, and when it can be solved).
    H.-H. Chou, C. Gieshoff, J. Maly, H. Rauhut, *Gradient descent for deep matrix factorization:
    dynamics and implicit bias towards low rank*, arXiv:2011.13772 (descent, and effective rank).
    The steps are described in ``doc/low_rank_and_smooth.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import LowRankRegressor
    >>> rng = np.random.default_rng(0)
    >>> W = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 15))
    >>> A = rng.normal(size=(200, 300))  # 200 equations in 300 unknowns
    >>> model = LowRankRegressor(shape=(20, 15), random_state=0).fit(A, A @ W.ravel() + 1.0)
    >>> model.rank_, bool(np.allclose(model.coef_, W)), round(model.intercept_, 6)
    (2, True, 1.0)
    """

    coef_: np.ndarray
    intercept_: float
    rank_: int
    singular_values_: np.ndarray
    effective_rank_: float
    effective_ranks_: np.ndarray | None
    n_iter_: int
    n_features_in_: int
    feature_names_in_: np.ndarray

    _parameter_constraints: dict = {
        "shape": [tuple, list, None],
        "rank": [Interval(Integral, 1, None, closed="left"), None],
        "solver": [StrOptions({"auto", "gd"})],
        "fit_intercept": ["boolean"],
        "depth": [Interval(Integral, 2, None, closed="left")],
        "init_scale": [Interval(Real, 0, None, closed="neither")],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        shape: tuple[int, int] | None = None,
        rank: int | None = None,
        *,
        solver: Literal["auto", "gd"] = "auto",
        fit_intercept: bool = True,
        depth: int = 3,
        init_scale: float = 0.01,
        learning_rate: float | Auto = "auto",
        max_iter: int = 100_000,
        tol: float = 1e-6,
        validation_fraction: float = 0.1,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.shape = shape
        self.rank = rank
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.depth = depth
        self.init_scale = init_scale
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.verbose = verbose

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> Self:
        """Fit the matrix of coefficients to measurements.

        Parameters
        ----------
        X : {array-like, sparse matrix, LinearOperator} of shape (n_measurements, n * m)
            Row i is the matrix that is measured with, row by row.
        y : array-like of shape (n_measurements,)

        Returns
        -------
        self : LowRankRegressor

        Raises
        ------
        ValueError
            If X or y is not numeric or not finite, if ``shape`` does not have as many entries as
            X has columns, if ``rank`` exceeds it, or if a step of this ``learning_rate`` diverges.

        Warns
        -----
        UserWarning
            If ``rank`` has more degrees of freedom than there are measurements.
        ConvergenceWarning
            If ``max_iter`` steps did not suffice.
        """
        X, y = self._check_data(X, y)
        shape = shape_of(self.shape, X.shape[1])
        A = Measurements(X, shape, center=self.fit_intercept)
        with listening(type(self).__name__, self.verbose):
            found = self._solve(A, y)
        self._store(found, A)
        if not found.converged:
            warn_user(
                f"max_iter={self.max_iter} steps did not suffice for tol={self.tol:g}. Raise "
                "max_iter or tol.",
                ConvergenceWarning,
            )
        return self

    def _solve(self, A, y):
        rng = check_random_state(self.random_state)
        if self.solver == "gd":
            return sense_by_descent(
                A,
                y,
                depth=self.depth,
                init_scale=self.init_scale,
                learning_rate=self.learning_rate,
                max_iter=self.max_iter,
                tol=self.tol,
                rng=np.random.default_rng(rng.randint(2**31)),
            )
        self._check_rank(A.shape, len(y))
        return sense(
            A,
            y,
            rank=self.rank,
            share=self.validation_fraction,
            max_iter=self.max_iter,
            tol=self.tol**2,
            rng=rng,
        )

    def _store(self, found, A):
        values = np.linalg.svd(found.coef, compute_uv=False)
        self.coef_ = found.coef
        # Of measurements as they were given.
        offset = 0.0 if A.mean is None else float(np.vdot(A.mean, found.coef))
        self.intercept_ = found.intercept - offset
        self.singular_values_ = values
        above = int((values > _ROUNDING * values.max(initial=0.0)).sum())
        self.rank_ = above if found.rank is None else min(found.rank, above)
        self.effective_rank_ = effective_rank(values)
        self.effective_ranks_ = found.run
        self.n_iter_ = found.n_iter

    def _check_rank(self, shape, n_measurements):
        if self.rank is None:
            return
        if self.rank > min(shape):
            raise ValueError(f"rank={self.rank} exceeds min(shape), the shape being {shape}.")
        if self.rank > most_ranks(shape, n_measurements):
            freedom = self.rank * (sum(shape) - self.rank)
            warn_user(
                f"A matrix of shape {shape} and rank {self.rank} has {freedom} degrees of freedom, "
                f"and there are {n_measurements} measurements: many matrices fit them. Give more "
                "measurements or a smaller rank.",
                UserWarning,
            )

    def predict(self, X: Any) -> np.ndarray:
        """Return ``<A_i, coef_> + intercept_`` for each row A_i of X.

        Parameters
        ----------
        X : {array-like, sparse matrix, LinearOperator} of shape (n_measurements, n * m)

        Returns
        -------
        ndarray of shape (n_measurements,)
        """
        check_is_fitted(self)
        if not isinstance(X, LinearOperator):
            X = validate_rows(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return np.asarray(X @ self.coef_.ravel()).ravel() + self.intercept_

    def _check_data(self, X, y):
        if not isinstance(X, LinearOperator):
            options = {"accept_sparse": "csr", "multi_output": False, "ensure_min_samples": 2}
            X, y = validate_regression(self, X, y, **options)
            check_squares_count(X)
            check_squares_count(y, "y")
            return X, y
        self.n_features_in_ = X.shape[1]
        check_real(X, "X")
        y = validate_array(y, "y", ensure_2d=False, dtype=np.float64)
        if y.shape != (X.shape[0],):
            raise ValueError(f"X has {X.shape[0]} rows, but y has shape {y.shape}.")
        check_squares(y, "y")
        check_squares_count(y, "y")
        return X, y

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.regressor_tags.poor_score = self.solver == "gd"
        return tags


def shape_of(shape: Any, n_features: int) -> tuple[int, int]:
    """Return the shape of the matrix that a row of so many features is."""
    if shape is None:
        n = int(np.sqrt(n_features))
        while n_features % n:
            n -= 1
        return n, n_features // n
    sizes = tuple(shape)
    if len(sizes) != 2 or not all(isinstance(n, Integral) and int(n) > 0 for n in sizes):
        raise ValueError(f"shape must be two positive integers, got {shape!r}.")
    if int(sizes[0]) * int(sizes[1]) != n_features:
        raise ValueError(
            f"shape={shape!r} has {int(sizes[0]) * int(sizes[1])} entries, but X has {n_features} "
            "features: each row of X is a matrix of this shape, row by row."
        )
    return int(sizes[0]), int(sizes[1])
