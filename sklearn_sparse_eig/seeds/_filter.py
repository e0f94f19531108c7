"""Seeds of a generator by the confidence of their samples: the scikit-learn shell."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.utils import Bunch, TransformerTags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .._base.compat import Interval, StrOptions
from .._base.fitting import fitting
from .._base.messages import warn_user
from .._base.rows import validate_rows
from .._base.typed import (
    ArrayLike,
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RandomSeed,
    available_if,
)
from .._base.weights import check_counts_of_rows
from ..gradients import is_ready
from ._bins import confidence_bins
from ._confidence import class_labels, predicted_labels, probabilities
from ._generate import as_array, check_deterministic, generate_batches
from ._probe import fit_probe
from ._sampling import accept_until, choose_seeds
from ._separability import LEAST_PER_CLASS, compare_bins

# A covariance within classes needs two rows of each.
_LEAST_IN_CLASS = 2


def _probe_has(name):
    def has(self):
        probe = getattr(self, "probe_", self.probe)
        return probe is None or hasattr(probe, name)  # the default has both

    return has


class SeedConfidenceFilter(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Which seeds of a deterministic generator lead to confident samples, and of which class.

    A seed has the label and the confidence that a classifier gives its sample. The filter keeps
    seeds of high confidence, learns on them to tell the class from the seed alone, and so predicts
    it before anything is generated and chooses seeds for a class. It also measures how well classes
    can be told apart by their seeds, among seeds of about the same confidence.

    Parameters
    ----------
    generator : callable or object with ``transform``
        From an array of seeds to as many samples of any shape, each decided by its seed alone, as
        those of a DDIM sampler without noise. Tensors are converted; of a tuple the first entry
        counts.
    classifier : classifier or callable
        From samples to class probabilities. A fitted classifier is used as it is (in a
        ``FrozenEstimator`` it stays fitted when cloned); one that is not is fitted in a
        copy to the generated samples and y. A function returns probabilities of labels 0, 1, ...
    probe : classifier or None, default=None
        Learns labels from seeds; a copy is fitted. None is linear discriminant analysis, with the
        shrinkage of Ledoit and Wolf where there are fewer than four seeds for each feature.
    threshold : float or None, default=None
        Least confidence of the seeds that are kept. None takes it from `quantile`.
    quantile : float in [0, 1), default=0.8
        Share of the seeds to leave out; 0 keeps all.
    n_bins : int, default=5
        Bins of confidence, with equally many seeds, in which separability is measured.
    evaluator : classifier or callable, default=None
        A different classifier of samples, fitted, that judges in ``score`` and ``sample`` and in
        ``agreement_``: what one classifier is sure of need not be so for another. A function
        returns labels, or probabilities of the same classes.
    batch_size : int, default=1024
        Seeds that are generated from at a time.
    state : callable or None, default=None
        From seeds to what the probe sees in their place: the first steps of the sampler, for
        example, whose intermediate states tell more than seeds and cost less than samples. None is
        the seeds.
    train_on : {"confident", "all"}, default="confident"
        Seeds that the probe is fitted to. Confident seeds teach somewhat more each, but are few: in
        the benchmark a probe of all seeds is better everywhere.
    random_state : int, RandomState instance or None, default=None
        Decides halves of bins and permuted labels of the diagnostics, not the probe.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Of the classifier.
    confidence_ : ndarray of shape (n_seeds,)
        Largest class probability of the sample of each seed.
    labels_ : ndarray of shape (n_seeds,)
    threshold_ : float
    support_mask_ : ndarray of bool, shape (n_seeds,)
        Seeds that were kept.
    acceptance_rate_ : float
        Their share.
    probe_ : classifier
        It may lack classes of which there were fewer than two seeds to train on.
    classifier_ : classifier or callable
    bin_edges_ : ndarray of shape (n_bins + 1,)
        Of confidence; fewer where confidences are tied.
    separability_, separability_shuffled_ : ndarray of shape (n_bins,)
        Fisher criterion tr(S_w^-1 S_b) of the seeds of each bin, one half of them against the
        other, so without the bias that it has on few rows; and with permuted labels, about 0.
    bin_scores_, bin_scores_shuffled_ : ndarray of shape (n_bins,)
        Accuracy of a probe on one half of a bin, trained on the other; with permuted labels.
    bin_majority_ : ndarray of shape (n_bins,)
        Accuracy of always saying the most frequent class of the bin.
    transfer_scores_ : ndarray of shape (n_bins, n_bins)
        Accuracy of a probe trained on one bin (row) and tested on another (column).
    bin_agreement_ : ndarray of shape (n_bins,)
        Share of samples to which the evaluator gives the same label. Only with `evaluator`, as
        the next.
    agreement_ : float
        The same among seeds that were kept.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where all features of Z had string names.

    See Also
    --------
    sklearn_sparse_eig.datasets.make_gaussian_mixture_diffusion : A generator to try it on.
    sklearn_sparse_eig.seeds.fisher_separability : The criterion alone.

    Notes
    -----
    Separability that rises with confidence says first that confident seeds are easier to *test*
    on: ``transfer_scores_`` has probes of the least confident bin, and they are nearly as good on
    the most confident one.

    Do not use it where the generator draws noise of its own, where the classifier is sure of
    everything, or where one can generate and reject at will. It cannot be a step of a ``Pipeline``,
    since ``transform`` returns fewer rows.

    Cost: one run of the generator for each seed, and four and a few more fits of the probe for each
    bin. Samples are not kept, unless the classifier must be fitted to them.

    References
    ----------
    Wei, Zeng, Chen, Langer, Seleznova, Chou, arXiv:2602.06155: seeds labelled by a pretrained
    classifier, partitioned by its confidence, how predictable they are in each part, and generation
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
    confidence_: np.ndarray
    labels_: np.ndarray
    threshold_: float
    support_mask_: np.ndarray
    acceptance_rate_: float
    probe_: Any
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

    _parameter_constraints: dict = {
        "generator": [object],
        "classifier": [object],
        "probe": [object],
        "threshold": [Interval(Real, 0, 1, closed="both"), None],
        "quantile": [Interval(Real, 0, 1, closed="left")],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "evaluator": [object],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "state": [callable, None],
        "train_on": [StrOptions({"confident", "all"})],
        "random_state": ["random_state"],
    }

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
        batch_size: int = 1024,
        state: Callable[[np.ndarray], Any] | None = None,
        train_on: Literal["confident", "all"] = "confident",
        random_state: RandomSeed = None,
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

    @fitting(prefer_skip_nested_validation=False)
    def fit(self, Z: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Generate from all seeds, and learn to predict labels of confident ones.

        Parameters
        ----------
        Z : array-like of shape (n_seeds, n_features)
            Seeds, as they would be drawn for generation.
        y : array-like of shape (n_seeds,), default=None
            Labels of the samples, to fit a classifier that is not fitted. Ignored otherwise: the
            labels are those of the classifier.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the generator cannot be called, or the classifier has no probabilities.
        ValueError
            If the generator is not deterministic, samples are not finite or do not match the
            seeds, there are no probabilities, or confident seeds are of fewer than two classes.
        """
        least = {"dtype": [np.float64, np.float32], "ensure_min_samples": 2}
        if is_ready(self.classifier):
            Z = validate_rows(self, Z, **least)
            self.classifier_ = self.classifier
        elif y is None:
            raise ValueError(
                f"{type(self.classifier).__name__} is not fitted, and fitting it requires y to be "
                "passed, but the target y is None. Fit the classifier first, or pass the labels "
                "of the samples of Z as y."
            )
        else:
            Z, y = validate_rows(self, Z, y, **least)
            check_classification_targets(y)
            self.classifier_ = self._fit_classifier(Z, y)
        self._dtype = Z.dtype
        self._label(Z)
        lowest = np.quantile(self.confidence_, self.quantile)
        self.threshold_ = float(lowest if self.threshold is None else self.threshold)
        self.support_mask_ = self.confidence_ >= self.threshold_
        self.acceptance_rate_ = float(self.support_mask_.mean())
        F = self._features(Z)
        self._fit_probe(F)
        self._compare_bins(F)
        return self

    def _fit_classifier(self, Z, y):
        batches = generate_batches(self.generator, Z, self.batch_size)
        return clone(self.classifier).fit(np.concatenate([part for _, part in batches]), y)

    def _label(self, Z):
        """Set classes, labels and confidence of seeds, and whether the evaluator agrees."""
        self.confidence_ = np.empty(len(Z))
        columns, agrees = np.empty(len(Z), dtype=np.intp), np.empty(len(Z), dtype=bool)
        for rows, samples in generate_batches(self.generator, Z, self.batch_size):
            if rows.start == 0:
                check_deterministic(self.generator, Z, samples)
            found = probabilities(self.classifier_, samples)
            classes = class_labels(self.classifier_, found.shape[1])
            columns[rows], self.confidence_[rows] = found.argmax(axis=1), found.max(axis=1)
            if self.evaluator is not None:
                judged = predicted_labels(self.evaluator, samples, classes)
                agrees[rows] = judged == classes[columns[rows]]
        self.classes_ = classes
        self.labels_ = classes[columns]
        self._agrees = agrees if self.evaluator is not None else None

    def _features(self, Z):
        """Return what the probe sees of seeds."""
        if self.state is None:
            return Z.astype(np.float64, copy=False)
        parts = [Z[i : i + self.batch_size] for i in range(0, len(Z), self.batch_size)]
        F = np.concatenate([as_array(self.state(part)) for part in parts])
        if len(F) != len(Z):
            raise ValueError(
                f"state returned {len(F)} rows for {len(Z)} seeds; one each is needed."
            )
        F = F.reshape(len(F), -1).astype(np.float64, copy=False)
        if not np.isfinite(F).all():
            raise ValueError("state returned values that are not finite.")
        return F

    def _fit_probe(self, F):
        rows = self.support_mask_ | (self.train_on == "all")
        labels, counts = np.unique(self.labels_[rows], return_counts=True)
        enough = counts >= _LEAST_IN_CLASS
        which = f" with a confidence of at least {self.threshold_:.4g}"
        if self.train_on == "all":
            which = ""
        if enough.sum() < 2:
            found = dict(zip(labels.tolist(), counts.tolist(), strict=True))
            raise ValueError(
                f"Seeds{which} are needed of two classes, {_LEAST_IN_CLASS} of each, to learn to "
                f"tell them apart; of {len(rows)} seeds there are {found} (class: seeds), and "
                f"confidences go up to {self.confidence_.max():.4g}. Give more seeds, or lower "
                "threshold or quantile."
            )
        missing = np.setdiff1d(self.classes_, labels[enough])
        if len(missing):
            warn_user(
                f"Too few seeds{which}: classes {missing.tolist()} have fewer than "
                f"{_LEAST_IN_CLASS}, and will not be predicted. Give more seeds, or lower "
                "threshold or quantile.",
                UserWarning,
            )
        rows &= np.isin(self.labels_, labels[enough])
        self.probe_ = fit_probe(self.probe, F[rows], self.labels_[rows])

    def _compare_bins(self, F):
        self.bin_edges_, bins = confidence_bins(self.confidence_, self.n_bins)
        n_bins = len(self.bin_edges_) - 1
        rng = check_random_state(self.random_state)
        true = compare_bins(F, self.labels_, bins, n_bins, self.probe, rng)
        self.separability_, self.transfer_scores_, self.bin_majority_ = true
        self.bin_scores_ = self.transfer_scores_.diagonal().copy()
        shuffled = self.labels_.copy()
        for number in range(n_bins):
            rows = np.flatnonzero(bins == number)
            shuffled[rows] = shuffled[rng.permutation(rows)]
        control = compare_bins(F, shuffled, bins, n_bins, self.probe, rng, transfer=False)
        self.separability_shuffled_ = control[0]
        self.bin_scores_shuffled_ = control[1].diagonal().copy()
        if self._agrees is not None:
            self.bin_agreement_ = np.array([self._agrees[bins == i].mean() for i in range(n_bins)])
            self.agreement_ = float(self._agrees[self.support_mask_].mean())
        few = np.flatnonzero(np.isnan(self.separability_))
        if len(few):
            warn_user(
                f"Too few seeds in bins {few.tolist()} of {n_bins} to measure separability, which "
                f"is NaN there: they have {np.bincount(bins, minlength=n_bins)[few].tolist()}, "
                f"and half of a bin needs {F.shape[1] + 2} more than it has classes, of which "
                f"those with fewer than {LEAST_PER_CLASS} seeds do not count. Give more seeds, "
                "fewer n_bins, or a state of fewer features.",
                UserWarning,
            )

    # ------------------------------------------------------------------------- before generation

    def predict(self, Z: ArrayLike) -> np.ndarray:
        """Return the class that samples of seeds will have, without generating them.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
        """
        F = self._check(Z)
        return self.probe_.predict(F)

    @available_if(_probe_has("predict_proba"))
    def predict_proba(self, Z: ArrayLike) -> np.ndarray:
        """Return the probability of each class, without generating.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes)
            0 for classes that the probe lacks. A probe of confident seeds is too sure of others.
        """
        return self._proba(self._check(Z))

    @available_if(_probe_has("decision_function"))
    def decision_function(self, Z: ArrayLike) -> np.ndarray:
        """Return the decision values of the probe, without generating.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes) or (n,)
            One column for two classes. The least float for classes that the probe lacks.
        """
        F = self._check(Z)
        values = self.probe_.decision_function(F)
        known = self.probe_.classes_
        if len(known) == len(self.classes_):
            return values
        if values.ndim == 1:
            values = np.column_stack([-values, values])
        full = np.full((len(values), len(self.classes_)), np.finfo(np.float64).min)
        full[:, np.searchsorted(self.classes_, known)] = values
        return full

    @available_if(_probe_has("predict_proba"))
    def predict_confidence(self, Z: ArrayLike) -> np.ndarray:
        """Return how confident a sample will be, by the largest probability of its class.

        It orders seeds; its values are those of the probe, not of the classifier.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
        """
        return self.predict_proba(Z).max(axis=1)

    def _check(self, Z):
        check_is_fitted(self)
        return self._features(self._rows(Z))

    def _rows(self, Z):
        return validate_rows(self, Z, reset=False, dtype=[np.float64, np.float32])

    def _proba(self, F):
        full = np.zeros((len(F), len(self.classes_)))
        full[:, np.searchsorted(self.classes_, self.probe_.classes_)] = self.probe_.predict_proba(F)
        return full

    # --------------------------------------------------------------------------- with generation

    def get_support(self, Z: ArrayLike | None = None, *, indices: bool = False) -> np.ndarray:
        """Return which seeds are confident.

        Parameters
        ----------
        Z : array-like of shape (n, n_features), default=None
            Seeds to generate from and to judge. None for those of ``fit``.
        indices : bool, default=False
            Return row numbers instead of a mask.

        Returns
        -------
        ndarray of bool, shape (n,), or of int
        """
        check_is_fitted(self)
        mask = self.support_mask_
        if Z is not None:
            mask = self._examine(self._rows(Z))[2] >= self.threshold_
        return np.flatnonzero(mask) if indices else mask.copy()

    def transform(self, Z: ArrayLike) -> np.ndarray:
        """Return the rows whose samples are confident: fewer than were given.

        It generates from every row; ``predict_confidence`` does not.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n_confident, n_features)
        """
        check_is_fitted(self)
        return self._rows(Z)[self.get_support(Z)]

    def fit_transform(self, Z: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """Fit, and return the rows whose samples are confident.

        Parameters
        ----------
        Z : array-like of shape (n_seeds, n_features)
        y : array-like of shape (n_seeds,), default=None
            As in ``fit``.

        Returns
        -------
        ndarray of shape (n_confident, n_features)
        """
        return self.fit(Z, y)._rows(Z)[self.support_mask_]

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
            True classes. None generates the samples, and asks the evaluator, or without one the
            classifier.
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        float
        """
        predicted = self.predict(Z)
        y = self._judge(self._rows(Z)) if y is None else y
        weights = check_counts_of_rows(sample_weight, len(predicted))
        return accuracy_score(y, predicted, sample_weight=weights)

    def _judge(self, Z):
        if self.evaluator is None:
            return self._examine(Z)[1]
        batches = generate_batches(self.generator, Z, self.batch_size)
        return np.concatenate(
            [predicted_labels(self.evaluator, samples, self.classes_) for _, samples in batches]
        )

    def _examine(self, Z):
        """Return samples, labels and confidence of seeds."""
        parts, labels, confidence = [], [], []
        for _, samples in generate_batches(self.generator, Z, self.batch_size):
            found = probabilities(self.classifier_, samples)
            parts.append(samples)
            labels.append(self.classes_[found.argmax(axis=1)])
            confidence.append(found.max(axis=1))
        return np.concatenate(parts), np.concatenate(labels), np.concatenate(confidence)

    def sample(
        self,
        n_samples: int = 1,
        target_class: Any = None,
        *,
        n_candidates: int = 20,
        max_calls: int | None = None,
        draw: Callable[[np.random.RandomState, int], Any] | None = None,
        random_state: RandomSeed = None,
    ) -> Bunch:
        """Return confident samples, of a class if one is named, with few runs of the generator.

        Of `n_candidates` seeds drawn for each sample wanted the probe takes the most promising
        one. These are generated from; those that are confident and of the class are accepted, and
        it goes on until there are enough.

        Parameters
        ----------
        n_samples : int, default=1
        target_class : label, default=None
            None for any class.
        n_candidates : int, default=20
            With more, fewer generator calls are wasted, but the most promising seeds lie far out in
            the direction of their class. 1 is to generate and reject.
        max_calls : int, default=None
            Where to give up; None for ``100 * n_samples``.
        draw : callable, default=None
            From a ``RandomState`` and a number to as many seeds. None for standard normal ones, of
            the type of those of ``fit``.
        random_state : int, RandomState instance or None, default=None

        Returns
        -------
        bunch : :class:`~sklearn.utils.Bunch`
            With ``seeds``, ``samples``, ``labels`` and ``confidence``, an array of `n_samples` rows
            each; ``n_generator_calls``, the number of seeds generated from; and
            ``calls_per_sample``. With an evaluator ``agreement``, the share of the samples to which
            it gives the same label.

        Raises
        ------
        ValueError
            For an unknown class, or one that no confident seed has.
        RuntimeError
            If there are not enough after `max_calls`.
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
        rng = check_random_state(random_state)

        def draw_seeds(n):
            if draw is None:
                return rng.standard_normal((n, self.n_features_in_)).astype(self._dtype, copy=False)
            return validate_rows(self, as_array(draw(rng, n)), reset=False, dtype=self._dtype)

        def rate(Z):
            if n_candidates == 1:
                return np.zeros(len(Z))
            found = self._proba(self._features(Z))
            if target_class is None:
                return found.max(axis=1)
            return found[:, self.classes_ == target_class][:, 0]

        def choose(n):
            return choose_seeds(draw_seeds, rate, n, n_candidates, self.batch_size)

        def examine(Z):
            samples, labels, confidence = self._examine(Z)
            mask = confidence >= self.threshold_
            if target_class is not None:
                mask &= labels == target_class
            return (samples, labels, confidence), mask

        parts, calls = accept_until(n_samples, choose, examine, max_calls)
        if len(parts[0]) < n_samples:
            wanted = "" if target_class is None else f" of class {target_class!r}"
            raise RuntimeError(
                f"{len(parts[0])} of {n_samples} samples{wanted} were found in {calls} generator "
                f"calls, with a confidence of at least {self.threshold_:.4g}. Raise max_calls or "
                "n_candidates, or fit with a lower threshold or quantile. If the seeds of fit "
                "were not standard normal, pass draw."
            )
        names = ("seeds", "samples", "labels", "confidence")
        bunch = Bunch(**dict(zip(names, parts, strict=True)))
        bunch.n_generator_calls, bunch.calls_per_sample = calls, calls / n_samples
        if self.evaluator is not None:
            judged = predicted_labels(self.evaluator, bunch.samples, self.classes_)
            bunch.agreement = float(np.mean(judged == bunch.labels))
        return bunch

    def _check_target(self, target_class):
        if target_class is None:
            return
        if target_class not in self.classes_:
            raise ValueError(
                f"target_class={target_class!r} is none of the classes {self.classes_.tolist()}."
            )
        if target_class not in self.probe_.classes_:
            count = np.sum(self.labels_ == target_class)
            raise ValueError(
                f"target_class={target_class!r} had too few seeds to learn from: {count} of "
                f"{len(self.labels_)} seeds lead to it, fewer than {_LEAST_IN_CLASS} of those that "
                f"the probe was fitted to (confidence at least {self.threshold_:.4g}). Fit with "
                "more seeds, or a lower threshold or quantile."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # A tag that goes with the method; that rows are fewer cannot be told by one.
        tags.transformer_tags = TransformerTags(preserves_dtype=["float64", "float32"])
        tags.target_tags.required = not is_ready(self.classifier)
        return tags
