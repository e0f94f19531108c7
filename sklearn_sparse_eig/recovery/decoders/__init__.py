"""Support decoders, one class per file, registered by name.

To add one here: a file with a subclass of :class:`Decoder` that has a ``name`` and ``decode`` and
is decorated with :func:`register`. To use one from elsewhere, pass an instance as ``decoder=``.
"""

from importlib import import_module
from pkgutil import iter_modules

from ._base import Decoder
from ._bit_test import BitTestDecoder
from ._diagonal_network import DiagonalNetworkDecoder
from ._htp import HTPDecoder
from ._median import MedianDecoder
from ._registry import DecoderName, decoder_names, make_decoder, register

__all__ = [
    "BitTestDecoder",
    "Decoder",
    "DiagonalNetworkDecoder",
    "HTPDecoder",
    "MedianDecoder",
    "decoder_names",
    "make_decoder",
    "register",
]

# Every file is read, so that a new one need not be named anywhere.
for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
