"""What low rank is compared with: truncation, thresholds, shrinkage and soft-impute."""

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

PENALTIES = np.geomspace(0.02, 1.0, 12)


def truncated_svd(X, rank):
    left, values, right = np.linalg.svd(X, full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank]


def optimal_threshold(X):
    """Truncate where Gavish and Donoho (2014) do, for unknown noise and any shape."""
    left, values, right = np.linalg.svd(X, full_matrices=False)
    ratio = min(X.shape) / max(X.shape)
    # Their polynomial, good to 0.02.
    factor = 0.56 * ratio**3 - 0.95 * ratio**2 + 1.82 * ratio + 1.43
    kept = values > factor * np.median(values)
    return (left * (values * kept)) @ right, int(kept.sum())


def optimal_shrinkage(X, sigma):
    """Shrink singular values optimally for the Frobenius norm and noise of known variance."""
    left, values, right = np.linalg.svd(X, full_matrices=False)
    scale = sigma * np.sqrt(max(X.shape))
    ratio, y = min(X.shape) / max(X.shape), values / scale
    inside = np.maximum((y**2 - ratio - 1) ** 2 - 4 * ratio, 0.0)
    shrunk = np.where(y > 1 + np.sqrt(ratio), np.sqrt(inside) / np.maximum(y, 1e-300), 0.0)
    return (left * (scale * shrunk)) @ right, int((shrunk > 0).sum())


def estimated_sigma(X):
    """Return the standard deviation of the noise, by the median singular value."""
    ratio = min(X.shape) / max(X.shape)
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2

    def density(x):
        return np.sqrt((high - x) * (x - low)) / (2 * np.pi * ratio * x)

    median = brentq(lambda x: quad(density, low, x)[0] - 0.5, low + 1e-9, high)
    return np.median(np.linalg.svd(X, compute_uv=False)) / np.sqrt(max(X.shape) * median)


def best_rank(X, error):
    """Return the truncation with the least error, and its rank."""
    left, values, right = np.linalg.svd(X, full_matrices=False)
    Z, best = np.zeros_like(X), (np.zeros_like(X), 0)
    smallest = error(Z)
    for rank, value in enumerate(values[:60], 1):
        Z = Z + value * np.outer(left[:, rank - 1], right[rank - 1])
        if error(Z) < smallest:
            smallest, best = error(Z), (Z, rank)
    return best


def soft_impute(X, observed, penalty, start, max_iter=300, tol=1e-5):
    """Minimise half the squared error of the known entries plus penalty times nuclear norm."""
    Z = start
    for _ in range(max_iter):
        left, values, right = np.linalg.svd(np.where(observed, X, Z), full_matrices=False)
        following = (left * np.maximum(values - penalty, 0.0)) @ right
        done = np.linalg.norm(following - Z) <= tol * max(np.linalg.norm(Z), 1e-300)
        Z = following
        if done:
            break
    return Z, int((values > penalty).sum())


def validated_soft_impute(X, observed, rng):
    """Choose the penalty on a tenth of the known entries, from the largest on with warm starts."""
    largest = np.linalg.norm(np.where(observed, X, 0.0), 2)
    held = observed & (rng.random(X.shape) < 0.1)
    Z, errors = np.zeros_like(X), []
    for penalty in largest * PENALTIES[::-1]:
        Z, _ = soft_impute(X, observed & ~held, penalty, Z)
        errors.append(np.linalg.norm((Z - X)[held]))
        if errors[-1] > 1.2 * min(errors):
            break
    best = PENALTIES[::-1][int(np.argmin(errors))]
    Z = np.zeros_like(X)
    for penalty in PENALTIES[PENALTIES >= best][::-1]:
        Z, rank = soft_impute(X, observed, largest * penalty, Z)
    return Z, rank
