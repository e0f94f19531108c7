"""What a detector is given: settings that go together, rows, labels, and the model."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from ..gradients import GIVEN, check_rows, is_ready, is_torch, make_given


def check_input(detector: Any, X: ArrayLike, y: ArrayLike | None, reset: bool) -> tuple[Any, Any]:
    """Return X and y, checked for the parameters of a detector.

    Raises
    ------
    ValueError
        If the parameters do not go together, or X and y do not.
    """
    if detector.output == "loss" and detector.score_function != "ratio":
        raise ValueError(
            f"score_function={detector.score_function!r} divides by what would make output='loss' "
            "high, which is no sign of a known input. Use score_function='ratio', or "
            "output='max'."
        )
    if detector.backend in GIVEN:
        _check_given(detector, y)
    X = check_rows(detector, X, reset=reset)
    if y is not None:
        y = column_or_1d(y, warn=True)
        check_consistent_length(X, y)
        check_classification_targets(y)
    return X, y


def _check_given(detector, y):
    what = f"backend={detector.backend!r} takes gradients as they are"
    if detector.estimator is not None:
        raise ValueError(f"{what}: it goes with estimator=None, got {detector.estimator!r}.")
    if y is None or detector.labels == "predicted":
        raise ValueError(f"{what} and knows no predictions: pass y, with labels='true'.")
    if detector.score_function != "ratio":
        raise ValueError(
            f"{what} and does not know the output, which "
            f"score_function={detector.score_function!r} needs. Use score_function='ratio', "
            "or describe the model by a gradients.Network."
        )
    if detector.backend == "kernel" and not (
        detector.subspace in ("auto", "exact") and detector.sparsity is None
    ):
        raise ValueError(
            "backend='kernel' keeps inner products only: subspace must be 'auto' or 'exact' "
            f"and sparsity None, got {detector.subspace!r} and {detector.sparsity!r}."
        )


def ready_model(estimator: Any, backend: str, X: Any, y: Any) -> Any:
    """Return the model whose gradients are taken, or None if one has to be trained."""
    if backend in GIVEN:
        return make_given(backend, X.shape[1], np.unique(y))
    if not is_ready(estimator):
        return None
    if backend != "auto" and (backend == "torch") != is_torch(estimator):
        raise TypeError(
            f"backend={backend!r} is not that of {type(estimator).__name__}. Use backend='auto'."
        )
    return estimator
