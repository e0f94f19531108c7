"""How close a kernel matrix is to one with three values: same sample, same class, other class."""

from dataclasses import dataclass

import numpy as np

from .._base.entries import check_values
from .._base.typed import ArrayLike


@dataclass(frozen=True)
class KernelBlocks:
    r"""Alignment of a kernel matrix with the classes, and its best fit by three values.

    Y denotes the one-hot labels (n x C) and H the centring matrix; inner products are those of
    Frobenius.

    Attributes
    ----------
    alignment : float
        :math:`\langle K, YY^T\rangle / (\|K\| \|YY^T\|)`. This is already high if all entries of K
        are about the same.
    centered_alignment : float
        The alignment of HKH and HYY^TH (centred kernel alignment). It is 1 if and only if the
        centred kernel sees nothing of a sample but its class, and sees all classes alike.
    same_sample, same_class, other_class : float
        Means of K over the diagonal, over other pairs of one class, and over pairs of two classes.
        They make up the block matrix closest to K.
    fit_error : float
        :math:`\|K - K_{block}\| / \|K\|`, the relative distance to the block matrix.
    multiplicities : tuple of (int, int, int)
        Multiplicities 1, C - 1 and n - C of the predicted eigenvalues.
    predicted_eigenvalues : ndarray of shape (3,)
        Eigenvalues of the block matrix: those of the constant vector, of differences between
        classes, and of differences within classes.
    measured_eigenvalues : ndarray of shape (3,)
        Largest eigenvalue of K, and the means of the C - 1 next and of the remaining ones.
    eigenvalues : ndarray of shape (n,)
        All eigenvalues of K, in decreasing order.
    """

    alignment: float
    centered_alignment: float
    same_sample: float
    same_class: float
    other_class: float
    fit_error: float
    multiplicities: tuple[int, int, int]
    predicted_eigenvalues: np.ndarray
    measured_eigenvalues: np.ndarray
    eigenvalues: np.ndarray


def kernel_blocks(K: ArrayLike, y: ArrayLike) -> KernelBlocks:
    r"""Return how close a kernel matrix is to the block form of its classes.

    The block matrix is
    :math:`(k_d - k_c) I + (k_c - k_n) YY^T + k_n 11^T`, whose eigenvalues are
    :math:`\lambda_0 = k_d - k_c` (n - C times), :math:`\lambda_c = \lambda_0 + m (k_c - k_n)`
    (C - 1 times) and :math:`\lambda_{max} = \lambda_c + n k_n`, with m = n / C.

    Parameters
    ----------
    K : array-like of shape (n, n)
        Symmetric kernel matrix.
    y : array-like of shape (n,)
        Classes, of m samples each, where m is at least two.

    Returns
    -------
    KernelBlocks

    Raises
    ------
    ValueError
        If K is not square, if y is not of its size, if there are fewer than two classes, or if
        classes differ in size.

    Notes
    -----
    The eigenvalues take O(n^3) time. The block form and its eigenvalues are from Seleznova,
    Weitzner, Giryes, Kutyniok and Chou, arXiv:2305.16427, and centred alignment from Cortes, Mohri,
    Rostamizadeh, JMLR 13 (2012). A kernel of zeros has NaN alignment and fit.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig.diagnostics import kernel_blocks
    >>> same = np.kron(np.eye(2), np.ones((2, 2)))  # two classes of two samples
    >>> blocks = kernel_blocks(np.eye(4) + 2 * same + 3, [0, 0, 1, 1])
    >>> blocks.same_sample, blocks.same_class, blocks.other_class
    (6.0, 5.0, 3.0)
    >>> blocks.predicted_eigenvalues, blocks.measured_eigenvalues
    (array([17.,  5.,  1.]), array([17.,  5.,  1.]))
    """
    K = check_values(K, "K")
    _, labels, counts = np.unique(y, return_inverse=True, return_counts=True)
    n, n_classes, m = len(labels), len(counts), int(counts[0])
    if K.shape != (n, n):
        raise ValueError(f"K must be of shape {(n, n)}, as y has {n} labels; got {K.shape}.")
    if n_classes < 2 or m < 2 or (counts != m).any():
        raise ValueError(
            "At least two classes of the same size, at least two samples each, are needed; got "
            f"sizes {counts.tolist()[:20]}."
        )
    same = labels[:, None] == labels
    diagonal, within, total = np.trace(K), float(K[same].sum()), float(K.sum())
    k_d = diagonal / n
    k_c = (within - diagonal) / (n * (m - 1))
    k_n = (total - within) / (n * (n - m))
    fitted = np.where(same, k_c, k_n)
    fitted.flat[:: n + 1] = k_d
    lowest = k_d - k_c
    middle = lowest + m * (k_c - k_n)
    predicted = np.array([middle + n * k_n, middle, lowest])
    eigenvalues = np.linalg.eigvalsh(K)[::-1]
    groups = np.split(eigenvalues, [1, n_classes])
    # Of H YY^T H: m on the diagonal blocks less the mean; its norm is m sqrt(C - 1).
    means = K.mean(axis=0)
    centered = K - means - means[:, None] + total / n**2
    norm = np.linalg.norm(K)
    return KernelBlocks(
        alignment=_ratio(within, norm * m * np.sqrt(n_classes)),
        centered_alignment=_ratio(
            float(centered[same].sum()),
            np.linalg.norm(centered) * m * np.sqrt(n_classes - 1),
        ),
        same_sample=float(k_d),
        same_class=float(k_c),
        other_class=float(k_n),
        fit_error=_ratio(np.linalg.norm(K - fitted), norm),
        multiplicities=(1, n_classes - 1, n - n_classes),
        predicted_eigenvalues=predicted,
        measured_eigenvalues=np.array([group.mean() for group in groups]),
        eigenvalues=eigenvalues,
    )


def _ratio(numerator, denominator):
    return float(numerator / denominator) if denominator > 0.0 else float("nan")
