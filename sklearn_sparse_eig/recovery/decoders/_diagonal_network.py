"""Supports by least l1 norm, as the limit of gradient flow on a diagonal network."""

import numpy as np

from ...implicit import InconsistentError, Potential, flow_limit
from ...sketching import Measurement
from .._lifting import fit_on_support
from ._base import Decoder, largest_rows
from ._htp import MAX_SUPPORT_SHARE
from ._registry import register

_DEPTH = 4
# Scale of the initialisation relative to Q, and accuracy of its equations.
_SCALE, _TOLERANCE = 1e-6, 1e-6
# Features that enter, as a multiple of m: those of largest correlation with Q.
_CANDIDATES = 4
# Choices of candidates, each from what the last solution leaves, and the share of it by which
# another one has to help.
_ROUNDS, _PROGRESS = 6, 0.9


@register
class DiagonalNetworkDecoder(Decoder):
    """Decoder that solves M f = q for each column q of Q, near the least l1 norm.

    It uses the features that correlate most with Q, four for each measurement, then those that
    correlate most with what is left, and needs neither a penalty nor a sparsity. Columns do not
    help one another, and noise in Q is fitted by many small entries, of which the largest rows are
    kept. Prefer ``"htp"``, which is joint, faster and models noise.

    Notes
    -----
    There are up to six rounds of a sweep, which takes O(N K r) time, and of solutions. Each column
    takes some 20 products with an m x 4 m matrix, or a few factorisations of O(m^3). Memory is
    O(m^2).

    References
    ----------
    Chou, Maly, Rauhut, arXiv:2112.11027, for the idea of the bias; see
    ``doc/implicit_regularisation.md`` for the method.
    """

    name = "diagonal_network"
    decodes_jointly = False

    def decode(
        self, measurement: Measurement, Q: np.ndarray, size: int | None = None
    ) -> np.ndarray:
        m, N = measurement.n_measurements, measurement.n_features
        limit = min(max(1, int(MAX_SUPPORT_SHARE * m)), N)
        fit, last = fit_on_support(measurement, Q, []), np.inf
        for _ in range(_ROUNDS):
            # Features that the first look has missed show in what is left without the others.
            others, _ = self.strongest(fit, min(_CANDIDATES * m, N) - len(fit.ids))
            ids = np.union1d(fit.ids, others)
            trial = fit_on_support(measurement, Q, self._support(measurement, Q, ids, size, limit))
            left = np.linalg.norm(trial.residual)
            if left < last:
                fit = trial
            if left >= _PROGRESS * last or left <= _TOLERANCE * np.linalg.norm(Q):
                break
            last = left
        return fit.ids

    def _support(self, measurement, Q, ids, size, limit):
        """Return the features of the solutions with support among the candidates `ids`."""
        A = np.ascontiguousarray(measurement.columns(ids).T.toarray(), dtype=np.float64)
        F = np.column_stack([self._solve(A, q) for q in Q.T])
        energy = np.einsum("ij,ij->i", F, F)
        if size is None:
            size = int((energy > _SCALE * energy.max()).sum())
        keep = largest_rows(F, min(size, limit))
        return ids[keep[energy[keep] > 0]]

    @staticmethod
    def _solve(A, q):
        largest = np.abs(q).max()
        if largest == 0:
            return np.zeros(A.shape[1])
        potential = Potential(_DEPTH, np.log(_SCALE * largest))
        try:
            return flow_limit(A, np.ascontiguousarray(q), potential, tol=_TOLERANCE).x
        except InconsistentError:
            # Fewer candidates than measurements: noise cannot be fitted.
            return np.linalg.lstsq(A, q, rcond=None)[0]
