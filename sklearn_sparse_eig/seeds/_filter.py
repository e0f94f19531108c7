"""Seeds of a generator by the confidence of their samples: the estimator."""

from collections.abc import Callable
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.utils import Bunch, TransformerTags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._base.fitting import fitting
from .._base.progress import listening
from .._base.rows import validate_rows
from .._base.typed import Auto, BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from .._base.weights import check_counts_of_rows
from ..gradients import is_ready
from ._by_confidence import report_bins
from ._generate import as_array, first_samples
from ._labels import all_samples, examine, judged_labels, label_seeds
from ._options import CONSTRAINTS, SeedOptions
from ._prediction import SEED_TYPES, PredictsFromSeeds
from ._sampling import SampleRequest, confident_samples
from ._training import features_of_seeds, fit_probe_to_seeds


class SeedConfidenceFilter(PredictsFromSeeds, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Filter of seeds of a deterministic generator, by how confident their samples will be.

    Each seed has the label and the confidence that a classifier gives its sample. The filter keeps
    seeds of high confidence and learns from them to predict the class from the seed alone. It can
    then choose seeds of a class before anything is generated. It also measures how well the seeds
    of different classes can be told apart, among seeds of about the same confidence.

    Parameters
    ----------
    generator : callable or object with ``transform``
        Maps an array of seeds to as many samples of any shape, each of which depends on its seed
        alone, as in a DDIM sampler without noise. Tensors are converted. If a tuple is returned,
        its first entry counts.
    classifier : classifier or callable
        Maps samples to class probabilities. A fitted classifier is used as it is; inside a
        ``FrozenEstimator`` it stays fitted when it is cloned. Otherwise a copy is fitted to the
        generated samples and y. A function returns probabilities of the labels 0, 1, ...
    probe : classifier or None, default=None
        Learns labels from seeds; a copy is fitted. None is linear discriminant analysis, with the
        shrinkage of Ledoit and Wolf if there are fewer than four seeds for each feature.
    threshold : float or None, default=None
        Least confidence of the seeds that are kept. None takes it from `quantile`.
    quantile : float in [0, 1), default=0.8
        Share of the seeds to leave out; 0 keeps all.
    n_bins : int, default=5
        Number of bins of confidence, of equally many seeds, in which separability is measured.
    evaluator : classifier or callable, default=None
        Another fitted classifier of samples, which judges in ``score``, ``sample`` and
        ``agreement_``, because not all classifiers are sure of the same samples. A function returns
        labels, or probabilities of the same classes.
    batch_size : int or "auto", default="auto"
        Number of seeds to generate from at a time. ``"auto"`` takes as many as have samples of a
        few megabytes. Set fewer if the generator needs far more memory than its samples. Batches
        are halved if memory does not suffice.
    state : callable or None, default=None
        Maps seeds to what the probe sees in their place, for example by the first steps of the
        sampler, whose intermediate states say more than seeds and cost less than samples. None
        uses the seeds themselves.
    train_on : {"confident", "all"}, default="confident"
        Seeds that the probe is fitted to. A confident seed is somewhat more informative, but there
        are few of them: in the benchmark a probe of all seeds is better everywhere.
    random_state : int, RandomState instance or None, default=None
        Seed of the halves of bins and the permuted labels of the diagnostics, not of the probe.
    verbose : int, default=0
        1 reports how many seeds have been generated from, once that has taken five seconds.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Classes of the classifier.
    confidence_ : ndarray of shape (n_seeds,)
        Largest class probability of the sample of each seed.
    labels_ : ndarray of shape (n_seeds,)
        Label of the sample of each seed.
    threshold_ : float
        Least confidence of the seeds that are kept.
    support_mask_ : ndarray of bool, shape (n_seeds,)
        Seeds that were kept.
    acceptance_rate_ : float
        Share of the seeds that were kept.
    probe_ : classifier
        The fitted probe. It may lack classes with fewer than two seeds to train on.
    classifier_ : classifier or callable
        The fitted classifier.
    bin_edges_ : ndarray of shape (n_bins + 1,)
        Edges of the bins of confidence. There are fewer if confidences are tied.
    separability_, separability_shuffled_ : ndarray of shape (n_bins,)
        Fisher criterion tr(S_w^-1 S_b) of the seeds of each bin, without the bias that it has on
        few rows, because one half is compared with the other; and with permuted labels, about 0.
    bin_scores_, bin_scores_shuffled_ : ndarray of shape (n_bins,)
        Accuracy of a probe on one half of a bin, trained on the other; and with permuted labels.
    bin_majority_ : ndarray of shape (n_bins,)
        Accuracy of always predicting the most frequent class of the bin.
    transfer_scores_ : ndarray of shape (n_bins, n_bins)
        Accuracy of a probe trained on one bin (row) and tested on another (column).
    bin_agreement_ : ndarray of shape (n_bins,)
        Share of the samples to which the evaluator gives the same label, if there is one.
    agreement_ : float
        The same share among the seeds that were kept.
    n_features_in_ : int
        Number of features of a seed.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if Z had names that are all strings.

    See Also
    --------
    sklearn_sparse_eig.datasets.make_gaussian_mixture_diffusion : A generator to try it on.
    sklearn_sparse_eig.seeds.fisher_separability : The criterion alone.

    Notes
    -----
    Separability that rises with confidence means first of all that confident seeds are easier to
    *test* on: in ``transfer_scores_``, probes of the least confident bin are nearly as good on the
    most confident one.

    Do not use the filter if the generator draws noise of its own, if the classifier is sure of
    everything, or if one can generate and reject at will. It cannot be a step of a ``Pipeline``,
    because ``transform`` returns fewer rows.

    A fit runs the generator once for each seed, and fits four and a few more probes for each bin.
    Samples are not kept, unless the classifier must be fitted to them.

    References
    ----------
    Wei, Zeng, Chen, Langer, Seleznova, Chou, arXiv:2602.06155: seeds labelled by a pretrained
    classifier and partitioned by its confidence, their predictability in each part, and generation
    by choosing seeds. Estimates on held-out halves, the shuffled control, transfer between bins and
    the sampling rule are derived in ``doc/seed_confidence.md``.

    Examples
    --------
    >>> from sklearn_sparse_eig import SeedConfidenceFilter
    >>> from sklearn_sparse_eig.datasets import make_gaussian_mixture_diffusion
    >>> toy = make_gaussian_mixture_diffusion(2000, n_classes=3, n_steps=50, random_state=0)
    >>> seeds = SeedConfidenceFilter(toy.generator, toy.classifier, n_bins=2, random_state=0)
    >>> seeds.fit(toy.seeds).bin_scores_.round(1)   # seeds below and above the median confidence
    array([0.7, 1. ])
    >>> chosen = seeds.sample(20, target_class=1, random_state=0)
    >>> chosen.samples.shape, chosen.n_generator_calls
    ((20, 64), 20)
    """

    classes_: np.ndarray
    labels_: np.ndarray
    threshold_: float
    probe_: Any

    confidence_: np.ndarray
    support_mask_: np.ndarray
    acceptance_rate_: float
    classifier_: Any
    bin_edges_: np.ndarray
    separability_: np.ndarray
    separability_shuffled_: np.ndarray
    bin_scores_: np.ndarray
    bin_scores_shuffled_: np.ndarray
    bin_majority_: np.ndarray
    transfer_scores_: np.ndarray
    bin_agreement_: np.ndarray
    agreement_: float

    _parameter_constraints: dict = CONSTRAINTS

    def __init__(
        self,
        generator: Any,
        classifier: Any,
        *,
        probe: Any = None,
        threshold: float | None = None,
        quantile: float = 0.8,
        n_bins: int = 5,
        evaluator: Any = None,
        batch_size: int | Auto = "auto",
        state: Callable | None = None,
        train_on: Literal["confident", "all"] = "confident",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.generator = generator
        self.classifier = classifier
        self.probe = probe
        self.threshold = threshold
        self.quantile = quantile
        self.n_bins = n_bins
        self.evaluator = evaluator
        self.batch_size = batch_size
        self.state = state
        self.train_on = train_on
        self.random_state = random_state
        self.verbose = verbose

    @fitting(prefer_skip_nested_validation=False)
    def fit(self, Z: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Generate samples from all seeds, and learn to predict the labels of confident ones.

        Parameters
        ----------
        Z : array-like of shape (n_seeds, n_features)
            Seeds, as they would be drawn for generation.
        y : array-like of shape (n_seeds,), default=None
            Labels of the samples, for a classifier that is not fitted. Otherwise they are ignored,
            and the labels are those of the classifier.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the generator cannot be called, or if the classifier has no probabilities.
        ValueError
            If the generator is not deterministic, if samples are not finite or do not match the
            seeds, if there are no probabilities, or if confident seeds have fewer than two classes.
        """
        least: dict[str, Any] = {"dtype": SEED_TYPES, "ensure_min_samples": 2}
        rows: Any
        if is_ready(self.classifier):
            rows = validate_rows(self, Z, **least)
        elif y is None:
            raise ValueError(
                f"{type(self.classifier).__name__} is not fitted, and fitting it requires y to be "
                "passed, but the target y is None. Fit the classifier first, or pass the labels "
                "of the samples of Z as y."
            )
        else:
            rows, y = validate_rows(self, Z, y, **least)
            check_classification_targets(y)
        with listening(type(self).__name__, self.verbose):
            self._fit(rows, y)
        return self

    def _fit(self, Z, y):
        repeated = first_samples(self.generator, Z)
        self._dtype, self._floats_per_sample = Z.dtype, max(repeated[0].size, Z.shape[1])
        self.classifier_ = self.classifier
        if not is_ready(self.classifier):
            self.classifier_ = clone(self.classifier).fit(all_samples(self._options(), Z), y)
        options = self._options()
        found = label_seeds(options, Z, repeated)
        self.classes_, self.labels_, self.confidence_ = (
            found.classes,
            found.labels,
            found.confidence,
        )
        lowest = np.quantile(self.confidence_, self.quantile)
        self.threshold_ = float(lowest if self.threshold is None else self.threshold)
        self.support_mask_ = self.confidence_ >= self.threshold_
        self.acceptance_rate_ = float(self.support_mask_.mean())
        F = features_of_seeds(options, Z)
        self.probe_ = fit_probe_to_seeds(options, F, found, self.support_mask_, self.threshold_)
        bins = report_bins(options, F, found, check_random_state(self.random_state))
        self.bin_edges_, self.bin_majority_ = bins.edges, bins.majority
        self.separability_ = bins.separability
        self.separability_shuffled_ = bins.separability_shuffled
        self.transfer_scores_ = bins.transfer
        self.bin_scores_ = bins.transfer.diagonal().copy()
        self.bin_scores_shuffled_ = bins.scores_shuffled
        if found.agrees is not None:
            self.bin_agreement_ = bins.agreement
            self.agreement_ = float(found.agrees[self.support_mask_].mean())

    def _options(self):
        return SeedOptions.of(self, self.classifier_, self._floats_per_sample)

    def get_support(self, Z: ArrayLike | None = None, *, indices: bool = False) -> np.ndarray:
        """Return which seeds are confident.

        Parameters
        ----------
        Z : array-like of shape (n, n_features), default=None
            Seeds to generate from and to judge. None means those of ``fit``.
        indices : bool, default=False
            Whether to return row numbers instead of a mask.

        Returns
        -------
        ndarray of bool, shape (n,), or of int
        """
        check_is_fitted(self)
        mask = self.support_mask_ if Z is None else self._is_confident(self._check_seeds(Z))
        return np.flatnonzero(mask) if indices else mask.copy()

    def transform(self, Z: ArrayLike) -> np.ndarray:
        """Return only the rows whose samples are confident.

        This generates a sample from every row; ``predict_confidence`` does not.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n_confident, n_features)
        """
        seeds = self._check_seeds(Z)
        return seeds[self._is_confident(seeds)]

    def _is_confident(self, seeds):
        return examine(self._options(), seeds, self.classes_)[2] >= self.threshold_

    def fit_transform(self, Z: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """Fit, and return the rows whose samples are confident.

        Parameters
        ----------
        Z : array-like of shape (n_seeds, n_features)
        y : array-like of shape (n_seeds,), default=None
            Labels of the samples, as in ``fit``.

        Returns
        -------
        ndarray of shape (n_confident, n_features)
        """
        self.fit(Z, y)
        return self._check_seeds(Z)[self.support_mask_]

    def score(
        self,
        Z: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the accuracy of predicted classes.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)
        y : array-like of shape (n,), default=None
            True classes. None generates the samples and takes the labels of the evaluator, or
            those of the classifier if there is no evaluator.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        predicted = self.predict(Z)
        weights = check_counts_of_rows(sample_weight, len(predicted))
        if y is None:
            y = judged_labels(self._options(), self._check_seeds(Z), self.classes_)
        return accuracy_score(y, predicted, sample_weight=weights)

    def sample(
        self,
        n_samples: int = 1,
        target_class: Any = None,
        *,
        n_candidates: int = 20,
        max_calls: int | None = None,
        draw: Callable | None = None,
        random_state: Any = None,
    ) -> Bunch:
        """Return confident samples, of a given class if desired, with few runs of the generator.

        For each sample wanted, `n_candidates` seeds are drawn, and the probe takes the most
        promising one. Samples are generated from these seeds, and accepted if they are confident
        and of the class. This is repeated until there are enough.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        target_class : label, default=None
            Class of the samples. None accepts any class.
        n_candidates : int, default=20
            Number of seeds to choose from. With more, fewer calls of the generator are wasted, but
            the most promising seeds lie far out in the direction of their class. With 1, samples
            are generated and rejected.
        max_calls : int, default=None
            Number of calls after which to give up; None means ``100 * n_samples``.
        draw : callable, default=None
            Maps a ``RandomState`` and a number to as many seeds. None draws standard normal ones of
            the type of those of ``fit``.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws.

        Returns
        -------
        bunch : :class:`~sklearn.utils.Bunch`
            ``seeds``, ``samples``, ``labels`` and ``confidence``, each an array of `n_samples`
            rows; ``n_generator_calls``, the number of seeds generated from; and
            ``calls_per_sample``. With an evaluator also ``agreement``, the share of the samples to
            which it gives the same label.

        Raises
        ------
        ValueError
            If the class is unknown, or if no confident seed has it.
        RuntimeError
            If there are not enough samples after `max_calls`.
        """
        check_is_fitted(self)
        for name, value in {"n_samples": n_samples, "n_candidates": n_candidates}.items():
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
        max_calls = 100 * n_samples if max_calls is None else max_calls
        self._check_target(target_class)
        if not hasattr(self.probe_, "predict_proba") and n_candidates > 1:
            raise ValueError(
                f"{type(self.probe_).__name__} has no predict_proba to choose among seeds by. Use "
                "another probe, or n_candidates=1."
            )
        rng, options = check_random_state(random_state), self._options()

        def draw_seeds(n):
            if draw is None:
                return rng.standard_normal((n, self.n_features_in_)).astype(self._dtype, copy=False)
            return validate_rows(self, as_array(draw(rng, n)), reset=False, dtype=self._dtype)

        def rate(Z):
            if n_candidates == 1:
                return np.zeros(len(Z))
            found = self._proba(features_of_seeds(options, Z))
            if target_class is None:
                return found.max(axis=1)
            return found[:, self.classes_ == target_class][:, 0]

        request = SampleRequest(
            n_samples, n_candidates, max_calls, target_class, draw_seeds, rate, self.threshold_
        )
        with listening(type(self).__name__, self.verbose):
            return confident_samples(options, self.classes_, request)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # A tag that goes with the method; that rows are fewer cannot be told by one.
        tags.transformer_tags = TransformerTags(preserves_dtype=["float64", "float32"])
        tags.target_tags.required = not is_ready(self.classifier)
        return tags
