"""The default decoder: joint hard thresholding pursuit over all components."""

import copy
from typing import Any, Self

import numpy as np

from ...sketching import MAX_CANDIDATES, Measurement
from .._lifting import SupportFit, fit_on_support
from ._base import Decoder, _largest, best_of, largest_rows
from ._null import discoveries, energy_tail
from ._registry import register

# A support is not allowed to pass this share of m: beyond it least squares amplifies noise.
MAX_SUPPORT_SHARE = 1 / 3
# Beyond this many features a sweep takes longer than all else, and is made once or twice in a
# recovery: in between, only the strongest features of earlier sweeps are scored.
_SWEPT_ALWAYS = 1 << 18
# Share of the features that is kept from a sweep, and the most that are: the tail in which noise
# that comes to matter nearly always was before.
_POOL_SHARE, _POOL = 1 / 32, 1 << 17
# Looks at all features made in a decoding beyond the first, as long as each brings something new.
_LOOKS = 1
# Features up to which a support is filled to the size asked for, whatever shows; beyond that, to
# this multiple of what stands out. Others would be noise, and cost a small problem of their size.
_FILLED, _ROOM = MAX_CANDIDATES, 2
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
    A sweep over the features takes O(N K r) time. Up to 2**18 features every round makes one.
    Beyond that, rounds score the strongest features of earlier sweeps, at most 2**17 of each, and a
    decoding ends when another sweep brings nothing that stands out. A recovery makes its first
    sweep with all that is noise still in the vectors, so it sweeps again in the next decoding, and
    from the sweep on that brings nothing new it makes none.

    References
    ----------
    .. [1] Needell and Tropp, "CoSaMP: iterative signal recovery from incomplete and inaccurate
       samples", ACHA 26 (2009); the row-norm form is standard in joint-sparse recovery.
    """

    name = "htp"

    # Ids that looks at all features found strongest, kept for one recovery, or one decoding; how
    # many decodings there were in it; and whether the last look brought nothing new.
    _pool: np.ndarray | None = None
    _is_attached = False
    _n_decodings = 0
    _is_settled = False

    def __init__(self, max_iter: int = 20) -> None:
        self.max_iter = max_iter

    def attach(self, sketch: Any, S: np.ndarray | None) -> Self:
        bound = copy.copy(self)
        bound._pool, bound._is_attached = None, True
        bound._n_decodings, bound._is_settled = 0, False
        return bound

    def strongest(self, fit: SupportFit, size: int) -> tuple[np.ndarray, np.ndarray]:
        if not (self._is_attached and self._keeps_a_pool(fit.measurement)):
            return super().strongest(fit, size)
        if self._pool is None:
            self._pool = self._look(fit, size)[0]
        return best_of(fit, self._pool, size)

    def _keeps_a_pool(self, measurement):
        """Whether looks at all features are dear, so that what they find is kept."""
        return measurement.n_features > _SWEPT_ALWAYS

    def _may_look_again(self):
        """Whether another look at all features may bring something new.

        The first decoding of a recovery would look twice at the same noise.
        """
        return not self._is_settled and self._n_decodings != 1

    def _look(self, fit, size):
        """Return the strongest of all features, those worth scoring again, and their energies."""
        share = int(_POOL_SHARE * fit.measurement.n_features)
        return super().strongest(fit, max(size, min(share, _POOL)))

    def _refresh_pool(self, fit, size):
        """Look at all features again; return whether any that were not in the pool matter.

        They do if they explain as much of what the fit leaves as makes a round worthwhile. Standing
        out is no sign: idle features that occur often stand out from others.
        """
        if self._pool is None or not self._may_look_again():
            return False
        ids, energies = self._look(fit, size)
        is_new = np.isin(ids, self._pool, assume_unique=True, invert=True)
        news = energies[is_new]
        gain = news[_largest(news, size)].sum() / np.vdot(fit.residual, fit.residual)
        # What the fit explains is not among what it leaves, but may be wanted again.
        self._pool = _union(ids, fit.ids)
        self._is_settled = gain < 1.0 - _PROGRESS**2
        return not self._is_settled

    def decode(
        self, measurement: Measurement, Q: np.ndarray, size: int | None = None
    ) -> np.ndarray:
        if not self._is_attached:
            # A decoding by itself ends with a second look.
            alone = self.attach(None, None)
            alone._n_decodings = 1
            return alone.decode(measurement, Q, size)
        self._n_decodings += 1
        limit = max(1, int(MAX_SUPPORT_SHARE * measurement.n_measurements))
        limit = min(limit, measurement.n_features)
        if size is None:
            return self._decode_above_noise(measurement, Q, limit)
        return self._decode_given_size(measurement, Q, min(size, limit))

    def _decode_given_size(self, measurement, Q, size):
        # What stands out on its own is a start that a full-sized first guess would not be: with
        # few measurements that guess is mostly wrong, and too large to be corrected.
        support = self._decode_above_noise(measurement, Q, size, looks=0)
        size = min(size, max(_FILLED, _ROOM * len(support)))
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


def _union(*ids):
    """Return distinct ids, sorted: by sorting, which is several times faster than a hash table."""
    ids = np.sort(np.concatenate(ids))
    return ids[np.insert(ids[1:] != ids[:-1], 0, True)]
