"""The largest steps that are stable, for gradient descent and for the multiplicative update.

At a solution both are linear maps with the same eigenvalues, 1 - step * those of the Hessian of the
loss in the weights. Derived in doc/implicit_regularisation.md.
"""

from ._descent import solution_sharpness
from ._equations import Equations
from ._limit import InconsistentError, limit_of_design
from ._options import NetworkOptions


class StepSizeError(ValueError):
    """A step size beyond the bound of stability."""


def step_size_bound(equations: Equations, options: NetworkOptions) -> float | None:
    """Return 2 / sharpness at the limit of gradient flow, the smallest of all targets.

    None where there is no limit that solves the equations.
    """
    design, bounds, depth = equations.design, [], options.depth
    # The sharpness is that of a loss divided by the number of equations.
    per_sample = equations.n_samples / design.shape[0]
    for j, y in enumerate(equations.Y.T):
        try:
            z = limit_of_design(design, y, options.potential(j), tol=1e-6).z
        except InconsistentError:
            return None
        bounds.append(2.0 * per_sample / solution_sharpness(design, z ** (1.0 / depth), depth))
    return min(bounds)


def too_large(equations: Equations, options: NetworkOptions) -> StepSizeError:
    """Return the error for steps that diverged, with the bound where there is one."""
    message = f"learning_rate={options.learning_rate:g} is too large: the steps diverged. "
    bound = step_size_bound(equations, options)
    if bound is None:
        return StepSizeError(message + "Use a smaller one, or 'auto'.")
    return StepSizeError(
        f"{message}They are stable below 2 / sharpness = {bound:.3g}, at the solution that small "
        "steps lead to."
    )
