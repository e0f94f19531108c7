"""How well classes can be told apart: the Fisher criterion, and probes on seeds held out."""

import numpy as np

from .._base.entries import check_values
from .._base.typed import ArrayLike
from ._probe import fit_probe

# Rows of a class in a bin, so that each half has two.
LEAST_PER_CLASS = 4


def fisher_separability(
    X: ArrayLike,
    y: ArrayLike,
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
) -> float:
    r"""Return the Fisher criterion tr(S_w^-1 S_b), optionally free of bias.

    S_w is the mean covariance within classes, and S_b is the covariance of the class means,
    weighted by the sizes of the classes.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows.
    y : array-like of shape (n,)
        Labels of the rows.
    X_test, y_test : array-like, default=None
        Rows not in X, with labels. If they are given, one factor of S_b is from X and the other
        from X_test, and the inverse of S_w is corrected, so that the expectation is that of
        infinitely many rows: 0 for labels without meaning, where the plain criterion is about
        d (n_classes - 1) / n. The result can then be negative.

    Returns
    -------
    float
        The criterion. It is NaN if it is not defined: if X does not have more rows than features
        and classes together (with test rows, at least two more), or if fewer than two classes are
        in both. It is infinite if classes differ but do not vary at all.

    Notes
    -----
    The correction, (nu - d - 1) / nu with nu = n - n_classes, is the mean of an inverse Wishart
    matrix, and exact for normal classes of the same covariance. The time is O(n d^2 + d^3).

    References
    ----------
    R. A. Fisher, *The use of multiple measurements in taxonomic problems*, Annals of Eugenics 7,
    1936. The version with test rows is derived in ``doc/seed_confidence.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig.seeds import fisher_separability
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(2, size=400)
    >>> X = rng.normal(size=(400, 50))           # y says nothing about X
    >>> round(fisher_separability(X, y), 2)
    0.09
    >>> round(fisher_separability(X[:200], y[:200], X[200:], y[200:]), 2)
    -0.04
    """
    X, y = check_values(X, "X"), np.asarray(y)
    held_out = X_test is not None
    classes = np.unique(y)
    if X_test is not None:
        X_test, y_test = check_values(X_test, "X_test"), np.asarray(y_test)
        classes = np.intersect1d(classes, y_test)
    X, y = X[np.isin(y, classes)], y[np.isin(y, classes)]
    degrees = len(X) - len(classes)
    if len(classes) < 2 or degrees < X.shape[1] + (2 if held_out else 0):
        return np.nan
    means = _class_means(X, y, classes)
    weights = np.array([np.mean(y == label) for label in classes])
    residuals = X - means[np.searchsorted(classes, y)]
    left = means - weights @ means
    right = left
    if held_out:
        other = _class_means(X_test, y_test, classes)
        right = other - weights @ other
    # By the singular values of the residuals, whose square is S_w, and in their row space only.
    _, values, basis = np.linalg.svd(residuals, full_matrices=False)
    kept = values > values.max(initial=0) * X.shape[1] * np.finfo(np.float64).eps
    outside = left - (left @ basis[kept].T) @ basis[kept]
    if np.linalg.norm(outside) > 1e-8 * np.linalg.norm(left):
        return np.inf
    scale = degrees - kept.sum() - 1 if held_out else len(X)
    factors = [(side @ basis[kept].T) / values[kept] for side in (left, right)]
    return float(scale * np.sum(weights[:, None] * factors[0] * factors[1]))


def _class_means(X, y, classes):
    return np.array([X[y == label].mean(axis=0) for label in classes])


def split_halves(labels, rng):
    """Return two disjoint sets of rows with equally many of each class.

    Classes of fewer than LEAST_PER_CLASS rows are left out.
    """
    halves = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if len(rows) >= LEAST_PER_CLASS:
            half = len(rows) // 2
            halves[0].append(rows[:half])
            halves[1].append(rows[half : 2 * half])
    return tuple(np.concatenate(half) if half else np.zeros(0, int) for half in halves)


def compare_bins(F, labels, bins, n_bins, probe, rng, *, transfer=True):
    """Return separability of each bin, and accuracies of probes from bin to bin, on held-out rows.

    Each bin is halved. One half is trained on, the other tested, and the two change places.

    Parameters
    ----------
    F : ndarray of shape (n, d)
    labels, bins : ndarray of shape (n,)
    n_bins : int
    probe : classifier or None
    rng : RandomState
    transfer : bool, default=True
        Test probes on other bins too.

    Returns
    -------
    fisher : ndarray of shape (n_bins,)
        NaN for a bin with too few rows.
    scores : ndarray of shape (n_bins, n_bins)
        Accuracy of the probe that was fitted on one bin (row) on another (column). NaN where
        fewer than two classes have rows enough.
    majority : ndarray of shape (n_bins,)
        Accuracy of the most frequent class of the bin.
    """
    halves = []
    for number in range(n_bins):
        rows = np.flatnonzero(bins == number)
        halves.append([rows[half] for half in split_halves(labels[rows], rng)])
    fisher = np.zeros(n_bins)
    scores = np.zeros((n_bins, n_bins))
    majority = np.full(n_bins, np.nan)
    for i, own in enumerate(halves):
        _, counts = np.unique(labels[own[0]], return_counts=True)
        if len(counts) < 2:
            fisher[i], scores[i], scores[:, i] = np.nan, np.nan, np.nan
            continue
        majority[i] = counts.max() / counts.sum()
        for train, test in (own, own[::-1]):
            fisher[i] += fisher_separability(F[train], labels[train], F[test], labels[test]) / 2
        for side in (0, 1):
            fitted = fit_probe(probe, F[own[side]], labels[own[side]])
            for j, other in enumerate(halves):
                test = other[1 - side]
                if len(test) and (transfer or i == j):
                    scores[i, j] += np.mean(fitted.predict(F[test]) == labels[test]) / 2
    return fisher, scores, majority
