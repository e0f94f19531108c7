"""Hashed measurement of gradients, from their factors by fast Fourier transforms."""

import numpy as np
import scipy.sparse as sp
from scipy.fft import irfft, rfft

from ... import kernels

# Independent blocks of buckets: entries are estimated by the median of so many.
N_BLOCKS = 4
# Floats of a temporary array (16 MB).
_BLOCK = 2**21
# What it costs in multiplications of a matrix product to scatter one entry, and for each
# m log2(m) to transform both factors of a row (measured, to a factor of two).
_SCATTER_COST, _TRANSFORM_COST = 50 * N_BLOCKS, 8


class TensorSketch:
    r"""Signed sums of the entries of gradients in hashed buckets, the same for every sample.

    In each of K = 4 blocks of b = m / 4 buckets, entry (i, j) of the gradient of a layer goes to
    :math:`h(i) + k(j) \bmod b` with the sign :math:`s(i) t(j) / \sqrt{K}`. Here h, s and k, t are
    hashed as the columns of :class:`SparseSignMeasurement`, with a seed for each factor of each
    layer. As buckets add, the sketch of :math:`a \delta^T` is the circular convolution of the
    sketches of a and of delta, so that no gradient is formed. All layers share the buckets.

    Parameters
    ----------
    layer_shapes : sequence of (int, int)
    n_measurements : int
        m, a multiple of 4.
    seed : int

    Raises
    ------
    ValueError
        If the number of measurements is not a multiple of 4.

    Notes
    -----
    Inner products of sketches are unbiased; for matrices x and y of one layer their variance is
    at most :math:`(\|x\|^2 \|y\|^2 + \langle x, y \rangle^2 + 2 \|x^T y\|^2 + 2 \|x y^T\|^2) / m`
    up to :math:`O(m^{-2})`, with Frobenius norms (derived in ``doc/gradpca.md``).

    A row costs O(K p + K q + m log m) in each layer, or O(K p q) where that is less.

    References
    ----------
    Pham and Pagh, "Fast and scalable polynomial kernels via explicit feature maps", KDD 2013.
    """

    def __init__(self, layer_shapes, n_measurements, seed):
        if n_measurements % N_BLOCKS:
            fits = -(-n_measurements // N_BLOCKS) * N_BLOCKS
            raise ValueError(
                f"n_measurements must be a multiple of {N_BLOCKS}, got {n_measurements}; {fits} "
                "fits."
            )
        self.layer_shapes = tuple(tuple(shape) for shape in layer_shapes)
        self.n_measurements, self.seed = int(n_measurements), int(seed)
        self._size = self.n_measurements // N_BLOCKS
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
        layers : tuple of LayerFactors or LayerMatrices
        labels : ndarray of int, shape (n_samples,)
        """
        present, counts = np.unique(labels, return_counts=True)
        by_label = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
        convolved = {}
        for i, layer in enumerate(layers):
            if layer.is_explicit or self._scatters(i, len(labels) / len(present)):
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
            spectra = sum(self._convolve(i, layer.take(rows)) for i, layer in convolved.items())
            changes = np.flatnonzero(np.diff(labels[rows], prepend=-1))
            sums = irfft(np.add.reduceat(spectra, changes, axis=0), self._size, axis=2)
            out[labels[rows[changes]]] += sums.reshape(len(changes), -1)

    def spectra(self, layers):
        """Return the Fourier transforms of the sketches of gradients, block by block.

        An array of float64 of shape (n_samples, 2 * K * (b // 2 + 1)), real and imaginary parts in
        turn. Products with a :meth:`dual` are inner products of sketches.
        """
        n, spectra, scattered = len(layers[0]), 0.0, []
        for i, layer in enumerate(layers):
            if layer.is_explicit or self._scatters(i, 1):
                scattered.append(self.scatter(i, layer.dense().reshape(-1, *self.layer_shapes[i])))
            else:
                spectra = spectra + self._convolve(i, layer)
        if scattered:
            spectra = spectra + self._transform(sum(scattered))
        return spectra.reshape(n, -1).view(np.float64)

    def dual(self, sketches):
        """Return what spectra are multiplied by to give inner products, by Parseval's identity.

        Parameters
        ----------
        sketches : ndarray of shape (k, n_measurements)

        Returns
        -------
        ndarray of shape (2 * K * (b // 2 + 1), k)
        """
        spectra = self._transform(sketches) / self._size
        # Frequencies other than 0 and b / 2 stand for their negative too.
        spectra[:, :, 1 : (self._size + 1) // 2] *= 2.0
        return np.ascontiguousarray(spectra.reshape(len(sketches), -1).view(np.float64).T)

    def scatter(self, layer, matrices):
        """Return the sketches of explicit matrices of a layer, an array (n, p, q): (n, m).

        The slow way for one matrix, and the fast one for the sum of many samples. O(n K p q).
        """
        matrices = np.asarray(matrices, dtype=np.float64)
        out = np.zeros((len(matrices), self.n_measurements))
        for rows, buckets, signs in self._entries(layer, 1 + len(matrices) // N_BLOCKS):
            n_entries = buckets.shape[1]
            ends = N_BLOCKS * np.arange(n_entries + 1)
            hashed = sp.csr_array(
                (signs.T.ravel() / np.sqrt(N_BLOCKS), buckets.T.ravel(), ends),
                shape=(n_entries, self.n_measurements),
            )
            out += matrices[:, rows].reshape(len(matrices), -1) @ hashed
        return out

    def largest(self, sketch, n_kept):
        """Return the entries of a vector that look largest in its sketch.

        Each is estimated by the mean of its K = 4 buckets without the two extremes, so that one
        collision with a large entry does no harm.

        Parameters
        ----------
        sketch : ndarray of shape (n_measurements,)
        n_kept : int

        Returns
        -------
        ids : ndarray of int64, increasing
            Layer after layer, each row-major.
        values : ndarray of float64

        Notes
        -----
        O(K P) time for P parameters, O(n_kept) memory and a few blocks.
        """
        ids, values, start, least = [], [], 0, 0.0
        for layer, (p, q) in enumerate(self.layer_shapes):
            for rows, buckets, signs in self._entries(layer, 2):
                estimates = sketch[buckets] * signs
                middle = estimates.sum(axis=0) - estimates.max(axis=0) - estimates.min(axis=0)
                middle *= np.sqrt(N_BLOCKS) / (N_BLOCKS - 2)
                good = np.flatnonzero(np.abs(middle) > least)
                ids.append(start + rows.start * q + good)
                values.append(middle[good])
                if sum(map(len, ids)) > 4 * n_kept:
                    ids, values = _keep_largest(ids, values, n_kept)
                    least = np.abs(values[0]).min()
            start += p * q
        (ids,), (values,) = _keep_largest(ids, values, n_kept)
        return ids, values

    def _entries(self, layer, share):
        """Yield rows of a layer as a slice, and buckets and signs of their entries, (K, n) each."""
        p, q = self.layer_shapes[layer]
        left = _hash(p, self._seeds[layer][0], self._size)
        right = _hash(q, self._seeds[layer][1], self._size)
        step = max(1, _BLOCK // (N_BLOCKS * share * q))
        offsets = self._size * np.arange(N_BLOCKS)[:, None, None]
        for start in range(0, p, step):
            rows = slice(start, min(p, start + step))
            buckets = left[0][:, rows, None] + right[0][:, None]
            buckets -= self._size * (buckets >= self._size)
            signs = left[1][:, rows, None] * right[1][:, None]
            yield rows, (buckets + offsets).reshape(N_BLOCKS, -1), signs.reshape(N_BLOCKS, -1)

    def _scatters(self, layer, n_rows):
        """Whether forming the sum of so many rows and scattering it costs less than transforms."""
        p, q = self.layer_shapes[layer]
        m = self.n_measurements
        transforms = N_BLOCKS * (p + q) + _TRANSFORM_COST * m * np.log2(m)
        return (n_rows + _SCATTER_COST) * p * q <= n_rows * transforms

    def _convolve(self, i, layer):
        """Return the transforms of the sketches of a layer: products of those of the factors."""
        left, right = self._seeds[i]
        spectra = self._transform(self._count(layer.inputs, left))
        spectra *= self._transform(self._count(layer.deltas, right))
        # Each factor has brought its own 1 / sqrt(K).
        spectra *= np.sqrt(N_BLOCKS)
        return spectra

    def _transform(self, sketches):
        return rfft(sketches.reshape(len(sketches), N_BLOCKS, self._size), axis=2)

    def _count(self, rows, seed):
        if sp.issparse(rows):
            return kernels.sketch_csr(
                rows.data, rows.indices, rows.indptr, seed, N_BLOCKS, self._size
            )
        return kernels.sketch_dense(rows, seed, N_BLOCKS, self._size)


def _hash(n, seed, size):
    """Return buckets within their block, and signs, of n ids: (K, n) each."""
    buckets, signs = kernels.hash_columns(np.arange(n), seed, N_BLOCKS, size)
    return np.ascontiguousarray(buckets.T) - size * np.arange(N_BLOCKS)[:, None], signs.T.copy()


def _keep_largest(ids, values, n_kept):
    ids, values = np.concatenate(ids), np.concatenate(values)
    if len(ids) > n_kept:
        # Ids in order all the time, so that ties do not depend on how blocks are cut.
        kept = np.sort(np.argpartition(-np.abs(values), n_kept - 1)[:n_kept])
        ids, values = ids[kept], values[kept]
    return [ids], [values]
