"""The number and the size of sparse components, chosen by rows held out, from shared sketches."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata
from sklearn.model_selection import check_cv

from .._base.fitting import fitting
from .._base.rows import validate_rows
from .._base.sparse import canonical
from .._base.threads import limit_threads
from .._base.typed import ArrayLike, Auto, BaseEstimator, MatrixLike, RandomSeed
from .._base.weights import check_counts_of_rows
from ..recovery import Decoder
from ..sketching import Measurement
from ._estimator import SketchedSparsePCA
from ._grid import GridOfSketches
from ._parameters import (
    CONSTRAINTS,
    DecoderName,
    MeasurementName,
    NoiseName,
    RankRule,
    SketchKind,
)
from ._refitted import RefittedMixin


class SketchedSparsePCACV(RefittedMixin, BaseEstimator):
    """Sparse principal components whose number and size are chosen by cross-validation.

    It chooses as ``GridSearchCV`` does over :class:`SketchedSparsePCA`, by the likelihood of rows
    held out, but reads the rows once: sketches add up, so that the sketch of all folds but one is
    the sum of theirs, all numbers of components share one search, and the likelihood of the rows
    held out follows from their sketch.

    Parameters
    ----------
    n_components : int, "auto", "plateau" or array-like of these, default=(1, 2, 3, 5, 8)
        Numbers of components to try. Numbers beyond that of the features count as that.
    n_nonzero_coefs : int, "auto" or array-like of these, default=(5, 10, 20, 50)
        Numbers of features in each component to try, the same for all of them. Numbers beyond that
        of the features count as that.
    cv : int, cross-validation generator or iterable, default=None
        As in ``GridSearchCV``: a number of folds, None for 5, a splitter or an iterable of splits.
    sketch, measurement, n_measurements, range_size, decoder, noise, refine, center, positive, \
memory_budget, batch_size, n_jobs, random_state
        As in :class:`SketchedSparsePCA`. The sketch of each fold is kept, which takes
        ``memory_budget`` as many times as there are folds at most.
    verbose : int, default=0
        1 reports how many splits are done, once they have taken five seconds; 2 also what the
        estimators report.

    Attributes
    ----------
    best_estimator_ : SketchedSparsePCA
        The estimator of the best parameters, fitted to all rows. ``transform``, ``score``,
        ``describe`` and the others are its own.
    best_params_ : dict
        ``n_components`` and ``n_nonzero_coefs`` that were best.
    best_score_ : float
        Mean likelihood of the rows held out, in nats per row, for these.
    best_index_ : int
        Their place in ``cv_results_``.
    cv_results_ : dict of ndarray
        ``params``, ``param_n_components``, ``param_n_nonzero_coefs``, ``mean_test_score``,
        ``std_test_score``, ``rank_test_score`` and ``split0_test_score`` and so on, as in
        ``GridSearchCV``. There are no times, as the work is shared.
    n_splits_ : int
        Number of splits.
    components_ : csr_array of shape (n_components_, n_features)
        Those of ``best_estimator_``, as are the attributes that follow.
    explained_variance_, explained_variance_ratio_ : ndarray of shape (n_components_,)
        Variance that each component adds to those before it, and its share of the total.
    mean_ : ndarray of shape (n_features,) or csr_array of shape (1, n_features)
        Mean of the features.
    noise_variance_ : float
        Estimated variance of the noise in a feature.
    support_ : ndarray of int64
        Features that occur in any component.
    n_components_ : int
        Number of components.
    n_nonzero_coefs_ : ndarray of int, shape (n_components_,)
        Number of features in each component.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    SketchedSparsePCA : One number and one size; ``n_components="auto"`` needs no folds.
    support_stability : Which features are kept whatever the rows.

    Notes
    -----
    Work is shared for numbers of components and features that are given, with noise of one variance
    and without ``positive``. Otherwise each point of the grid is recovered by itself, from the same
    sketches. If the exact covariance is kept, rows are read once; else each split reads them again,
    a few times for all of the grid. With up to 1000 features the vectors are those that
    :class:`SketchedSparsePCA` finds; beyond that, all points of the grid choose among the
    candidates of the largest, which are more than their own. See ``doc/likelihood.md``.

    Weights of rows held out count in their likelihood too, so an integer weight is a repetition
    within the fold.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCACV
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> X = make_sparse_spiked_covariance(
    ...     400, 100, eigenvalues=(12, 9, 7), n_nonzero_coefs=8, random_state=0
    ... ).data
    >>> pca = SketchedSparsePCACV([2, 3, 5], [3, 8, 30], cv=3, random_state=0).fit(X)
    >>> pca.best_params_
    {'n_components': 3, 'n_nonzero_coefs': 8}
    """

    best_estimator_: SketchedSparsePCA
    best_params_: dict[str, Any]
    best_score_: float
    best_index_: int
    cv_results_: dict[str, Any]
    n_splits_: int

    _parameter_constraints: dict = {
        **{name: kinds for name, kinds in CONSTRAINTS.items() if name != "forgetting"},
        "n_components": [*CONSTRAINTS["n_components"], "array-like"],
        "cv": ["cv_object"],
    }

    def __init__(
        self,
        n_components: int | RankRule | Sequence[int | RankRule] | np.ndarray = (1, 2, 3, 5, 8),
        n_nonzero_coefs: int | Auto | Sequence[int | Auto] | np.ndarray = (5, 10, 20, 50),
        *,
        cv: Any = None,
        sketch: SketchKind = "auto",
        measurement: MeasurementName | Measurement = "sparse_sign",
        n_measurements: int | Auto = "auto",
        range_size: int | Auto = "auto",
        decoder: DecoderName | Decoder = "auto",
        noise: NoiseName | None = "isotropic",
        refine: Literal["auto", "data", "sketch"] = "auto",
        center: bool = True,
        positive: bool = False,
        memory_budget: float = 256e6,
        batch_size: int | Auto = "auto",
        n_jobs: int | None = None,
        random_state: RandomSeed = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_nonzero_coefs = n_nonzero_coefs
        self.cv = cv
        self.sketch = sketch
        self.measurement = measurement
        self.n_measurements = n_measurements
        self.range_size = range_size
        self.decoder = decoder
        self.noise = noise
        self.refine = refine
        self.center = center
        self.positive = positive
        self.memory_budget = memory_budget
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @fitting(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Choose the number and the size of components, and fit them to all of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), default=None
            Passed on to a splitter given as ``cv``, otherwise ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows, of those held out too.
        groups : array-like of shape (n_samples,), default=None
            Groups of rows, for splitters that keep them together.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is not numeric or not finite, if the rows of some split are too few or have no
            variance, or if a number to try is out of range. A previous fit is then left as it was.
        """
        X = validate_rows(
            self, X, reset=True, accept_sparse="csr", dtype="numeric", dense_may_be_infinite=True
        )
        if sp.issparse(X):
            X = canonical(X)
        weights = check_counts_of_rows(sample_weight, X.shape[0])
        params = {n: v for n, v in self.get_params(deep=False).items() if n != "cv"}
        features = {"n_features_in_": X.shape[1]}
        if hasattr(self, "feature_names_in_"):
            features["feature_names_in_"] = self.feature_names_in_
        search = GridOfSketches(params, features, X, 1.0 if weights is None else weights)
        splits = [
            (np.asarray(training), np.asarray(held_out))
            for training, held_out in check_cv(self.cv, y).split(X, y, groups)
        ]
        with limit_threads(search.scout._n_threads()):
            scores, sketch = search.scores(splits)
            self._keep_results(search.grid, scores)
            self.best_estimator_ = search.fitted(self.best_params_, sketch)
        return self

    def _keep_results(self, grid: Sequence[dict[str, Any]], scores: np.ndarray) -> None:
        results: dict[str, Any] = {}
        for name in ("n_components", "n_nonzero_coefs"):
            values = [point[name] for point in grid]
            mixed = any(isinstance(value, str) for value in values)
            results[f"param_{name}"] = np.ma.array(values, dtype=object if mixed else None)
        results["params"] = list(grid)
        results |= {f"split{i}_test_score": column for i, column in enumerate(scores)}
        mean = scores.mean(axis=0)
        results["mean_test_score"] = mean
        results["std_test_score"] = scores.std(axis=0)
        results["rank_test_score"] = rankdata(-mean, method="min").astype(np.int32)
        self.cv_results_ = results
        self.n_splits_ = len(scores)
        self.best_index_ = int(results["rank_test_score"].argmin())
        self.best_params_ = dict(grid[self.best_index_])
        self.best_score_ = float(mean[self.best_index_])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
