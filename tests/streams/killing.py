"""Kill streaming runs at random until they are through: ``python tests/streams/killing.py -n 200``.

For each kind of input, runs are killed by SIGKILL at random moments and started again, until that
many have been killed. Each must leave a checkpoint that can be resumed, or none yet, and what comes
out in the end must be the bits of a run that nobody has disturbed. The exit status says so.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from streaming_run import KINDS
from streaming_run import main as run

# Seconds after the first new checkpoint in which a run is killed.
_WITHIN = 0.1


class Run:
    """A run in a process of its own, which has all imports from its parent."""

    def __init__(self, *arguments):
        self.status = None
        self.pid = os.fork()
        if not self.pid:
            try:
                run(*arguments)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)

    def is_over(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def kill(self):
        """Kill the run, and return whether it was not over by then."""
        if not self.is_over():
            os.kill(self.pid, signal.SIGKILL)
        return self.wait() == -signal.SIGKILL

    def wait(self):
        while not self.is_over():
            time.sleep(0.002)
        return self.status


def kill_and_resume(kind, n_kills, n_batches, seed=0):
    """Kill so many runs and resume them; return whether all results were the same bits."""
    rng, killed, same, round_ = random.Random(seed), 0, True, 0
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root) / "whole"
        whole.mkdir()
        assert Run(kind, whole, n_batches).wait() == 0
        while killed < n_kills:
            folder, round_ = Path(root) / str(round_), round_ + 1
            folder.mkdir()
            while not (folder / "result").exists():
                process = Run(kind, folder, n_batches)
                before = _written(folder)
                while killed < n_kills and not process.is_over() and _written(folder) == before:
                    time.sleep(0.001)
                if killed < n_kills:
                    time.sleep(_WITHIN * rng.random())
                    killed += process.kill()
                assert process.wait() in (0, -signal.SIGKILL), "a run has failed by itself"
            same &= (folder / "result").read_bytes() == (whole / "result").read_bytes()
    return same


def _written(folder):
    try:
        return (folder / "checkpoint").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("-n", type=int, default=200, help="runs to kill, of each kind")
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = 0
    for kind in KINDS:
        same = kill_and_resume(kind, options.n, options.batches, options.seed)
        print(f"{kind}: {options.n} runs killed, {'same' if same else 'OTHER'} bits", flush=True)
        failed += not same
    return failed


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
