"""The inner product of gradients: Euclidean, or that of the inverse K-FAC matrix."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..gradients import LayerMatrices, map_layers
from ._roots import eigenbasis_root, inverse_root


@dataclass(frozen=True)
class Metric:
    r"""Inner products :math:`\sum_l \langle g_l, A_l^{-1} g'_l B_l^{-1} \rangle`.

    On factors they are products of two: :math:`(a^T A^{-1} a')(\delta^T B^{-1} \delta')`. The
    metric is kept as roots R with R R^T = A^{-1}, so that it is the usual inner product of whitened
    layers.

    Parameters
    ----------
    roots : tuple of (root, root) or None
        Roots for the inputs and deltas of each layer; see ``_roots.py``. None is the Euclidean
        inner product.
    shrinkage : tuple of (float, float)
        The share of the identity in each factor; empty for the Euclidean metric.
    mean_square : float or None, default=None
        Mean squared norm of the gradients behind the metric, if factors are independent; None
        where it is not known.
    """

    roots: tuple | None
    shrinkage: tuple = ()
    mean_square: float | None = None

    @classmethod
    def from_moments(
        cls,
        moments: Iterable,
        n: int,
        eigenbasis: bool = False,
        single: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Self:
        """Return the K-FAC metric from the (inputs, outputs) moments of n samples.

        With ``eigenbasis`` the roots are Q L^-1/2 for A = Q L Q^T instead of triangular: whitened
        factors then have coordinates along the eigenvectors of each factor of the metric. With
        ``single`` they are rounded to float32, for gradients that are in it. ``progress`` is called
        with the number of factors that are done.
        """
        root = eigenbasis_root if eigenbasis else inverse_root
        roots: list[tuple] = []
        shares: list[tuple[float, ...]] = []
        mean_square = 0.0
        for pair in moments:
            # One factor after the other, for they may be large.
            found, square = [], 1.0
            for moment in pair:
                shrunk, share = moment.shrunk(n)
                exact = root(shrunk)
                square *= _trace_in(exact, shrunk, share)
                found.append((exact.rounded() if single else exact, share))
                if progress is not None:
                    progress(2 * len(roots) + len(found))
            mean_square += square
            roots.append(tuple(r for r, _ in found))
            shares.append(tuple(share for _, share in found))
        return cls(tuple(roots), tuple(shares), mean_square)

    def is_same(self, other: "Metric") -> bool:
        """Whether another metric has the same roots, bit for bit."""
        if self.roots is None or other.roots is None:
            return self.roots is other.roots
        return all(
            # A full and a triangular root multiply in different orders.
            type(mine) is type(theirs) and np.array_equal(mine.values, theirs.values)
            for pair, others in zip(self.roots, other.roots, strict=True)
            for mine, theirs in zip(pair, others, strict=True)
        )

    def whiten(self, layers: Sequence[Any]) -> Sequence[Any]:
        """Return the layers whose usual inner product is the one of this metric."""
        if self.roots is None:
            return layers
        return map_layers(lambda layer, pair: layer.whiten(*pair), layers, self.roots)

    def whiten_layer(self, i: int, layer: Any) -> Any:
        """Return layer i as its usual inner product is the one of this metric."""
        return layer if self.roots is None else layer.whiten(*self.roots[i])

    def whiten_matrices(self, layer: int, matrices: np.ndarray) -> np.ndarray:
        """Return R_A^T G R_B for matrices G of a layer, by its index, an array (k, p, q)."""
        if self.roots is None:
            return matrices
        return LayerMatrices(matrices).whiten(*self.roots[layer]).matrices


def _trace_in(root, shrunk, share):
    """Return tr(S^-1 A) of the shrunk S = (1 - share) A + share m I, m being the mean of either.

    As many as there are rows, less what the shrinkage has of directions that never occur.
    """
    diagonal = shrunk if shrunk.ndim == 1 else np.diagonal(shrunk)
    level = float(diagonal.mean())
    if share == 1.0:
        return float(len(diagonal))
    inverse_trace = float((root.values**2).sum())
    return max(len(diagonal) - share * level * inverse_trace, 0.0) / (1.0 - share)
