"""What a detector is given: settings that go together, rows, labels, and the model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import is_regressor
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from ..gradients import PRECOMPUTED_BACKENDS, is_ready, is_torch, make_given, unwrap
from .scores import SCORES


@dataclass(frozen=True)
class Settings:
    """Parameters of a detector that do not go together in every combination.

    Parameters
    ----------
    estimator : estimator or None
    output, score_function, backend, labels, subspace : str
    sparsity : float or None
    """

    estimator: Any
    output: str
    score_function: str
    backend: str
    labels: str
    subspace: str
    sparsity: float | None

    def check(self, has_labels: bool) -> None:
        """Raise a ValueError unless these go together, and with there being labels or not."""
        uses_output = SCORES[self.score_function].uses_output
        if self.output == "loss" and uses_output:
            raise ValueError(
                f"score_function={self.score_function!r} divides by what would make output='loss' "
                "high, which is no sign of a known input. Use score_function='ratio', or "
                "output='max'."
            )
        if self.backend not in PRECOMPUTED_BACKENDS:
            return
        what = f"backend={self.backend!r} takes gradients as they are"
        if self.estimator is not None:
            raise ValueError(f"{what}: it goes with estimator=None, got {self.estimator!r}.")
        if not has_labels or self.labels == "predicted":
            raise ValueError(f"{what} and knows no predictions: pass y, with labels='true'.")
        if uses_output:
            raise ValueError(
                f"{what} and does not know the output, which "
                f"score_function={self.score_function!r} needs. Use score_function='ratio', "
                "or describe the model by a gradients.Network."
            )
        if self.backend == "kernel" and not (
            self.subspace in ("auto", "exact") and self.sparsity is None
        ):
            raise ValueError(
                "backend='kernel' keeps inner products only: subspace must be 'auto' or 'exact' "
                f"and sparsity None, got {self.subspace!r} and {self.sparsity!r}."
            )


def check_labels(X: Any, y: ArrayLike | None) -> np.ndarray | None:
    """Return the labels of the rows of X as an array; a ValueError if they are not."""
    if y is None:
        return None
    if not getattr(X, "is_ordered", True):
        raise ValueError(
            "The DataLoader shuffles, so that y cannot be matched with its rows. Leave y out, "
            "where labels come with the batches, or give a DataLoader with shuffle=False."
        )
    labels: np.ndarray = column_or_1d(y, warn=True)
    check_consistent_length(X, labels)
    check_classification_targets(labels)
    return labels


def ready_model(estimator: Any, backend: str, X: Any, y: Any) -> Any:
    """Return the model whose gradients are taken, or None if one has to be trained."""
    if _is_regressor(estimator):
        raise TypeError(
            f"A classifier is needed, got {type(unwrap(estimator)).__name__}, a regressor. Give "
            "an MLPClassifier, a linear classifier, a pipeline that ends in one of them, or a "
            "torch module."
        )
    if backend in PRECOMPUTED_BACKENDS:
        return make_given(backend, X.shape[1], np.unique(y))
    if not is_ready(estimator):
        return None
    if backend != "auto" and (backend == "torch") != is_torch(estimator):
        raise TypeError(
            f"backend={backend!r} is not that of {type(estimator).__name__}. Use backend='auto'."
        )
    return estimator


def _is_regressor(estimator):
    inner = unwrap(estimator)
    # Modules and networks of one's own have no tags.
    return hasattr(inner, "__sklearn_tags__") and is_regressor(inner)
