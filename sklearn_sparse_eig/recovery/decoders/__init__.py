"""Support decoders, one class per file, registered by name.

To add one: subclass :class:`Decoder`, give it ``decode``, and pass an instance as ``decoder=``.
"""

from ...sketching import IDENTIFICATION_LIMIT
from ._base import Decoder
from ._bit_test import BitTestDecoder
from ._diagonal_network import DiagonalNetworkDecoder
from ._htp import HTPDecoder
from ._median import MedianDecoder

__all__ = [
    "BitTestDecoder",
    "Decoder",
    "DiagonalNetworkDecoder",
    "HTPDecoder",
    "MedianDecoder",
    "make_decoder",
]

_DECODERS = (HTPDecoder, BitTestDecoder, MedianDecoder, DiagonalNetworkDecoder)
_REGISTRY = {cls.name: cls for cls in _DECODERS}


def make_decoder(decoder, n_features=0):
    """Return a decoder from its name, or an instance as it is.

    Parameters
    ----------
    decoder : {"auto", "htp", "bit_test", "median", "diagonal_network"} or Decoder
    n_features : int, default=0
        Number of features, by which "auto" chooses: "bit_test" where there are so many that a
        sketch identifies them unless asked otherwise (2**27), else "htp".

    Returns
    -------
    Decoder

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(decoder, Decoder):
        return decoder
    name = decoder
    if decoder == "auto":
        name = "bit_test" if n_features > IDENTIFICATION_LIMIT else "htp"
    if name not in _REGISTRY:
        raise ValueError(
            f"decoder must be 'auto', one of {sorted(_REGISTRY)} or a Decoder instance, "
            f"got {decoder!r}."
        )
    return _REGISTRY[name]()
