"""Compilation is told once, where it took long, and only to those who want reports."""

import pytest

from sklearn_sparse_eig.kernels import _compiling
from sklearn_sparse_eig.kernels._compiling import CompileClock

pytest.importorskip("numba")


def test_seconds_of_compilation_are_added_and_told_once(monkeypatch, capsys):
    import numba

    clock = CompileClock()
    clock.listen()
    clock.listen()

    @numba.njit
    def inner(x):
        return 2 * x

    @numba.njit
    def outer(x):
        return inner(x) + 1

    assert clock.seconds == 0.0
    assert outer(3) == 7
    seconds = clock.seconds
    assert seconds > 0.0
    assert outer(4) == 9 and clock.seconds == seconds  # compiled by now

    monkeypatch.setattr(_compiling, "_WORTH_TELLING", 2.0 * seconds)
    clock.tell("me", verbose=1)
    monkeypatch.setattr(_compiling, "_WORTH_TELLING", 0.5 * seconds)
    clock.tell("me", verbose=0)
    assert capsys.readouterr().out == ""
    clock.tell("me", verbose=1)
    clock.tell("me", verbose=1)
    out = capsys.readouterr().out
    assert out.startswith("[me] kernels were compiled in") and out.count("\n") == 1


def test_what_compiles_within_a_compilation_counts_once(monkeypatch):
    times = iter([1.0, 6.0])
    monkeypatch.setattr(_compiling.time, "perf_counter", lambda: next(times))
    clock = CompileClock()
    for note in (clock.on_start, clock.on_start, clock.on_end, clock.on_end):
        note(None)
    assert clock.seconds == 5.0
