"""The default decoder: joint hard thresholding pursuit over all components."""

import copy
from typing import Any, Self

import numpy as np

from ...sketching import Measurement
from .._lifting import SupportFit, fit_on_support
from ._base import Decoder, best_of, largest_rows
from ._null import discoveries, energy_tail
from ._registry import register

# A support is not allowed to pass this share of m: beyond it least squares amplifies noise.
MAX_SUPPORT_SHARE = 1 / 3
# Beyond this many features a sweep takes longer than all else, and is made once or twice in a
# decoding: in between, only the strongest features of earlier sweeps are scored.
_SWEPT_ALWAYS = 1 << 20
# Features kept from a sweep: the tail in which noise that comes to matter nearly always was before.
_POOL = 1 << 17
# Sweeps made in a decoding beyond the first, as long as each brings something new.
_LOOKS = 1
# Without noise the residual falls by large factors; what falls less than this is noise.
_PROGRESS = 0.99


@register
class HTPDecoder(Decoder):
    """Simultaneous CoSaMP / hard thresholding pursuit on the union of the supports.

    All columns of Q are decoded together, because rank makes the problem easier, and because only
    the span of the sketch's leading vectors is meaningful, not each of them. With a given size this
    is CoSaMP [1]_ with row norms. Without one, every sweep adds what stands out from the ghosts and
    drops what no longer does, until nothing changes.

    Parameters
    ----------
    max_iter : int, default=20
        Largest number of rounds of scoring and fitting. Exact input converges in 3 to 8 rounds.

    Notes
    -----
    A sweep over the features takes O(N K r) time. Up to 2**20 features every round makes one.
    Beyond that, rounds score the 2**17 strongest features of the last sweep, and the decoding ends
    when another sweep brings nothing stronger. Decodings that are repeated, as in a recovery, then
    take one sweep each.

    References
    ----------
    .. [1] Needell and Tropp, "CoSaMP: iterative signal recovery from incomplete and inaccurate
       samples", ACHA 26 (2009); the row-norm form is standard in joint-sparse recovery.
    """

    name = "htp"

    # Ids of the strongest features of the last sweep: kept for one recovery, or one decoding.
    _pool: np.ndarray | None = None
    _is_attached = False

    def __init__(self, max_iter: int = 20) -> None:
        self.max_iter = max_iter

    def attach(self, sketch: Any, S: np.ndarray | None) -> Self:
        bound = copy.copy(self)
        bound._pool, bound._is_attached = None, True
        return bound

    def strongest(self, fit: SupportFit, size: int) -> tuple[np.ndarray, np.ndarray]:
        if fit.measurement.n_features <= _SWEPT_ALWAYS or not self._is_attached:
            return super().strongest(fit, size)
        if self._pool is None:
            self._pool = super().strongest(fit, max(size, _POOL))[0]
        return best_of(fit, self._pool, size)

    def _refresh_pool(self, fit, size):
        """Sweep over all features; return whether that brings any that were not in the pool."""
        if fit.measurement.n_features <= _SWEPT_ALWAYS:
            return False
        ids, energies = super().strongest(fit, max(size, _POOL))
        strongest = ids[np.argpartition(-energies, size - 1)[:size]]
        is_new = np.isin(strongest, self._pool, assume_unique=True, invert=True)
        # What the fit explains is not among what it leaves, but may be wanted again.
        known = fit.ids[np.isin(fit.ids, ids, assume_unique=True, invert=True)]
        self._pool = np.insert(ids, np.searchsorted(ids, known), known)
        return bool(is_new.any())

    def decode(
        self, measurement: Measurement, Q: np.ndarray, size: int | None = None
    ) -> np.ndarray:
        if not self._is_attached:
            return self.attach(None, None).decode(measurement, Q, size)
        limit = max(1, int(MAX_SUPPORT_SHARE * measurement.n_measurements))
        limit = min(limit, measurement.n_features)
        if size is None:
            return self._decode_above_noise(measurement, Q, limit)
        return self._decode_given_size(measurement, Q, min(size, limit))

    def _decode_given_size(self, measurement, Q, size):
        # What stands out on its own is a start that a full-sized first guess would not be: with
        # few measurements that guess is mostly wrong, and too large to be corrected.
        support = self._decode_above_noise(measurement, Q, size, looks=0)
        fit = fit_on_support(measurement, Q, support)
        best, best_norm = support, np.linalg.norm(fit.residual)
        scale, looks = np.linalg.norm(Q), _LOOKS
        for _ in range(self.max_iter):
            if best_norm <= 1e-13 * scale:
                break
            room = max(1, min(2 * size, measurement.n_measurements // 2 - len(fit.ids)))
            merged = np.union1d(fit.ids, self.strongest(fit, room)[0])
            Z = fit_on_support(measurement, Q, merged).Z
            fit = fit_on_support(measurement, Q, merged[largest_rows(Z, size)])
            norm = np.linalg.norm(fit.residual)
            settled = norm >= best_norm * _PROGRESS  # a fixed point, or a cycle around one
            if norm < best_norm:
                best, best_norm = fit.ids, norm
            if settled:
                looks -= 1
                if looks < 0 or not self._refresh_pool(fit, room):
                    break
        return best

    def _decode_above_noise(self, measurement, Q, limit, looks=_LOOKS):
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
            # Least squares moves noise from the residual to the entries: of its energy a share
            # 1 - t / m stays, and idle entries have that of the noise over the same share.
            share = 1.0 - len(merged) / measurement.n_measurements
            tail = energy_tail(measurement, fit.residual / share)
            keep = discoveries(energy, tail, hypotheses)
            keep &= energy > 1e-24 * energy.max()
            support = merged[keep]
            if len(support) > limit:
                support = support[largest_rows(fit.Z[keep], limit)]
            if len(support) < len(merged):
                fit = fit_on_support(measurement, Q, support)
            norm = np.linalg.norm(fit.residual)
            if norm <= 1e-13 * scale:
                break
            if norm >= _PROGRESS * last:
                looks -= 1
                if looks < 0 or not self._refresh_pool(fit, limit):
                    break
            last = norm
        return fit.ids
