"""Samples of a class: seeds chosen by `SeedConfidenceFilter`, classifier guidance, and rejection.

On the mixture with exact score, and on a small diffusion that is trained here on the digits of
scikit-learn. A sample is accepted if the classifier gives it the class with a confidence that the
most confident fifth of unguided samples has. Another classifier, trained on other data, judges the
accepted ones. Their diversity is the total variance within the class, relative to that of real
data, and the Frechet distance is that of means and covariances to real data of the class. A run is
one sample generated: it calls the denoiser at each step, and guidance takes as many gradients of a
classifier of noisy samples, which has to be trained as well. The filter has to generate from seeds
once, to learn.
"""

import sys
import time
from pathlib import Path

import numpy as np
from _diffusions import digits, mixture
from scipy.linalg import sqrtm
from sklearn.frozen import FrozenEstimator

from sklearn_sparse_eig import SeedConfidenceFilter

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress

_SCALES = (1.0, 2.0, 4.0)
_CANDIDATES = (1, 20, 100)
_AT_ONCE = 60


def frechet(A, B):
    """Return the Frechet distance between Gaussians with the moments of two samples."""
    C, D = np.cov(A.T), np.cov(B.T)
    cross = np.real(sqrtm(C @ D + 1e-9 * np.eye(len(C))))
    return float(((A.mean(axis=0) - B.mean(axis=0)) ** 2).sum() + np.trace(C + D - 2 * cross))


def guided(diffusion, model, target, scale, n_samples, rng):
    """Return accepted samples of a guided run, and runs for each."""
    kept, n_runs = [], 0
    while sum(map(len, kept)) < n_samples and n_runs < 100 * n_samples:
        samples = diffusion.guided(rng.standard_normal((_AT_ONCE, 64)), target, scale)
        n_runs += _AT_ONCE
        found = diffusion.classifier.predict_proba(samples)
        accepted = (found.argmax(axis=1) == target) & (found.max(axis=1) >= model.threshold_)
        kept.append(samples[accepted])
    kept = np.concatenate(kept)
    return kept[:n_samples], n_runs / len(kept)


def chosen(model, target, n_candidates, n_samples, seed):
    """Return accepted samples of chosen seeds, and runs for each."""
    options = {"n_candidates": n_candidates, "max_calls": 10**6, "random_state": seed}
    found = model.sample(n_samples, target, **options)
    return found.samples, found.calls_per_sample


def judge(diffusion, target, samples):
    """Return the share that is right to the evaluator, diversity, and distance to real data."""
    real = diffusion.real[target]
    variance = np.trace(np.cov(samples.T)) / np.trace(np.cov(real.T))
    right = np.mean(diffusion.evaluator.predict(samples) == target)
    return right, variance, frechet(samples, real)


def compare(diffusion, n_fit, n_samples, seed):
    """Return rows of the table: means over the ten classes."""
    rng, rows = np.random.default_rng(seed), []
    seeds = rng.standard_normal((n_fit, 64))
    model = SeedConfidenceFilter(
        diffusion.generator,
        FrozenEstimator(diffusion.classifier),
        train_on="all",
        n_bins=1,
        random_state=seed,
    ).fit(seeds)
    methods = {
        "generated and rejected" if n == 1 else f"**SeedConfidenceFilter**, {n} candidates": (
            lambda c, n=n: chosen(model, c, n, n_samples, seed)
        )
        for n in _CANDIDATES
    }
    for scale in _SCALES:
        methods[f"guidance, scale {scale:g}"] = lambda c, scale=scale: guided(
            diffusion, model, c, scale, n_samples, rng
        )
    for name, make in methods.items():
        start, results = time.perf_counter(), []
        for target in range(10):
            progress(f"{diffusion.name} {name} class {target}")
            samples, runs = make(target)
            results.append([runs, *judge(diffusion, target, samples)])
        seconds = (time.perf_counter() - start) / (10 * n_samples)
        runs, right, variance, distance = np.mean(results, axis=0)
        gradients = runs * diffusion.n_steps if "guidance" in name else 0
        rows.append(
            [
                name,
                f"{runs:.2f}",
                f"{runs * diffusion.n_steps:.0f}",
                f"{gradients:.0f}",
                f"{right:.3f}",
                f"{variance:.2f}",
                f"{distance:.1f}",
                f"{1e3 * seconds:.1f}",
            ]
        )
    halves = [real[rng.permutation(len(real))] for real in diffusion.real]
    real = np.mean(
        [
            judge(diffusion, c, half[: min(n_samples, len(half) // 2)])
            for c, half in enumerate(halves)
        ],
        axis=0,
    )
    rows.append(["real data", "", "", "", f"{real[0]:.3f}", f"{real[1]:.2f}", f"{real[2]:.1f}", ""])
    return rows


def main():
    args = make_parser(__doc__, repeats=1).parse_args()
    n_fit, n_samples, training = (1000, 20, 1000) if args.quick else (10_000, 60, 5000)
    print_machine("torch")
    columns = [
        "method",
        "runs",
        "denoiser calls",
        "classifier gradients",
        "right",
        "variance",
        "Frechet distance",
        "ms",
    ]
    for make in (lambda: mixture(0), lambda: digits(0, training_steps=training)):
        start = time.perf_counter()
        diffusion = make()
        seconds = time.perf_counter() - start
        rows = compare(diffusion, n_fit, n_samples, 0)
        print_table(
            columns,
            rows,
            f"{diffusion.name}: for each accepted sample, means of {n_samples} of each of 10 "
            f"classes; {diffusion.n_steps} steps; made in {seconds:.0f} s; the filter is fitted to "
            f"{n_fit} runs",
        )


if __name__ == "__main__":
    main()
