"""What is kept of a stream of gradients: sums over samples, so that shards add up."""

import numpy as np

from ._moments import Moment


class GradientState:
    """Counts, class sums of gradients, and moments of their factors.

    Parameters
    ----------
    n_classes : int
    layer_shapes : sequence of (int, int)
    metric : {"kfac", "diag", "euclidean"}
        Which moments are kept: full, diagonal or none.
    max_size : int
        Factors beyond this many entries are kept diagonal.

    Attributes
    ----------
    counts : ndarray of int64, shape (n_classes,)
    class_sums : list of ndarray of shape (n_classes, p, q), one for each layer
    energy : float
        Sum of the squared norms of all gradients.
    moments : list of (Moment, Moment), for the inputs and deltas of each layer
    """

    def __init__(self, n_classes, layer_shapes, metric, max_size):
        self.counts = np.zeros(n_classes, dtype=np.int64)
        self.class_sums = [np.zeros((n_classes, p, q)) for p, q in layer_shapes]
        self.energy = 0.0
        self.moments = (
            []
            if metric == "euclidean"
            else [
                tuple(Moment(size, metric == "diag" or size > max_size) for size in shape)
                for shape in layer_shapes
            ]
        )

    @property
    def n_samples(self):
        """Number of samples seen."""
        return int(self.counts.sum())

    def update(self, layers, labels):
        """Add gradients.

        Parameters
        ----------
        layers : tuple of LayerFactors
        labels : ndarray of int, shape (n_samples,)
            Indices of classes.
        """
        self.energy += float(sum(layer.squared_norms().sum() for layer in layers))
        for label in np.unique(labels):
            rows = np.flatnonzero(labels == label)
            self.counts[label] += len(rows)
            for sums, layer in zip(self.class_sums, layers, strict=True):
                sums[label] += layer.sum(rows)
        for pair, layer in zip(self.moments, layers, strict=bool(self.moments)):
            for moment, rows in zip(pair, (layer.inputs, layer.deltas), strict=True):
                moment.add(rows)

    def merge(self, other):
        """Add the sums of another state of the same kind."""
        self.counts += other.counts
        self.energy += other.energy
        for mine, theirs in zip(self.class_sums, other.class_sums, strict=True):
            mine += theirs
        for mine, theirs in zip(self.moments, other.moments, strict=True):
            for moment, added in zip(mine, theirs, strict=True):
                moment.merge(added)
