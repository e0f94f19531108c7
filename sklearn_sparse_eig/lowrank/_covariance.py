"""Covariance by a deep factorisation, stopped while it is of low rank: the estimator."""

from numbers import Real
from typing import Any, Self, Unpack

import numpy as np
from sklearn.covariance import log_likelihood
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.dtypes import check_squares, check_squares_count
from .._base.fitting import fitting
from .._base.messages import warn_user
from .._base.rows import validate_rows
from .._base.streams import StreamMixin
from .._base.typed import ArrayLike, Auto, EmpiricalCovariance
from .._base.weights import check_counts_of_rows
from ..recovery import RankRule, RecoveryOptions
from ..sketching import EigenSketch
from ._fit import fit_spectrum
from ._moments import RunningCovariance, covariance_of_sketch
from ._stopped_run import RUN_CONSTRAINTS, StoppedRun, StoppingRule, run_of

# What an estimator knows of its features before it has seen any row.
_OF_FEATURES = ("n_features_in_", "feature_names_in_")

# Covariances of larger values have squares that overflow.
_LARGEST = 1e70


class DeepFactorizationCovariance(StreamMixin, StoppedRun, EmpiricalCovariance):
    """Covariance of low rank plus noise, at the rank on which a deep factorisation dwells.

    The eigenvalues of the empirical covariance are filtered as gradient descent on a product of
    ``depth`` matrices would filter them, stopped on its longest plateau. The remaining variance is
    shared equally among all directions that have not been learned, so that the result can be
    inverted.

    Parameters
    ----------
    depth, init_scale, init_perturbation, learning_rate, stopping, rank, time, noise_level, tol
        Parameters of :class:`DeepMatrixFactorization`. ``init_scale ** depth`` is in the units of a
        variance.
    noise_variance : float or "auto", default="auto"
        Variance of the directions that have not been learned. ``"auto"`` is the mean of their
        variances, which keeps the trace. At 0 the result is singular, and its precision is a
        pseudo-inverse.
    store_precision : bool, default=True
        Whether to keep the inverse as well.
    assume_centered : bool, default=False
        Whether the mean is known to be zero.

    Attributes
    ----------
    covariance_ : ndarray of shape (n_features, n_features)
        The covariance, with eigenvalues
        ``filter_ * spectrum_ + (1 - filter_) * noise_variance_``. After a fit to a compressed
        sketch it is that of the features in ``support_`` alone.
    precision_ : ndarray of shape (n_features, n_features)
        Inverse of the covariance, if ``store_precision``.
    location_ : ndarray of shape (n_features,)
        The mean.
    noise_variance_ : float
        Variance of the directions that have not been learned.
    support_ : ndarray of int64 or None
        Features that the covariance is about, after a fit to a compressed sketch; otherwise None.
    n_samples_seen_ : int
        Number of rows of positive weight: those of the last ``fit`` and all passed or merged since,
        or those of the sketch after a fit to one.
    eigenvalues_, spectrum_, filter_, components_, n_components_, effective_rank_, \
low_rank_intervals_, interval_is_nonempty_, stopping_time_, learning_rate_, n_iter_
        Attributes of :class:`DeepMatrixFactorization`, here of the covariance and its eigenvectors.
    n_features_in_ : int
        Number of features seen during the fit.

    See Also
    --------
    DeepMatrixFactorization : The same for matrices.
    sklearn.covariance.LedoitWolf, sklearn.covariance.OAS : Shrinkage without low-rank structure.
    sklearn.decomposition.PCA : The same form of covariance for a rank that is given.

    Notes
    -----
    For a spectrum without a gap use ``LedoitWolf`` or ``OAS``, because a rank would be chosen here
    all the same. Eigenvalues that have been learned keep the upward bias that sample eigenvalues
    have when there are many features.

    Memory is O(p^2). The time is O(n p^2) for n rows of p features, and O(p^3) for the
    decomposition.

    References
    ----------
    The references are those of :class:`DeepMatrixFactorization`. The floor, and with it the
    shrinkage of each eigenvalue towards the mean of those not learned, is derived here.

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

    noise_variance_: float
    support_: np.ndarray | None
    _moments: RunningCovariance | None

    _parameter_constraints: dict = {
        **EmpiricalCovariance._parameter_constraints,
        **RUN_CONSTRAINTS,
        "noise_variance": [Interval(Real, 0, None, closed="left"), StrOptions({"auto"})],
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
        noise_variance: float | Auto = "auto",
        store_precision: bool = True,
        assume_centered: bool = False,
    ) -> None:
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

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X alone, and forget all rows seen before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows: 2 stands for the row twice, and 0 for no row.

        Returns
        -------
        self : DeepFactorizationCovariance

        Raises
        ------
        ValueError
            If X or the weights are not finite, if X has no variance beyond the start of the run, or
            if the stopping rule lacks its parameter.

        Warns
        -----
        UserWarning
            If the low-rank interval of the rank is empty, or if X has a single row.
        """
        rows: Any = validate_rows(self, X, dtype=np.float64)
        check_squares(rows, limit=_LARGEST)
        check_squares_count(rows)
        self._moments = RunningCovariance(rows.shape[1])
        return self._add_rows(rows, sample_weight)._filter_anew()

    @fitting(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add rows. The result is the same as that of one fit to all of them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows, as in :meth:`fit`.

        Returns
        -------
        self : DeepFactorizationCovariance

        Raises
        ------
        ValueError
            In the same cases as :meth:`fit`, and if the last fit was to a sketch.
        """
        self._gather(X, y, sample_weight=sample_weight)
        return self._filter_anew()

    @fitting(prefer_skip_nested_validation=True)
    def _gather(self, X: Any, y: Any = None, **given: Any) -> Self:
        # A shard has no covariance of its own: that of few rows may not even exist.
        first = not hasattr(self, "_moments")
        rows: Any = validate_rows(self, X, dtype=np.float64, reset=first)
        check_squares(rows, limit=_LARGEST)
        check_squares_count(rows)
        if first:
            self._moments = RunningCovariance(rows.shape[1])
        elif self._moments is None:
            raise ValueError("The last fit was to a sketch: add the rows to that sketch instead.")
        return self._add_rows(rows, **given)

    def _add_rows(self, X, sample_weight=None):
        weights = check_counts_of_rows(sample_weight, len(X))
        if weights is not None:
            X, weights = X[weights > 0], weights[weights > 0]
        self._moments.update(X, weights)
        self._n_sketched = None
        return self

    def _filter_anew(self):
        if self._moments.n_samples == 1:
            warn_user("Only one sample available: the covariance of it is zero.")
        self._state_changed()
        return self

    @fitting(prefer_skip_nested_validation=True)
    def fit_sketch(
        self,
        sketch: EigenSketch,
        *,
        n_components: int | RankRule | None = None,
        **options: Unpack[RecoveryOptions],
    ) -> Self:
        """Fit to an :class:`EigenSketch` rather than to rows.

        An exact sketch holds the covariance itself, and the result is that of :meth:`fit` to its
        rows. From a compressed sketch, sparse vectors are recovered first: the covariance is then
        that of their features, ``support_``, and nothing is claimed about the others.

        Parameters
        ----------
        sketch : EigenSketch
            A sketch of rows.
        n_components : int, "auto", "plateau" or None, default=None
            Number of sparse vectors to recover from a compressed sketch. An exact one needs none.
        **options
            Options of :meth:`EigenSketch.recover`, such as ``n_nonzero_coefs``.

        Returns
        -------
        self : DeepFactorizationCovariance

        Raises
        ------
        ValueError
            If the sketch is empty, or if it is compressed and n_components is not given.
        """
        A, mean, support, noise = covariance_of_sketch(sketch, n_components, options)
        if self.assume_centered and sketch.center:
            raise ValueError(
                "assume_centered=True needs a sketch of rows that are not centred, and this one "
                "was made with center=True. Use assume_centered=False, or a sketch with "
                "center=False."
            )
        self.n_features_in_ = len(A)
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self._filter(A, noise, sketch.n_samples - sketch.center)
        self._moments, self.support_ = None, support
        self._n_sketched = sketch.n_samples
        self.location_ = mean
        return self

    def score(
        self, X_test: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the mean log-likelihood of rows under a Gaussian with this covariance.

        Parameters
        ----------
        X_test : array-like of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows, as in :meth:`fit`.

        Returns
        -------
        float
            Log-likelihood per row; higher is better.
        """
        check_is_fitted(self)
        rows: Any = validate_rows(self, X_test, dtype=np.float64, reset=False)
        check_squares(rows, limit=_LARGEST)
        weights = check_counts_of_rows(sample_weight, len(rows))
        centred = rows - self.location_
        scatter = centred.T @ centred / len(rows)
        if weights is not None:
            scatter = (weights[:, None] * centred).T @ centred / weights.sum()
        return float(log_likelihood(scatter, self.get_precision()))

    # ---------------------------------------------------------------------------------- merging

    _state_name = "_moments"

    def __sklearn_is_fitted__(self) -> bool:
        # An empty copy has moments to merge into, but no covariance yet.
        return hasattr(self, "covariance_")

    def _stream_state(self) -> RunningCovariance:
        if not hasattr(self, "_moments"):
            check_is_fitted(self)
        if self._moments is None:
            raise ValueError(
                "The last fit was to a sketch, so there are no rows to merge: merge the sketches "
                "instead, and fit to the sum of them."
            )
        return self._moments

    @property
    def n_samples_seen_(self) -> int:
        sketched = getattr(self, "_n_sketched", None)
        return super().n_samples_seen_ if sketched is None else sketched

    def _merge_settings(self) -> dict[str, Any]:
        return self.get_params(deep=False)

    def _state_changed(self) -> None:
        """Filter the covariance of all rows anew; without rows, forget what was fitted."""
        moments = self._stream_state()
        if moments.n_samples == 0:
            for name in [n for n in vars(self) if n.endswith("_") and n not in _OF_FEATURES]:
                delattr(self, name)
            return
        n_informed = moments.n_informed - (not self.assume_centered)
        self._filter(moments.covariance(self.assume_centered), n_informed=n_informed)
        self.support_ = None
        self.location_ = (
            np.zeros(self.n_features_in_) if self.assume_centered else moments.mean.copy()
        )

    # -------------------------------------------------------------------------------- filtering

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
        run = run_of(self, 1)
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
