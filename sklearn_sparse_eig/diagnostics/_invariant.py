"""The quantity that training conserves while the tangent kernel of the features has block form."""

import numpy as np

# Within-class part of the kernel, relative to its diagonal, that is only rounding.
_ROUNDING = 1e-12


def feature_side(blocks, means, counts, scatter):
    r"""Return H K^{-1} H^T, where K is the block kernel of all samples.

    With the columns of H the features of n samples, m_c the size of class c and

    .. math:: K = \lambda_0 I + Y B Y^T, \qquad B = (k_c - k_n) I + k_n 11^T,

    K leaves the span of Y, the one-hot labels, and its complement apart. On the complement it is
    :math:`\lambda_0`; on the orthonormal :math:`Y D^{-1/2}`, D = diag(m_c), it is
    :math:`\lambda_0 I + D^{1/2} B D^{1/2}`. So no n x n matrix is needed, nor classes of one size
    (derived here; for classes of one size it is the sum in arXiv:2305.16427).

    Parameters
    ----------
    blocks : KernelBlocks
        Of the tangent kernel of the features.
    means : ndarray of shape (n_classes, n_features)
    counts : ndarray of shape (n_classes,)
    scatter : ndarray of shape (n_features, n_features)
        Sum over samples of (h - mean of its class)(...)^T.

    Returns
    -------
    ndarray of shape (n_features, n_features) or None
        None where the kernel does not tell samples of a class apart, so that it has no inverse.
    """
    lowest = blocks.same_sample - blocks.same_class
    if not lowest > _ROUNDING * abs(blocks.same_sample):
        return None
    roots = np.sqrt(counts)
    between = np.full((len(counts), len(counts)), blocks.other_class)
    np.fill_diagonal(between, blocks.same_class)
    between = lowest * np.eye(len(counts)) + roots[:, None] * between * roots
    scaled = roots[:, None] * means
    return scatter / lowest + scaled.T @ np.linalg.solve(between, scaled)


def compare(weights, side):
    """Return norm of E = W W^T - side, that norm over the norm of W W^T, and their cosine."""
    if side is None:
        return (float("nan"),) * 3
    gram = weights @ weights.T
    norms = np.linalg.norm(gram), np.linalg.norm(side)
    norm = float(np.linalg.norm(gram - side))
    if min(norms) == 0.0:
        return norm, float("nan"), float("nan")
    return norm, norm / float(norms[0]), float((gram * side).sum() / (norms[0] * norms[1]))
