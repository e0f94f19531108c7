"""From a fitted estimator to the network that gives its gradients."""

import copy
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from ._choices import OutputName
from ._gradients import Gradients
from ._network import DenseNetwork, Network
from ._outline import Outline

# How closely a linear model must agree with what it predicts to be taken for one.
_TOLERANCE = 1e-6


def make_network(estimator: Any) -> Network:
    """Return the network of a fitted estimator.

    Parameters
    ----------
    estimator : estimator, Pipeline, torch.nn.Module or Network
        An ``MLPClassifier`` or ``MLPRegressor``; a linear model, that is, one whose
        ``decision_function`` (or ``predict``, for regressors) is ``X @ coef_.T + intercept_``; a
        pipeline that ends in one of them; a search over them; any of these in a
        ``FrozenEstimator``; a torch module that returns logits; or a network of your own.

    Returns
    -------
    Network

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If the estimator is none of these.
    """
    estimator = unwrap(estimator)
    if is_network(estimator):
        return estimator
    if is_torch(estimator):
        from .torch import TorchNetwork

        return TorchNetwork(estimator)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        return _PipelineNetwork(estimator[:-1], make_network(estimator[-1]))
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(_unsupported(estimator))
    check_is_fitted(estimator)
    if isinstance(estimator, MLPClassifier | MLPRegressor):
        return DenseNetwork(
            estimator.coefs_,
            estimator.intercepts_,
            estimator.activation,
            _one_list_of_classes(estimator),
        )
    if hasattr(estimator, "coef_") and hasattr(estimator, "intercept_"):
        return _linear(estimator)
    raise TypeError(_unsupported(estimator))


def unwrap(estimator):
    """Return the estimator inside a FrozenEstimator or a fitted search, else itself."""
    while type(estimator).__name__ == "FrozenEstimator" or hasattr(estimator, "best_estimator_"):
        estimator = getattr(estimator, "best_estimator_", None) or estimator.estimator
    return estimator


def on_device(estimator, device):
    """Return a torch module that is on a device, a copy if it is not there yet.

    Raises
    ------
    TypeError
        If the estimator is not a torch module.
    """
    module = unwrap(estimator)
    if not is_torch(module):
        raise TypeError(
            f"device={device!r} is for torch modules, got {type(module).__name__}. Use device=None."
        )
    device = sys.modules["torch"].device(device)
    if all(value.device == device for value in module.parameters()):
        return module
    return copy.deepcopy(module).to(device)


def is_network(estimator):
    """Whether it is a network already, so that nothing has to be fitted or made."""
    # A network or an estimator, as the parameter allows: estimators of others have no say in it.
    return isinstance(estimator, Network)


def is_torch(estimator):
    """Whether it is a torch module, without importing torch: if it is one, torch is imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(estimator, torch.nn.Module)


class _PipelineNetwork(Network):
    """The last step of a pipeline, after its other steps."""

    def __init__(self, steps, last):
        self._steps, self._last = steps, last
        self.layer_names = self._last.layer_names
        self.layer_shapes = self._last.layer_shapes

    @property
    def order(self) -> tuple[int, ...]:
        return self._last.order

    # Not copied, for a torch module may learn them from the first rows that it sees.
    @property
    def classes(self) -> np.ndarray | None:  # type: ignore[override]  # read-only: set by the last
        return self._last.classes

    def look_at(self, X: Any) -> None:
        self._last.look_at(self._steps.transform(X) if len(self._steps) else X)

    def outline(self, X: Any) -> Outline:
        return self._last.outline(self._steps.transform(X) if len(self._steps) else X)

    def gradients(
        self, X: Any, output: OutputName | int = "max", layers: Sequence[int] | None = None
    ) -> Gradients:
        X = self._steps.transform(X) if len(self._steps) else X
        return self._last.gradients(X, output, layers)

    def head(self) -> tuple[np.ndarray, np.ndarray | None]:
        return self._last.head()

    def feature_network(self) -> "Network":
        return _PipelineNetwork(self._steps, self._last.feature_network())

    def parameters(self) -> list[Any]:
        return self._last.parameters()


def _linear(estimator):
    coef = estimator.coef_
    coef = coef.toarray() if sp.issparse(coef) else np.asarray(coef, dtype=np.float64)
    coef = np.atleast_2d(coef)
    intercept = np.broadcast_to(np.ravel(np.asarray(estimator.intercept_, float)), len(coef))
    learned = getattr(estimator, "fit_intercept", True)
    classes = _one_list_of_classes(estimator)
    network = DenseNetwork([coef.T], [intercept if learned else None], classes=classes)
    _check_linear(estimator, network)
    return network


def _check_linear(estimator, network):
    """Make sure that the coefficients are those of the predictions, whatever the class is."""
    probes = np.random.default_rng(0).normal(size=(3, network.n_features))
    probes[0] = 0.0
    found = network.forward(probes)[-1]
    predict = getattr(estimator, "decision_function", None) or estimator.predict
    with warnings.catch_warnings():
        # The estimator may have seen names of features; the probes have none.
        warnings.simplefilter("ignore")
        expected = np.asarray(predict(probes), dtype=np.float64).reshape(len(probes), -1)
    size = np.abs(expected).max(initial=0.0) + 1.0
    if expected.shape != found.shape or np.abs(expected - found).max() > _TOLERANCE * size:
        raise TypeError(_unsupported(estimator))


def _one_list_of_classes(estimator):
    classes = getattr(estimator, "classes_", None)
    # A logistic output for each of several labels: they do not exclude one another.
    multilabel = (
        getattr(estimator, "out_activation_", None) == "logistic" and estimator.n_outputs_ > 1
    )
    if classes is None or (isinstance(classes, np.ndarray) and not multilabel):
        return classes
    raise TypeError(f"{type(estimator).__name__} has several targets, which is not supported.")


def _unsupported(estimator):
    name = estimator.__name__ if isinstance(estimator, type) else type(estimator).__name__
    return (
        f"No gradients are known for {name}. Give a fitted MLPClassifier, a linear model "
        "(decision_function or predict is X @ coef_.T + intercept_), a pipeline that ends "
        "in one of them, a torch.nn.Module, or a gradients.Network; where no classes are needed "
        f"also an MLPRegressor.{_models_inside(estimator)}"
    )


def _is_of_trees(models):
    """Return whether the first of some models is a tree, which has no gradients either."""
    while isinstance(models, list | np.ndarray) and len(models):
        models = models[0]
    return hasattr(models, "tree_")


def _models_inside(estimator):
    """Return a sentence on where a wrapper has the models that it has fitted, or nothing."""
    calibrated = getattr(estimator, "calibrated_classifiers_", None)
    if calibrated:
        return (
            " Its model is calibrated_classifiers_[0].estimator, which calibration leaves as it is."
        )
    if hasattr(estimator, "estimators_"):
        if _is_of_trees(estimator.estimators_):
            return ""
        return " Its own models are in estimators_, for example estimators_[0]."
    if is_torch(getattr(estimator, "module_", None)):
        return " Its own model is module_: give module_.eval()."
    return " Its own model is estimator_." if hasattr(estimator, "estimator_") else ""
