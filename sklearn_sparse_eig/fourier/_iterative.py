"""Scattered points in large number: conjugate gradients on fast transforms, without a matrix.

With F_jk = exp(2 pi i k x_j) and t_k the prior variances, two systems have the same solution:

    (F^* F + alpha / t) theta = F^* y,                          on frequencies,
    theta = t F^* u,    (F t F^* + alpha) u = y,                on points.

On frequencies F^* F is Toeplitz, and about n times the identity where points are many to the
frequencies that matter: the diagonal preconditions. On points, where frequencies are more, the
matrix is about that of a grid of the same points in order: its transform preconditions.
"""

import numpy as np
import scipy.fft

from .._base.progress import tell
from ._nufft import NonuniformTransform, ToeplitzGram

# Relative residual, in the norm of the preconditioner.
TOLERANCE = 1e-13
MAX_ITER = 1000


def fit_iteratively(phases, values, frequencies, variances, alpha, tol=TOLERANCE):
    """Return the coefficients that minimise |F theta - y|^2 + alpha sum |theta_k|^2 / t_k.

    Parameters
    ----------
    phases : ndarray of shape (n,)
    values : ndarray of shape (n, n_targets)
    frequencies, variances : ndarray of shape (p,)
    alpha : float
    tol : float

    Returns
    -------
    coefficients : ndarray of shape (p, n_targets)
    n_iter : int
    residual : float
        Relative, as large as `tol` at most where the iterations have converged.
    """
    n = len(phases)
    gains = n * variances / (n * variances + alpha) if alpha > 0 else np.ones_like(variances)
    # What the fit can move in effect, against the points.
    if gains.sum() <= n / 2 or len(frequencies) <= n:
        return _on_frequencies(phases, values, frequencies, variances, alpha, tol)
    return _on_points(phases, values, frequencies, variances, alpha, tol)


def _on_frequencies(phases, values, frequencies, variances, alpha, tol):
    transform = NonuniformTransform(phases, frequencies)
    gram, root = ToeplitzGram(phases, len(frequencies)), np.sqrt(variances)[:, None]
    if alpha == 0:  # the variances change nothing, and would only make it worse
        root = np.ones_like(root)
    inverse = 1.0 / (len(phases) * root**2 + alpha)
    scaled, n_iter, residual = conjugate_gradients(
        lambda v: root * (gram @ (root * v)) + alpha * v,
        root * transform.at_frequencies(values),
        lambda v: inverse * v,
        tol,
    )
    return root * scaled, n_iter, residual


def _on_points(phases, values, frequencies, variances, alpha, tol):
    n = len(phases)
    order = np.argsort(phases - np.floor(phases), kind="stable")
    transform = NonuniformTransform(phases[order], frequencies)
    variances = variances[:, None]
    # The eigenvalues on a grid: one for each class of frequencies modulo n.
    grid = n * np.bincount(frequencies % n, variances[:, 0], n)[:, None] + alpha

    def apply(u):
        return transform.at_points(variances * transform.at_frequencies(u)) + alpha * u

    def precondition(u):
        return scipy.fft.ifft(scipy.fft.fft(u, axis=0) / grid, axis=0)

    dual, n_iter, residual = conjugate_gradients(apply, values[order], precondition, tol)
    return variances * transform.at_frequencies(dual), n_iter, residual


def conjugate_gradients(apply, right, precondition, tol, max_iter=MAX_ITER):
    """Solve for several right sides at once; return the solution, iterations and residual."""
    x = np.zeros(right.shape, dtype=np.complex128)
    r = right.astype(np.complex128)
    z = precondition(r)
    direction, energy = z, _products(r, z)
    start, n_iter = np.maximum(energy, np.finfo(float).tiny), 0
    best, smallest = x, np.inf
    for n_iter in range(max_iter + 1):
        residual = float(np.sqrt(np.max(energy / start)))
        tell("conjugate gradients", "iterations", n_iter, max_iter)
        if residual < smallest:
            best, smallest = x, residual
        # Rounding ends the descent: from there the residual only wanders.
        if residual <= tol or residual > 1e6 * smallest or n_iter == max_iter:
            break
        image = apply(direction)
        curvature = _products(direction, image)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        x, r = x + step * direction, r - step * image
        z = precondition(r)
        energy, previous = np.maximum(_products(r, z), 0.0), energy
        share = np.divide(energy, previous, out=np.zeros_like(energy), where=previous > 0)
        direction = z + share * direction
    return best, n_iter, smallest


def _products(a, b):
    """Return the real parts of the inner products of columns."""
    return np.einsum("ij,ij->j", a.conj(), b).real
