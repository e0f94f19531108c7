"""The loss of a torch module, its sharpness and the size of its parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_consistent_length, check_random_state

from .._base.messages import warn_user
from .._base.progress import listening, tell
from .._base.typed import ArrayLike, RandomSeed
from ..gradients import is_torch, unwrap

LossName = Literal["cross_entropy", "squared_error"]
# Up to this many parameters the Hessian is made.
_SMALL = 32
# Products of one restart of the Lanczos iteration for one eigenvalue, about.
_PER_RESTART = 20


@dataclass(frozen=True)
class LossCurvature:
    """The loss at the parameters of a module, and how it bends there.

    Attributes
    ----------
    loss : float
        Mean loss of the samples.
    sharpness : float
        Largest eigenvalue of the Hessian of this loss in the parameters. Gradient descent on it is
        locally stable for steps below 2 / sharpness. NaN if it was not found.
    gradient_norm : float
        Norm of the gradient.
    parameter_norm : float
        Norm of all parameters that require a gradient.
    direction : ndarray of shape (n_parameters,)
        Unit eigenvector of the sharpness, a good start at near parameters.
    """

    loss: float
    sharpness: float
    gradient_norm: float
    parameter_norm: float
    direction: np.ndarray


def loss_curvature(
    module: Any,
    X: Any,
    y: ArrayLike,
    loss: LossName | Callable[[Any, Any], Any] = "cross_entropy",
    *,
    batch_size: int = 1000,
    tol: float = 1e-3,
    max_iter: int = 200,
    start: ArrayLike | None = None,
    random_state: RandomSeed = 0,
    verbose: int = 0,
) -> LossCurvature:
    """Return loss, sharpness, and the norms of gradient and parameters of a torch module.

    The sharpness is found by Lanczos iteration with products of the Hessian and a vector, two
    backward passes each. The module is used in the mode that it is in, and left as it was.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters that require a gradient count.
    X : array-like or tensor of shape (n_samples, ...)
        Inputs.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets: whole numbers are classes 0, 1, ...
    loss : {"cross_entropy", "squared_error"} or callable, default="cross_entropy"
        ``"squared_error"`` is the mean over samples and outputs of squared differences, to one-hot
        classes if targets are classes. A function takes outputs and targets of some samples and
        returns the mean of their losses, as ``torch.nn.functional`` does.
    batch_size : int, default=1000
        Number of samples at a time, which changes nothing but memory.
    tol : float, default=1e-3
        Relative accuracy of the sharpness.
    max_iter : int, default=200
        Largest number of restarts of the iteration, about ten products each.
    start : array-like of shape (n_parameters,), default=None
        Vector to start from, such as the ``direction`` of an earlier step.
    random_state : int, RandomState instance or None, default=0
        Seed of the start if none is given.
    verbose : int, default=0
        1 reports the products of the Hessian and a vector, once they have taken five seconds.

    Returns
    -------
    LossCurvature

    Raises
    ------
    TypeError
        If the model is no torch module, or none of its parameters requires a gradient.
    ValueError
        If there are no samples, not as many targets, or the loss is not finite.

    Warns
    -----
    ConvergenceWarning
        If the sharpness was not found in `max_iter` restarts.

    Examples
    --------
    >>> import torch
    >>> from sklearn_sparse_eig.diagnostics import loss_curvature
    >>> module = torch.nn.Linear(2, 1, bias=False).double()
    >>> found = loss_curvature(module, [[3.0, 0.0], [0.0, 1.0]], [[1.0], [1.0]], "squared_error")
    >>> round(found.sharpness, 3)  # 2 / n times the largest eigenvalue of X^T X
    9.0
    """
    module = unwrap(module)
    if not is_torch(module):
        raise TypeError(f"The sharpness is that of a torch module, got {type(module).__name__}.")
    problem = _Problem(module, X, y, loss, batch_size)
    value, gradient = problem.loss_and_gradient()
    if not np.isfinite(value):
        raise ValueError(f"The loss of the module is {value}: its parameters have diverged.")
    with listening("loss_curvature", verbose):
        sharpness, direction = _largest_eigenvalue(problem, tol, max_iter, start, random_state)
    return LossCurvature(
        value,
        sharpness,
        float(np.linalg.norm(gradient)),
        problem.parameter_norm(),
        direction,
    )


def n_parameters(module: Any) -> int | None:
    """Return the number of parameters that require a gradient; None if it is no torch module."""
    if not is_torch(module):
        return None
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class _Problem:
    """The mean loss of some samples, as a function of all parameters."""

    def __init__(self, module, X, y, loss, batch_size):
        import torch

        self._torch, self._module = torch, module
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        if not self._parameters:
            raise TypeError(
                f"No parameter of this {type(module).__name__} requires a gradient, so there is no "
                "curvature to measure. Call requires_grad_() on those that are trained."
            )
        first = self._parameters[0]
        self._X, self._y = torch.as_tensor(X), torch.as_tensor(np.asarray(y))
        check_consistent_length(self._X, self._y)
        if not len(self._X):
            raise ValueError("At least one sample is needed, got none.")
        if self._X.is_floating_point():
            self._X = self._X.to(first.dtype)
        self._X = self._X.to(first.device)
        is_class = not self._y.is_floating_point()
        self._y = self._y.to(first.device, torch.int64 if is_class else first.dtype)
        self._loss = _loss_function(loss)
        self._batch_size = batch_size
        self.size = sum(p.numel() for p in self._parameters)

    def parameter_norm(self):
        return float(sum(float((p.detach() ** 2).sum()) for p in self._parameters) ** 0.5)

    def loss_and_gradient(self):
        """Return the loss and its gradient as a vector of float64."""
        total, gradient = 0.0, np.zeros(self.size)
        for value in self._parts():
            total += float(value.detach())
            gradient += self._vector(self._derivatives(value))
        return total, gradient

    def hessian_product(self, v):
        """Return the product of the Hessian with a vector."""
        directions, product = self._like_parameters(v), np.zeros(self.size)
        for value in self._parts():
            slopes = self._derivatives(value, create_graph=True)
            # Parameters that the loss is linear in, or does not depend on, have none.
            slope = sum((g * d).sum() for g, d in zip(slopes, directions, strict=True))
            if slope.requires_grad:
                product += self._vector(self._derivatives(slope))
        return product

    def _parts(self):
        """Yield the shares of the mean loss that batches of samples have."""
        n = len(self._X)
        for low in range(0, n, self._batch_size):
            rows = slice(low, low + self._batch_size)
            y = self._y[rows]
            with self._torch.enable_grad():
                yield self._loss(self._module(self._X[rows]), y) * (len(y) / n)

    def _derivatives(self, value, create_graph=False):
        found = self._torch.autograd.grad(
            value, self._parameters, create_graph=create_graph, allow_unused=True
        )
        zeros = self._torch.zeros_like
        return [zeros(p) if g is None else g for g, p in zip(found, self._parameters, strict=True)]

    def _vector(self, tensors):
        flat = self._torch.cat([t.detach().reshape(-1) for t in tensors])
        return flat.to("cpu", self._torch.float64).numpy()

    def _like_parameters(self, v):
        parts, low = [], 0
        for p in self._parameters:
            part = self._torch.as_tensor(v[low : low + p.numel()]).to(p.device, p.dtype)
            parts.append(part.reshape(p.shape))
            low += p.numel()
        return parts


def _loss_function(loss):
    from torch.nn import functional

    def squared_error(outputs, y):
        if not y.is_floating_point():
            y = functional.one_hot(y, outputs.shape[1]).to(outputs.dtype)
        return functional.mse_loss(outputs, y)

    if callable(loss):
        return loss
    known = {"cross_entropy": functional.cross_entropy, "squared_error": squared_error}
    if loss not in known:
        raise ValueError(f"loss must be a function or one of {', '.join(known)}; got {loss!r}.")
    return known[loss]


def _largest_eigenvalue(problem, tol, max_iter, start, random_state):
    n = problem.size
    if n <= _SMALL:
        H = np.column_stack([problem.hessian_product(e) for e in np.eye(n)])
        values, vectors = np.linalg.eigh(0.5 * (H + H.T))
        return float(values[-1]), vectors[:, -1]
    if start is None:
        start = check_random_state(random_state).standard_normal(n)
    n_products, at_most = 0, _PER_RESTART * max_iter

    def product(v):
        nonlocal n_products
        tell("Lanczos iteration", "products", n_products, at_most)
        n_products += 1
        return problem.hessian_product(v)

    operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
    try:
        values, vectors = eigsh(
            operator, 1, which="LA", v0=np.asarray(start), tol=tol, maxiter=max_iter
        )
    except ArpackNoConvergence:
        warn_user(
            f"The sharpness was not found to tol={tol:g} in max_iter={max_iter} restarts of the "
            "Lanczos iteration. Raise one of them.",
            ConvergenceWarning,
        )
        return np.nan, np.asarray(start) / np.linalg.norm(start)
    return float(values[0]), vectors[:, 0]
