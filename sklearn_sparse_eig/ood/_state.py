"""What is kept of a stream of gradients: sums over samples, so that shards add up."""

import copy

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
    moments : list of (Moment, Moment), for the inputs and outputs of each layer
    """

    def __init__(self, n_classes, layer_shapes, metric, max_size):
        self.counts = np.zeros(n_classes, dtype=np.int64)
        self.class_sums = [np.zeros((n_classes, p, q)) for p, q in layer_shapes]
        self.energy = 0.0
        self.moments = new_moments(layer_shapes, metric, max_size)

    @property
    def n_samples(self):
        """Number of samples seen."""
        return int(self.counts.sum())

    def update(self, layers, labels):
        """Add gradients.

        Parameters
        ----------
        layers : sequence of LayerFactors or LayerMatrices
        labels : ndarray of int, shape (n_samples,)
            Indices of classes.
        """
        groups = [(label, np.flatnonzero(labels == label)) for label in np.unique(labels)]
        for label, rows in groups:
            self.counts[label] += len(rows)
        # Layer by layer, for a layer may be large and made only now.
        for i, layer in enumerate(layers):
            layer = layer.astype(np.float64)
            self.energy += float(layer.squared_norms().sum())
            for label, rows in groups:
                self.class_sums[i][label] += layer.sum(rows)
            if self.moments:
                layer.add_to(self.moments[i])

    def merge(self, other):
        """Add the sums of another state of the same kind."""
        self.counts += other.counts
        self.energy += other.energy
        for mine, theirs in zip(self.class_sums, other.class_sums, strict=True):
            mine += theirs
        for mine, theirs in zip(self.moments, other.moments, strict=True):
            for moment, added in zip(mine, theirs, strict=True):
                moment.merge(added)


def snapshot(state):
    """Return a copy that updates do not change; the metric, which never changes, is shared."""
    metric = getattr(state, "metric", None)
    return copy.deepcopy(state, {id(metric): metric})


def new_moments(layer_shapes, metric, max_size):
    """Return (Moment, Moment) of the factors of each layer, an empty list where none is kept."""
    if metric == "euclidean":
        return []
    return [
        tuple(Moment(size, metric == "diag" or size > max_size) for size in shape)
        for shape in layer_shapes
    ]
