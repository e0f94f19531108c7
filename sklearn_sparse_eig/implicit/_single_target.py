"""The limit of gradient flow for one target, by the solver that suits the potential."""

import numpy as np

from ._design import Design
from ._group_limit import group_flow_limit
from ._limit import InconsistentError, Limit, limit_of_design, resolvable
from ._potential import Potential

# Growth of a scale, of its logarithm, at which the solver has run out of digits, and the range of
# such scales above the smallest one, exp(-80) times the solution. Few problems need it.
_COARSER, _RANGE = 10.0, 70.0


def single_limit(
    design: Design,
    y: np.ndarray,
    potential: Potential,
    *,
    tol: float = 1e-8,
    max_iter: int = 200,
    start: Limit | None = None,
) -> Limit:
    """Return the limit for one target.

    At depth 2 the solver of groups takes fewer steps, and reaches smaller scales. Where even these
    cannot be told from zero, the limit is that of the smallest scale that can: it solves the same
    equations, and says which one it is.

    Raises
    ------
    InconsistentError
        If no solution of the equations was found.
    """
    if not _suits_groups(design, potential):
        return limit_of_design(design, y, potential, tol=tol, max_iter=max_iter, start=start)
    potential, floor = resolvable(design, y, potential)
    while True:
        try:
            return _as_groups(design, y, potential, tol, max_iter)
        except InconsistentError:
            if potential.log_scale > floor + _RANGE:
                return limit_of_design(design, y, potential, tol=tol, max_iter=max_iter)
            potential = Potential(potential.depth, potential.log_scale + _COARSER)


def _suits_groups(design, potential):
    return not potential.is_barrier and not potential.positive and design.forms_normal_matrix


def _as_groups(design, y, potential, tol, max_iter):
    labels = np.arange(design.shape[1])
    limit = group_flow_limit(design, y[:, None], labels, potential, tol=tol, max_iter=max_iter)
    return Limit(
        limit.x[:, 0],
        np.where(limit.x[:, 0] >= 0, limit.z, limit.z[::-1]),
        limit.nu[:, 0],
        limit.n_iter,
        limit.residual,
        potential.log_scale,
    )
