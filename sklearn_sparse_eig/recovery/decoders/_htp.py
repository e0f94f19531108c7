"""The default decoder: joint hard thresholding pursuit over all components."""

import numpy as np

from .._lifting import fit_on_support
from ._base import Decoder, largest_rows
from ._null import discoveries, energy_tail

# A support is not allowed to pass this share of m: beyond it least squares amplifies noise.
MAX_SUPPORT_SHARE = 1 / 3
# Without noise the residual falls by large factors; what falls less than this is noise.
_PROGRESS = 0.99


class HTPDecoder(Decoder):
    """Simultaneous CoSaMP / hard thresholding pursuit on the union of the supports.

    All columns of Q are decoded together: rank makes the problem easier, and only the span of the
    sketch's leading vectors is meaningful, not each of them. With a given size this is CoSaMP
    [1]_ with row norms; without one, every sweep adds what stands out from the ghosts and drops
    what no longer does, until nothing changes.

    Parameters
    ----------
    max_iter : int, default=20
        Sweeps over all features, O(N K r) each. Exact input converges in 3 to 8.

    References
    ----------
    .. [1] Needell and Tropp, "CoSaMP: iterative signal recovery from incomplete and inaccurate
       samples", ACHA 26 (2009); the row-norm form is standard in joint-sparse recovery.
    """

    name = "htp"

    def __init__(self, max_iter=20):
        self.max_iter = max_iter

    def decode(self, measurement, Q, size=None):
        limit = max(1, int(MAX_SUPPORT_SHARE * measurement.n_measurements))
        limit = min(limit, measurement.n_features)
        if size is None:
            return self._decode_above_noise(measurement, Q, limit)
        return self._decode_given_size(measurement, Q, min(size, limit))

    def _decode_given_size(self, measurement, Q, size):
        # What stands out on its own is a start that a full-sized first guess would not be: with
        # few measurements that guess is mostly wrong, and too large to be corrected.
        support = self._decode_above_noise(measurement, Q, size)
        fit = fit_on_support(measurement, Q, support)
        best, best_norm = support, np.linalg.norm(fit.residual)
        scale = np.linalg.norm(Q)
        for _ in range(self.max_iter):
            if best_norm <= 1e-13 * scale:
                break
            room = max(1, min(2 * size, measurement.n_measurements // 2 - len(fit.ids)))
            merged = np.union1d(fit.ids, self.strongest(fit, room)[0])
            Z = fit_on_support(measurement, Q, merged).Z
            fit = fit_on_support(measurement, Q, merged[largest_rows(Z, size)])
            norm = np.linalg.norm(fit.residual)
            if norm >= best_norm * _PROGRESS:  # a fixed point, or a cycle around one
                break
            best, best_norm = fit.ids, norm
        return best

    def _decode_above_noise(self, measurement, Q, limit):
        fit = fit_on_support(measurement, Q, [])
        scale = last = np.linalg.norm(Q)
        hypotheses = self.n_hypotheses(measurement)
        for _ in range(self.max_iter):
            found, energy = self.strongest(fit, limit)
            tail = energy_tail(measurement, fit.residual)
            found = found[discoveries(energy, tail, hypotheses)]
            merged = np.union1d(fit.ids, found)
            if len(merged) == 0:
                break
            fit = fit_on_support(measurement, Q, merged)
            energy = np.einsum("ij,ij->i", fit.Z, fit.Z)
            # After least squares an idle entry is at the level of the new residual.
            tail = energy_tail(measurement, fit.residual)
            keep = discoveries(energy, tail, hypotheses)
            keep &= energy > 1e-24 * energy.max()
            support = merged[keep]
            if len(support) > limit:
                support = support[largest_rows(fit.Z[keep], limit)]
            if len(support) < len(merged):
                fit = fit_on_support(measurement, Q, support)
            norm = np.linalg.norm(fit.residual)
            if norm <= 1e-13 * scale or norm >= _PROGRESS * last:
                break
            last = norm
        return fit.ids
