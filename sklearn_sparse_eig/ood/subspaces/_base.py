"""What is kept of a stream of gradients, one kind for each subspace."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from ..._base.atomic import all_or_nothing
from ..._base.linear import LinearState
from ..._base.locks import undisturbed
from ...gradients import LayerOutline
from .._costs import UNKNOWN, Expected
from .._seen_rows import SeenRows
from ._feature_sums import FeatureSums, KnownFeatures
from ._span import Span


@dataclass(frozen=True)
class Plan:
    """What a state of known gradients is made of; the same for all that are merged.

    Parameters
    ----------
    n_classes : int
    layer_shapes : tuple of (int, int)
        Inputs and outputs of each layer.
    metric : {"kfac", "diag", "euclidean"}
    max_size : int
        Factors of the metric beyond this many entries are kept diagonal.
    n_measurements : int or "auto", default="auto"
    n_components : int, float or None, default=None
    sparsity : float or None, default=None
    seed : int, default=0
    n_present : int or None, default=None
        Number of classes that will come, None for all. Sizes go by it.
    keeps_features : bool, default=False
        Whether sums of what enters the head are kept too, for scores that use them.
    """

    n_classes: int
    layer_shapes: tuple[tuple[int, int], ...]
    metric: str
    max_size: int
    n_measurements: int | str = "auto"
    n_components: int | float | None = None
    sparsity: float | None = None
    seed: int = 0
    n_present: int | None = None
    keeps_features: bool = False

    @property
    def n_expected(self) -> int:
        """Number of classes that will come."""
        return getattr(self, "n_present", None) or self.n_classes

    def is_diagonal(self, size: int) -> bool:
        """Whether a factor of the metric of so many rows is kept diagonal."""
        return self.metric == "diag" or size > self.max_size

    @property
    def n_directions(self) -> int:
        """Number of directions that are expected: one less than there are classes, or as asked."""
        if isinstance(self.n_components, int):
            return self.n_components
        return max(self.n_expected - 1, 1)

    def full_sizes(self) -> list[int]:
        """Return the rows of all factors of the metric that are kept in full."""
        if self.metric == "euclidean":
            return []
        return [size for shape in self.layer_shapes for size in shape if not self.is_diagonal(size)]

    @property
    def n_parameters(self) -> int:
        """Entries of a gradient."""
        return sum(p * q for p, q in self.layer_shapes)


@dataclass(frozen=True)
class SpanRequest:
    """Which subspace of the known gradients is wanted; each kind takes what concerns it.

    Parameters
    ----------
    n_components : int, float or None, default=None
        Directions; a float for a share of the trace, None for all.
    sparsity : float or None, default=None
        Share of the entries of each class mean that is kept, None for all.
    mean_rank : int or None, default=None
        Greatest rank of a class mean in a layer, None for any.
    verbose : int, default=0
        From 1 on, reports of what takes long.
    """

    n_components: int | float | None = None
    sparsity: float | None = None
    mean_rank: int | None = None
    verbose: int = 0


class KnownGradients(LinearState):
    """Base class of what is kept of the gradients of known samples, with their counts.

    A subclass has a name, keeps gradients (:meth:`_update`) and determines which subspace follows
    from them (:meth:`span`). Decorated with :func:`register`, it can be chosen by its name.

    Parameters
    ----------
    plan : Plan
        The plan that :meth:`complete` returns.

    Attributes
    ----------
    name : str
        The value of ``subspace`` that stands for this kind.
    is_hashed : bool
        Whether a seed matters.
    can_be_chosen : bool
        Whether users may ask for this kind; others follow from the backend.
    counts : ndarray of int64, shape (n_classes,)
        Number of samples of each class.
    seen_rows : SeenRows
        A sample of the rows themselves, if they were noted.
    features : FeatureSums or None
        Sums of what enters the head, if the plan has them.
    """

    name: ClassVar[str]
    is_hashed: ClassVar[bool] = False
    can_be_chosen: ClassVar[bool] = True
    features: FeatureSums | None = None  # as in states that were saved before there were any

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "span" in vars(cls):  # a subspace belongs to whole batches, whoever writes meanwhile
            cls.span = undisturbed(cls.span)  # type: ignore[method-assign]  # wrapped, once a class

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.counts = np.zeros(plan.n_classes, dtype=np.int64)
        self.seen_rows = SeenRows.none()
        self.features = FeatureSums() if plan.keeps_features else None

    @classmethod
    def complete(cls, plan: Plan) -> Plan:
        """Return the plan with all that was left to be chosen; refuse one that cannot be."""
        return plan

    @property
    def n_samples(self) -> int:
        """Number of samples seen."""
        return int(self.counts.sum())

    @property
    def n_metric_samples(self) -> int:
        """Number of samples behind the metric."""
        return self.n_samples

    @property
    def looks_ahead(self) -> bool:
        """Whether gradients have to pass :meth:`look_ahead` before any can be added."""
        return False

    def seconds_once(self) -> float:
        """Return roughly how long a metric and a subspace take, beside passes over the samples."""
        return 0.0

    def expected(self, i: int, layer: LayerOutline, is_one_hot: bool, rank: int | None) -> Expected:
        """Return what layer i is expected to take beside the metric.

        Parameters
        ----------
        i : int
        layer : LayerOutline
        is_one_hot : bool
            Whether its derivatives at the outputs are unit vectors.
        rank : int or None
            Greatest rank of a class mean, as requested.
        """
        return Expected(UNKNOWN, UNKNOWN, UNKNOWN)

    def bytes_of_metric(self, is_single: bool) -> int:
        """Return the bytes of an entry of the metric, for gradients in single precision or not."""
        return 8

    def expected_in_common(self) -> Expected:
        """Return what all layers together take, beside that of each."""
        return Expected()

    def look_ahead(self, gradients: Iterable[Sequence], verbose: int = 0) -> None:
        """Learn what has to be known before gradients are added, from batches of them."""

    @all_or_nothing
    def extend(self, batches: Iterable[tuple]) -> Self:
        """Add batches of gradients; all of them, or none if there is an error.

        Parameters
        ----------
        batches : iterable of (layers, labels) or (layers, labels, features, logits)
            Gradients layer by layer, and the indices of their classes; where features are kept,
            also what enters the head, and the logits.

        Returns
        -------
        self
        """
        self._prepare_all()
        for layers, labels, *evidence in batches:
            with np.errstate(over="ignore", invalid="ignore"):  # refused by the sums themselves
                self._extend(layers, labels, evidence)
        return self

    def _extend(self, layers, labels, evidence):
        self._update(layers, labels)
        if self.features is not None:
            features, logits = evidence
            self.features.add(features, logits, labels, self.plan.is_diagonal)
            if self.plan.metric == "euclidean":  # which does not know how long they are
                self.features.energy += float(sum(g.squared_norms().sum() for g in layers))
        self.counts = self.counts + np.bincount(labels, minlength=len(self.counts))

    @all_or_nothing
    def note_rows(self, hashes: np.ndarray) -> None:
        """Remember the rows whose gradients are added, by their hashes."""
        self.seen_rows = self.seen_rows.plus(SeenRows.of(hashes))

    def settings(self) -> dict[str, Any]:
        """Return all that must agree between states that are merged."""
        plan = self.plan
        return {
            "n_classes": plan.n_classes,
            "layer_shapes": plan.layer_shapes,
            "metric": plan.metric,
            "max_size": plan.max_size,
            "keeps_features, as some scores need them,": self.features is not None,
        }

    def empty(self) -> Self:
        """Return a state of the same settings that has seen nothing."""
        return type(self)(self.plan)

    def _add(self, other: Self, sign: float) -> None:
        self._prepare_all()
        self._add_sums(other, sign)
        if self.features is not None and other.features is not None:
            self.features.merge(other.features, sign)
        self.counts = self.counts + int(sign) * other.counts
        self.seen_rows = self.seen_rows.plus(other.seen_rows, sign)

    @undisturbed
    def known_features(self) -> KnownFeatures:
        """Return what the features of the samples so far say of features.

        Raises
        ------
        ValueError
            If they were not kept, or there are none.
        """
        if self.features is None:
            raise ValueError(
                "This score needs sums over what enters the head, and the detector was fitted for "
                "a score that does not. Fit it with the score_function that it is to have."
            )
        return self.features.known(self.counts)

    def _prepare_all(self):
        self._prepare_to_write()
        if self.features is not None:
            self.features = self.features.writable(self.journal)

    @abstractmethod
    def span(self, request: SpanRequest) -> Span:
        """Return the subspace of the samples so far.

        Raises
        ------
        ValueError
            If there are too few samples, or they do not span one.
        """

    @abstractmethod
    def _prepare_to_write(self) -> None:
        """Make sums safe to be written in place.

        While the state is empty that is best done by new arrays, which cost nothing; else the
        journal keeps the old ones.
        """

    @abstractmethod
    def _update(self, layers: Sequence, labels: np.ndarray) -> None:
        """Add a batch of gradients to the sums; the counts are taken care of."""

    @abstractmethod
    def _add_sums(self, other: Self, sign: float) -> None:
        """Add `sign` times the sums of another state; the counts are taken care of."""
