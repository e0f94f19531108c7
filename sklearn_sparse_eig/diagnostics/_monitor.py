"""Diagnostics along training: an object to call in any training loop."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from .._base.typed import ArrayLike, MatrixLike, RandomSeed
from ..gradients import LayerChoice, OutputName, is_torch, unwrap
from ._alignment import NTKAlignment, ntk_alignment
from ._collapse import NeuralCollapse, neural_collapse
from ._curvature import LossCurvature, LossName, loss_curvature, n_parameters

_OF_THE_LOSS = ("loss", "sharpness", "gradient_norm", "parameter_norm")


class CollapseMonitor:
    """Monitor of neural collapse, tangent kernel alignment and sharpness during training.

    Call it with the model after each epoch or step. Torch modules are evaluated in evaluation mode
    and left as they were, including the mode of each submodule, gradients and random state.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Training data, or a fixed part of them.
    y : array-like of shape (n_samples,)
        Classes, with the names that the model uses.
    every : int, default=1
        Interval between the steps that are recorded, which are divisible by it.
    X_ood : array-like, default=None
        Samples of other classes, for NC5.
    output, params : default="max", "all"
        Parameters of :func:`ntk_alignment`.
    n_per_class : int, default=10
        Number of samples of each class in the kernels. They are the same each time.
    feature_tangent : bool, default=False
        Whether to compute the tangent kernel of the features and the invariant, which take a
        backward pass for each feature.
    loss : {"cross_entropy", "squared_error"}, callable or None, default=None
        Loss of which to record value, sharpness and norms, for torch modules whose classes are
        0, 1, ...; see :func:`loss_curvature`. It should be that of the training.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw of the samples in the kernels, which is made once.

    Attributes
    ----------
    steps : list of int
        The steps recorded.
    alignments : list of NTKAlignment
        Alignment of the kernels at each of them.
    collapses : list of NeuralCollapse
        Neural collapse at each of them.
    curvatures : list of LossCurvature
        Loss, sharpness, and norms of gradient and parameters at each of them, if there is a loss.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn_sparse_eig.diagnostics import CollapseMonitor
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((20,), random_state=0)
    >>> monitor = CollapseMonitor(X, y, every=20)
    >>> for epoch in range(1, 101):
    ...     monitor(model.partial_fit(X, y, classes=[0, 1, 2]), epoch)
    >>> monitor.to_dict()["step"]
    array([ 20,  40,  60,  80, 100])
    """

    def __init__(
        self,
        X: MatrixLike,
        y: ArrayLike,
        *,
        every: int = 1,
        X_ood: MatrixLike | None = None,
        output: OutputName | Literal["mean_diagonal"] | int = "max",
        params: LayerChoice = "all",
        n_per_class: int = 10,
        feature_tangent: bool = False,
        loss: LossName | Callable[[Any, Any], Any] | None = None,
        random_state: RandomSeed = None,
    ) -> None:
        if not isinstance(every, int | np.integer) or every < 1:
            raise ValueError(f"every must be a positive integer, got {every!r}.")
        self.X, self.y, self.X_ood = X, y, X_ood
        self.every = every
        self.output, self.params = output, params
        self.n_per_class = n_per_class
        self.feature_tangent = feature_tangent
        self.loss = loss
        self.random_state = random_state
        # One seed for all steps: their kernels are of the same samples.
        self._seed = random_state
        if not isinstance(random_state, int | np.integer):
            self._seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
        self.steps: list[int] = []
        self.alignments: list[NTKAlignment] = []
        self.collapses: list[NeuralCollapse] = []
        self.curvatures: list[LossCurvature] = []
        self._n_calls = 0

    def __call__(self, model: Any, step: int | None = None) -> None:
        """Look at the model, if it is time.

        Parameters
        ----------
        model : estimator, Pipeline, torch.nn.Module or Network
        step : int, default=None
            Where training is. None counts calls, from 1 on.

        Raises
        ------
        TypeError, ValueError
            As :func:`ntk_alignment` and :func:`neural_collapse`; nothing is recorded then.
        """
        self._n_calls += 1
        step = self._n_calls if step is None else step
        if step % self.every:
            return
        with evaluation(model):
            alignment = ntk_alignment(
                model,
                self.X,
                self.y,
                output=self.output,
                params=self.params,
                n_per_class=self.n_per_class,
                feature_tangent=self.feature_tangent,
                random_state=self._seed,
            )
            collapse = neural_collapse(
                model,
                self.X,
                self.y,
                X_ood=self.X_ood,
                invariant=self.feature_tangent,
                n_per_class=self.n_per_class,
                random_state=self._seed,
            )
            curvature = None if self.loss is None else self._curvature(model, self.loss)
        self.steps.append(step)
        self.alignments.append(alignment)
        self.collapses.append(collapse)
        if curvature is not None:
            self.curvatures.append(curvature)

    def _curvature(self, model: Any, loss: Any) -> LossCurvature:
        """Return that of the loss; the last direction is a start, unless the module is another."""
        start = self.curvatures[-1].direction if self.curvatures else None
        module = unwrap(model)
        if start is not None and len(start) != n_parameters(module):
            start = None
        return loss_curvature(module, self.X, self.y, loss, start=start, random_state=0)

    def to_dict(self) -> dict[str, np.ndarray]:
        """Return ``step`` and all numbers as arrays with an entry for each step.

        Names of numbers of a kernel begin with that of the kernel, as in ``tangent_fit_error``.
        With a ``loss`` they include ``loss``, ``sharpness``, ``gradient_norm`` and
        ``parameter_norm``. With ``feature_tangent`` the numbers of the invariant E are included,
        and ``invariant_change``: how far E is from that of the first step, relative to the norm of
        W W^T, like ``invariant_error``. For a data frame take only the arrays with one axis.
        """
        columns = {"step": np.array(self.steps, dtype=int)}
        rows = [
            _numbers(alignment) | _numbers(collapse)
            for alignment, collapse in zip(self.alignments, self.collapses, strict=True)
        ]
        for name in rows[0] if rows else ():
            columns[name] = np.array([row[name] for row in rows])
        for name in _OF_THE_LOSS if self.curvatures else ():
            columns[name] = np.array([getattr(curvature, name) for curvature in self.curvatures])
        if self.feature_tangent and rows:
            columns["invariant_change"] = _changes(self.collapses)
        else:
            columns = {n: v for n, v in columns.items() if not n.startswith("invariant_")}
        return columns


@contextmanager
def evaluation(model):
    """Put a torch module into evaluation mode, and each submodule back into its own mode."""
    inner = unwrap(model)
    if not is_torch(inner):
        yield
        return
    modes = [(module, module.training) for module in inner.modules()]
    try:
        inner.eval()
        yield
    finally:
        # By its own method first, for modules that do more there than set the mode.
        inner.train(modes[0][1])
        for module, mode in modes:
            module.training = mode


def _changes(collapses):
    """Return how far E is from the first one, relative to ||W W^T||; NaN where there is none."""
    first, changes = collapses[0].invariant, np.full(len(collapses), np.nan)
    for i, collapse in enumerate(collapses):
        comparable = np.shape(collapse.invariant) == np.shape(first)
        if first is not None and comparable and collapse.invariant_error > 0:
            size = collapse.invariant_norm / collapse.invariant_error
            changes[i] = np.linalg.norm(collapse.invariant - first) / size
    return changes


def _numbers(record, prefix=""):
    """Return the numbers and arrays of a dataclass, and of those inside it, in one dict."""
    found = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value):
            found |= _numbers(value, f"{prefix}{field.name}_")
        elif field.name == "invariant":
            continue  # a matrix; its norms, and its change, are told
        elif isinstance(value, float | np.ndarray):
            found[prefix + field.name] = value
    return found
