"""Seeds of a diffusion with exact score: separability by confidence, probes, chosen seeds.

A mixture of 10 Gaussians in 64 dimensions, norms of the means 2.5, standard deviation 1, 200 steps
of DDIM. The classifier is the exact posterior; the evaluator is a logistic regression that was
fitted to true samples of the mixture. No network is involved, and nothing here says what one
would do.
"""

import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from sklearn_sparse_eig import SeedConfidenceFilter
from sklearn_sparse_eig.datasets import make_gaussian_mixture_diffusion
from sklearn_sparse_eig.seeds import fisher_separability

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress

N_BINS = 5


def make_evaluator(means, rng):
    labels = rng.integers(len(means), size=5000)
    samples = means[labels] + rng.standard_normal((5000, means.shape[1]))
    return FrozenEstimator(LogisticRegression(max_iter=1000).fit(samples, labels))


def small_halves(model, Z, n_train, rng):
    """Return plain Fisher criterion and accuracy with n_train rows of each bin, and of all."""
    inner, result = model.bin_edges_[1:-1], []
    bins = np.searchsorted(inner, model.confidence_, side="right")
    groups = [np.flatnonzero(bins == i) for i in range(N_BINS)] + [np.arange(len(Z))]
    for group in groups:
        rows = rng.permutation(group)[: 2 * n_train]
        train, test = rows[:n_train], rows[n_train:]
        y, shuffled = model.labels_, rng.permutation(model.labels_[train])
        probe = LinearDiscriminantAnalysis()
        result.append(
            [
                fisher_separability(Z[train], y[train]),
                fisher_separability(Z[train], shuffled),
                probe.fit(Z[train], y[train]).score(Z[test], y[test]),
                probe.fit(Z[train], shuffled).score(Z[test], y[test]),
            ]
        )
    return np.transpose(result)


def probes(model, Z, toy, new, rng):
    """Return accuracy on new seeds, on confident new ones, and rank correlation, by training."""
    inner = model.bin_edges_[1:-1]
    bins = np.searchsorted(inner, model.confidence_, side="right")
    kept = np.flatnonzero(model.support_mask_)
    trained_on = {
        "all seeds": np.arange(len(Z)),
        "confident fifth": kept,
        "random fifth": rng.choice(len(Z), len(kept), replace=False),
        "least confident fifth": np.flatnonzero(bins == 0),
    }
    found = toy.classifier.predict_proba(toy.generator(new))
    labels, confidence = found.argmax(axis=1), found.max(axis=1)
    sure = confidence >= model.threshold_
    result = {}
    for name, rows in trained_on.items():
        probe = LinearDiscriminantAnalysis().fit(Z[rows], model.labels_[rows])
        right = probe.predict(new) == labels
        rated = probe.predict_proba(new).max(axis=1)
        result[name] = right.mean(), right[sure].mean(), spearmanr(rated, confidence)[0]
    return result


def chosen(model, toy, n_samples, counts, seed):
    """Return what sampling costs and where samples lie, for each number of candidates."""
    everywhere = clone(model).set_params(train_on="all").fit(toy.seeds)
    direction = toy.means[0] / np.linalg.norm(toy.means[0])
    result = {}
    for n_candidates in counts:
        options = {"n_candidates": n_candidates, "max_calls": 10**6, "random_state": seed}
        found = model.sample(n_samples, 0, **options)
        along = found.samples @ direction
        result[n_candidates] = [
            found.calls_per_sample,
            everywhere.sample(n_samples, 0, **options).calls_per_sample,
            found.agreement,
            along.mean(),
            along.std(),
            np.trace(np.cov(found.samples.T)),
        ]
    return result


def chosen_by_probe_alone(model, toy, n_drawn, n_kept, rng):
    """Return the share of class 0 among the seeds rated best, and among all."""
    new = rng.standard_normal((n_drawn, model.n_features_in_))
    best = np.argsort(-model.predict_proba(new)[:, 0])[:n_kept]
    labels = toy.classifier.predict(toy.generator(new))
    return np.mean(labels[best] == 0), np.mean(labels == 0)


def mean(values, digits=2):
    return [f"{value:.{digits}f}" for value in np.mean(values, axis=0)]


def main():
    args = make_parser(__doc__, repeats=3).parse_args()
    repeats = 1 if args.quick else args.repeats
    n, steps = (6000, 50) if args.quick else (30_000, 200)
    n_train, n_new = n // 15, n // 3
    counts = (1, 5, 20, 40, 100)
    print_machine()
    edges, bins, small, trained, sampled, alone, agreement, seconds = ([] for _ in range(8))
    for seed in range(repeats):
        progress(f"mixture {seed + 1}/{repeats}")
        rng = np.random.default_rng(seed)
        toy = make_gaussian_mixture_diffusion(n, n_steps=steps, random_state=seed)
        model = SeedConfidenceFilter(
            toy.generator,
            toy.classifier,
            evaluator=make_evaluator(toy.means, rng),
            random_state=seed,
        )
        start = time.perf_counter()
        model.fit(toy.seeds)
        seconds.append(time.perf_counter() - start)
        edges.append(model.bin_edges_)
        bins.append(
            [
                model.separability_,
                model.separability_shuffled_,
                model.bin_scores_,
                model.bin_scores_shuffled_,
                model.transfer_scores_[0],
                model.transfer_scores_[-1],
                model.bin_agreement_,
            ]
        )
        agreement.append(model.agreement_)
        small.append(small_halves(model, toy.seeds, n_train, rng))
        trained.append(probes(model, toy.seeds, toy, rng.standard_normal((n_new, 64)), rng))
        sampled.append(chosen(model, toy, n // 60, counts, seed))
        alone.append(chosen_by_probe_alone(model, toy, 2 * n // 3, n // 60, rng))

    limits = mean(edges)
    columns = ["", *(f"{a} to {b}" for a, b in zip(limits[:-1], limits[1:], strict=True)), "all"]
    names = [
        f"tr(S_w^-1 S_b), plain, {n_train} rows",
        "the same, labels permuted",
        f"accuracy, {n_train} rows to train and to test",
        "the same, labels permuted",
    ]
    plain = np.mean(small, axis=0)
    rows = [
        [name, *(f"{value:.{3 if 'accuracy' in names[i - i % 2] else 2}f}" for value in plain[i])]
        for i, name in enumerate(names)
    ]
    names = [
        "`separability_`",
        "`separability_shuffled_`",
        "`bin_scores_`",
        "`bin_scores_shuffled_`",
        "trained on the first bin",
        "trained on the last bin",
        "`bin_agreement_`",
    ]
    digits = (2, 2, 3, 3, 3, 3, 3)
    for name, values, places in zip(names, np.mean(bins, axis=0), digits, strict=True):
        rows.append([name, *(f"{value:.{places}f}" for value in values), ""])
    print_table(
        columns,
        rows,
        f"{n} seeds by confidence; means of {repeats} mixtures; `fit` took "
        f"{np.median(seconds):.0f} s, most of it for {steps} steps",
    )
    rows = [[name, *mean([run[name] for run in trained], 3)] for name in trained[0]]
    print_table(
        ["probe trained on", "all new seeds", "confident ones", "rank correlation"],
        rows,
        f"Accuracy on {n_new} new seeds, and correlation of rated with true confidence",
    )
    rows = [[count, *mean([run[count] for run in sampled])] for count in counts]
    print_table(
        [
            "candidates",
            "generator calls",
            "with `train_on=all`",
            "evaluator agrees",
            "mean along class mean",
            "deviation along it",
            "total variance",
        ],
        rows,
        f"{n // 60} confident samples of class 0, for each of them. In the mixture the class has "
        "mean 2.5 and deviation 1 along it, and total variance 64; 1 candidate is rejection",
    )
    best, base = np.mean(alone, axis=0)
    print(
        f"By the probe alone, {n // 60} of {2 * n // 3} new seeds: {best:.3f} are of the class, "
        f"{base:.3f} of all. Evaluator and classifier agree on {np.mean(agreement):.3f} of the "
        "confident seeds."
    )


if __name__ == "__main__":
    main()
