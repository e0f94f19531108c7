"""Rows, rows per second and the time left, by tqdm or in plain lines."""

import sys
import time
from importlib.util import find_spec
from typing import Any, Self

# Seconds between two lines where tqdm is not installed, and before the first.
_INTERVAL = 2.0


class Pace:
    """Shows how far a stream has come.

    Parameters
    ----------
    total : int or None
        Rows of the input, if they are known.
    start : int
        Rows that an earlier run has seen.
    is_shown : bool
    """

    def __init__(self, total: int | None, start: int, is_shown: bool) -> None:
        self._total, self._start, self._is_shown = total, start, is_shown
        self._bar: Any = None
        self._begun = self._last = time.monotonic()
        self._seen = start

    def __enter__(self) -> Self:
        self._begun = self._last = time.monotonic()
        if self._is_shown and find_spec("tqdm") is not None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._total, initial=self._start, unit=" rows", unit_scale=True, smoothing=0.1
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._is_shown and self._last > self._begun:
            self._print()

    def advance(self, n_rows: int) -> None:
        """Tell how many rows have been seen in all."""
        if self._bar is not None:
            self._bar.update(n_rows - self._seen)
        self._seen = n_rows
        now = time.monotonic()
        if self._is_shown and self._bar is None and now - self._last >= _INTERVAL:
            self._last = now
            self._print()

    def _print(self) -> None:
        seconds = max(time.monotonic() - self._begun, 1e-9)
        rate = (self._seen - self._start) / seconds
        text = f"[fit_stream] {self._seen:,} rows, {rate:,.0f} rows/s"
        if self._total and rate > 0.0:
            left = max(self._total - self._seen, 0) / rate
            text += f", {self._seen / self._total:.0%}, {left:.0f} s left"
        print(text, file=sys.stderr, flush=True)
