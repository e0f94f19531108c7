"""Huge N: time and memory end to end, decoding against N, what bit tests lose, structured ids.

* 10^8 features: 20,000 rows streamed with noise, 20 components on a common support of 200, a
  linear spectrum, as much noise in all as signal. Time to hash, to update, to decode; peak memory.
  The largest sketch is that of `SketchedSparsePCA(20, n_nonzero_coefs=200)`.
* Decoding by bit tests, everything equal but N, from 10^8 to 2^62.
* What bit tests lose against sweeps at equal memory, in noise.
* Features that share all their buckets: how often a decoding misses one, beside the bound.
* Ids in progressions, powers of two, constant low or high bits, beside random ids.
"""

import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery.decoders import make_decoder

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import (
    Meter,
    in_fresh_process,
    make_parser,
    print_machine,
    print_table,
    progress,
    quiet,
)

# Sketches of the first table: decoder, m, k, identification; None for m and k are the defaults.
SKETCHES = (
    ("auto", None, None, None),
    ("htp", 1600, 64, None),
    ("htp", 4096, 128, None),
    ("bit_test", 1600, 64, (3072, 48)),
)
WIDTHS = {"1e8": 10**8, "1e10": 10**10, "1e12": 10**12, "1e15": 10**15, "2^62": 2**62}


def on_ids(vectors, ids):
    """Return the rows `ids` (sorted) of sparse columns, dense; no vector over the features."""
    vectors = sp.csc_array(vectors)
    place = np.searchsorted(ids, vectors.indices)
    out = np.zeros((len(ids), vectors.shape[1]))
    out[place, np.repeat(np.arange(vectors.shape[1]), np.diff(vectors.indptr))] = vectors.data
    return out


def compare(planted, pairs):
    """Return the worst principal cosine and the share of the planted support that was found."""
    ids = np.union1d(planted.support, pairs.support)
    truth = sp.csc_array(
        (planted.components.data, planted.components.indices, planted.components.indptr),
        shape=planted.components.shape[::-1],
    )
    found, _ = np.linalg.qr(on_ids(pairs.eigenvectors, ids))
    cosines = np.linalg.svd(on_ids(truth, ids).T @ found, compute_uv=False)
    return cosines.min(), np.isin(planted.support, pairs.support).mean()


# ------------------------------------------------------------------------------------ end to end


def end_to_end(decoder, m, k, identification, n_samples, n_features, seed):
    """Stream, decode, and return times, memory and accuracy. Runs in a process of its own."""
    eigenvalues = np.linspace(1.0, 0.05, 20)
    planted = make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=eigenvalues,
        n_nonzero_coefs=200,
        support="common",
        noise=np.sqrt(eigenvalues.sum() / n_features),
        sparse=True,
        density=50 / n_features,
        batch_size=1000,
        dtype=np.float32,
        random_state=seed,
    )
    first = next(iter(planted.batches))
    if m is None:
        pca = SketchedSparsePCA(20, n_nonzero_coefs=200, random_state=seed)
        m, k = pca.partial_fit(first).sketch_.shape
        del pca  # it holds a sketch of that size
    options = {"range_size": k, "identification": identification, "random_state": seed}
    warm_up = EigenSketch(n_features, n_measurements=m, **options)
    warm_up.update(first)
    del warm_up
    times = dict.fromkeys(("hash", "update", "decode"), 0.0)
    with Meter() as meter:
        sketch = EigenSketch(n_features, n_measurements=m, **options)
        for rows in planted.batches:
            start = time.perf_counter()
            sketch.measurement.measure_sparse(rows), sketch.test.measure(rows)
            hashed = time.perf_counter()
            sketch.update(rows)
            times["hash"] += hashed - start
            times["update"] += time.perf_counter() - hashed
        start = time.perf_counter()
        pairs = sketch.recover(20, n_nonzero_coefs=200, decoder=decoder)
        times["decode"] = time.perf_counter() - start
    cosine, recall = compare(planted, pairs)
    # The update hashes too: what was measured apart is a part of it.
    times["update"] -= times["hash"]
    return times | {
        "m": m,
        "k": k,
        "total": sum(times.values()),
        "state": sketch.nbytes / 1e6,
        "peak": meter.before + meter.megabytes,
        "cosine": cosine,
        "recall": recall,
        "nonzeros": first.nnz / first.shape[0],
    }


def print_end_to_end(args):
    n_samples, n_features = (2000, 10**6) if args.quick else (20_000, 10**8)
    rows = []
    for decoder, m, k, identification in SKETCHES:
        runs = []
        for seed in range(args.repeats):
            progress(f"{n_features:.0e} features, {decoder}, {m} x {k}, seed {seed}")
            job = (decoder, m, k, identification, n_samples, n_features, seed)
            runs.append(in_fresh_process(end_to_end, *job))
        median = {name: np.median([run[name] for run in runs]) for name in runs[0]}
        rows.append(
            [
                f"{decoder}, {median['m']:.0f} x {median['k']:.0f}",
                *(f"{median[name]:.2f}" for name in ("hash", "update", "decode", "total")),
                f"{median['state']:.0f}",
                f"{median['peak']:.0f}",
                f"{min(run['recall'] for run in runs):.3f}",
                f"{median['cosine']:.4f}",
                f"{min(run['cosine'] for run in runs):.4f}",
            ]
        )
    print_table(
        "sketch|hash, s|update, s|decode, s|total, s|state, MB|peak RSS, MB|support found, worst|"
        "worst cosine, median|worst seed".split("|"),
        rows,
        f"{n_features:.0e} features, {n_samples} rows of {median['nonzeros']:.0f} nonzeros, 20 "
        f"components on 200 common features, noise variance as large as the signal's, "
        f"{args.repeats} seeds",
    )


# ------------------------------------------------------------------------------------ against N


def noisy_rows(n_features, n_samples, seed):
    """Return rows with five components of fifty features, and 50 idle features a row."""
    return make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=(5.0, 4.0, 3.0, 2.0, 1.0),
        n_nonzero_coefs=50,
        # Of unit variance in all.
        noise=np.sqrt(1.0 / n_features),
        sparse=True,
        density=50 / n_features,
        random_state=seed,
    )


def decoding(n_features, n_samples, seed):
    """Return the seconds of a recovery by bit tests, its support and its cosine."""
    planted = noisy_rows(n_features, n_samples, seed)
    sketch = EigenSketch(
        n_features, n_measurements=2048, range_size=64, identification=(3072, 32), random_state=seed
    )
    sketch.update(planted.data)
    sketch.recover(5, n_nonzero_coefs=50, decoder="bit_test")  # the first touches new memory
    start = time.perf_counter()
    pairs = sketch.recover(5, n_nonzero_coefs=50, decoder="bit_test")
    seconds = time.perf_counter() - start
    return seconds, sketch.nbytes / 1e6, *compare(planted, pairs)


def print_decoding(args):
    n_samples = 300 if args.quick else 2000
    runs = {name: [] for name in WIDTHS}
    for seed in range(args.repeats):
        for name, n_features in WIDTHS.items():
            progress(f"bit tests, {name} features, seed {seed}")
            runs[name].append(decoding(n_features, n_samples, seed))
    medians = {name: np.median(values, axis=0) for name, values in runs.items()}
    fastest = min(median[0] for median in medians.values())
    rows = [
        [name, f"{s:.2f}", f"{s / fastest:.2f}", f"{mb:.0f}", f"{recall:.3f}", f"{cosine:.4f}"]
        for name, (s, mb, cosine, recall) in medians.items()
    ]
    print_table(
        ["features", "decode, s", "over the fastest", "state, MB", "support found", "worst cosine"],
        rows,
        f"Bit tests, m = 2048, k = 64, 3072 buckets, 5 x 50 features, {n_samples} rows in noise, "
        f"medians of {args.repeats}",
    )


# ---------------------------------------------------------------------------------- what it loses


def share_found(decoder, weakest, n_features, seed):
    """Return the share of planted features found among dense noise, at equal memory."""
    eigenvalues = weakest * np.array([1.5, 1.2, 1.0])
    n_noisy = 20_000
    planted = make_sparse_spiked_covariance(
        1000, n_noisy, eigenvalues=eigenvalues, n_nonzero_coefs=10, random_state=seed
    )
    X, support = planted.data, planted.support
    if n_features > n_noisy:  # the same features under other ids
        ids = np.sort(np.random.default_rng(seed).integers(0, n_features, n_noisy))
        indptr = np.arange(0, X.size + 1, n_noisy)
        X = sp.csr_array((X.ravel(), np.tile(ids, len(X)), indptr), shape=(len(X), n_features))
        support = ids[support]
    # MAM* for both, where a two-sided sketch of 20,000 features would keep them as they are.
    pca = SketchedSparsePCA(
        3,
        n_nonzero_coefs=10,
        decoder=decoder,
        n_measurements=2048,
        memory_budget=32e6,
        random_state=seed,
    )
    for low in range(0, len(planted.data), 250):
        pca.partial_fit(X[low : low + 250])
    return np.isin(support, pca.support_).mean()


def print_loss(args):
    cases = (("htp", 20_000), ("bit_test", 20_000), ("bit_test", 2**62))
    strengths = (30, 120) if args.quick else (20, 30, 60, 120, 240)
    rows = []
    for decoder, n_features in cases:
        row = [f"`{decoder}` among {n_features:.3g} ids"]
        for weakest in strengths:
            progress(f"{decoder}, {n_features:.3g} ids, smallest eigenvalue {weakest}")
            found = [
                share_found(decoder, weakest, n_features, seed) for seed in range(args.repeats)
            ]
            row.append(f"{np.mean(found):.0%}")
        rows.append(row)
    print_table(
        ["smallest eigenvalue", *map(str, strengths)],
        rows,
        "Share of 30 features found, 20,000 features of unit noise in 1000 dense rows, m = 2048, "
        f"budget 32 MB, {args.repeats} seeds",
    )


# -------------------------------------------------------------------------------------- failures


def misses(n_features_found, n_buckets, n_trials, seed):
    """Return how often a noiseless decoding misses a feature."""
    rng = np.random.default_rng(seed)
    missed = 0
    for trial in range(n_trials):
        ids = np.unique(rng.integers(0, 2**62, n_features_found))
        values = rng.standard_normal((2, len(ids)))
        sketch = EigenSketch(
            2**62,
            n_measurements=8 * n_features_found,
            range_size=8,
            center=False,
            identification=(n_buckets, 8),
            random_state=1000 * seed + trial,
        )
        indptr = [0, len(ids), 2 * len(ids)]
        sketch.update(sp.csr_array((values.ravel(), np.tile(ids, 2), indptr), shape=(2, 2**62)))
        S = sketch.matrix()
        Q = np.linalg.svd(S)[0][:, :2]
        decoder = make_decoder("bit_test").attach(sketch, S)
        found = decoder.decode(sketch.measurement, Q, len(ids))
        missed += not np.isin(ids, found).all()
    return missed


def print_failures(args):
    n_trials = 20 if args.quick else 500
    rows = []
    for t, n_buckets in ((20, 30), (20, 60), (50, 60), (50, 90), (50, 150)):
        progress(f"{t} features in {n_buckets} buckets, {n_trials} trials")
        missed = misses(t, n_buckets, n_trials, seed=t + n_buckets)
        bound = t * (t - 1) / 2 / (n_buckets / 3) ** 3
        rows.append([str(t), str(n_buckets), f"{missed / n_trials:.3f}", f"{min(bound, 1.0):.3f}"])
    print_table(
        ["features", "buckets", "a feature missed", "expected pairs that share all buckets"],
        rows,
        f"Failures of bit tests without noise, {n_trials} trials",
    )


# ------------------------------------------------------------------------------------------- ids


def id_families(n, rng):
    """Return sets of n ids below 2^62 that weak hashes confuse."""
    count = np.arange(n, dtype=np.int64)
    powers = np.int64(1) << (count % 62)
    return {
        "random": rng.integers(0, 2**62, n),
        "consecutive": count + 2**40,
        "stride 2^32": count << 32,
        "stride 10^9 + 7": count * (10**9 + 7),
        "powers of two and their sums": powers ^ (np.int64(1) << ((7 * count + count // 62) % 62)),
        "low 32 bits constant": (rng.integers(0, 2**30, n) << 32) | 0x5BD1E995,
        "high 32 bits constant": (np.int64(0x2F0C3A11) << 32) | rng.integers(0, 2**32, n),
    }


def share_of_family(ids, seed):
    """Return the share of the features found, and the worst cosine, with these ids planted."""
    N, rng = 2**62, np.random.default_rng(seed)
    ids = np.unique(ids)
    supports = np.array_split(rng.permutation(ids), 5)
    scores = rng.standard_normal((2000, 5)) * np.sqrt([5.0, 4.0, 3.0, 2.0, 1.0])
    signs = [rng.choice([-1.0, 1.0], len(part)) / np.sqrt(len(part)) for part in supports]
    columns = np.concatenate(supports)
    signal = np.hstack([scores[:, [j]] * signs[j] for j in range(5)])
    idle = rng.integers(0, N, (2000, 50))
    # Noise of fifteen times the variance of the signal.
    data = np.hstack([signal, rng.standard_normal(idle.shape) * np.sqrt(225 / 50)])
    indices = np.hstack([np.broadcast_to(columns, signal.shape), idle])
    indptr = np.arange(0, data.size + 1, data.shape[1])
    X = sp.csr_array((data.ravel(), indices.ravel(), indptr), shape=(2000, N))
    X.sum_duplicates()
    sketch = EigenSketch(N, n_measurements=2048, range_size=64, random_state=seed).update(X)
    pairs = sketch.recover(5, n_nonzero_coefs=[len(part) for part in supports])
    truth = np.zeros((len(columns), 5))
    stops = np.cumsum([0] + [len(part) for part in supports])
    for j in range(5):
        truth[stops[j] : stops[j + 1], j] = signs[j]
    order = np.argsort(columns)
    every = np.union1d(columns, pairs.support)
    placed = np.zeros((len(every), 5))
    placed[np.searchsorted(every, columns[order])] = truth[order]
    found, _ = np.linalg.qr(on_ids(pairs.eigenvectors, every))
    cosines = np.linalg.svd(placed.T @ found, compute_uv=False)
    return np.isin(ids, pairs.support).mean(), cosines.min()


def print_ids(args):
    rows = []
    for name in id_families(4, np.random.default_rng(0)):
        progress(f"ids: {name}")
        results = [
            share_of_family(id_families(250, np.random.default_rng(seed))[name], seed)
            for seed in range(args.repeats)
        ]
        found, cosines = np.transpose(results)
        rows.append(
            [name, f"{found.mean():.4f}", f"{np.median(cosines):.4f}", f"{min(cosines):.4f}"]
        )
    print_table(
        ["ids", "support found", "worst cosine, median", "worst seed"],
        rows,
        f"250 features among 2^62, by bit tests, 2000 rows in noise, {args.repeats} seeds",
    )


def main():
    parser = make_parser(__doc__, repeats=3)
    tables = {
        "end": print_end_to_end,
        "against": print_decoding,
        "loss": print_loss,
        "failures": print_failures,
        "ids": print_ids,
    }
    parser.add_argument("--only", nargs="+", choices=tables, default=list(tables))
    args = parser.parse_args()
    if args.quick:
        args.repeats = 1
    quiet()
    print_machine()
    for name in args.only:
        tables[name](args)


if __name__ == "__main__":
    main()
