"""The reference measurement: independent normal entries."""

import numpy as np
import scipy.sparse as sp

from ...kernels import mix64
from ._base import CHUNK, Measurement
from ._registry import register


@register
class GaussianMeasurement(Measurement):
    """Independent normal entries of variance 1/m, generated again whenever they are needed.

    This is the best-understood ensemble of compressed sensing, and serves as a reference: it costs
    O(m) per nonzero of the data, while the sparse-sign ensemble costs 8.

    Parameters
    ----------
    n_features : int
    n_measurements : int
    seed : int, default=0
    """

    name = "gaussian"
    has_ghosts = True

    def columns(self, ids: np.ndarray) -> sp.csr_array:
        ids = np.asarray(ids).astype(np.uint64)
        out = np.empty((len(ids), self.n_measurements))
        # One hashed counter stream per column; Box-Muller turns two uniforms into two normals.
        half = -(-self.n_measurements // 2)
        counters = np.arange(1, 2 * half + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        step = max(1, CHUNK // half)
        for start in range(0, len(ids), step):
            base = mix64(ids[start : start + step] + mix64(np.array([self.seed], np.uint64)))
            bits = mix64(base[:, None] + counters) >> np.uint64(11)
            uniform = (bits.astype(np.float64) + 0.5) * 2.0**-53
            radius = np.sqrt(-2.0 * np.log(uniform[:, :half]))
            angle = 2.0 * np.pi * uniform[:, half:]
            normal = np.hstack([radius * np.cos(angle), radius * np.sin(angle)])
            out[start : start + step] = normal[:, : self.n_measurements]
        return sp.csr_array(out / np.sqrt(self.n_measurements))
