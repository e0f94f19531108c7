"""What a classifier says about samples: labels, and how sure it is."""

import numpy as np

from ._generate import as_array

_SUM_TOLERANCE = 1e-2  # of half precision


def probabilities(classifier, samples, name="classifier"):
    """Return the class probabilities of samples, float64 of shape (n, n_classes).

    Parameters
    ----------
    classifier : object with ``predict_proba``, or callable
    samples : ndarray of shape (n, ...)
    name : str
        For messages.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If what it returns are not probabilities.
    """
    function = getattr(classifier, "predict_proba", classifier)
    if not callable(function):
        raise TypeError(
            f"{name} must have predict_proba, or be a function that returns class probabilities; "
            f"got {type(classifier).__name__}. CalibratedClassifierCV adds predict_proba to a "
            "classifier that has decision_function."
        )
    found = as_array(function(samples)).astype(np.float64, copy=False)
    if found.ndim != 2 or len(found) != len(samples):
        raise ValueError(
            f"{name} returned an array of shape {found.shape} for {len(samples)} samples; class "
            "probabilities of shape (n_samples, n_classes) are needed."
        )
    sums = found.sum(axis=1)
    # Negated, so that NaN is caught.
    if not (found.min(initial=0) >= -_SUM_TOLERANCE and np.all(abs(sums - 1) <= _SUM_TOLERANCE)):
        raise ValueError(
            f"{name} did not return probabilities: its rows have entries down to "
            f"{found.min():.3g} and sums from {sums.min():.3g} to {sums.max():.3g}. If these are "
            "logits, apply a softmax to them."
        )
    return found


def class_labels(classifier, n_classes):
    """Return the labels of the columns: those the classifier knows, or 0, 1, ..."""
    return np.asarray(getattr(classifier, "classes_", np.arange(n_classes)))


def predicted_labels(classifier, samples, classes, name="evaluator"):
    """Return the label that a classifier, or a function, gives each sample.

    A function may return labels, or probabilities of `classes` in their order.
    """
    if hasattr(classifier, "predict"):
        return as_array(classifier.predict(samples))
    if not hasattr(classifier, "predict_proba") and callable(classifier):
        found = as_array(classifier(samples))
        if found.ndim == 1 and len(found) == len(samples):
            return found
    found = probabilities(classifier, samples, name)
    labels = np.asarray(getattr(classifier, "classes_", classes))
    if found.shape[1] != len(labels):
        raise ValueError(
            f"{name} knows {found.shape[1]} classes and the classifier {len(labels)}: {labels}. "
            "Return labels rather than probabilities, or probabilities of the same classes."
        )
    return labels[found.argmax(axis=1)]
