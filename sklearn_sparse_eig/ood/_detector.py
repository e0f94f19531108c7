"""Out-of-distribution detection on the gradients of a model: the estimator."""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.utils import check_random_state

from .._base.compat import Interval, RealNotInt, StrOptions, n_rows, take_rows
from .._base.fitting import fitting
from .._base.streams import StreamMixin
from .._base.typed import (
    ArrayLike,
    Auto,
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    InputLike,
    OutlierMixin,
    RandomSeed,
    TransformerMixin,
)
from ..gradients import OUTPUTS, PRECOMPUTED_BACKENDS, LayerChoice, OutputName, fit_model
from ._classes import check_counts
from ._collecting import CollectingMixin
from ._held_out import choose_held_out
from ._input import ready_model
from ._planning import PlanningMixin
from ._results import ResultsMixin
from ._saving import DetectorSavingMixin
from ._scoring import ScoringMixin
from ._subsamples import threshold_rows
from ._threshold import ThresholdMixin
from .scores import SCORES, ScoreName
from .subspaces import SUBSPACES, SubspaceName, warn_if_few


class GradPCADetector(
    CollectingMixin,
    DetectorSavingMixin,
    PlanningMixin,
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

    The gradient of the largest logit with respect to the parameters shows through which parts of
    the network an input acts. Gradients of known inputs lie near the span of the class means
    (GradPCA) and are short in a metric that divides by what is common. An input whose gradient is
    long, whose largest logit hardly stands out, or whose features are no nearer to a class than to
    all, is likely to be out of distribution.

    Parameters
    ----------
    estimator : estimator or None, default=None
        The classifier: a linear model, an ``MLPClassifier``, a pipeline that ends in one of these,
        or a torch module in evaluation mode that returns logits. A fitted estimator is used as it
        is; inside a ``FrozenEstimator`` it stays fitted when it is cloned, for example by a grid
        search. Otherwise ``fit`` fits a copy to y, or to the groups of k-means if there is no y.
        None is a small ``MLPClassifier`` on standardised features.
    output : {"max", "logsumexp", "sum", "loss"}, default="max"
        The scalar f whose gradient is taken: the largest logit, the logarithm of the sum of
        exponentials of the logits, their sum, or the log-loss of the predicted class. ``"loss"``
        can only be combined with ``score_function="ratio"``.
    params : {"auto", "all", "dense", "head", "last_hidden"} or sequence of str, default="auto"
        Layers whose parameters count: the last one and all that were trained with it, in a torch
        module those that require gradients (all if none does), as far as ``budget`` goes; all; the
        dense ones, which is cheaper; the last one; the one before it (the last one if there is no
        other); or layers by name, such as ``"hidden0"``, ``"hidden1"``, ..., ``"head"``. The name
        of a torch module stands for all modules inside it.
    budget : float, str or None, default=None
        What the layers may take: forward passes for each row, to fit and to score, or bytes of the
        state, such as ``"2 GB"``. ``params="auto"`` takes layers from the last backwards while it
        lasts; with other layers more gets a warning. :meth:`plan` tells what each takes.
    metric : {"kfac", "diag", "euclidean"}, default="kfac"
        Inner product of gradients. ``"kfac"`` weighs each direction by how rare it is among the
        samples, using Kronecker factors of each layer with Ledoit-Wolf shrinkage; factors of more
        than 4096 rows are kept diagonal. ``"diag"`` keeps all factors diagonal.
    score_function : {"relative", "snr_ratio", "ratio", "snr", "laplace"}, default="relative"
        The score. ``"relative"`` adds three terms, each in units of its spread over known samples:
        how far the largest logit is above the mean logit, and the largest probability, as far as
        known samples without their own class say that it tells; how much nearer what enters the
        last layer is to a class than to all classes; and minus log \\|g\\|, g being the gradient.
        For the others let u be g less the mean of the class means, and theta the angle of
        u to their span. They are, in this order, (f / \\|u\\|) cot(theta); cos(theta), as in
        the paper; f / \\|u\\|; and f / \\|g\\|. Names of registered scores of your own are accepted
        too; see ``doc/extending.md``.
    n_components : int, float or None, default=None
        Number of directions of the subspace. None uses all of them, one less than there are
        classes; leaving any out was harmful. A float in (0, 1) uses the fewest directions that
        have this share of the trace.
    mean_rank : int or None, default=16
        Largest rank of the mean gradient of a class in each dense layer, which makes scoring
        cheaper. Each mean is replaced by the nearest one of this rank in the metric; norms remain
        exact. None keeps the means as they are.
    labels : {"true", "predicted"}, default="true"
        Classes whose means are taken. ``"true"`` uses y, or the predicted classes without y.
    subspace : {"auto", "exact", "low_rank", "sketched", "sparse_pca"}, default="auto"
        What is kept for the subspace. ``"exact"`` keeps class sums of gradients. ``"low_rank"``
        keeps products of each class sum with a few random vectors from both sides, from which a
        mean of low rank is recovered, for large layers and many classes. ``"sketched"`` keeps only
        ``n_measurements`` hashed sums of each, however many parameters there are.
        ``"sparse_pca"`` keeps no class means but the leading sparse principal directions of the
        gradients, ``n_components`` or one less than there are classes, for up to 2**20 parameters.
        ``"auto"`` is exact while the class sums take at most 1 GiB. Beyond that it is of low rank,
        if that fits, where there are convolutions or the like or very many entries, and else
        sketched, with recovered means if that is feasible. The metric of all but ``"exact"`` is
        fixed by the first samples: those of X in :meth:`fit`, of the first batch in
        :meth:`partial_fit`.
        Names of registered subspaces of your own are accepted too; see ``doc/extending.md``.
    sparsity : float in (0, 1] or None, default=None
        Share of the entries of each class mean that is kept, namely the largest in the eigenbasis
        of the metric; 0.001 is a good choice for sketched means. With ``"sparse_pca"`` it is the
        share of nonzero entries in a direction, and None stands for 50 entries.
    n_measurements : int or "auto", default="auto"
        Number of values kept of each sketched class sum, a multiple of 4. The error of a cosine
        falls with its inverse square root. ``"auto"`` is 16384, or more for more than 4096 classes.
        With ``"low_rank"`` it is the number k of random vectors: means have rank k / 2 at most, and
        ``"auto"`` is 16 if all sums then take at most 256 MiB, else 8.
    contamination : float in (0, 0.5], default=0.05
        Share of inliers that may be called outliers. ``calibration_`` says what is guaranteed.
    backend : {"auto", "sklearn", "torch", "precomputed", "kernel"}, default="auto"
        ``"auto"`` follows the type of the estimator. With ``"precomputed"``, X holds gradients,
        (n, n_parameters), dense or CSR, and their metric is their second moment. With ``"kernel"``,
        X has shape (n, n_train + 1): it holds the inner products of gradients with those of the
        n_train samples of :meth:`fit`, in their order, and in its last column those with
        themselves; ``metric`` has no effect. Both need ``estimator=None``, y, and
        ``score_function="ratio"``.
    device : str, torch.device or None, default=None
        Device on which a torch module runs. If the module is elsewhere, a copy of it is moved. None
        leaves it where it is.
    batch_size : int or "auto", default="auto"
        Number of rows at a time. It affects the order of sums, and so the last bits of a score.
    random_state : int, RandomState instance or None, default=None
        Seed for the training of the estimator, the choice of held-out samples, and the hashes of
        sketches.
    verbose : int, default=0
        1 reports what is being fitted and, every two seconds, the progress.

    Attributes
    ----------
    estimator_ : estimator
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Classes of the classifier.
    class_counts_ : ndarray of int64, shape (n_classes,)
        Number of samples in each class mean. Classes with fewer than two samples have no mean.
    n_samples_seen_ : int
        Number of samples seen.
    n_components_ : int
        Dimension of the subspace.
    eigenvalues_ : ndarray of shape (n_components_,)
        Eigenvalues of the centred Gram matrix of the class means.
    subspace_ : {"exact", "low_rank", "sketched", "sparse_pca", "kernel"}
        The kind of subspace that is used.
    layers_ : tuple of str
        Names of the layers whose parameters count.
    n_metric_samples_ : int
        Number of samples behind the metric: all samples seen; or, if the first ones have fixed it,
        max(1000, 5 p) of these at most, p being the rows of the largest full factor.
    sparse_means_ : csr_array of shape (n_classes, n_parameters)
        Whitened class means as they are used, layer after layer. It exists only with ``sparsity``.
    shrinkage_ : dict of str to (float, float)
        Share of the identity in the factors of the metric, for each layer.
    offset_ : float
        The threshold: ``predict`` returns -1 if ``score_samples`` is below it. ``partial_fit`` and
        ``merge`` remove it because they change the scores; :meth:`calibrate` sets a new one.
    calibration_ : {"training", "held out"}
        Origin of ``offset_``. ``"held out"`` has the guarantee of :meth:`calibrate`. ``"training"``
        is the quantile of training scores (500 / ``contamination`` of them at most, chosen at
        random): the classifier knows these samples, so more than
        ``contamination`` of new ones are rejected, and :meth:`predict` warns of it. Use
        :meth:`calibrate` then.
    calibration_scores_ : ndarray
        Scores of the held-out samples in increasing order; higher is more typical. It exists only
        if there are any.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    GradientFeatures : The gradients themselves.
    ood_metrics : How well scores tell new inputs from known ones.
    sklearn.ensemble.IsolationForest : Outliers of the data, without regard to a model.

    Notes
    -----
    The state is a sum over samples, so it can be fed in batches and merged across shards.
    Derivations, costs and measurements are in ``doc/gradpca.md``.

    References
    ----------
    Seleznova, Chou, Mayrink Verdun, Kutyniok, arXiv:2505.16017 (GradPCA). :meth:`paper` has its
    settings. The metric and the factor f are not in the paper; they are derived in
    ``doc/gradpca.md``.

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
    # The first batch decides the metric of compressed subspaces and trains an unfitted classifier.
    _begins_with_few_rows = False

    # The names of scores and subspaces are those that are registered when they are checked.
    _parameter_constraints: dict = {
        "estimator": "no_validation",
        "output": [StrOptions(set(OUTPUTS))],
        "params": [str, "array-like"],
        "budget": [Interval(Real, 0, None, closed="neither"), str, None],
        "metric": [StrOptions({"kfac", "diag", "euclidean"})],
        "score_function": [StrOptions(SCORES.keys())],
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            None,
        ],
        "mean_rank": [Interval(Integral, 1, None, closed="left"), None],
        "labels": [StrOptions({"true", "predicted"})],
        "subspace": [StrOptions(SUBSPACES)],
        "sparsity": [Interval(Real, 0, 1, closed="right"), None],
        "n_measurements": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "contamination": [Interval(Real, 0, 0.5, closed="right")],
        "backend": [StrOptions({"auto", "sklearn", "torch", *PRECOMPUTED_BACKENDS})],
        "device": "no_validation",
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        output: OutputName = "max",
        params: LayerChoice = "auto",
        budget: float | str | None = None,
        metric: Literal["kfac", "diag", "euclidean"] = "kfac",
        score_function: ScoreName = "relative",
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
        self.budget = budget
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

        These are the Euclidean inner product, the score cos(theta), the parameters of the last
        hidden layer, class means as they are, and the directions that hold 0.99 of the trace.

        Parameters
        ----------
        estimator : estimator or None, default=None
            The classifier.
        **params : dict
            Parameters that are not set by the paper, or should differ from it.

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
    def fit(self, X: InputLike, y: ArrayLike | None = None) -> Self:
        """Fit to X alone, and forget all samples seen before.

        If the classifier is trained here, to y, a random part of the rows (0.15, or more if
        ``contamination`` needs it, up to 0.3) is held out from all training and sets the threshold.
        Otherwise, or if there are too few rows, the threshold is a quantile of the training scores;
        see ``calibration_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. A pipeline may be given whatever it accepts; a torch module also arrays with
            more axes, a dict of arrays that are passed by name, a ``DataLoader`` or a ``Dataset``,
            which are read several times. The last entry of a batch is its labels, or
            ``"labels"``, ``"label"``, ``"targets"``, ``"target"`` or ``"y"`` of a dict.
        y : array-like of shape (n_samples,), default=None
            Classes. None uses those that come with batches, or the predicted ones.

        Returns
        -------
        self : GradPCADetector

        Raises
        ------
        TypeError
            If the gradients of the estimator are not known, or if it is not a classifier.
        ValueError
            If there are fewer than two classes, fewer than two samples in a class, or labels
            that the classifier does not know.
        """
        rows, targets = self._check_input(X, y, reset=True)
        rng = check_random_state(self.random_state)
        held_out, told = None, False
        model = ready_model(self.estimator, self.backend, rows, targets)
        if model is None:
            chosen = choose_held_out(targets, self.contamination, rng)
            told = chosen is None and targets is not None
            if chosen is not None and targets is not None:
                kept = np.setdiff1d(np.arange(n_rows(rows)), chosen)
                held_out = take_rows(rows, chosen)
                rows, targets = take_rows(rows, kept), targets[kept]
            model = fit_model(self.estimator, rows, targets, rng)
        given = targets if self.labels == "true" else None
        self._start(model, rows, n_rows(rows) if given is None else len(np.unique(given)))
        pace = self._add(rows, self._encode(targets), warns=True, has_threshold=True)
        if self.labels == "true" and (given is not None or getattr(rows, "has_labels", False)):
            check_counts(self._state.counts, self.classes_)
        if held_out is None:
            chosen = threshold_rows(n_rows(rows), self.contamination)
            some = rows if chosen is None else take_rows(rows, chosen)
            self._set_training_threshold(self._scores(some, pace), told)
        else:
            self._set_threshold(self._scores(held_out, pace))
        return self

    @fitting(prefer_skip_nested_validation=False)
    def partial_fit(
        self, X: InputLike, y: ArrayLike | None = None, classes: Iterable | None = None
    ) -> Self:
        """Add samples to the class means and to the metric.

        An estimator that is not fitted is trained on the first batch and does not change after
        that. The same holds for the metric of all subspaces but ``"exact"``, so
        make the first batch large, or pass a large sample to :meth:`fit` first. An existing
        threshold is removed; :meth:`calibrate` sets a new one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`
        y : array-like of shape (n_samples,), default=None
            Classes. None uses those that come with batches, or the predicted ones.
        classes : array-like, default=None
            Classes of the classifier. They are checked if they are given.

        Returns
        -------
        self : GradPCADetector

        Raises
        ------
        TypeError, ValueError
            In the same cases as :meth:`fit`, except that classes may still have no samples.

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
        self._add(rows, self._encode(targets), warns=first)
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
