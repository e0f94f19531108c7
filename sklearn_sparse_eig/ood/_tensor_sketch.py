"""Hashed measurement of gradients, from their factors by fast Fourier transforms."""

import numpy as np
import scipy.sparse as sp
from scipy.fft import irfft, rfft

from .. import kernels

# Floats of a temporary array (16 MB).
_BLOCK = 2**21
# What it costs in multiplications of a matrix product to scatter one entry, and for each
# m log2(m) to transform both factors of a row (measured, to a factor of two).
_SCATTER_COST, _TRANSFORM_COST = 50, 8


class TensorSketch:
    r"""Signed sums of the entries of gradients in m buckets, the same for every sample.

    Entry (i, j) of the gradient of a layer goes to the bucket :math:`h(i) + k(j) \bmod m` with
    the sign :math:`s(i) t(j)`; h, s and k, t are the hashes of the library's measurements, of one
    block, with a seed for each factor of each layer. As buckets add, the sketch of
    :math:`a \delta^T` is the circular convolution of the sketches of a and of delta, so that no
    gradient is formed. All layers share the buckets.

    Parameters
    ----------
    layer_shapes : sequence of (int, int)
    n_measurements : int
        m.
    seed : int

    Notes
    -----
    Inner products of sketches are unbiased; for matrices x and y of one layer their variance is
    at most :math:`(\|x\|^2 \|y\|^2 + \langle x, y \rangle^2 + 2 \|x^T y\|^2 + 2 \|x y^T\|^2) / m`
    up to :math:`O(m^{-2})`, with Frobenius norms (derived in ``doc/gradpca.md``).

    A row costs O(p + q + m log m) in each layer, or O(p q) where that is less.

    References
    ----------
    Pham and Pagh, "Fast and scalable polynomial kernels via explicit feature maps", KDD 2013.
    """

    def __init__(self, layer_shapes, n_measurements, seed):
        self.layer_shapes = tuple(tuple(shape) for shape in layer_shapes)
        self.n_measurements, self.seed = int(n_measurements), int(seed)
        seeds = np.random.SeedSequence(self.seed).generate_state(2 * len(layer_shapes), np.uint64)
        self._seeds = [(int(a), int(b)) for a, b in seeds.reshape(-1, 2)]

    def spec(self):
        """Return what must agree between sketches that are added."""
        return {
            "n_measurements": self.n_measurements,
            "seed": self.seed,
            "hash_version": kernels.HASH_VERSION,
        }

    def add_sums(self, out, layers, labels):
        """Add the sketched sums of gradients of each label to the rows of out.

        Parameters
        ----------
        out : ndarray of float64, shape (n_labels, n_measurements)
        layers : tuple of LayerFactors
        labels : ndarray of int, shape (n_samples,)
        """
        present, counts = np.unique(labels, return_counts=True)
        by_label = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
        convolved = {}
        for i, layer in enumerate(layers):
            if self._scatters(i, len(labels) / len(present)):
                for label, rows in zip(present, by_label, strict=True):
                    out[label] += self.scatter(i, layer.sum(rows)[None])[0]
            else:
                convolved[i] = layer
        if not convolved:
            return
        order = np.concatenate(by_label)
        step = max(1, _BLOCK // self.n_measurements)
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            spectra = sum(self._convolution(i, layer, rows) for i, layer in convolved.items())
            changes = np.flatnonzero(np.diff(labels[rows], prepend=-1))
            sums = np.add.reduceat(spectra, changes, axis=0)
            out[labels[rows[changes]]] += irfft(sums, self.n_measurements, axis=1)

    def spectra(self, layers):
        """Return the Fourier transforms of the sketches of gradients, (n_samples, m // 2 + 1).

        Products with a :meth:`dual` are inner products of sketches.
        """
        scattered = [i for i in range(len(layers)) if self._scatters(i, 1)]
        rows = slice(None)
        spectra = sum(
            self._convolution(i, layer, rows)
            for i, layer in enumerate(layers)
            if i not in scattered
        )
        if not scattered:
            return spectra
        values = sum(
            self.scatter(i, layers[i].dense().reshape(-1, *self.layer_shapes[i])) for i in scattered
        )
        return spectra + rfft(values, axis=1)

    def dual(self, sketches):
        """Return arrays by which real and imaginary parts of spectra are multiplied.

        Parameters
        ----------
        sketches : ndarray of shape (k, n_measurements)

        Returns
        -------
        ndarray of shape (2 * (m // 2 + 1), k)
            ``spectra.view(float) @ dual`` are the inner products, by Parseval's identity.
        """
        m = self.n_measurements
        spectra = rfft(sketches, axis=1)
        # Frequencies other than 0 and m / 2 stand for their negative too.
        spectra[:, 1 : (m + 1) // 2] *= 2.0
        return np.ascontiguousarray(spectra.view(np.float64).T) / m

    def scatter(self, layer, matrices):
        """Return the sketches of explicit matrices of a layer, an array (n, p, q): (n, m).

        The slow way for one matrix, and the fast one for sums of many samples. O(n p q).
        """
        p, q = self.layer_shapes[layer]
        matrices = np.asarray(matrices, dtype=np.float64)
        left, right = self._seeds[layer]
        m = self.n_measurements
        (row_bucket, row_sign), (column_bucket, column_sign) = _hash(p, left, m), _hash(q, right, m)
        out = np.zeros((len(matrices), m))
        step = max(1, _BLOCK // (q * max(1, len(matrices))))
        for start in range(0, p, step):
            rows = slice(start, min(p, start + step))
            buckets = (row_bucket[rows, None] + column_bucket) % m
            signs = row_sign[rows, None] * column_sign
            entries = np.arange(buckets.size + 1)
            hashed = sp.csr_array((signs.ravel(), buckets.ravel(), entries), (buckets.size, m))
            out += matrices[:, rows].reshape(len(matrices), -1) @ hashed
        return out

    def _scatters(self, layer, n_rows):
        """Whether forming the sum of so many rows and scattering it costs less than transforms."""
        p, q = self.layer_shapes[layer]
        m = self.n_measurements
        return (n_rows + _SCATTER_COST) * p * q <= n_rows * (
            p + q + _TRANSFORM_COST * m * np.log2(m + 1)
        )

    def _convolution(self, layer, factors, rows):
        """Return the transforms of the sketches of some rows: products of those of the factors."""
        left, right = self._seeds[layer]
        spectra = rfft(self._count(factors.inputs[rows], left), axis=1)
        spectra *= rfft(self._count(factors.deltas[rows], right), axis=1)
        return spectra

    def _count(self, rows, seed):
        if sp.issparse(rows):
            return kernels.sketch_csr(
                rows.data, rows.indices, rows.indptr, seed, 1, self.n_measurements
            )
        return kernels.sketch_dense(rows, seed, 1, self.n_measurements)


def _hash(size, seed, m):
    buckets, signs = kernels.hash_columns(np.arange(size), seed, 1, m)
    return buckets[:, 0], signs[:, 0]
