"""Gradient descent on the factors of a deep linear factorisation, literally."""

import numpy as np

from .._base.progress import tell


def monotone_step(largest, depth, scale):
    """Return the step size up to which eigenvalues rise without overshooting, derived in doc/.

    1 / ((2 N - 1) M^(2 N - 2)), M = max(alpha, lambda_1^(1/N)).
    """
    size = max(scale, largest ** (1.0 / depth))
    return 1.0 / ((2 * depth - 1) * size ** (2 * depth - 2))


def stability_bound(largest, depth):
    """Return the step size at and above which the limit is unstable: 2 / (N lambda_1^(2-2/N))."""
    return 2.0 / (depth * largest ** (2.0 - 2.0 / depth)) if largest > 0 else np.inf


def descend_eigenvalues(eigenvalues, n_steps, learning_rate, depth, scale, perturbation=0.0):
    """Return the eigenvalues of the product after `n_steps`: one pair of numbers for each.

    The same numbers as descent on the matrices, started as multiples of the identity.
    """
    eigenvalues = np.asarray(eigenvalues, dtype=np.float64)
    a = np.full_like(eigenvalues, scale - perturbation)
    d = np.full_like(eigenvalues, scale)
    for _ in range(n_steps):
        power = d ** (depth - 2)
        pull = learning_rate * power * (a * power * d - eigenvalues)
        a, d = a - d * pull, d - a * pull
    return a * d ** (depth - 1)


def initial_factors(left, right, depth, scale, perturbation=0.0):
    """Return [W_1, ..., W_N], multiples of the identity between two bases.

    Parameters
    ----------
    left, right : ndarray of shape (n, k), (k, m)
        W_N = alpha left and W_1 = (alpha - beta) right; both the identity for symmetric matrices.
    """
    middle = [scale * np.eye(right.shape[0]) for _ in range(depth - 2)]
    return [(scale - perturbation) * right, *middle, scale * left]


def product(factors):
    """Return W_N ... W_1."""
    result = factors[0]
    for factor in factors[1:]:
        result = factor @ result
    return result


def random_factors(shape, depth, scale, rng):
    """Return [W_1, ..., W_N] with Gaussian entries, of norms about `scale`, of the least width."""
    n, m = shape
    width = min(n, m)
    sizes = [m, *([width] * (depth - 1)), n]
    return [
        scale / np.sqrt(max(a, b)) * rng.standard_normal((a, b))
        for b, a in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def descend(factors, target, observed, n_steps, learning_rate):
    """Return the factors after `n_steps` on half the squared error of the observed entries.

    Parameters
    ----------
    factors : list of ndarray
        [W_1, ..., W_N].
    target : ndarray of shape (n, m)
        Anything where not observed.
    observed : ndarray of bool, shape (n, m)
    """

    def gradient(X):
        return np.where(observed, X - target, 0.0)

    return descend_by(gradient, factors, n_steps, learning_rate)


def descend_by(gradient, factors, n_steps, learning_rate):
    """Return the factors after `n_steps`, for a loss whose gradient in the product is given."""
    depth = len(factors)
    for step in range(n_steps):
        tell("gradient descent", "steps", step, n_steps)
        before = [None] * depth  # W_{j-1} ... W_1
        for j in range(1, depth):
            before[j] = factors[j - 1] if j == 1 else factors[j - 1] @ before[j - 1]
        back = gradient(factors[-1] @ before[-1])  # (W_N ... W_{j+1})^T times it
        gradients = [None] * depth
        for j in range(depth - 1, -1, -1):
            gradients[j] = back if j == 0 else back @ before[j].T
            back = factors[j].T @ back
        factors = [w - learning_rate * g for w, g in zip(factors, gradients, strict=True)]
    return factors
