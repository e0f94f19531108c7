"""Products of gradients, kept as factors, with sparse vectors of the length of the parameters."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

# Floats of a temporary array (16 MB).
_BLOCK = 2**21


class SparseRows:
    """Sparse vectors over the parameters of all layers, for inner products with gradients.

    Parameters
    ----------
    rows : csr_array of shape (k, n_parameters)
        Layer after layer, each row-major.
    layer_shapes : sequence of (int, int)
    """

    def __init__(self, rows: sp.csr_array, layer_shapes: Sequence[tuple[int, int]]) -> None:
        self.n_rows = rows.shape[0]
        starts = np.cumsum([0, *(p * q for p, q in layer_shapes)])
        self._parts = [
            rows[:, start:stop] for start, stop in zip(starts[:-1], starts[1:], strict=True)
        ]
        self._gathered = [
            _by_column(part.tocoo(), shape)
            for part, shape in zip(self._parts, layer_shapes, strict=True)
        ]

    def dot(self, layers: Sequence) -> np.ndarray:
        """Return the inner products, (n_samples, k): O(nonzeros + k q) in each layer a sample."""
        n = len(layers[0])
        out = np.zeros((n, self.n_rows))
        for i, layer in enumerate(layers):
            if layer.is_explicit:
                out += layer.dense() @ self._parts[i].T
                continue
            table, columns, owner = self._gathered[i]
            step = max(1, _BLOCK // max(1, len(columns)))
            for start in range(0, n, step):
                rows = slice(start, start + step)
                products = layer.inputs[rows] @ table
                products = products.toarray() if sp.issparse(products) else products
                out[rows] += (products * layer.deltas[rows][:, columns]) @ owner
        return out


def _by_column(entries, shape):
    """Gather the nonzeros by (row, column of the layer): one product with the inputs for all."""
    p, q = shape
    i, j = np.divmod(entries.col.astype(np.int64), q)
    used, place = np.unique(entries.row.astype(np.int64) * q + j, return_inverse=True)
    table = sp.csr_array((entries.data, (i, place)), shape=(p, len(used)))
    of_row, columns = np.divmod(used, q)
    owner = sp.csr_array(
        (np.ones(len(used)), (np.arange(len(used)), of_row)), shape=(len(used), entries.shape[0])
    )
    return table, columns, owner
