"""When the iterates of a deep factorisation are of low rank."""

from numbers import Integral

import numpy as np

from .._base.dtypes import check_numbers
from .._base.typed import ArrayLike
from ._flow import EigenvalueFlow


def low_rank_intervals(
    eigenvalues: ArrayLike,
    *,
    depth: int = 3,
    init_scale: float = 0.1,
    init_perturbation: float = 0.0,
    tol: float = 0.05,
    noise_level: float = 0.0,
) -> np.ndarray:
    """Return when gradient flow on a deep factorisation is at rank 1, 2, and so on.

    At rank L the L quickest eigenvalues have been learned up to a share of 1 - tol, and the others
    are below tol times the last of these.

    Parameters
    ----------
    eigenvalues : array-like of shape (k,)
        Eigenvalues of the matrix that is factorised, in any order, or its singular values.
    depth : int, default=3
        Number of factors, at least 2.
    init_scale : float, default=0.1
        Size alpha of the factors at the start, in the units of ``eigenvalues ** (1 / depth)``.
    init_perturbation : float, default=0.0
        Amount by which one factor starts smaller. At 0, negative eigenvalues are never learned and
        have no row.
    tol : float, default=0.05
        Tolerance in (0, 1).
    noise_level : float, default=0.0
        A bound on the spectral norm of an unknown symmetric perturbation. The intervals then hold
        for every matrix within this distance, by Weyl's inequality. They are shorter, and more
        often empty.

    Returns
    -------
    ndarray of shape (n_ranks, 3)
        Rows (L, T0, T1), where the rank is L from time T0 until T1, in the time of gradient flow
        (number of steps times step size). There is no such time if T0 > T1. T1 is infinite if the
        other eigenvalues never reach the level, and always for the last rank.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The intervals are derived in ``doc/low_rank_and_smooth.md`` from the exact flow of each
    eigenvalue. For a vanishing start, T1 / T0 tends to the ratio of two neighbouring eigenvalues,
    lambda_L / lambda_{L+1}: a long interval is a gap in the spectrum and nothing else. Pass all
    eigenvalues, zeros included, because with noise they grow. This takes O(k) integrals.

    Examples
    --------
    >>> from sklearn_sparse_eig import low_rank_intervals
    >>> for rank, start, end in low_rank_intervals([10.0, 7.0, 5.0, 0.4], init_scale=0.01):
    ...     print(int(rank), start < end, bool(end / start > 5))
    1 True False
    2 True False
    3 True True
    4 True True
    """
    eigenvalues = check_numbers(np.asarray(eigenvalues), "eigenvalues").astype(np.float64)
    if eigenvalues.ndim != 1 or not np.isfinite(eigenvalues).all():
        raise ValueError(
            f"eigenvalues must be a vector of finite numbers, got shape {eigenvalues.shape} with "
            f"{np.count_nonzero(~np.isfinite(eigenvalues))} that are not finite."
        )
    check_flow_parameters(depth, init_scale, init_perturbation)
    if not 0.0 < tol < 1.0:
        raise ValueError(f"tol must lie in (0, 1), got {tol}.")
    if not noise_level >= 0.0:
        raise ValueError(f"noise_level must not be negative, got {noise_level}.")

    # The slowest that each eigenvalue may be.
    slow = np.sign(eigenvalues) * np.maximum(np.abs(eigenvalues) - noise_level, 0.0)
    order, rises = learning_order(slow, depth, init_scale, init_perturbation, tol)
    # Of the others, the largest of each sign is the first at any level.
    rest = np.concatenate([eigenvalues[order], np.delete(eigenvalues, order)])[::-1]
    n_ranks = len(order)
    largest = np.append(np.maximum.accumulate(rest)[::-1], -np.inf)[1 : n_ranks + 1] + noise_level
    smallest = np.append(np.minimum.accumulate(rest)[::-1], np.inf)[1 : n_ranks + 1] - noise_level
    levels = tol * np.abs(slow[order])
    ends = np.full(n_ranks, np.inf)
    for quickest, sign in ((largest, 1.0), (smallest, -1.0)):
        there = np.isfinite(quickest)
        values = np.where(there, quickest, 0.0)
        flow = EigenvalueFlow(values, depth, init_scale, init_perturbation)
        times = np.where(flow.initial >= levels, 0.0, flow.hitting_times(sign * levels))
        ends = np.where(there, np.minimum(ends, times), ends)
    return np.column_stack([np.arange(1, n_ranks + 1), rises, ends])


def learning_order(eigenvalues, depth, init_scale, init_perturbation, tol):
    """Return which eigenvalues are learned, the first one first, and when."""
    flow = EigenvalueFlow(eigenvalues, depth, init_scale, init_perturbation)
    levels = (1.0 - tol) * flow.eigenvalues
    # What starts above its level is not learned but there from the beginning.
    grows = np.abs(levels) > flow.initial
    rises = np.where(grows, flow.hitting_times(levels), np.inf)
    order = np.lexsort((-np.abs(flow.eigenvalues), rises))
    order = order[np.isfinite(rises[order])]
    return order, rises[order]


def check_flow_parameters(depth, init_scale, init_perturbation):
    """Raise a ValueError where a factorisation cannot be started like that."""
    if not isinstance(depth, Integral) or depth < 2:
        raise ValueError(f"depth must be an integer of at least 2, got {depth!r}.")
    if not 0.0 < init_scale < np.inf:
        raise ValueError(f"init_scale must be positive and finite, got {init_scale}.")
    if not 0.0 <= init_perturbation <= init_scale:
        raise ValueError(
            f"init_perturbation must lie in [0, init_scale={init_scale}], got {init_perturbation}."
        )
