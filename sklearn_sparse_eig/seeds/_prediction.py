"""What is said of seeds before anything is generated from them: the methods of the probe."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from .._base.rows import validate_rows
from .._base.typed import available_if
from ._options import SeedOptions
from ._training import LEAST_IN_CLASS, features_of_seeds

SEED_TYPES = [np.float64, np.float32]


def _probe_has(name):
    def has(self):
        probe = getattr(self, "probe_", self.probe)
        return probe is None or hasattr(probe, name)  # the default has both

    return has


class PredictsFromSeeds:
    """Classes and confidence of samples, predicted from their seeds by the probe."""

    probe: Any
    probe_: Any
    classes_: np.ndarray
    labels_: np.ndarray
    threshold_: float

    _options: Callable[[], SeedOptions]

    def predict(self, Z: ArrayLike) -> np.ndarray:
        """Return the classes that the samples of seeds will have, without generating them.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
        """
        F = self._checked_features(Z)
        return self.probe_.predict(F)

    @available_if(_probe_has("predict_proba"))
    def predict_proba(self, Z: ArrayLike) -> np.ndarray:
        """Return the probability of each class for the samples of seeds, without generating them.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes)
            Probabilities, which are 0 for classes that the probe lacks. A probe of confident seeds
            is too sure of others.
        """
        return self._proba(self._checked_features(Z))

    @available_if(_probe_has("decision_function"))
    def decision_function(self, Z: ArrayLike) -> np.ndarray:
        """Return the decision values of the probe for seeds, without generating samples.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n, n_classes) or (n,)
            Decision values, as a vector for two classes. They are the least float for classes that
            the probe lacks.
        """
        F = self._checked_features(Z)
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
        """Return how confident samples of seeds will be, as the largest probability of a class.

        The values are meant for ordering seeds: they are those of the probe, not of the classifier.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)

        Returns
        -------
        ndarray of shape (n,)
        """
        return self.predict_proba(Z).max(axis=1)

    def _checked_features(self, Z):
        seeds = self._check_seeds(Z)
        return features_of_seeds(self._options(), seeds)

    def _check_seeds(self, Z):
        check_is_fitted(self)
        return validate_rows(self, Z, reset=False, dtype=SEED_TYPES)

    def _proba(self, F):
        full = np.zeros((len(F), len(self.classes_)))
        full[:, np.searchsorted(self.classes_, self.probe_.classes_)] = self.probe_.predict_proba(F)
        return full

    def _check_target(self, target_class: Any) -> None:
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
                f"{len(self.labels_)} seeds lead to it, fewer than {LEAST_IN_CLASS} of those that "
                f"the probe was fitted to (confidence at least {self.threshold_:.4g}). Fit with "
                "more seeds, or a lower threshold or quantile."
            )
