"""The experiments of the public MAM* scripts (arXiv:2507.17036), from the sketch alone.

Their sizes and spectra, without their oracles: support is searched among all N features, and
eigenvectors come from the sketch, not from the exact M u_j. The same matrix A = sum_j lambda_j u_j
u_j^T is given in three ways:

* factors: tiles of A on the supports;
* rows: 20,000 CSR rows whose covariance is A, plus sparse noise in every feature;
* entries: (i, j, amount) in random order, some wrong and taken back, some elsewhere and deleted.

Settings: "rows" (N = 10^8, r = 20, s = 200, linear spectrum, common support), "rank" (N = 10^7,
r = 10..30, s = 100, spectrum 2^-j, disjoint supports), "sparsity" (N = 10^7, r = 20, s = 40..70,
spectrum 2^-j, common support and a tail of s entries of size 0.001).

"recipe" is the published decoder on the same input: residues modulo K primes, the leading
eigenvectors of S, each decoded by the median of K readings for each of the N features. It is run
for the first four vectors, which are those that the paper plots. The last rows of a block give
the same decoder the exact M u_j and few candidates, as the public scripts do.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.sketching.measurements import PrimeResidueMeasurement

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress, quiet

PLOTTED = 4  # vectors decoded by the recipe, and shown one by one
RANGE_SIZE = 128  # k of the two-sided sketches: some four times the largest r
TAIL = 1e-3
N_ROWS, BATCH_ROWS = 20_000, 500
HITS = 50  # noisy entries in a row
# lambda_r over the norm of the noise left in a symmetric sketch of the recipe's size; half the rho
# of section 11 of doc/how_the_sketch_works.md, where nearly all features are found at rho = 4.
SIGNAL_TO_NOISE = 2.0
BATCH_ENTRIES = 50_000
# Readings that differ by less than this share of the largest are equal, or zero, to the recipe:
# eigenvectors are not exact, and a test for equality would reject everything.
EQUAL = 1e-9
CHUNK = 1 << 18
UNTESTED = "recipe, no acceptance test"


# ------------------------------------------------------------------------------------ problems


@dataclass(frozen=True)
class Problem:
    """A = U diag(eigenvalues) U^T: U orthonormal, shape (t, r), its rows at the features `ids`."""

    n_features: int
    eigenvalues: np.ndarray
    ids: np.ndarray
    U: np.ndarray
    n_nonzero: int

    def tiles(self):
        """Return (ids, tile) such that A is the sum of the tiles: one, or one for each vector."""
        if np.count_nonzero(self.U[0]) > 1:
            return [(self.ids, (self.U * self.eigenvalues) @ self.U.T)]
        supports = [np.flatnonzero(u) for u in self.U.T]
        return [
            (self.ids[at], value * np.outer(u[at], u[at]))
            for at, value, u in zip(supports, self.eigenvalues, self.U.T, strict=True)
        ]

    def measured(self, measurement):
        """Return M U, shape (m, r)."""
        return measurement.columns(self.ids).T @ self.U


def make_problem(N, eigenvalues, s, layout, seed):
    """Plant random sparse vectors: layout "common", "tailed" or "disjoint"."""
    rng = np.random.default_rng(seed)
    r = len(eigenvalues)
    t = {"common": s, "tailed": 2 * s, "disjoint": r * s}[layout]
    U = np.zeros((t, r))
    if layout == "disjoint":
        for j in range(r):
            U[j * s : (j + 1) * s, j] = rng.standard_normal(s)
    else:
        U[:s] = np.linalg.qr(rng.standard_normal((s, r)))[0]
    if layout == "tailed":
        U[s:] = TAIL * rng.choice([-1.0, 1.0], (s, r))
    # The nearest matrix with orthonormal columns: tails are orthogonal to about 1e-5 already.
    left, _, right = np.linalg.svd(U, full_matrices=False)
    U = left @ right if layout == "tailed" else U / np.linalg.norm(U, axis=0)
    ids = rng.choice(N, t, replace=False)
    order = np.argsort(ids)
    return Problem(N, np.asarray(eigenvalues), ids[order], U[order], s)


# --------------------------------------------------------------------------------- presentations
# Each yields functions that add a part of the input to a sketch.


def factors(problem, noise_variance, seed):
    for ids, tile in problem.tiles():
        yield lambda sketch, ids=ids, tile=tile: sketch.update_tile(ids, ids, tile)


def rows(problem, noise_variance, seed):
    """Rows sum_j sqrt(lambda_j) z_j u_j + noise.

    The scores z are centred and orthonormal, so that the rows have covariance A but for the noise:
    how far sample eigenvectors stray from those of a population is not the question here.
    """
    rng = np.random.default_rng(seed)
    N, t = problem.n_features, len(problem.ids)
    scores = rng.standard_normal((N_ROWS, len(problem.eigenvalues)))
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0] * np.sqrt(N_ROWS)
    loadings = (problem.U * np.sqrt(problem.eigenvalues)).T
    for low in range(0, N_ROWS, BATCH_ROWS):
        n = min(BATCH_ROWS, N_ROWS - low)
        signal = (scores[low : low + n] @ loadings).ravel()
        at = np.tile(problem.ids, n), np.arange(0, n * t + 1, t)
        hits = rng.standard_normal(n * HITS) * np.sqrt(noise_variance * N / HITS)
        where = rng.integers(N, size=n * HITS), np.arange(0, n * HITS + 1, HITS)
        noise = sp.csr_array((hits, *where), shape=(n, N))
        noise.sum_duplicates()
        batch = sp.csr_array((signal, *at), shape=(n, N)) + noise
        yield lambda sketch, batch=batch: sketch.update(batch)


def entries(problem, noise_variance, seed):
    """Entries of A in random order, a third of them wrong at first, and others that do not stay."""
    rng = np.random.default_rng(seed)
    parts = [
        (np.repeat(ids, len(ids)), np.tile(ids, len(ids)), tile.ravel())
        for ids, tile in problem.tiles()
    ]
    i, j, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    wrong = rng.random(len(values)) < 1 / 3
    elsewhere = rng.integers(problem.n_features, size=(2, len(values) // 10))
    too_much = values[wrong] * rng.standard_normal(wrong.sum())
    stray = rng.standard_normal(elsewhere.shape[1]) * values.std()
    i = np.concatenate([i, i[wrong], i[wrong], elsewhere[0], elsewhere[0]])
    j = np.concatenate([j, j[wrong], j[wrong], elsewhere[1], elsewhere[1]])
    values = np.concatenate([values, too_much, -too_much, stray, -stray])
    # A linear sketch does not mind that something is deleted before it has come.
    order = rng.permutation(len(values))
    for low in range(0, len(order), BATCH_ENTRIES):
        batch = order[low : low + BATCH_ENTRIES]
        yield lambda sketch, at=batch: sketch.update_entries(i[at], j[at], values[at])


PRESENTATIONS = {"factors": factors, "rows": rows, "entries": entries}


def noise_norm(shape, N, n):
    """Return the norm of what unit noise in N features leaves in the sketch of n rows."""
    m, k = shape
    return N * ((k * n) ** -0.5 + (m * n) ** -0.5 + 1 / n)


# ------------------------------------------------------------------------------------- the recipe


def median_decode(y, measurement, size, accept):
    """Return the ids and values of the `size` features with the largest medians in y.

    A reading of feature n is y at the row n mod p of the block of prime p; with `accept` a feature
    counts only where all K readings are nonzero and their median is their mode. All N features are
    tried. Most are ruled out by what their readings must satisfy, which is counted for a chunk of
    them at a time: half the readings as large as the smallest median kept; none zero and two
    equal. That saves time and changes nothing.
    """
    primes = measurement.primes
    K, N = len(primes), measurement.n_features
    offsets = np.concatenate([[0], np.cumsum(primes)[:-1]])
    blocks = [y[low : low + p] for low, p in zip(offsets, primes, strict=True)]
    tolerance = EQUAL * np.abs(y).max()
    nonzero = np.abs(y) > tolerance
    conditions = []
    if accept:
        block_of = np.repeat(np.arange(K), primes)
        conditions = [(_periods(nonzero, offsets, primes), K)]
        conditions += [(_periods(_repeated(y, block_of, tolerance), offsets, primes), 2)]
    ids, values = np.empty(0, dtype=np.int64), np.empty(0)
    least, large = -1.0, None
    for low in range(0, N, CHUNK):
        width = min(CHUNK, N - low)
        smallest = np.abs(values).min() if len(values) == size else 0.0
        if smallest > least:
            least = smallest
            large = _periods(np.abs(y) >= least, offsets, primes), (K + 1) // 2
        kept = np.ones(width, dtype=bool)
        for periods, needed in [*conditions, large]:
            count = np.zeros(width, dtype=np.uint8)
            for period, p in zip(periods, primes, strict=True):
                count += period[low % p : low % p + width]
            kept &= count >= needed
        found = low + np.flatnonzero(kept)
        readings = np.stack([b[found % p] for b, p in zip(blocks, primes, strict=True)], axis=1)
        medians = np.median(readings, axis=1)
        if accept and len(found):
            good = _median_is_mode(readings, medians, tolerance)
            found, medians = found[good], medians[good]
        ids, values = np.concatenate([ids, found]), np.concatenate([values, medians])
        if len(ids) > size:
            best = np.argpartition(-np.abs(values), size - 1)[:size]
            ids, values = ids[best], values[best]
    return ids, values * np.sqrt(K)


def median_decode_among(y, measurement, candidates, size):
    """Return the same with acceptance, for given candidates: the oracle of the public scripts."""
    primes = measurement.primes
    offsets = np.concatenate([[0], np.cumsum(primes)[:-1]])
    readings = y[candidates[:, None] % primes + offsets]
    medians = np.median(readings, axis=1)
    tolerance = EQUAL * np.abs(y).max()
    good = (np.abs(readings) > tolerance).all(axis=1)
    good &= _median_is_mode(readings, medians, tolerance)
    ids, values = candidates[good], medians[good]
    best = np.argsort(-np.abs(values), kind="stable")[:size]
    return ids[best], values[best] * np.sqrt(len(primes))


def _periods(flags, offsets, primes):
    """Return the flags of each block, repeated beyond a chunk so that any slice of it is there."""
    flags = flags.astype(np.uint8)
    return [
        np.resize(flags[low : low + p], CHUNK + p) for low, p in zip(offsets, primes, strict=True)
    ]


def _repeated(y, block_of, tolerance):
    """Return which entries of y have an equal one in another block."""
    order = np.argsort(y, kind="stable")
    repeated = np.zeros(len(y), dtype=bool)
    close = np.flatnonzero(np.diff(y[order]) <= tolerance)
    # Neighbours in one block may both equal a third one: runs of close values are taken whole.
    for run in np.split(close, np.flatnonzero(np.diff(close) > 1) + 1):
        if len(run):
            members = order[run[0] : run[-1] + 2]
            repeated[members] = len(np.unique(block_of[members])) > 1
    return repeated


def _median_is_mode(readings, medians, tolerance):
    """Return where no reading is repeated oftener than the median, and that at least once."""
    at_median = (np.abs(readings - medians[:, None]) <= tolerance).sum(axis=1)
    most = np.zeros(len(readings), dtype=np.int64)
    for column in readings.T:
        np.maximum(most, (np.abs(readings - column[:, None]) <= tolerance).sum(axis=1), out=most)
    return (at_median >= 2) & (at_median == most)


# ------------------------------------------------------------------------------------- measuring


def difference(found, true):
    """Return relative l2 and l-infinity distances of two vectors scaled to unit length, up to sign.

    Scaling is in favour of the recipe: an eigenvector of S has unit length and M u_j has not.
    """
    true = true / np.linalg.norm(true)
    size = np.linalg.norm(found)
    if size > 0.0:
        found = found / size
    gap = found - true if found @ true >= 0.0 else found + true
    return np.linalg.norm(gap), np.abs(gap).max() / np.abs(true).max()


def sparse_difference(ids, values, problem, j):
    """Return the same for a sparse vector and u_j."""
    union = np.union1d(ids, problem.ids)
    found, true = np.zeros((2, len(union)))
    found[np.searchsorted(union, ids)] = values
    true[np.searchsorted(union, problem.ids)] = problem.U[:, j]
    return difference(found, true)


def leading_vectors(S, count):
    """Return the leading left singular vectors of S (eigenvectors where S is symmetric)."""
    if S.shape[0] != S.shape[1]:
        return np.linalg.svd(S, full_matrices=False)[0][:, :count]
    start = np.random.default_rng(0).standard_normal(len(S))
    values, vectors = sp.linalg.eigsh(S, count, which="LM", v0=start)
    return vectors[:, np.argsort(-np.abs(values), kind="stable")]


def errors_before(sketch, problem):
    """Return the errors of the sketch's eigenvectors against M u_j, shape (r, 2)."""
    V = leading_vectors(sketch.matrix(), len(problem.eigenvalues))
    pairs = zip(V.T, problem.measured(sketch.measurement).T, strict=True)
    return np.array([difference(v, y) for v, y in pairs])


def run_ours(sketch, problem, size):
    """Return the errors after recovery, shape (r, 2)."""
    r = len(problem.eigenvalues)
    found = sketch.recover(r, n_nonzero_coefs=size).eigenvectors
    columns = [slice(*found.indptr[j : j + 2]) for j in range(r)]
    return np.array(
        [
            sparse_difference(found.indices[at], found.data[at], problem, j)
            for j, at in enumerate(columns)
        ]
    )


def run_recipe(vectors, problem, decode):
    """Return the errors of the first vectors, shape (4, 2), each decoded by itself."""
    return np.array(
        [
            sparse_difference(*decode(np.ascontiguousarray(y)), problem, j)
            for j, y in enumerate(vectors.T[:PLOTTED])
        ]
    )


@dataclass
class Outcome:
    """One row of the tables: errors of shape (vectors, 2), seconds."""

    method: str
    shape: tuple
    kept: int
    before: np.ndarray
    after: np.ndarray
    sketching: float
    decoding: float
    ratio: float  # lambda_r over the norm of the noise in the sketch; NaN where there is none


def make_sketches(case):
    """Return the sketches compared: none has more floats than the recipe's."""
    N, m = case.N, case.m

    def sketch(rows, **parameters):
        rows = rows // 8 * 8
        return EigenSketch(
            N, n_measurements=rows, feature_moments=False, random_state=0, **parameters
        )

    primes = PrimeResidueMeasurement(N, m, n_blocks=case.n_primes)
    sketches = {
        "recipe": EigenSketch(N, n_measurements=m, measurement=primes, feature_moments=False),
        "ours, MAM*": sketch(m),
        "ours, two-sided": sketch(m * m // RANGE_SIZE, range_size=RANGE_SIZE),
    }
    if case.small:
        sketches["ours, two-sided, m = 4 t"] = sketch(case.small, range_size=RANGE_SIZE)
    return sketches


def run_case(case, presentation, seed):
    """Yield the outcomes of all methods on one problem given in one way."""
    problem = make_problem(case.N, case.eigenvalues, case.s, case.layout, seed)
    sketches = make_sketches(case)
    seconds = dict.fromkeys(sketches, 0.0)
    # The variance of the noise in a feature, were it 1, would leave so much in the sketches.
    noise = {name: noise_norm(sketch.shape, case.N, N_ROWS) for name, sketch in sketches.items()}
    noise_variance = case.eigenvalues[-1] / (SIGNAL_TO_NOISE * noise["recipe"])
    for add in PRESENTATIONS[presentation](problem, noise_variance, seed):
        for name, sketch in sketches.items():
            start = time.perf_counter()
            add(sketch)
            seconds[name] += time.perf_counter() - start
    for name, sketch in sketches.items():
        ratio = case.eigenvalues[-1] / (noise_variance * noise[name])
        ratio = ratio if presentation == "rows" else np.nan
        outcomes = recipe_outcomes if name == "recipe" else our_outcomes
        for label, size, before, after, decoding in outcomes(name, sketch, problem, case.sizes):
            yield Outcome(label, sketch.shape, size, before, after, seconds[name], decoding, ratio)


def our_outcomes(name, sketch, problem, sizes):
    """Yield (label, nonzeros kept, errors before and after, seconds) of a recovery."""
    before = errors_before(sketch, problem)
    for size in sizes:
        start = time.perf_counter()
        after = run_ours(sketch, problem, size)
        yield name, size, before, after, time.perf_counter() - start


def recipe_outcomes(name, sketch, problem, sizes):
    """Yield the same of the recipe, without its acceptance test, and with oracles."""
    M = sketch.measurement
    before = errors_before(sketch, problem)[:PLOTTED]
    V = leading_vectors(sketch.matrix(), len(problem.eigenvalues))
    MU = problem.measured(M)
    # The public scripts look at the true support, or at four times as many features.
    others = np.random.default_rng(0).integers(problem.n_features, size=3 * len(problem.ids))
    candidates = np.union1d(problem.ids, others)
    for size in sizes:
        tries = [
            (name, V, before, lambda y, s=size: median_decode(y, M, s, accept=True)),
            (UNTESTED, V, before, lambda y, s=size: median_decode(y, M, s, accept=False)),
            (
                "recipe with oracles",
                MU,
                np.zeros_like(before),
                lambda y, s=size: median_decode_among(y, M, candidates, s),
            ),
        ]
        for label, vectors, error, decode in tries:
            start = time.perf_counter()
            after = run_recipe(vectors, problem, decode)
            yield label, size, error, after, time.perf_counter() - start


# --------------------------------------------------------------------------------------- settings


@dataclass(frozen=True, eq=False)
class Case:
    """One point of an experiment: what is planted and what the recipe measures with."""

    label: str
    x: int
    N: int
    eigenvalues: np.ndarray
    s: int
    layout: str
    n_primes: int
    m: int

    @property
    def sizes(self):
        """The nonzeros asked for: with a tail, without it and with it."""
        return (self.s, 2 * self.s) if self.layout == "tailed" else (self.s,)

    @property
    def small(self):
        """The m that joint decoding needs, where the paper's is too small for it."""
        return 4 * len(self.eigenvalues) * self.s if self.layout == "disjoint" else None


def make_cases(setting, quick):
    """Return the cases of a setting, at the sizes of the public scripts or small ones."""
    if setting == "rows":
        if quick:
            spectrum = np.linspace(1.0, 0.2, 5)
            return [Case("K = 13", 13, 1_000_000, spectrum, 40, "common", 13, 600)]
        spectrum = np.linspace(1.0, 0.05, 20)
        sizes = {13: 1283, 19: 2179, 23: 2879}
        return [Case(f"K = {K}", K, 10**8, spectrum, 200, "common", K, m) for K, m in sizes.items()]
    if setting == "rank":
        if quick:
            return [
                Case(f"r = {r}", r, 100_000, _halves(r), 20, "disjoint", 13, 600) for r in (3, 5)
            ]
        ranks = (10, 15, 20, 25, 30)
        return [Case(f"r = {r}", r, 10**7, _halves(r), 100, "disjoint", 19, 2179) for r in ranks]
    if quick:
        return [Case("s = 10", 10, 100_000, _halves(5), 10, "tailed", 13, 600)]
    return [
        Case(f"s = {s}", s, 10**7, _halves(20), s, "tailed", 19, 1523) for s in (40, 50, 60, 70)
    ]


def _halves(r):
    return 2.0 ** -np.arange(1, r + 1)


SETTINGS = ("rows", "rank", "sparsity")


# ---------------------------------------------------------------------------------------- reports


def median_outcome(turns):
    """Return the outcome with the medians of errors and times of several seeds."""
    first = turns[0]

    def median(field):
        return np.median([getattr(turn, field) for turn in turns], axis=0)

    return Outcome(
        first.method,
        first.shape,
        first.kept,
        *(median(field) for field in ("before", "after", "sketching", "decoding", "ratio")),
    )


def table_row(label, outcome):
    """Return the cells of one outcome."""

    def cell(errors, norm):
        return " ".join(f"{error:.0e}" for error in errors[:PLOTTED, norm])

    exact = not outcome.before.any()
    complete = "recipe" not in outcome.method
    return [
        label,
        outcome.method,
        " x ".join(map(str, outcome.shape)),
        outcome.kept,
        *(["exact"] * 2 if exact else [cell(outcome.before, 0), cell(outcome.before, 1)]),
        cell(outcome.after, 0),
        cell(outcome.after, 1),
        f"{outcome.after[:, 0].max():.0e}" if complete else "",
        f"{outcome.sketching:.1f}",
        f"{outcome.decoding:.1f}",
        "" if np.isnan(outcome.ratio) else f"{outcome.ratio:.1f}",
    ]


COLUMNS = [
    "",
    "method",
    "sketch",
    "kept",
    "l2 before, u1 .. u4",
    "l-inf before",
    "l2 after, u1 .. u4",
    "l-inf after",
    "worst l2 of all",
    "sketch s",
    "decode s",
    "signal / noise",
]


def describe(setting, case, presentation):
    """Return the caption of a table."""
    spectrum = "linear spectrum" if setting == "rows" else "spectrum 2^-j"
    text = f"{setting}: N = {case.N:.0e}, {spectrum}, given as {presentation}"
    if presentation == "rows":
        text += "; signal / noise: lambda_r over the norm of the noise in the sketch"
    if case.layout == "tailed":
        text += f"; tails of size {TAIL:g}, not among the first s kept"
    return text


STYLES = {
    "recipe": ("recipe", "#b2182b", "s"),
    UNTESTED: ("recipe, no test", "#ef8a62", "v"),
    "ours, MAM*": ("ours, MAM*", "#67a9cf", "^"),
    "ours, two-sided": ("ours, two-sided", "#2166ac", "o"),
    "ours, two-sided, m = 4 t": ("ours, two-sided, m = 4 t", "#053061", "D"),
}


def plot(results, path):
    """Plot the largest l2 error of the first four vectors, before and after, for each setting."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = list(dict.fromkeys(setting for setting, _, _ in results))
    figure, axes = plt.subplots(
        len(shown), 3, figsize=(12, 3.4 * len(shown)), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for line, setting in zip(axes, shown, strict=True):
        for panel, presentation in zip(line, PRESENTATIONS, strict=True):
            points = {}
            for (its_setting, case, its_presentation), outcomes in results.items():
                if (its_setting, its_presentation) != (setting, presentation):
                    continue
                for outcome in outcomes:
                    if outcome.method in STYLES and outcome.kept == case.sizes[-1]:
                        worst = [e[:PLOTTED, 0].max() for e in (outcome.before, outcome.after)]
                        points.setdefault(outcome.method, []).append((case.x, *worst))
            for method, values in points.items():
                name, colour, marker = STYLES[method]
                x, before, after = np.maximum(np.transpose(values), 1e-17)
                panel.semilogy(x, after, marker=marker, color=colour, label=name)
                if method != UNTESTED:
                    panel.semilogy(x, before, ":", marker=marker, color=colour, mfc="none", lw=1)
            panel.set_title(f"{setting}, given as {presentation}", fontsize=10)
            panel.set_xlabel({"rows": "K primes", "rank": "r", "sparsity": "s"}[setting])
            panel.set_xticks(sorted({x for values in points.values() for x, *_ in values}))
            panel.grid(axis="y", color="0.9")
            panel.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("largest l2 error of u1 .. u4")
    handles = {}
    for panel in axes.flat:
        handles.update(zip(*panel.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
    figure.suptitle("Errors before (dotted) and after recovery (solid)", fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main():
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument(
        "--given-as", nargs="+", choices=PRESENTATIONS, default=list(PRESENTATIONS), dest="given"
    )
    parser.add_argument("--features", type=float, help="another N, for trials")
    parser.add_argument("--cases", nargs="+", type=int, help="only these K, r or s")
    parser.add_argument("--plot", metavar="FILE", help="draw the errors into a file")
    args = parser.parse_args()
    quiet()
    warm_up()
    results = {}
    for setting in args.only:
        for case in make_cases(setting, args.quick):
            if args.cases and case.x not in args.cases:
                continue
            if args.features:
                case = replace(case, N=int(args.features))
            for presentation in args.given:
                turns = []
                for seed in range(args.repeats):
                    progress(f"{setting}, {case.label}, {presentation}, seed {seed}")
                    turns.append([])
                    for found in run_case(case, presentation, seed):
                        turns[-1].append(found)
                        progress(
                            f"  {found.method}: {found.sketching:.1f} + {found.decoding:.1f} s"
                        )
                results[setting, case, presentation] = [
                    median_outcome(list(turn)) for turn in zip(*turns, strict=True)
                ]
    print_machine()
    for setting in args.only:
        for presentation in args.given:
            found = {
                c: o for (st, c, p), o in results.items() if (st, p) == (setting, presentation)
            }
            if found:
                print_table(
                    COLUMNS,
                    [table_row(c.label, o) for c, outcomes in found.items() for o in outcomes],
                    describe(setting, next(iter(found)), presentation),
                )
    if args.plot:
        plot(results, args.plot)


def warm_up():
    """Compile, or load from the cache, what the first method would be charged for."""
    case = Case("", 0, 2000, _halves(2), 5, "disjoint", 5, 200)
    for presentation in PRESENTATIONS:
        list(run_case(case, presentation, 0))


if __name__ == "__main__":
    main()
