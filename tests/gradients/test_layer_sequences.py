"""Layers of gradients as sequences, and what those hold that are known by inner products only."""

import numpy as np
import pytest

from sklearn_sparse_eig.gradients import Gradients, LayerFactors, LazyLayers, make_given


def _lazy(n_layers):
    rng = np.random.default_rng(0)
    layers = [
        LayerFactors(rng.normal(size=(4, 3)), rng.normal(size=(4, 2))) for _ in range(n_layers)
    ]
    made = []

    def maker(i):
        return lambda: made.append(i) or layers[i]

    return LazyLayers(maker(i) for i in range(n_layers)), layers, made


def test_a_slice_of_lazy_layers_is_lazy_too():
    lazy, layers, made = _lazy(4)
    part = lazy[1:3]
    assert part.is_lazy and len(part) == 2 and made == []
    assert part[-1] is layers[2] and made == [2]
    assert list(lazy[::-1]) == layers[::-1]


def test_gradients_sum_over_lazy_layers():
    lazy, layers, _ = _lazy(3)
    gradients = Gradients(np.zeros(4), np.zeros((4, 2)), lazy)
    dense = np.hstack([layer.dense() for layer in layers])
    np.testing.assert_allclose(gradients.inner(gradients), dense @ dense.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradients.squared_norms(), np.square(dense).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("ask", [Gradients.dense, lambda found: found.inner(found)])
def test_a_kernel_does_not_hold_gradients(ask):
    network = make_given("kernel", 4, [0, 1])
    found = network.gradients(np.ones((2, 4)))
    np.testing.assert_array_equal(found.squared_norms(), np.ones(2))
    with pytest.raises(TypeError, match="KernelRows does not hold the gradients themselves"):
        ask(found)
