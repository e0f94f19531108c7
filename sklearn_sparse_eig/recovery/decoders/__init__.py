"""Support decoders, one class per file, registered by name.

To add one here: a file with a subclass of :class:`Decoder` that has a ``name`` and ``decode`` and
is decorated with :func:`register`. To use one from elsewhere, pass an instance as ``decoder=``.
"""

from ..._base.folders import import_files
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

import_files(__name__)
