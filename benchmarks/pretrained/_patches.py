"""Frames of recorded instruments, from the patches of Freepats (Debian: apt install freepats)."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

FOLDER = Path("/usr/share/midi/freepats")
RATE, FRAME = 16_000, 1024
# Seconds of sound that an instrument must have to be a class.
LEAST = 7.0
# Of the loudest sample of a note: frames whose mean amplitude is below it are silent.
SILENT = 0.01
_HEADER, _SAMPLE = 239, 96


def has_patches():
    return FOLDER.exists()


def frames():
    """Return frames of 64 ms, (n, 1024), and their classes; -1 stands for drums."""
    found, labels, n_classes = [], [], 0
    for path in sorted(FOLDER.glob("Tone_*/*.pat")):
        notes = list(_notes(path))
        if sum(map(len, notes)) >= LEAST * RATE:
            found += [cut for note in notes if len(cut := _cut(note))]
            labels += [n_classes] * (len(found) - len(labels))
            n_classes += 1
    for path in sorted(FOLDER.glob("Drum_*/*.pat")):
        found += [cut for note in _notes(path) if len(cut := _cut(note))]
    labels += [-1] * (len(found) - len(labels))
    return np.concatenate(found), np.repeat(labels, [len(cut) for cut in found])


def _notes(path):
    """Yield the recordings of a patch of the Gravis Ultrasound at 16 kHz."""
    data = path.read_bytes()
    start = _HEADER
    for _ in range(data[198]):
        size, _, _, rate = struct.unpack_from("<IIIH", data, start + 8)
        mode = data[start + 55]
        raw = data[start + _SAMPLE : start + _SAMPLE + size]
        start += _SAMPLE + size
        wide, unsigned = mode & 1, mode & 2
        kind = ("<u2" if unsigned else "<i2") if wide else ("u1" if unsigned else "i1")
        values = np.frombuffer(raw, kind).astype(np.float64)
        ratio = Fraction(RATE, rate).limit_denominator(400)
        yield resample_poly(values - values.mean(), ratio.numerator, ratio.denominator)


def _cut(note):
    """Return the frames of a note that are not silent, one after another."""
    rows = note[: len(note) // FRAME * FRAME].reshape(-1, FRAME)
    return rows[np.abs(rows).mean(axis=1) > SILENT * np.abs(note).max()].astype(np.float32)
