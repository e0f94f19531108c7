"""A soak: what streams for an hour holds no more memory at its end than after a few minutes.

Estimators and sketches are fed small batches, read, scored, merged, saved and loaded in turns, as a
service would. "Start" is the resident memory of the process after a tenth of the time, "end" the
largest of the last tenth; what the process holds in between may rise and fall.
"""

import pickle
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    EigenSketch,
    GradPCADetector,
    SketchedSparsePCA,
)
from sklearn_sparse_eig.text import HashedTextVectorizer

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import in_fresh_process, make_parser, print_machine, print_table, progress, quiet


def resident():
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def dense_rows(rng):
    stream = SketchedSparsePCA(3, n_nonzero_coefs=5, random_state=0)
    probe = rng.standard_normal((50, 300))
    while True:
        X = rng.standard_normal((200, 300))
        stream.partial_fit(X)
        yield
        stream.transform(probe), stream.score(probe)
        yield


def hashed_text(rng):
    words = np.array([f"word{i}" for i in range(20_000)])
    hasher = HashedTextVectorizer()
    stream = SketchedSparsePCA(2, n_nonzero_coefs=5, memory_budget=2e7, random_state=0)
    while True:
        # New words all the time: nothing may be kept for each.
        start = rng.integers(1_000_000_000)
        texts = [
            " ".join([*rng.choice(words, 20), f"new{start + i}", *["topic one"] * (i % 3)])
            for i in range(200)
        ]
        stream.partial_fit(hasher.transform(texts))
        yield
        stream.describe()
        yield


def shards(rng):
    sizes = {"n_measurements": 256, "range_size": 64}
    whole = EigenSketch(100_000, random_state=0, **sizes)
    with tempfile.TemporaryDirectory() as folder:
        while True:
            X = sp.random_array((100, 100_000), density=1e-3, format="csr", rng=rng)
            shard = whole.empty().update(X)
            whole.merge(EigenSketch.from_bytes(shard.to_bytes()))
            yield
            whole.save(Path(folder) / "sketch")
            EigenSketch.load(Path(folder) / "sketch")
            pickle.loads(pickle.dumps(whole))
            yield


def gradients(rng):
    X = rng.standard_normal((600, 30))
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    model = MLPClassifier((32,), max_iter=30, random_state=0).fit(X, y)
    detector = GradPCADetector(model, random_state=0)
    while True:
        X = rng.standard_normal((200, 30))
        detector.partial_fit(X, model.predict(X))
        yield
        detector.calibrate(rng.standard_normal((200, 30))).predict(X)
        yield


def covariances(rng):
    stream = DeepFactorizationCovariance()
    while True:
        stream.partial_fit(rng.standard_normal((200, 60)) + rng.standard_normal((200, 1)))
        yield
        stream.get_precision()
        yield


STREAMS = {
    "dense rows": dense_rows,
    "hashed text, ever new words": hashed_text,
    "shards merged, saved, loaded": shards,
    "gradients of a network": gradients,
    "covariances": covariances,
}


def soak(name, seconds):
    """Run a stream for so long, and return steps, resident memory at the start and at the end."""
    quiet()
    steps, start, end = 0, None, 0.0
    began = time.monotonic()
    for _ in STREAMS[name](np.random.default_rng(0)):
        steps += 1
        elapsed = time.monotonic() - began
        if elapsed > 0.1 * seconds and start is None:
            start = resident()
        if elapsed > 0.9 * seconds:
            end = max(end, resident())
        if elapsed > seconds:
            return steps, start, end
    raise AssertionError("a stream has no end")


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of all streams together")
    args = parser.parse_args()
    seconds = (5.0 if args.quick else 60.0 * args.minutes) / len(STREAMS)
    rows = []
    for name in STREAMS:
        progress(name)
        steps, start, end = in_fresh_process(soak, name, seconds)
        growth = f"{end - start:+.1f}"
        rows.append((name, f"{seconds / 60:.1f}", steps, f"{start:.0f}", f"{end:.0f}", growth))
    print_machine()
    columns = ("stream", "minutes", "calls", "start, MB", "end, MB", "growth, MB")
    print_table(columns, rows)


if __name__ == "__main__":
    main()
