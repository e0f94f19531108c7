"""The largest steps that are stable, for gradient descent and for the multiplicative update.

At a solution both are linear maps with the same eigenvalues, 1 - step * those of the Hessian of the
loss in the weights. Derived in doc/implicit_regularisation.md.
"""

from ._descent import solution_sharpness
from ._limit import InconsistentError, limit_of_design


class StepSizeError(ValueError):
    """A step size beyond the bound of stability."""


def step_size_bound(design, Y, potential):
    """Return 2 / sharpness at the limit of gradient flow, the smallest of all targets.

    None where there is no limit that solves the equations.
    """
    bounds, depth = [], potential.depth
    for y in Y.T:
        try:
            z = limit_of_design(design, y, potential, tol=1e-6).z
        except InconsistentError:
            return None
        bounds.append(2.0 / solution_sharpness(design, z ** (1.0 / depth), depth))
    return min(bounds)


def too_large(design, Y, potential, learning_rate):
    """Return the error for steps that diverged, with the bound where there is one."""
    message = f"learning_rate={learning_rate:g} is too large: the steps diverged. "
    bound = step_size_bound(design, Y, potential)
    if bound is None:
        return StepSizeError(message + "Use a smaller one, or 'auto'.")
    return StepSizeError(
        f"{message}They are stable below 2 / sharpness = {bound:.3g}, at the solution that small "
        "steps lead to."
    )
