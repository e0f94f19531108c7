"""Which decoder "auto" is for a given sketch: the quicker of sweeps and bit tests."""

from ...sketching import SWEPT_AT_MOST, SketchReading
from ._base import Decoder
from ._registry import DecoderName, make_decoder

# Entries of a column of the measurement, each a multiply-add for each feature in a sweep.
_BLOCKS = 8
# Multiply-adds of a sweep for each number in the cells that bit tests read, at which both take the
# same time: measured with 3072 buckets of 32 numbers and 24576 of 40, on 2**19 to 2**24 features.
_PER_CELL = 4
# Columns of what is decoded in the narrowest sweep. Over 2**30 ids that is 2**36 multiply-adds, at
# 3e9 a second on each of two threads (measured) twelve seconds. A recovery takes two or three times
# as much. More is not spent where bit tests may have lost features.
_LEAST_WIDTH = 8


def choose_decoders(
    decoder: DecoderName | Decoder, sketch: SketchReading, n_components: int
) -> tuple[Decoder, Decoder | None]:
    """Return the decoder of a recovery, and another for where that one may have lost features.

    Parameters
    ----------
    decoder : "auto", a registered name or Decoder
    sketch : EigenSketch
    n_components : int

    Returns
    -------
    first : Decoder
    second : Decoder or None
        Only "auto" has one, and only where the sketch holds ids and sweeps are affordable.
    """
    N = sketch.n_features
    is_automatic = isinstance(decoder, str) and decoder == "auto"
    if not (is_automatic and sketch.identifies):
        return make_decoder(decoder, N, identifies=sketch.identifies), None
    buckets, width = sketch.identification_hash, sketch.identification_fold.shape[1] + 1
    n_cells = buckets.n_measurements * (1 + (N - 1).bit_length()) * width
    is_short = N * max(n_components, _LEAST_WIDTH) <= SWEPT_AT_MOST * _LEAST_WIDTH
    if is_short and _BLOCKS * N <= _PER_CELL * n_cells:
        return make_decoder("htp"), None
    return make_decoder("bit_test"), make_decoder("htp") if is_short else None
