"""Labels as indices of the classes that a classifier knows."""

import numpy as np


def encode(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return labels as indices into classes, which may be in any order.

    Raises
    ------
    ValueError
        If there are other labels.
    """
    known = np.isin(y, classes)
    if not known.all():
        unknown = np.unique(y[~known]).tolist()
        raise ValueError(
            f"y has labels that the classifier does not know: {unknown[:5]}; it knows "
            f"{classes.tolist()[:20]}."
        )
    # Networks of one's own may list classes in any order.
    order = np.argsort(classes)
    return order[np.searchsorted(classes, y, sorter=order)]


def check_counts(counts: np.ndarray, classes: np.ndarray) -> None:
    """Refuse single samples of a class, and fewer than two classes, with a ValueError."""
    single, n_classes = np.flatnonzero(counts == 1), int((counts > 0).sum())
    if len(single):
        raise ValueError(
            "A class mean needs at least two samples; there is only one sample of "
            f"{', '.join(str(c) for c in classes[single[:5]])}."
        )
    if n_classes < 2:
        raise ValueError(f"At least two classes are needed, got {n_classes} class.")
