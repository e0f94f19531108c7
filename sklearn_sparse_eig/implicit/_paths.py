"""Paths of a diagonal network, over penalties and over learning rates."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_X_y

from .._base.progress import listening
from .._base.threads import limit_blas
from .._base.typed import ArrayLike, MatrixLike
from ._averaged_path import averaged_path
from ._design import Design
from ._learning_rates import LearningRatePath, flow_sharpness, learning_rates_end
from ._potential import Potential


def _check_data(X: MatrixLike, y: ArrayLike) -> Any:
    return check_X_y(X, y, accept_sparse="csr", dtype=np.float64, y_numeric=True)


def diagonal_network_path(
    X: MatrixLike,
    y: ArrayLike,
    *,
    depth: int = 4,
    init_scale: float = 0.03,
    positive: bool = False,
    eps: float = 1e-3,
    n_alphas: int = 100,
    alphas: ArrayLike | None = None,
    growth: float = 1.1,
    tol: float = 1e-10,
    verbose: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute solutions close to the lasso path from one run of gradient flow.

    The average over time of the coefficients of a diagonal network nearly solves the lasso, with a
    penalty that is the inverse of time. The averages are returned in the form of
    :func:`sklearn.linear_model.lasso_path`.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    depth : int, default=4
        Number of factors, at least 2.
    init_scale : float, default=0.03
        Value of every weight at the start. A smaller one brings the path closer to the lasso.
    positive : bool, default=False
        Whether coefficients are non-negative.
    eps : float, default=1e-3
        Smallest alpha relative to the largest, at which all coefficients of the lasso are zero.
    n_alphas : int, default=100
        Number of alphas, equally spaced in the logarithm.
    alphas : array-like or None, default=None
        Alphas to use instead of these.
    growth : float, default=1.1
        Largest growth of time from one implicit step to the next. A smaller one follows the flow
        more closely; 1.2 takes two thirds of the time, and has three times the gap to the lasso.
    tol : float, default=1e-10
        Accuracy of an implicit step, relative to ``||y||``.
    verbose : int, default=0
        1 reports how far along the path the flow is, once it has taken five seconds.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        Decreasing penalties of the lasso ||y - X w||^2 / (2 n_samples) + alpha ||w||_1.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients for each alpha.
    dual_gaps : ndarray of shape (n_alphas,)
        Bounds on how much the objective of the lasso at the coefficients exceeds its minimum.

    Raises
    ------
    ValueError
        If X or y is not numeric or not finite, or the alphas are not positive.

    Notes
    -----
    At every time t, X^T (y - X w) = s / t for the average w and a dual variable s that is computed
    exactly: the only approximation is that of the signs of w by s. The path is close to the lasso
    as long as coefficients grow while alpha falls. If a coefficient returns to zero, its average
    follows slowly. The method is derived in ``doc/implicit_regularisation.md``, after Berthier,
    "Diagonal linear networks and the lasso regularization path" (depth 2, in the limit of small
    initialisation).

    With the defaults a run takes 80 to 100 implicit steps, whatever the number of alphas, each of
    some four Newton steps on the features that are about to be used, and two products with X. A
    lasso solver is two to four times faster, and more on problems that take it milliseconds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import diagonal_network_path
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 20))
    >>> y = X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(50)
    >>> alphas, coefs, dual_gaps = diagonal_network_path(X, y, n_alphas=10)
    >>> coefs.shape, bool(dual_gaps.max() < 0.01 * (y @ y) / 100)
    ((20, 10), True)
    """
    X, y = _check_data(X, y)
    n = len(y)
    correlation = X.T @ y if positive else np.abs(X.T @ y)
    largest = correlation.max() / n
    if alphas is None:
        if largest <= 0:
            raise ValueError("All coefficients are zero for every alpha: X^T y vanishes.")
        alphas = np.geomspace(largest, eps * largest, n_alphas)
    alphas = np.sort(np.asarray(alphas, dtype=np.float64).ravel())[::-1]
    if len(alphas) == 0 or not alphas[-1] > 0:
        raise ValueError("alphas must be positive numbers, at least one.")
    if not growth > 1:
        raise ValueError(f"growth must be more than 1, got {growth}.")
    potential = Potential.from_init(depth, init_scale, positive)
    with limit_blas(1), listening("diagonal_network_path", verbose):
        coefs, _ = averaged_path(Design(X), y, potential, n * alphas, growth, tol)
        gaps = _lasso_gaps(X, y, coefs, alphas, positive)
    return alphas, coefs, gaps


def _lasso_gaps(X, y, coefs, alphas, positive):
    """Return the duality gap of the lasso for each column of coefficients and its alpha."""
    n = len(y)
    residuals = y[:, None] - X @ coefs
    correlations = X.T @ residuals if positive else np.abs(X.T @ residuals)
    largest = np.maximum(correlations.max(axis=0), np.finfo(float).tiny)
    feasible = residuals * np.minimum(1.0, n * alphas / largest)
    primal = (residuals**2).sum(axis=0) / (2 * n) + alphas * np.abs(coefs).sum(axis=0)
    return primal - (y @ y - ((y[:, None] - feasible) ** 2).sum(axis=0)) / (2 * n)


def learning_rate_path(
    X: MatrixLike,
    y: ArrayLike,
    learning_rates: ArrayLike | None = None,
    *,
    depth: int = 2,
    init_scale: float = 0.1,
    positive: bool = False,
    tol: float = 1e-10,
    max_iter: int = 100_000,
    verbose: int = 0,
) -> LearningRatePath:
    """Train a diagonal network with several step sizes, and report where each run ends.

    Below a critical step size gradient descent follows gradient flow. Above it, it ends in flatter
    minima, of sharpness close to 2 / learning rate and of larger norm. For still larger steps it
    diverges.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    learning_rates : array-like or None, default=None
        Step sizes for the loss ||X w - y||^2 / (2 n_samples). None means 0.1, 0.5, 0.9, 1.0, 1.1,
        1.2 and 1.3 times the critical one.
    depth : int, default=2
        Number of factors, at least 2.
    init_scale : float, default=0.1
        Value of every weight at the start.
    positive : bool, default=False
        Whether w = u^L rather than u^L - v^L.
    tol : float, default=1e-10
        Loss at which training ends.
    max_iter : int, default=100000
        Largest number of steps.
    verbose : int, default=0
        1 reports the steps made, once they have taken five seconds.

    Returns
    -------
    LearningRatePath
        ``sharpness``, ``l1_norm``, ``squared_weight_norm``, ``loss``, ``coefs``, ``n_iter`` and
        ``converged`` for each of ``learning_rates``; ``flow_sharpness`` and
        ``critical_learning_rate``.

    Raises
    ------
    ValueError
        If X or y is not numeric or not finite, or a step size is not positive.

    Notes
    -----
    The critical step size, 2 divided by the largest sharpness along gradient flow, is that of [1]_.
    The time is O(n_samples n_features) per step and step size; all step sizes run at once.

    References
    ----------
    .. [1] Fojtik, Matveev, Chou et al., arXiv:2505.21423.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import learning_rate_path
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20, 40))
    >>> y = X[:, :3] @ [1.0, -1.0, 1.0]
    >>> path = learning_rate_path(X, y)
    >>> bool(np.abs(path.sharpness[4] * path.learning_rates[4] / 2 - 1) < 0.02)
    True
    """
    X, y = _check_data(X, y)
    design, potential = Design(X), Potential.from_init(depth, init_scale, positive)
    with limit_blas(1):
        flow = flow_sharpness(design, y, potential, tol)
        if learning_rates is None:
            learning_rates = np.array([0.1, 0.5, 0.9, 1.0, 1.1, 1.2, 1.3]) * 2.0 / flow
        learning_rates = np.asarray(learning_rates, dtype=np.float64).ravel()
        if len(learning_rates) == 0 or not (learning_rates > 0).all():
            raise ValueError("learning_rates must be positive numbers, at least one.")
        with listening("learning_rate_path", verbose):
            return learning_rates_end(design, y, potential, learning_rates, flow, tol, max_iter)
