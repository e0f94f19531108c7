"""What may be asked of gradients by name: the scalar to differentiate, the layers that count."""

from typing import Literal

OutputName = Literal["max", "logsumexp", "sum", "loss"]
# A single layer by name is a list of one, so that a misspelt word is no name of a layer.
LayerChoice = Literal["auto", "all", "dense", "head", "last_hidden"] | list[str] | tuple[str, ...]
