"""How many components: two rules for n_components over seeds, in every regime of the sketch.

"auto" counts eigenvalues above the edge of white noise (Tracy-Widom where the covariance is kept,
the edge of the product of random matrices where it is sketched); "plateau" stops at the largest
ratio of two consecutive ones of these, the longest low-rank interval of gradient descent. Planted
components have 10 features; their variances are multiples of the level at which one begins to
show in that sketch. In "unequal noise" the standard deviations are log-normal.
"""

import sys
from pathlib import Path

import numpy as np

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.recovery._rank import resolve_n_components

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress, quiet

EXACT = {"measurement": "identity", "range_size": "identity"}
# Features, rows, settings of the sketch.
SKETCHES = {
    "exact, 200 features, 400 rows": (200, 400, EXACT | {"n_measurements": 200}),
    "exact, 400 features, 150 rows": (400, 150, EXACT | {"n_measurements": 400}),
    "range 2000 x 80": (
        2000,
        1000,
        {"n_measurements": None, "measurement": "identity", "range_size": 80},
    ),
    "two-sided 1000 x 100": (5000, 1000, {"n_measurements": 1000, "range_size": 100}),
    "MAM* 300 x 300": (5000, 1000, {"n_measurements": 300}),
}
SPIKES = {
    "nothing but noise": (),
    "8, 7, 6, 5": (8, 7, 6, 5),
    "60, 12, 6, 5": (60, 12, 6, 5),
    "4, 3, 2, 1.5": (4, 3, 2, 1.5),
    "1.5, 1.3, 1.2": (1.5, 1.3, 1.2),
}


def first_seen(n_features, n_samples, options):
    """Return about the variance at which a component shows, in units of that of the noise."""
    if options["n_measurements"] == n_features:
        return np.sqrt(n_features / n_samples)
    m = options["n_measurements"] or n_features
    return n_features / np.sqrt(n_samples) / (m * options.get("range_size", m)) ** 0.25


def make_sketch(n_features, n_samples, options, spikes, noise, seed):
    data = make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=spikes if len(spikes) else [1e-12],
        n_nonzero_coefs=10,
        noise=noise,
        random_state=seed,
    )
    return EigenSketch(n_features, random_state=seed, **options).update(data.data)


def row(title, sketches, truth, noise="auto"):
    """Return the share of right answers and the median answer, of both rules."""
    cells = [title]
    for rule in ("auto", "plateau"):
        found = np.array([resolve_n_components(sketch, rule, noise) for sketch in sketches])
        right = np.mean(found == max(truth, 1))
        cells.append(f"{right:.2f} ({found.min()} to {found.max()}, mostly {np.median(found):.0f})")
    return cells


def main():
    args = make_parser(__doc__, repeats=20).parse_args()
    quiet()
    seeds = range(2 if args.quick else args.repeats)
    print_machine()
    for name, (N, n, options) in SKETCHES.items():
        rows = []
        for title, spikes in SPIKES.items():
            progress(f"{name}: {title}")
            scaled = np.array(spikes) * first_seen(N, n, options)
            sketches = [make_sketch(N, n, options, scaled, 1.0, seed) for seed in seeds]
            rows.append(row(title, sketches, len(spikes)))
        if options["n_measurements"] == N:
            loud = np.array((400.0, 300.0, 200.0))
            for title, spikes in (("unequal noise", loud[:0]), ("400, 300, 200 in it", loud)):
                progress(f"{name}: {title}")
                sketches = [make_sketch(N, n, options, spikes, "lognormal", s) for s in seeds]
                rows.append(row(title, sketches, len(spikes)))
                rows.append(row(f"{title}, diagonal", sketches, len(spikes), "diagonal"))
        columns = ["variances", "auto", "plateau"]
        print_table(columns, rows, f"{name}; share of {len(seeds)} seeds with the right number")


if __name__ == "__main__":
    main()
