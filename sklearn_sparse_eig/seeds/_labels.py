"""Labels and confidence of seeds: those that classifiers give their samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._confidence import class_labels, predicted_labels, probabilities
from ._generate import check_deterministic, generate_batches
from ._options import SeedOptions


@dataclass(frozen=True)
class SeedLabels:
    """What classifiers say about the samples of seeds.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
    labels, confidence : ndarray of shape (n_seeds,)
    agrees : ndarray of bool, shape (n_seeds,), or None
        Whether the evaluator gives the same label; None without one.
    """

    classes: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    agrees: np.ndarray | None


def batches_of_samples(options: SeedOptions, Z: np.ndarray) -> Any:
    """Yield (slice, samples) for batches of seeds."""
    return generate_batches(options.generator, Z, options.batch_size, options.floats_per_sample)


def all_samples(options: SeedOptions, Z: np.ndarray) -> np.ndarray:
    """Return the samples of all seeds."""
    return np.concatenate([samples for _, samples in batches_of_samples(options, Z)])


def label_seeds(options: SeedOptions, Z: np.ndarray, repeated: np.ndarray) -> SeedLabels:
    """Return the labels of seeds, after a check that the generator is deterministic.

    Parameters
    ----------
    options : SeedOptions
    Z : ndarray of shape (n_seeds, n_features)
    repeated : ndarray
        Samples of the first seeds, generated before, alone.
    """
    confidence = np.empty(len(Z))
    columns, agrees = np.empty(len(Z), dtype=np.intp), np.empty(len(Z), dtype=bool)
    for rows, samples in batches_of_samples(options, Z):
        if rows.start == 0:
            check_deterministic(samples, repeated)
        found = probabilities(options.classifier, samples)
        classes = class_labels(options.classifier, found.shape[1])
        columns[rows], confidence[rows] = found.argmax(axis=1), found.max(axis=1)
        if options.evaluator is not None:
            judged = predicted_labels(options.evaluator, samples, classes)
            agrees[rows] = judged == classes[columns[rows]]
    return SeedLabels(
        classes, classes[columns], confidence, None if options.evaluator is None else agrees
    )


def examine(
    options: SeedOptions, Z: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return samples, labels and confidence of seeds."""
    parts, labels, confidence = [], [], []
    for _, samples in batches_of_samples(options, Z):
        found = probabilities(options.classifier, samples)
        parts.append(samples)
        labels.append(classes[found.argmax(axis=1)])
        confidence.append(found.max(axis=1))
    return np.concatenate(parts), np.concatenate(labels), np.concatenate(confidence)


def judged_labels(options: SeedOptions, Z: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the labels that the evaluator, or without one the classifier, gives the samples."""
    if options.evaluator is None:
        return examine(options, Z, classes)[1]
    return np.concatenate(
        [
            predicted_labels(options.evaluator, samples, classes)
            for _, samples in batches_of_samples(options, Z)
        ]
    )
