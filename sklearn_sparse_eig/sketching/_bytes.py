"""Sketches as bytes: a versioned header, plain arrays, a checksum; no pickle.

The layout is a table in ``doc/files.md``. Reading takes bytes from anybody: see ``_claims``.
"""

import json
import struct
from hashlib import blake2b

import numpy as np

from ._claims import (
    check_number_of_rows,
    check_size,
    check_values,
    read_float,
    read_header,
    refuse,
)
from ._identification import IdentificationSketch
from .measurements import from_spec

_MAGIC = b"SSEsketc"
_VERSION = 1
_PREFIX = struct.Struct("<8sHI")
_DIGEST = 16
_SCALARS = ("weight", "_weight_squares", "_power")


def pack(sketch):
    """Return the bytes of an EigenSketch."""
    text = _header(sketch)
    parts = [_PREFIX.pack(_MAGIC, _VERSION, len(text)), text]
    parts += [
        np.ascontiguousarray(array, dtype="<f8").tobytes() for array in sketch.arrays().values()
    ]
    body = b"".join(parts)
    return body + blake2b(body, digest_size=_DIGEST).digest()


def _header(sketch):
    header = {
        "settings": sketch.settings(),
        "content": sketch.content,
        "n_samples": sketch.n_samples,
        # float.hex keeps every bit, which decimal JSON numbers need not
        "scalars": {name: float(getattr(sketch, name)).hex() for name in _SCALARS},
        "moments_weight": float(sketch._moments.weight).hex() if sketch._moments else None,
    }
    if sketch.shard_ids:
        header["shards"] = sorted(sketch.shard_ids, key=lambda shard: (str(type(shard)), shard))
    return _compact(header)


def _compact(header):
    return json.dumps(header, separators=(",", ":")).encode()


def unpack(cls, data):
    """Rebuild an EigenSketch of class `cls` from :func:`pack`; ValueError for all other bytes."""
    try:
        data = memoryview(data).cast("B")
    except TypeError:
        raise ValueError(f"Expected bytes of a sketch, got {type(data).__name__}.") from None
    if len(data) < _PREFIX.size + _DIGEST or bytes(data[:8]) != _MAGIC:
        raise ValueError(
            f"These {len(data)} bytes are not a sketch: they do not start with its signature."
        )
    _, version, length = _PREFIX.unpack_from(data)
    if version != _VERSION:
        raise ValueError(
            f"The sketch has format version {version}, this release reads version {_VERSION}: "
            "read it with the release that wrote it."
        )
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if blake2b(body, digest_size=_DIGEST).digest() != bytes(digest):
        raise ValueError(
            "The sketch is truncated or damaged: its checksum does not match. Send it again."
        )
    if length > len(body) - _PREFIX.size:
        refuse("it ends within its header")
    header, payload = body[_PREFIX.size :][:length], body[_PREFIX.size + length :]
    header = read_header(bytes(header))
    check_size(header.get("settings"), len(payload))
    try:
        sketch = _rebuild(cls, header, payload)
        is_understood = _header(sketch) == _compact(header)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The header of the sketch cannot be understood: {error!r}.") from error
    # Then there is nothing in the header that was not understood, or meant something else.
    if not is_understood:
        refuse("its header is not one that this release writes")
    check_values(sketch)
    return sketch


def _rebuild(cls, header, payload):
    settings = header["settings"]
    measurement, test = from_spec(settings["measurement"]), from_spec(settings["test"])
    sizes = [(made.n_features, made.n_measurements) for made in (measurement, test)]
    if sizes != [
        (settings[side]["n_features"], settings[side]["n_measurements"])
        for side in ("measurement", "test")
    ]:
        refuse("a measurement has not the size that its settings say")
    sketch = object.__new__(cls)
    identification = settings["identification"]
    if identification is not None:
        from_spec(identification["hash"])  # refuses a hash of another version
        identification = IdentificationSketch.from_spec(identification)
    sketch._start(
        measurement, test, settings["center"], settings["feature_moments"], identification
    )
    sketch.content = header["content"]
    if sketch.content not in (None, "rows", "entries"):
        raise ValueError(f"The sketch holds {sketch.content!r}, which is not known here.")
    sketch.n_samples = check_number_of_rows(header["n_samples"])
    shards = header.get("shards", [])
    if not isinstance(shards, list) or not all(isinstance(shard, str | int) for shard in shards):
        refuse("its shards are no list of names")
    if shards:
        sketch.shard_ids = frozenset(shards)
    for name in _SCALARS:
        setattr(sketch, name, read_float(header["scalars"][name], name))
    if sketch._moments is not None:
        sketch._moments.weight = read_float(header["moments_weight"], "moments_weight")
    offset = 0
    for array in sketch.arrays().values():
        piece = payload[offset : offset + array.nbytes]
        array[...] = np.frombuffer(piece, dtype="<f8").reshape(array.shape)
        offset += array.nbytes
    return sketch
