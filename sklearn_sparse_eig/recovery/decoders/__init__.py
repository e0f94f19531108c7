"""Support decoders, one class per file, registered by name.

To add one: subclass :class:`Decoder`, give it ``decode``, and pass an instance as ``decoder=``.
"""

from ._base import Decoder
from ._htp import HTPDecoder
from ._median import MedianDecoder

__all__ = ["Decoder", "HTPDecoder", "MedianDecoder", "make_decoder"]

_REGISTRY = {cls.name: cls for cls in (HTPDecoder, MedianDecoder)}


def make_decoder(decoder):
    """Return a decoder from its name ("auto" is "htp"), or an instance as it is."""
    if isinstance(decoder, Decoder):
        return decoder
    name = "htp" if decoder == "auto" else decoder
    if name not in _REGISTRY:
        raise ValueError(
            f"decoder must be 'auto', one of {sorted(_REGISTRY)} or a Decoder instance, "
            f"got {decoder!r}."
        )
    return _REGISTRY[name]()
