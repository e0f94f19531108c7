"""Which way a trigonometric fit is computed."""

from dataclasses import dataclass

import numpy as np

from ._frequencies import basis_frequencies, prior_variances
from ._grid import find_grid, fit_on_grid, values_on_grid
from ._iterative import fit_iteratively
from ._nufft import NonuniformTransform
from ._options import FourierOptions
from ._scattered import evaluate, fit_least_squares, kernel, solve_kernel

# Scattered points from which on "auto" iterates, and up to which it can do without.
_ITERATE, _DENSE = 200, 4096
# Relative residual beyond which the iterations have not converged.
CONVERGED = 1e-10
# Products of points and frequencies from which on sums are computed by fast transforms.
_FAST = 2**20


@dataclass(frozen=True)
class TrigonometricFit:
    """A fitted trigonometric polynomial in one or several variables.

    Attributes
    ----------
    origin, period : ndarray of shape (d,)
        Phases are (x - origin) / period.
    frequencies, variances : ndarray of shape (p,)
    coefficients : ndarray of shape (p, n_targets) or None
        For one variable.
    points, dual : ndarray of shape (n, d), (n, n_targets), or None
        For several: the phases of the data, and the weights of their kernel functions.
    solver : {"fft", "least_squares", "kernel", "nufft"}
    n_iter : int
        Iterations of "nufft", 0 for the others.
    residual : float
        Where these ended, relative.
    """

    origin: np.ndarray
    period: np.ndarray
    frequencies: np.ndarray
    variances: np.ndarray
    coefficients: np.ndarray | None
    points: np.ndarray | None
    dual: np.ndarray | None
    solver: str
    n_iter: int = 0
    residual: float = 0.0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return the values at points of shape (n, d), complex, shape (n, n_targets)."""
        phases = (X - self.origin) / self.period
        if self.coefficients is not None:
            if len(X) * len(self.frequencies) >= _FAST:
                transform = NonuniformTransform(phases[:, 0], self.frequencies)
                return transform.at_points(self.coefficients)
            return evaluate(phases[:, 0], self.frequencies, self.coefficients)
        return kernel(phases, self.points, self.frequencies, self.variances) @ self.dual


def natural_period(X: np.ndarray) -> np.ndarray:
    """Return the period of a grid whose points X are, in each variable: range n / (n - 1)."""
    n = len(X)
    width = (X.max(axis=0) - X.min(axis=0)) * (n / max(n - 1, 1))
    return np.where(width > 0, width, 1.0)


def fit_trigonometric(
    X: np.ndarray, Y: np.ndarray, options: FourierOptions
) -> tuple[TrigonometricFit, np.ndarray]:
    """Return the :class:`TrigonometricFit`, and its values at X.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, n_targets)
    options : FourierOptions
    """
    n, d = X.shape
    origin, period = X.min(axis=0), options.period
    alpha, solver = options.alpha, options.solver
    phases = (X - origin) / period
    frequencies = basis_frequencies(options.basis, options.n_frequencies)
    variances = prior_variances(frequencies, options.exponent)
    order = find_grid(phases[:, 0], 1.0) if d == 1 and solver in ("auto", "fft") else None
    if order is None and solver == "fft":
        raise ValueError(
            f"solver='fft' needs the points of one variable on a grid that divides the period, "
            f"{period[0]:.6g}, into equal parts, each point once, in any order. Got {n} points "
            f'of {d} variables that are not. Use solver="auto".'
        )
    if solver in ("least_squares", "nufft") and d > 1:
        raise ValueError(f'solver={solver!r} is for one variable, got {d}. Use "kernel".')
    if alpha == 0 and len(frequencies) ** d > n:
        refuse_contradictions(phases, Y)
    coefficients, dual, n_iter, residual = None, None, 0, 0.0
    direct = "least_squares" if d == 1 and len(frequencies) <= n else "kernel"
    automatic = solver == "auto"
    if automatic:
        large = d == 1 and n >= _ITERATE
        solver = "fft" if order is not None else "nufft" if large else direct
    if solver == "nufft":
        coefficients, n_iter, residual = fit_iteratively(
            phases[:, 0], Y, frequencies, variances, alpha
        )
        if automatic and residual > CONVERGED and n <= _DENSE:
            solver, n_iter, residual = direct, 0, 0.0
    if solver == "fft":
        coefficients = fit_on_grid(Y[order], frequencies, variances, alpha)
    elif solver == "least_squares":
        coefficients = fit_least_squares(phases[:, 0], Y, frequencies, variances, alpha)
    elif solver == "kernel":
        K = kernel(phases, phases, frequencies, variances)
        dual = solve_kernel(K, Y, alpha)
        if d == 1:
            adjoint = evaluate(-frequencies.astype(float), phases[:, 0], dual)
            coefficients, dual = variances[:, None] * adjoint, None
    points = phases if dual is not None else None
    fit = TrigonometricFit(
        origin,
        period,
        frequencies,
        variances,
        coefficients,
        points,
        dual,
        solver,
        n_iter,
        residual,
    )
    if dual is not None:
        return fit, K @ dual
    if solver != "fft":
        return fit, fit(X)
    fitted = np.empty((n, Y.shape[1]), dtype=np.complex128)
    fitted[order] = values_on_grid(coefficients, frequencies, n)
    return fit, fitted


def refuse_contradictions(phases: np.ndarray, Y: np.ndarray) -> None:
    """Raise where two points are the same, up to periods, with different targets."""
    first, second, n_pairs = contradictions(phases, Y)
    if n_pairs:
        raise ValueError(
            f"Rows {first} and {second} are the same point, up to periods, with different targets "
            f"({n_pairs} such pairs in all): no function passes through both. Average them, "
            "set alpha > 0, or give a longer period if they are not meant to coincide."
        )


def contradictions(phases: np.ndarray, Y: np.ndarray) -> tuple[int, int, int]:
    """Return two rows of the same point with different targets, and the number of such pairs."""
    wrapped = np.round(phases - np.floor(phases), 12) % 1.0
    order = np.lexsort(wrapped.T[::-1])
    same = np.all(wrapped[order[1:]] == wrapped[order[:-1]], axis=1)
    differ = np.abs(Y[order[1:]] - Y[order[:-1]]).max(axis=1) > 1e-9 * np.abs(Y).max(initial=0.0)
    wrong = np.flatnonzero(same & differ)
    if len(wrong) == 0:
        return 0, 0, 0
    first, second = sorted(order[wrong[0] : wrong[0] + 2].tolist())
    return first, second, len(wrong)
