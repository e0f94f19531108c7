"""Which rows are enough, where all of them would cost a pass more than they are worth."""

from collections.abc import Iterable

import numpy as np

# Rows behind a metric: as many at least, and so many for each row of its largest full factor.
_LEAST_ROWS, _ROWS_PER_SIZE = 1000, 5
# Scores below a threshold that is a quantile of training scores.
_REJECTED = 500


def n_metric_rows(sizes: Iterable[int]) -> int:
    """Return how many rows are enough for second moments, given the rows of the full factors."""
    return max(_LEAST_ROWS, _ROWS_PER_SIZE * max(sizes, default=0))


def n_threshold_rows(contamination: float) -> int:
    """Return how many rows are enough for a quantile."""
    return int(np.ceil(_REJECTED / contamination))


def metric_rows(n_rows: int, labels: np.ndarray | None, sizes: Iterable[int]) -> np.ndarray | None:
    """Return rows that are enough for the second moments of factors, or None for all.

    At random, but each class has its share of the rows: the metric is that of the same mixture of
    classes. The draw does not depend on anything else, so that a fit can be repeated.

    Parameters
    ----------
    n_rows : int
    labels : ndarray of int, shape (n_rows,), or None
    sizes : iterable of int
        Rows of the full factors.
    """
    enough = n_metric_rows(sizes)
    if n_rows <= enough:
        return None
    order = np.random.RandomState(0).permutation(n_rows)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    return np.sort(order[np.linspace(0, n_rows - 1, enough).round().astype(np.int64)])


def threshold_rows(n_rows: int, contamination: float) -> np.ndarray | None:
    """Return rows whose scores are enough for a quantile, or None for all.

    So many that the share of all rows that is rejected differs from that of these by a standard
    deviation of less than 5 % of itself.
    """
    enough = n_threshold_rows(contamination)
    if n_rows <= enough:
        return None
    return np.sort(np.random.RandomState(0).permutation(n_rows)[:enough])
