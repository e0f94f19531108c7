"""Layers of gradients that are made when asked for, so that one of them exists at a time."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import overload

from ._layers import LayerGradients


class LazyLayers(Sequence[LayerGradients]):
    """Layers that are made anew on each access.

    Parameters
    ----------
    makers : iterable of callable
        Each returns the gradients of one layer.
    """

    is_lazy = True

    def __init__(self, makers: Iterable[Callable[[], LayerGradients]]) -> None:
        self._makers = tuple(makers)

    def __len__(self) -> int:
        return len(self._makers)

    @overload
    def __getitem__(self, i: int) -> LayerGradients: ...
    @overload
    def __getitem__(self, i: slice) -> "LazyLayers": ...
    def __getitem__(self, i: int | slice) -> "LayerGradients | LazyLayers":
        return LazyLayers(self._makers[i]) if isinstance(i, slice) else self._makers[i]()


def map_layers(
    function: Callable[..., LayerGradients], layers: Sequence[LayerGradients], *others: Sequence
) -> Sequence[LayerGradients]:
    """Return ``function(layer, *others)`` of each layer: made when asked for, where the layers are.

    Parameters
    ----------
    function : callable
    layers : sequence of LayerGradients
        Lazy where they have a true attribute ``is_lazy``; any others exist already.
    *others : sequence
        Further arguments, one for each layer.
    """
    if not getattr(layers, "is_lazy", False):
        return tuple(map(function, layers, *others))
    return LazyLayers(
        partial(_apply, function, layers, i, [values[i] for values in others])
        for i in range(len(layers))
    )


def _apply(function, layers, i, others):
    return function(layers[i], *others)
