"""Out-of-distribution detection on the gradients of a model: the scikit-learn shell."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import check_random_state

from .._base.compat import Interval, StrOptions, n_rows, take_rows
from .._base.fitting import fitting
from .._base.streams import StreamMixin
from .._base.typed import (
    ArrayLike,
    Auto,
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MatrixLike,
    OutlierMixin,
    RandomSeed,
    TransformerMixin,
)
from ..gradients import GIVEN, OUTPUTS, LayerChoice, OutputName, fit_model
from ._classes import check_counts
from ._collecting import CollectingMixin
from ._held_out import choose_held_out
from ._input import ready_model
from ._results import ResultsMixin
from ._scoring import ScoringMixin
from ._threshold import ThresholdMixin
from .scores import SCORES, ScoreName
from .subspaces import SUBSPACES, SubspaceName, warn_if_few


class GradPCADetector(
    CollectingMixin,
    StreamMixin,
    ScoringMixin,
    ThresholdMixin,
    ResultsMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    OutlierMixin,
    BaseEstimator,
):
    """Find inputs that a classifier was not trained for, from its gradients.

    The gradient of the largest logit with respect to the parameters says through which parts of
    the network an input acts. Those of known inputs lie near the span of the class means
    (GradPCA); an input far from it, or whose logit is small for a gradient so unusual, is likely
    to be out of distribution.

    Parameters
    ----------
    estimator : estimator or None, default=None
        The classifier: a linear model, ``MLPClassifier``, a pipeline that ends in one, or a torch
        module in evaluation mode that returns logits. If fitted, it is used as it is (in a
        ``FrozenEstimator`` it stays fitted when cloned, for example by a grid search); if not,
        ``fit`` fits a copy to y, or without y to the groups of k-means. None is a small
        ``MLPClassifier`` on standardised features.
    output : {"max", "logsumexp", "sum", "loss"}, default="max"
        The scalar f whose gradient is taken: the largest logit, the logarithm of the sum of
        exponentials of the logits, their sum, or the log-loss of the predicted class. ``"loss"``
        goes with ``score_function="ratio"`` only.
    params : {"all", "dense", "head", "last_hidden"} or sequence of str, default="all"
        Layers whose parameters count: all; those that are dense (cheaper); the last; the one
        before it (the last where there is no other); or by name: ``"hidden0"``, ``"hidden1"``,
        ..., ``"head"``, and those of modules, which stand for all modules inside.
    metric : {"kfac", "diag", "euclidean"}, default="kfac"
        Inner product of gradients. ``"kfac"`` weighs each direction by how rare it is among the
        samples, by Kronecker factors of each layer with Ledoit-Wolf shrinkage; factors of more
        than 4096 rows are kept diagonal. ``"diag"`` keeps all of them diagonal.
    score_function : {"snr_ratio", "ratio", "snr", "laplace"}, default="snr_ratio"
        With u the gradient g less the mean of the class means, and theta its angle to their
        span: (f / \\|u\\|) cot(theta); cos(theta), as in the paper; f / \\|u\\|; f / \\|g\\|. Or
        the name of one of your own, see ``doc/extending.md``.
    n_components : int, float or None, default=None
        Directions of the subspace. None for all, one less than there are classes: leaving any
        out was harmful. A float in (0, 1) for the fewest with this share of the trace.
    mean_rank : int or None, default=16
        Greatest rank of the mean gradient of a class in each dense layer, the nearest in the
        metric, so that scoring is cheaper; None for the means as they are. Norms are exact.
    labels : {"true", "predicted"}, default="true"
        Which classes the means are of. ``"true"`` uses y, and the predicted ones without y.
    subspace : {"auto", "exact", "sketched", "sparse_pca"}, default="auto"
        What is kept for the subspace. ``"exact"``: class sums of gradients. ``"sketched"``: of
        each only ``n_measurements`` hashed sums, however many parameters there are.
        ``"sparse_pca"``: no class means, but the sparse leading principal directions of the
        gradients, ``n_components`` or one less than there are classes; up to 2**20 parameters.
        ``"auto"`` is exact while the class sums take at most 1 GiB, then sketched with recovered
        means where that is feasible. The metric of the last two is fixed by the first samples:
        all of X in :meth:`fit`, the first batch in :meth:`partial_fit`. Or the name of one of
        your own, see ``doc/extending.md``.
    sparsity : float in (0, 1] or None, default=None
        Share of the entries of each class mean that is kept, the largest in the eigenbasis of the
        metric; 0.001 is a good choice for sketched means. With ``"sparse_pca"`` it is the share of
        the entries of a direction that are not zero, and None stands for 50 entries.
    n_measurements : int or "auto", default="auto"
        Numbers kept of each sketched class sum, a multiple of 4. The error of a cosine falls as
        one over its square root; ``"auto"`` is 16384, or more for more than 4096 classes.
    contamination : float in (0, 0.5], default=0.05
        Share of inliers that may be called outliers; see ``calibration_`` for what is guaranteed.
    backend : {"auto", "sklearn", "torch", "precomputed", "kernel"}, default="auto"
        ``"auto"`` goes by the type of the estimator. ``"precomputed"``: X holds gradients, (n,
        n_parameters), dense or CSR, and their metric is their second moment. ``"kernel"``: X holds
        inner products of gradients with those of the n_train samples of :meth:`fit`, in their
        order, and in a last column with themselves, (n, n_train + 1); ``metric`` has no effect.
        These two go with ``estimator=None``, with y, and with ``score_function="ratio"``.
    device : str, torch.device or None, default=None
        Where a torch module runs, in a copy of its own if it is elsewhere; None for where it is.
    batch_size : int or "auto", default="auto"
        Rows at a time. The sums, hence the last bits of a score, depend on it.
    random_state : int, RandomState instance or None, default=None
        For training the estimator, for what is held out, and for the hashes of sketches.
    verbose : int, default=0
        1 tells what is fitted and, every two seconds, how far it is.

    Attributes
    ----------
    estimator_ : estimator
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
    class_counts_ : ndarray of int64, shape (n_classes,)
        Samples in the class means. Classes of fewer than two have none.
    n_samples_seen_ : int
    n_components_ : int
        Dimension of the subspace.
    eigenvalues_ : ndarray of shape (n_components_,)
        Of the centred Gram matrix of the class means.
    subspace_ : {"exact", "sketched", "sparse_pca", "kernel"}
        Which one it is.
    n_metric_samples_ : int
        Samples behind the metric: all seen, or the first ones where they have fixed it.
    sparse_means_ : csr_array of shape (n_classes, n_parameters)
        Only with ``sparsity``: whitened class means as they are used, layer after layer.
    shrinkage_ : dict of str to (float, float)
        For each layer, the share of the identity in the factors of the metric.
    offset_ : float
        The threshold: ``predict`` is -1 where ``score_samples`` is below. ``partial_fit`` and
        ``merge`` drop it, for they change the scores; :meth:`calibrate` sets one.
    calibration_ : {"training", "held out"}
        Where ``offset_`` comes from. ``"held out"`` has the guarantee of :meth:`calibrate`.
        ``"training"`` is the quantile of the training scores: the classifier knows these samples,
        so more than ``contamination`` of new ones are rejected. Use :meth:`calibrate`.
    calibration_scores_ : ndarray
        Increasing scores of the held-out samples; only if there are any.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where all features of X had string names.

    See Also
    --------
    GradientFeatures : The gradients themselves.
    sklearn.ensemble.IsolationForest : Outliers of the data, with no regard to a model.

    Notes
    -----
    The state is a sum over samples, so streams add up and shards merge. Derivations, costs and
    measurements are in ``doc/gradpca.md``.

    References
    ----------
    Seleznova, Chou, Mayrink Verdun, Kutyniok, arXiv:2505.16017 (GradPCA). Its settings are
    :meth:`paper`. The metric and the factor f are not the paper's: derived in ``doc/gradpca.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn_sparse_eig import GradPCADetector
    >>> X, y = load_digits(return_X_y=True)
    >>> known = y < 7  # 7, 8 and 9 will be new
    >>> detector = GradPCADetector(random_state=0).fit(X[known], y[known])
    >>> bool((detector.predict(X[known]) == 1).mean() > 0.9)
    True
    >>> bool((detector.predict(X[~known]) == 1).mean() < 0.5)
    True
    """

    _state_name = "_state"

    # The names of scores and subspaces are those that are registered when they are checked.
    _parameter_constraints: dict = {
        "estimator": [object],
        "output": [StrOptions(set(OUTPUTS))],
        "params": [str, "array-like"],
        "metric": [StrOptions({"kfac", "diag", "euclidean"})],
        "score_function": [StrOptions(SCORES.keys())],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
            None,
        ],
        "mean_rank": [Interval(Integral, 1, None, closed="left"), None],
        "labels": [StrOptions({"true", "predicted"})],
        "subspace": [StrOptions(SUBSPACES)],
        "sparsity": [Interval(Real, 0, 1, closed="right"), None],
        "n_measurements": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "backend": [StrOptions({"auto", "sklearn", "torch", *GIVEN})],
        "device": [object],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        output: OutputName = "max",
        params: LayerChoice = "all",
        metric: Literal["kfac", "diag", "euclidean"] = "kfac",
        score_function: ScoreName = "snr_ratio",
        n_components: int | float | None = None,
        mean_rank: int | None = 16,
        labels: Literal["true", "predicted"] = "true",
        subspace: SubspaceName = "auto",
        sparsity: float | None = None,
        n_measurements: int | Auto = "auto",
        contamination: float = 0.05,
        backend: Literal["auto", "sklearn", "torch", "precomputed", "kernel"] = "auto",
        device: Any = None,
        batch_size: int | Auto = "auto",
        random_state: RandomSeed = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.output = output
        self.params = params
        self.metric = metric
        self.score_function = score_function
        self.n_components = n_components
        self.mean_rank = mean_rank
        self.labels = labels
        self.subspace = subspace
        self.sparsity = sparsity
        self.n_measurements = n_measurements
        self.contamination = contamination
        self.backend = backend
        self.device = device
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def paper(cls, estimator: Any = None, **params: Any) -> Self:
        """Return a detector with the settings of arXiv:2505.16017.

        Euclidean inner product, cos(theta), the parameters of the last hidden layer, class means
        as they are, and the directions that hold 0.99 of the trace.

        Parameters
        ----------
        estimator : estimator or None, default=None
        **params : dict
            Other parameters, and those that shall differ.

        Returns
        -------
        GradPCADetector
        """
        settings: dict[str, Any] = {
            "output": "max",
            "params": "last_hidden",
            "metric": "euclidean",
            "score_function": "ratio",
            "n_components": 0.99,
            "mean_rank": None,
        }
        return cls(estimator, **settings | params)

    # ---------------------------------------------------------------------------------- fitting

    @fitting(prefer_skip_nested_validation=False)
    def fit(self, X: MatrixLike, y: ArrayLike | None = None) -> Self:
        """Fit to X alone, forgetting what was seen before.

        Where the classifier is trained here, to y, a random part of the rows (0.15, or more if
        ``contamination`` needs it, up to 0.3) is held out from all training and gives the
        threshold. Otherwise, and where there are too few rows, the threshold is a quantile of
        the training scores; see ``calibration_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Or whatever the estimator takes, if it is a pipeline.
        y : array-like of shape (n_samples,), default=None
            Classes.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the gradients of the estimator are not known, or it is not a classifier.
        ValueError
            If there are fewer than two classes, fewer than two samples in a class, or labels
            that the classifier does not know.
        """
        rows, targets = self._check_input(X, y, reset=True)
        rng = check_random_state(self.random_state)
        held_out, model = None, ready_model(self.estimator, self.backend, rows, targets)
        if model is None:
            chosen = choose_held_out(targets, self.contamination, rng)
            if chosen is not None and targets is not None:
                kept = np.setdiff1d(np.arange(n_rows(rows)), chosen)
                held_out = take_rows(rows, chosen)
                rows, targets = take_rows(rows, kept), targets[kept]
            model = fit_model(self.estimator, rows, targets, rng)
        self._start(model, rows)
        self._add(rows, self._encode(targets), tell=True)
        if targets is not None and self.labels == "true":
            check_counts(self._state.counts, self.classes_)
        if held_out is None:
            self._set_training_threshold(self._scores(rows, warns=False))
        else:
            self._set_threshold(self._scores(held_out, warns=False))
        return self

    @fitting(prefer_skip_nested_validation=False)
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike | None = None, classes: Iterable | None = None
    ) -> Self:
        """Add samples to the class means and to the metric.

        An estimator that is not fitted is trained on the first batch and stays as it is. So does
        the metric with ``subspace="sketched"`` or ``"sparse_pca"``: let the first batch be large,
        or pass a large sample to :meth:`fit` first. A threshold from before is dropped;
        :meth:`calibrate` sets one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,), default=None
            Classes; the predicted ones if None.
        classes : array-like, default=None
            Checked, if given: the classes of the classifier.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            As :meth:`fit`; but classes may be without samples as yet.

        Warns
        -----
        UserWarning
            If the metric is fixed by fewer than 1000 samples.
        """
        first = not hasattr(self, "_state")
        rows, targets = self._check_input(X, y, reset=first)
        if first:
            known = targets if classes is None else classes
            model = ready_model(self.estimator, self.backend, rows, known)
            if model is None:
                rng = check_random_state(self.random_state)
                model = fit_model(self.estimator, rows, targets, rng)
            self._start(model, rows)
        if classes is not None and set(classes) != set(self.classes_):
            raise ValueError(
                f"classes={np.array(list(classes)).tolist()} are not those of the classifier, "
                f"{self.classes_.tolist()}."
            )
        fixes_metric = self._state.looks_ahead
        self._add(rows, self._encode(targets), tell=first)
        if fixes_metric:
            warn_if_few(self._state.n_metric_samples)
        self._state_changed()
        return self

    # --------------------------------------------------------------------------- of scikit-learn

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_state")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
