"""How long a recovery takes: told as it goes, and once in any case where it takes long."""

import time

from .._base.messages import Progress, report, warn_user
from ._pairs import RecoveryWarning

_SOURCE = "recover"
# Seconds before the first line on the steps, and between two.
_INTERVAL = 5.0
# Seconds after which a recovery that reports nothing says so once.
_LONG = 30.0


class RecoveryPace:
    """Reports the steps of one recovery and its sweeps over the features.

    Parameters
    ----------
    verbose : int
        Reports from 1 on. With 0 there is one warning in a recovery that takes long.

    Notes
    -----
    Most recoveries end long before the bound on their steps, so the time left is an upper bound.
    """

    def __init__(self, verbose: int) -> None:
        self._verbose = verbose
        self._sweeps = Progress(_SOURCE, "features")
        self._start = self._last = time.perf_counter()
        self._n_steps = 0
        self._has_warned = False

    def step(self, n_left: int) -> None:
        """Note that a step begins, with which at most `n_left` are to be made."""
        now = time.perf_counter()
        if self._n_steps:
            at_most = (now - self._start) / self._n_steps * n_left
            if self._verbose and now - self._last >= _INTERVAL:
                self._last = now
                report(
                    _SOURCE,
                    f"{self._n_steps} steps, {now - self._start:.0f} s, at most {at_most:.0f} s "
                    "more",
                    self._verbose,
                )
            self._warn_if_long(now, at_most)
        self._n_steps += 1

    def sweep(self, n_done: int, n_total: int) -> None:
        """Note how far a sweep over the features is."""
        if self._verbose:
            self._sweeps(n_done, n_total)
        self._warn_if_long(time.perf_counter())

    def _warn_if_long(self, now, at_most=None):
        seconds = now - self._start
        if self._verbose or self._has_warned or seconds < _LONG:
            return
        self._has_warned = True
        left = "" if at_most is None else f" and may take up to {at_most:.0f} s more"
        warn_user(
            f"This recovery has taken {seconds:.0f} s so far{left}. verbose=1 tells how far it is; "
            "fewer components, a smaller sketch (memory_budget, n_measurements, range_size) or, "
            "beyond 10**8 features, decoder='bit_test' take less time.",
            RecoveryWarning,
        )
