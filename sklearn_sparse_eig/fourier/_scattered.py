"""Points anywhere: a kernel for interpolation, least squares for less frequencies than points."""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from .._base.progress import tell

# Numbers that one block of features holds.
_BLOCK = 2**22


def features(phases, frequencies):
    """Return exp(2 pi i k x) for phases x in periods, shape (n, p)."""
    return np.exp(2j * np.pi * np.outer(phases, frequencies))


def evaluate(phases, frequencies, coefficients):
    """Return the sums of all frequencies at given phases, in blocks of rows."""
    out = np.empty((len(phases), coefficients.shape[1]), dtype=np.complex128)
    rows = max(_BLOCK // max(len(frequencies), 1), 1)
    for low in range(0, len(phases), rows):
        block = features(phases[low : low + rows], frequencies)
        out[low : low + rows] = block @ coefficients
    return out


def kernel(first, second, frequencies, variances):
    """Return prod_d sum_k t_k exp(2 pi i k (x_d - y_d)), shape (n, m), of (n, d) and (m, d).

    It is real for symmetric frequencies, of which one of each pair is summed.
    """
    is_real = bool(frequencies[0] == -frequencies[-1])
    if is_real:
        half = len(frequencies) // 2
        frequencies, variances = frequencies[half:], variances[half:].copy()
        variances[1:] *= 2.0
    result = np.ones((len(first), len(second)), dtype=np.float64 if is_real else np.complex128)
    columns = max(_BLOCK // max(len(first) + len(second), 1), 1)
    for d in range(first.shape[1]):
        factor = np.zeros_like(result)
        for low in range(0, len(frequencies), columns):
            part = slice(low, low + columns)
            tell("kernel", "frequencies", low, len(frequencies))
            root = np.sqrt(variances[part])
            left = root * powers(first[:, d], frequencies[part])
            left = left.view(np.float64) if is_real else left  # cosines and sines side by side
            if second is first and is_real:
                factor += left @ left.T  # NumPy computes one half of a product with itself
                continue
            right = root * powers(second[:, d], frequencies[part])
            factor += left @ (right.view(np.float64) if is_real else right.conj()).T
        result *= factor
    return result


def powers(phases, frequencies):
    """Return :func:`features` of consecutive frequencies: as products, with few exponentials."""
    p = len(frequencies)
    width = int(np.ceil(np.sqrt(p)))
    fine = features(phases, np.arange(width))
    coarse = features(phases, frequencies[0] + width * np.arange(-(-p // width)))
    products = coarse[:, :, None] * fine[:, None, :]
    return products.reshape(len(phases), -1)[:, :p]


def solve_kernel(K, values, alpha):
    """Return (K + alpha)^-1 values, by Cholesky where K allows, else of least norm."""
    K = K + alpha * np.eye(len(K))
    try:
        factor = cho_factor(K, lower=True)
        diagonal = np.abs(np.diagonal(factor[0]))
        if diagonal.min() ** 2 > len(K) * np.finfo(float).eps * diagonal.max() ** 2:
            return cho_solve(factor, values)
    except LinAlgError:
        pass
    scale, vectors = np.linalg.eigh(K)
    kept = scale > len(K) * np.finfo(float).eps * scale.max()
    vectors = vectors[:, kept]
    return vectors @ ((vectors.conj().T @ values) / scale[kept, None])


def condition_number(phases, frequencies, variances):
    """Return the condition number of the kernel matrix, on its range if that has to be smaller.

    It is the inverse of the rounding unit where it is larger than that.
    """
    values = np.linalg.eigvalsh(kernel(phases, phases, frequencies, variances))[::-1]
    rank = min(len(phases), len(frequencies) ** phases.shape[1])
    return float(values[0] / max(values[rank - 1], np.finfo(float).eps * values[0]))


def fit_least_squares(phases, values, frequencies, variances, alpha):
    """Return the coefficients that minimise |F theta - y|^2 + alpha sum |theta_k|^2 / t_k."""
    root = np.sqrt(variances)
    F = features(phases, frequencies) * root
    if alpha > 0:
        F = np.vstack([F, np.sqrt(alpha) * np.eye(len(frequencies))])
        values = np.vstack([values, np.zeros((len(frequencies), values.shape[1]))])
    return root[:, None] * np.linalg.lstsq(F, values, rcond=None)[0]
