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
from _mam_problems import N_ROWS, PRESENTATIONS, TAIL, make_problem, noise_norm
from _mam_recipe import median_decode, median_decode_among

PLOTTED = 4  # vectors decoded by the recipe, and shown one by one
RANGE_SIZE = 128  # k of the two-sided sketches: some four times the largest r
# lambda_r over the norm of the noise left in a symmetric sketch of the recipe's size; half the rho
# of section 11 of doc/how_the_sketch_works.md, where nearly all features are found at rho = 4.
SIGNAL_TO_NOISE = 2.0
UNTESTED = "recipe, no acceptance test"


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
