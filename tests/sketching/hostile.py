"""Bytes of sketches that somebody has changed on purpose, with a checksum that fits."""

import json
import struct
import warnings
from copy import deepcopy
from hashlib import blake2b
from pathlib import Path

import numpy as np

from sklearn_sparse_eig import EigenSketch, RecoveryWarning

GOLDEN = Path(__file__).parent / "golden"
_PREFIX = struct.Struct("<8sHI")
# What a header may be made to hold: sizes, signs, types and texts that nobody writes.
_VALUES = [
    *(0, 1, -1, 2, 3, 7, 8, 13, 16, 20, 21, 64, 2**31, 2**32, 2**40, 2**62, 2**63, 2**64, 10**30),
    *(0.0, 1.5, -1.0, 1e308, float("inf"), float("nan"), True, False, None, "", "rows", "entries"),
    *(
        "identity",
        "sparse_sign",
        "gaussian",
        "prime_residue",
        "0x1.0p+0",
        "inf",
        "nan",
        "-0x0.0p+0",
    ),
    *("0x1.fffffffffffffp+1023", "0x1p-1074", "0x1p99999", "a" * 300, [], {}, [1, 2], ["x", 1]),
]
_FLOATS = [0.0, -0.0, 1.0, -1.0, 1e-310, 1e150, -1e300, 1.7e308, np.inf, -np.inf, np.nan]


def reseal(body):
    """Return bytes with the checksum that belongs to them."""
    return body + blake2b(body, digest_size=16).digest()


def split(data):
    """Return the header and the arrays of a sketch."""
    _, _, length = _PREFIX.unpack_from(data)
    start = _PREFIX.size
    return json.loads(bytes(data[start : start + length])), bytes(data[start + length : -16])


def join(header, payload, version=1, length=None, magic=b"SSEsketc"):
    """Return the bytes of a header, as text or as what JSON can hold, and of some arrays."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":"))
    text = text if isinstance(text, bytes) else text.encode()
    return reseal(
        _PREFIX.pack(magic, version, len(text) if length is None else length) + text + payload
    )


def seeds():
    """Return sketches to begin with: those of the first release, and some more of each content."""
    found = [path.read_bytes() for path in sorted(GOLDEN.glob("*.sketch"))]
    entries = EigenSketch(20, n_measurements=8, range_size=8, random_state=0)
    found.append(entries.update_entries([1, 2], [3, 2], [1.0, 2.0], mirror=True).to_bytes())
    found.append(EigenSketch(6, n_measurements=None, measurement="identity").to_bytes())
    named = EigenSketch(10, n_measurements=8, feature_moments=False, random_state=0)
    rows = np.arange(30.0).reshape(3, 10) ** 2
    return [*found, named.update(rows).as_shard("monday").to_bytes()]


def _places(value, path=()):
    """Yield the path to each value in a header."""
    if path:
        yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from _places(inner, (*path, key))


def mutated(data, rng):
    """Return bytes with one to three changes, and the checksum of what they are then."""
    header, payload = split(data)
    payload = bytearray(payload)
    for _ in range(rng.choice([1, 1, 2, 3])):
        kind = rng.integers(6)
        if kind <= 2:
            places = list(_places(header))
            *path, last = places[rng.integers(len(places))]
            target = header
            for key in path:
                target = target[key]
            if rng.random() < 0.15 and isinstance(target, dict):
                del target[last]
                continue
            value = deepcopy(_VALUES[rng.integers(len(_VALUES))])
            old = target[last]
            if type(old) is int and rng.random() < 0.3:
                value = old + int(rng.integers(-3, 4))
            target[last] = value
        elif kind == 3 and len(payload) >= 8:
            at = 8 * int(rng.integers(len(payload) // 8))
            payload[at : at + 8] = struct.pack("<d", _FLOATS[rng.integers(len(_FLOATS))])
        elif kind == 4 and payload:
            payload[int(rng.integers(len(payload)))] ^= 1 << int(rng.integers(8))
        elif rng.random() < 0.5:
            payload = payload[: int(rng.integers(len(payload) + 1))]
        else:
            payload += bytes(int(rng.integers(1, 64)))
    whole = join(header, bytes(payload))
    if rng.random() < 0.1:  # of the bytes as they are, header and lengths included
        broken = bytearray(whole[:-16])
        broken[int(rng.integers(8, len(broken)))] ^= 1 << int(rng.integers(8))
        whole = reseal(bytes(broken))
    return whole


def is_refused(data):
    """Return whether bytes are refused as they should be; else use the sketch in every way.

    Reading must raise ValueError or give a sketch that can be written, read, merged and updated.
    A sketch that has no rows, or no variance, may say so.
    """
    try:
        sketch = EigenSketch.from_bytes(data)
    except ValueError:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        use(sketch, data)
    return False


def use(sketch, data):
    """Do with a sketch what users do; an error of any kind but a refusal is one of the reader."""
    written = sketch.to_bytes()
    assert len(written) <= len(data)  # blanks in the header are not kept
    assert EigenSketch.from_bytes(written).to_bytes() == written
    repr(sketch), sketch.nbytes, sketch.effective_samples, sketch.settings()
    twice = sketch.copy()
    twice.shard_ids = frozenset()  # else the same rows would be refused
    twice.merge(twice.copy())
    twice.scale(0.5)
    is_readable = sketch.content == "entries" or (sketch.content == "rows" and sketch.weight > 0)
    if is_readable:
        assert np.isfinite(sketch.matrix()).all()
        for values in (sketch.feature_mean(), sketch.feature_variance(), sketch.measured_mean()):
            assert values is None or np.isfinite(values).all()
        total = sketch.total_variance()
        assert total is None or np.isfinite(total)
    if is_readable and data[-1] % 16 == 0 and sketch.n_features < 10_000:  # this takes long
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecoveryWarning)
            try:
                sketch.recover(1, n_nonzero_coefs=2)
            except ValueError:
                pass  # there is no variance
    if sketch.content == "entries":
        sketch.copy().update_entries([0], [0], [1.0])
    elif sketch.n_features < 100:
        sketch.copy().update(np.ones((2, sketch.n_features)))
