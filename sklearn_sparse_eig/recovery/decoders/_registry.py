"""Decoders by name."""

from typing import Literal, TypeVar

from ...sketching import IDENTIFICATION_LIMIT
from ._base import Decoder

# The names of the decoders here. One that is registered elsewhere is passed as an instance, or by
# its name where types are not checked.
DecoderName = Literal["auto", "htp", "bit_test", "median", "diagonal_network"]

_REGISTRY: dict[str, type[Decoder]] = {}
_Class = TypeVar("_Class", bound=type[Decoder])


def register(cls: _Class) -> _Class:
    """Make a decoder class known by its ``name``, and return it: a class decorator."""
    _REGISTRY[cls.name] = cls
    return cls


def decoder_names() -> list[str]:
    """Return the names of all registered decoders, sorted."""
    return sorted(_REGISTRY)


def make_decoder(
    decoder: DecoderName | Decoder, n_features: int = 0, *, identifies: bool = True
) -> Decoder:
    """Return the decoder of a given name; an instance is returned as it is.

    Parameters
    ----------
    decoder : "auto", a registered name or Decoder
    n_features : int, default=0
        Number of features, by which "auto" chooses. It is "bit_test" beyond 2**27 features, which
        a sketch identifies by default, and "htp" otherwise.
    identifies : bool, default=True
        Whether the sketch holds the ids of features, or will hold them. Without ids "auto" is
        "htp".

    Returns
    -------
    Decoder

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if isinstance(decoder, Decoder):  # an instance or a name, as the parameter allows
        return decoder
    name: str = decoder
    if decoder == "auto":
        name = "bit_test" if identifies and n_features > IDENTIFICATION_LIMIT else "htp"
    if name not in _REGISTRY:
        raise ValueError(
            f"decoder must be 'auto', one of {decoder_names()} or a Decoder instance, "
            f"got {decoder!r}."
        )
    return _REGISTRY[name]()
