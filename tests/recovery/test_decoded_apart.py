"""Decoders that take vectors one by one are right without noise, or say that others are."""

import warnings

import numpy as np
import pytest

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.recovery import RecoveryWarning, recover
from sklearn_sparse_eig.recovery.decoders import DiagonalNetworkDecoder, HTPDecoder

# Overlapping supports, and so few measurements that four candidates for each are not all features.
N, M, R, S = 1500, 160, 3, 8


def vectors(rng):
    V = np.zeros((N, R))
    for v in V.T:
        v[rng.permutation(N)[:S]] = rng.standard_normal(S)
    return V / np.linalg.norm(V, axis=0)


def sketch_of_matrix(seed=0):
    V = vectors(np.random.default_rng(seed))
    A = (V * [9.0, 4.0, 2.0]) @ V.T
    i, j = np.nonzero(A)
    sketch = EigenSketch(N, n_measurements=M, range_size=20, random_state=seed)
    return sketch.update_entries(i, j, A[i, j])


def sketch_of_rows(noise, seed=0):
    rng = np.random.default_rng(seed)
    V = vectors(rng)
    X = (rng.standard_normal((300, R)) * [9.0, 4.0, 2.0]) @ V.T
    X += noise * rng.standard_normal(X.shape)
    return EigenSketch(N, n_measurements=M, range_size=20, random_state=seed).update(X)


def told(sketch, decoder, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pairs = sketch.recover(R, decoder=decoder, **options)
    return pairs, [str(w.message) for w in caught if issubclass(w.category, RecoveryWarning)]


@pytest.mark.parametrize("size", ["auto", S])
@pytest.mark.parametrize("decoder", ["htp", "diagonal_network"])
def test_exact_matrices_are_recovered_and_nothing_is_told(decoder, size):
    pairs, messages = told(sketch_of_matrix(), decoder, n_nonzero_coefs=size)
    assert pairs.residual < 1e-8
    assert messages == []


@pytest.mark.parametrize("size", ["auto", S])
def test_the_median_says_what_to_use_once(size):
    sketch = sketch_of_matrix()
    pairs, messages = told(sketch, "median", n_nonzero_coefs=size)
    assert pairs.residual > 1e-3
    assert len(messages) == 1
    assert "decoder='median'" in messages[0] and "decoder='htp'" in messages[0]
    with pytest.warns(RecoveryWarning, match="decoder='median'") as caught:
        recover(sketch, R, n_nonzero_coefs=size, decoder="median")
    assert caught[0].filename == __file__


def test_nothing_is_told_where_sizes_leave_as_much_of_any_decoding():
    # Eigenvectors of correlated rows have features of all planted vectors: 3 x S are too few.
    sketch = sketch_of_rows(0.0)
    joint, _ = told(sketch, "htp", n_nonzero_coefs=S)
    apart, messages = told(sketch, "diagonal_network", n_nonzero_coefs=S)
    assert joint.residual > 1e-3
    assert apart.residual == pytest.approx(joint.residual, rel=0.1)
    assert messages == []


def test_the_median_in_noise_tells_of_what_stands_out_alone():
    rng = np.random.default_rng(0)
    noise = EigenSketch(N, n_measurements=M, range_size=20, random_state=0)
    noise.update(rng.standard_normal((300, N)))
    _, messages = told(noise, "median", n_nonzero_coefs=S)
    assert not any("decoder='median'" in message for message in messages)


def test_features_missed_at_first_are_found_by_what_is_left():
    # A look at four features a measurement does not show all of the support.
    rng = np.random.default_rng(0)
    sketch = sketch_of_matrix()
    ids = np.sort(rng.permutation(N)[: R * S])
    Q = sketch.measurement.measure_at(ids, rng.standard_normal((len(ids), R)))
    joint = HTPDecoder().decode(sketch.measurement, Q)
    np.testing.assert_array_equal(joint, ids)
    for size in (None, len(ids)):
        found = DiagonalNetworkDecoder().decode(sketch.measurement, Q, size)
        np.testing.assert_array_equal(found, ids)
