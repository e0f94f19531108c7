"""Cross-validation over depth, initialisation and time of a diagonal network: the estimator."""

from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator
from sklearn.model_selection import check_cv

from .._base.compat import Interval, StrOptions
from .._base.fitting import fitting
from .._base.progress import listening
from .._base.rows import validate_regression
from .._base.typed import Auto, BaseEstimator, RegressorMixin
from .._base.weights import WeightedScoreMixin, check_counts_of_rows
from ._cross_validation import dense_where_centred, make_folds, own_splits
from ._equations import labels_of_groups
from ._flow_path import comparable, path_times
from ._linear_predictor import LinearPredictor
from ._options import NetworkOptions
from ._path_search import best_point, held_out_errors
from ._regressor import DiagonalNetworkRegressor

# Scales that are tried, as multiples of that of DiagonalNetworkRegressor.
_SCALES = np.array([1 / 3, 1.0, 3.0])


class DiagonalNetworkRegressorCV(
    LinearPredictor, WeightedScoreMixin, RegressorMixin, BaseEstimator
):
    """Diagonal network whose depth, initialisation and time are chosen by cross-validation.

    It chooses what a ``GridSearchCV`` over ``depth``, ``init_scale`` and ``stopping`` of
    :class:`DiagonalNetworkRegressor` would choose on the same folds, but follows gradient flow
    only once for each depth, initialisation and fold, through all times.

    Parameters
    ----------
    depths : int or array-like of int, default=4
        Numbers of factors to try, at least 2. Depth 2 takes several times as long as others.
    init_scales : "auto" or array-like of float, default="auto"
        Values to try for every weight at the start, for columns of deviation 1. ``"auto"`` tries a
        third of, one and three times the scale that :class:`DiagonalNetworkRegressor` takes on all
        rows, for each depth.
    stopping_times : "auto" or array-like of float, default="auto"
        Times to try, relative to that at which the first coefficient grows. ``"auto"`` is 0 and 67
        times from 1 to 10,000; if the last is best, it stands for the limit of gradient flow.
    average : bool or "auto", default="auto"
        Whether to take the average of the flow until a time, or the flow itself. ``"auto"`` is the
        average unless the flow predicts clearly better.
    positive : bool, default=False
        Whether coefficients are non-negative.
    groups : array-like of shape (n_features,) or None, default=None
        Labels of groups of features that are selected together.
    refit_support : bool, default=False
        Whether to replace the coefficients of the support by their least squares fit.
    fit_intercept : bool, default=True
        Whether to fit to centred data.
    cv : int, splitter, iterable of (train, test) or None, default=None
        Folds, as in :class:`sklearn.linear_model.LassoCV`. None takes the five of
        :class:`DiagonalNetworkRegressor`, which do not depend on the order of the rows, and keep
        copies of a row together.
    n_jobs : int or None, default=None
        Number of processes, each of which follows some of the paths. None is one, unless a
        ``joblib.parallel_config`` says otherwise. The result does not depend on it.
    verbose : int, default=0
        1 reports how many paths have been followed, once they have taken five seconds.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features,)
        Coefficients of the fit to all rows.
    intercept_ : float
        The intercept.
    depth_ : int
        Depth that was chosen.
    init_scale_ : float
        Value of the weights at the start that was chosen.
    stopping_time_ : float
        Time that was chosen: 0 if no feature helps to predict, infinite for the limit.
    average_ : bool
        Whether the coefficients are the average of the flow until that time.
    best_params_ : dict
        The same as parameters of :class:`DiagonalNetworkRegressor`.
    best_estimator_ : DiagonalNetworkRegressor
        The fit to all rows, with the other attributes of that class.
    mse_path_ : ndarray of shape (n_depths, n_scales, 2, n_times, n_folds)
        Mean squared errors on the rows held out, of the average and of the flow.
    depths_ : ndarray of shape (n_depths,)
        Depths that were tried.
    init_scales_ : ndarray of shape (n_depths, n_scales)
        Values of the weights at the start that were tried.
    stopping_times_ : ndarray of shape (n_times,)
        Times that were tried.
    support_ : ndarray of bool, shape (n_features,)
        Coefficients that are not zero.
    n_iter_ : int
        Number of steps of the fit to all rows.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    DiagonalNetworkRegressor : One network; by default it chooses its time in the same way.
    sklearn.linear_model.LassoCV : The same for the lasso.

    Notes
    -----
    The error of a candidate is the mean over folds of their mean squared errors, which are weighted
    if ``sample_weight`` is given, as in ``LassoCV``. Use ``DiagonalNetworkRegressor`` if depth and
    scale do not matter to you, which they seldom do for predictions: it follows one path in each
    fold, and only until the error has risen for long, which takes a fifth of the time or less.

    To keep rows together that belong together, give the folds themselves, such as
    ``cv=list(GroupKFold().split(X, y, rows_together))``. It fits a single target; wrap it in
    :class:`sklearn.multioutput.MultiOutputRegressor` for more.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import DiagonalNetworkRegressorCV
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((60, 100))
    >>> y = 2 * X[:, 3] - X[:, 70] + 0.5 * rng.standard_normal(60)
    >>> model = DiagonalNetworkRegressorCV(depths=[3, 4], cv=3).fit(X, y)
    >>> model.mse_path_.shape, sorted(model.best_params_)
    ((2, 3, 2, 68, 3), ['average', 'depth', 'init_scale', 'stopping'])
    >>> bool(model.support_[[3, 70]].all())
    True
    """

    intercept_: float
    depth_: int
    init_scale_: float
    stopping_time_: float
    average_: bool
    best_params_: dict[str, Any]
    best_estimator_: DiagonalNetworkRegressor
    mse_path_: np.ndarray
    depths_: np.ndarray
    init_scales_: np.ndarray
    stopping_times_: np.ndarray
    support_: np.ndarray
    n_iter_: int

    _parameter_constraints: dict = {
        "depths": [Interval(Integral, 2, None, closed="left"), "array-like"],
        "init_scales": ["array-like", StrOptions({"auto"})],
        "stopping_times": ["array-like", StrOptions({"auto"})],
        "average": ["boolean", StrOptions({"auto"})],
        "positive": ["boolean"],
        "groups": ["array-like", None],
        "refit_support": ["boolean"],
        "fit_intercept": ["boolean"],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        depths: int | ArrayLike = 4,
        init_scales: ArrayLike | Auto = "auto",
        *,
        stopping_times: ArrayLike | Auto = "auto",
        average: bool | Auto = "auto",
        positive: bool = False,
        groups: ArrayLike | None = None,
        refit_support: bool = False,
        fit_intercept: bool = True,
        cv: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.depths = depths
        self.init_scales = init_scales
        self.stopping_times = stopping_times
        self.average = average
        self.positive = positive
        self.groups = groups
        self.refit_support = refit_support
        self.fit_intercept = fit_intercept
        self.cv = cv
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not (self.groups is not None and self.fit_intercept)
        return tags

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Choose the network on rows held out, and fit it to all rows.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows, which are not all zero. 2 stands for the row twice.

        Returns
        -------
        self : DiagonalNetworkRegressorCV

        Raises
        ------
        ValueError
            If X, y or a weight is not numeric or not finite, if depths, scales or times are not
            vectors of such numbers as are needed, or if there are no rows to hold out.
        """
        if isinstance(X, LinearOperator):
            raise ValueError("Cross-validation needs rows, but X is a LinearOperator.")
        X, y = validate_regression(self, X, y, accept_sparse="csr", multi_output=False)
        weights = check_counts_of_rows(sample_weight, len(y))
        options = NetworkOptions.of(self._network())
        labels, Y = labels_of_groups(options, X), y[:, None]
        X = dense_where_centred(options, X)
        splits = self._splits(X, Y, weights)
        self.depths_ = _vector(self.depths, "depths", 2, whole=True)
        if isinstance(self.stopping_times, str):
            self.stopping_times_ = np.concatenate([[0.0], path_times()])
        else:
            self.stopping_times_ = np.unique(_vector(self.stopping_times, "stopping_times", 0))
        networks, self.init_scales_ = self._networks(options, X, Y, weights)
        folds, times = list(make_folds(options, X, Y, weights, splits)), self.stopping_times_
        with listening(type(self).__name__, self.verbose):
            self.mse_path_ = held_out_errors(networks, folds, labels, times, self.n_jobs)
        self._choose()
        best: Any = self._network(**self.best_params_).fit(X, y, weights)  # one target: numbers
        self.best_estimator_, self.coef_, self.intercept_ = best, best.coef_, best.intercept_
        self.support_, self.n_iter_ = best.support_, best.n_iter_
        return self

    # ---------------------------------------------------------------------------------- details

    def _network(self, **chosen: Any) -> DiagonalNetworkRegressor:
        return DiagonalNetworkRegressor(
            positive=self.positive,
            groups=self.groups,
            refit_support=self.refit_support,
            fit_intercept=self.fit_intercept,
            **chosen,
        )

    def _splits(self, X, Y, weights):
        """Return the rows to fit and those held out, of positive weight, of each fold."""
        counts = np.ones(len(Y), dtype=bool) if weights is None else weights > 0
        rows = np.arange(len(Y))
        if self.cv is None:
            ids = rows[counts]
            pairs = [(ids[kept], ids[out]) for kept, out in own_splits(X[ids], Y[ids])]
        else:
            pairs = [
                tuple(rows[part][counts[part]] for part in pair)
                for pair in check_cv(self.cv).split(X, Y[:, 0])
            ]
        if not pairs or min(len(part) for pair in pairs for part in pair) == 0:
            raise ValueError(
                "Each fold needs rows to fit and rows to hold out, distinct and of positive "
                f"weight, got n_samples = {len(Y)}, cv={self.cv!r}. Give more rows or other folds."
            )
        return pairs

    def _networks(self, options, X, Y, weights):
        """Return the options of each network, and their scales, by depth and scale."""
        if not isinstance(self.init_scales, str):
            given = _vector(self.init_scales, "init_scales", np.finfo(float).tiny)
        ids = np.arange(len(Y)) if weights is None else np.flatnonzero(weights)
        of_ids = None if weights is None else weights[ids]
        rows = comparable(X[ids], Y[ids], of_ids, options.fit_intercept)
        networks, scales = [], []
        for depth in self.depths_:
            of_depth = replace(options, depth=int(depth))
            if isinstance(self.init_scales, str):
                given = _SCALES * of_depth.for_equations(rows.design, rows.Y).init_scale[0]
            scales.append(given)
            networks.append([replace(of_depth, init_scale=float(scale)) for scale in given])
        return np.array(networks, dtype=object), np.array(scales)

    def _choose(self):
        """Set what has the least error on the rows held out."""
        choice = best_point(self.mse_path_, self.average)
        self.depth_ = int(self.depths_[choice.network[0]])
        self.init_scale_ = float(self.init_scales_[choice.network])
        self.stopping_time_ = float(self.stopping_times_[choice.time])
        self.average_ = choice.average
        is_last = choice.time == len(self.stopping_times_) - 1
        if is_last and not self.average_ and isinstance(self.stopping_times, str):
            self.stopping_time_ = np.inf
        self.best_params_ = {
            "depth": self.depth_,
            "init_scale": self.init_scale_,
            "stopping": self.stopping_time_,
            "average": self.average_,
        }


def _vector(given: Any, name: str, smallest: float, whole: bool = False) -> np.ndarray:
    """Return numbers as a vector, after a check that they are finite and at least as large."""
    values = np.atleast_1d(np.asarray(given))
    right = values.ndim == 1 and len(values) > 0 and values.dtype.kind in ("iu" if whole else "iuf")
    if not right or not np.isfinite(values).all() or values.min() < smallest:
        raise ValueError(
            f"{name} must be {'whole' if whole else 'finite'} numbers, at least one of them, and "
            f"each {f'at least {smallest:g}' if smallest in (0, 2) else 'positive'}; got {given!r}."
        )
    return values if whole else values.astype(np.float64)
