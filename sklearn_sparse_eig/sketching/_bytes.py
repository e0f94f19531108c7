"""Sketches as bytes: a versioned header, plain arrays, a checksum; no pickle.

Layout: magic (8 bytes), format version (uint16), header length (uint32), header (JSON, UTF-8),
the arrays of the header in order (little-endian float64), and 16 bytes of BLAKE2b over all before.
"""

import json
import struct
from hashlib import blake2b

import numpy as np

from ._identification import IdentificationSketch
from .measurements import from_spec

_MAGIC = b"SSEsketc"
_VERSION = 1
_PREFIX = struct.Struct("<8sHI")
_DIGEST = 16
_SCALARS = ("weight", "_weight_squares", "_power")


def pack(sketch):
    """Return the bytes of an EigenSketch."""
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
    text = json.dumps(header, separators=(",", ":")).encode()
    parts = [_PREFIX.pack(_MAGIC, _VERSION, len(text)), text]
    parts += [
        np.ascontiguousarray(array, dtype="<f8").tobytes() for array in sketch.arrays().values()
    ]
    body = b"".join(parts)
    return body + blake2b(body, digest_size=_DIGEST).digest()


def unpack(cls, data):
    """Rebuild an EigenSketch of class `cls` from :func:`pack`."""
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
    try:
        header = json.loads(bytes(body[_PREFIX.size : _PREFIX.size + length]))
        return _rebuild(cls, header, body[_PREFIX.size + length :])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"The header of the sketch cannot be understood: {error!r}.") from error


def _rebuild(cls, header, payload):
    settings = header["settings"]
    measurement, test = from_spec(settings["measurement"]), from_spec(settings["test"])
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
    sketch.n_samples = int(header["n_samples"])
    shards = header.get("shards", [])
    if shards:
        if not all(isinstance(shard, str | int) for shard in shards):
            raise ValueError(f"The shards of the sketch must be names, got {shards!r}.")
        sketch.shard_ids = frozenset(shards)
    for name in _SCALARS:
        setattr(sketch, name, float.fromhex(header["scalars"][name]))
    if sketch._moments is not None:
        sketch._moments.weight = float.fromhex(header["moments_weight"])
    offset = 0
    for name, array in sketch.arrays().items():
        piece = payload[offset : offset + array.nbytes]
        if len(piece) != array.nbytes:
            raise ValueError(f"The sketch ends within its array {name!r}.")
        array[...] = np.frombuffer(piece, dtype="<f8").reshape(array.shape)
        offset += array.nbytes
    if offset != len(payload):
        raise ValueError(f"The sketch has {len(payload) - offset} bytes after its last array.")
    return sketch
