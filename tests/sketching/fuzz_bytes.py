"""Read many mutated sketches under a limit of memory: ``python tests/sketching/fuzz_bytes.py``.

Each sketch is changed in one to three places and sealed again. It must be refused by ValueError, or
be a sketch that can be used; reading may not take a second of the processor. The exit status is the
number of failures.
"""

import argparse
import resource
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress

import numpy as np
from hostile import is_refused, mutated, seeds

from sklearn_sparse_eig import EigenSketch

# Seconds of the processor that reading may take.
_SLOW = 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("-n", type=int, default=1_000_000, help="number of blobs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=float, default=2.0, help="limit of address space in GB")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (int(options.memory * 1e9),) * 2)
    blobs, rng = seeds(), np.random.default_rng(options.seed)
    counts, slowest = Counter(), 0.0
    for i in range(options.n):
        blob = mutated(blobs[i % len(blobs)], rng)
        try:
            counts["refused" if is_refused(blob) else "read"] += 1
        except Exception:
            counts["failed"] += 1
            print(f"blob {i} of seed {options.seed}:", file=sys.stderr)
            traceback.print_exc()
        started = time.process_time()
        with suppress(ValueError):
            EigenSketch.from_bytes(blob)
        seconds = time.process_time() - started
        if seconds > _SLOW:
            counts["slow"] += 1
            print(f"blob {i} of seed {options.seed} took {seconds:.1f} s", file=sys.stderr)
        slowest = max(slowest, seconds)
        if (i + 1) % 100_000 == 0:
            print(f"{i + 1} blobs: {dict(counts)}, slowest {slowest:.3f} s", flush=True)
    print(f"{options.n} blobs: {dict(counts)}, slowest {slowest:.3f} s")
    return min(counts["failed"] + counts["slow"], 100)


if __name__ == "__main__":
    sys.exit(main())
