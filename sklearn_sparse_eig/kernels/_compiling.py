"""How long kernels were compiled: told once, because it happens in the first call alone."""

import time
from typing import Any

from .._base.messages import report

# Seconds of compilation that are worth a line.
_WORTH_TELLING = 1.0


class CompileClock:
    """Adds up the seconds that Numba compiles in this process, and tells of them once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._start = 0.0
        self._has_told = self._listens = False

    def on_start(self, event: Any) -> None:
        """Note that a compilation begins; one may lie within another."""
        if self._depth == 0:
            self._start = time.perf_counter()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        """Note that a compilation ends."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._start

    def listen(self) -> None:
        """Begin to listen to Numba, which must be installed; once, however often it is called."""
        if self._listens:
            return
        self._listens = True
        from numba.core import event

        clock = self

        class Listener(event.Listener):
            def on_start(self, event: Any) -> None:
                clock.on_start(event)

            def on_end(self, event: Any) -> None:
                clock.on_end(event)

        event.register("numba:compile", Listener())

    def tell(self, source: str, verbose: int) -> None:
        """Report the compilation if it took more than a second, once in a process."""
        if verbose and not self._has_told and self.seconds > _WORTH_TELLING:
            self._has_told = True
            report(
                source,
                f"kernels were compiled in {self.seconds:.0f} s, which later calls need not wait "
                "for: they are cached",
                verbose,
            )


compile_clock = CompileClock()
