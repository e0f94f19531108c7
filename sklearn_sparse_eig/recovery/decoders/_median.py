"""The decoder of the MAM* experiments, kept for comparison."""

import numpy as np

from ...sketching import Measurement
from ._base import SWEEP, Decoder
from ._registry import register


@register
class MedianDecoder(Decoder):
    """Decoder that estimates each entry by the median of K readings, column by column.

    The readings of a feature are the entries of Q at the nonzeros of its column of M, divided by
    these. As long as fewer than half are hit by other nonzeros, their median is exact. Columns do
    not help one another, and any noise or rotation between them is decoded as signal. Prefer
    ``"htp"``.

    References
    ----------
    Boahen, Brugiapaglia, Chou, Iwen, Krahmer, arXiv:2507.17036 and its public experiments.
    """

    name = "median"
    decodes_jointly = False

    def decode(
        self, measurement: Measurement, Q: np.ndarray, size: int | None = None
    ) -> np.ndarray:
        N, r = measurement.n_features, Q.shape[1]
        if size is None:
            size = max(1, measurement.n_measurements // 4)
        per_column = max(1, min(-(-size // r), N))
        ids = [np.empty(0, dtype=np.int64)] * r
        values = [np.empty(0)] * r
        step = max(1, SWEEP // max(1, measurement.nonzeros_per_column() * r))
        for start in range(0, N, step):
            block = np.arange(start, min(start + step, N))
            estimate = np.abs(self._estimate(measurement, Q, block))
            for j in range(r):
                merged = np.concatenate([values[j], estimate[:, j]])
                all_ids = np.concatenate([ids[j], block])
                keep = np.argpartition(-merged, min(per_column, len(merged)) - 1)[:per_column]
                ids[j], values[j] = all_ids[keep], merged[keep]
        found = [i[v > 0] for i, v in zip(ids, values, strict=True)]
        return np.unique(np.concatenate(found))

    @staticmethod
    def _estimate(measurement, Q, ids):
        columns = measurement.columns(ids)
        K = np.diff(columns.indptr)
        if (K != K[0]).any():
            raise ValueError(
                "decoder='median' needs a measurement with equally many nonzeros in each column, "
                f"and {type(measurement).__name__} has {K.min()} to {K.max()}. Use decoder='htp'."
            )
        readings = Q[columns.indices] / columns.data[:, None]
        return np.median(readings.reshape(len(ids), K[0], -1), axis=1)
