"""Progress of sweeps over all features."""

import time

# Seconds between two lines, and before the first: shorter sweeps are not worth a word.
_INTERVAL = 2.0


class SweepReport:
    """Prints how far a sweep over the features is, for :attr:`Decoder.report`."""

    def __init__(self):
        self._n_sweeps = 0
        self._start = self._last = 0.0
        self._ended = True

    def __call__(self, n_done, n_features):
        now = time.perf_counter()
        if self._ended:  # the first chunk of a sweep
            self._n_sweeps += 1
            self._start = self._last = now
        self._ended = n_done >= n_features
        if now - self._last < _INTERVAL and not (self._ended and now - self._start >= _INTERVAL):
            return
        self._last = now
        seconds = now - self._start
        print(
            f"[recover] sweep {self._n_sweeps}: {n_done / n_features:4.0%} of {n_features:.3g} "
            f"features, {seconds:.0f} s of about {seconds * n_features / n_done:.0f}",
            flush=True,
        )
